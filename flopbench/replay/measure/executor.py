"""Passes of a replay: the same videos with everything, without waiting, arms alone, uniform.

Within a tick policy network and LSTM run first, then the host copies the decision and waits for
it, as a program that does not know it must, and then follows the log's decision. With buckets, the
calls that a tick's decisions ask for are queued only after the next tick's policy: while the host
waits for that policy's decision, the device has work queued behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, field

from flopbench.replay.lockstep import Calls, Tick, by_call, shared_calls
from flopbench.replay.measure.device import Device
from flopbench.replay.measure.networks import Bucket, Network, decide
from flopbench.replay.workload import Runs, Task

Marks = list[tuple[Sequence[int], Any]]
"""(rows of the chunk, mark behind their latest work)."""


class ExecutionCounts(Struct):
    """What actually ran, as in ``Executed``; calls by (component, items of the call)."""

    tasks: Counter[int] = field(default_factory=Counter)
    arms: Counter[tuple[str, int]] = field(default_factory=Counter)
    policy: Counter[tuple[str, int]] = field(default_factory=Counter)
    decided: int = 0
    reads: int = 0


class Executor:
    """Runs chunks of videos; without ``buckets`` an action's rows run at once."""

    def __init__(
        self,
        networks: Mapping[str, Network],
        tasks: Sequence[Task],
        device: Device,
        buckets: Mapping[str, Bucket] | None = None,
    ) -> None:
        self._networks, self._tasks, self._device = networks, tasks, device
        self._shared = shared_calls(tasks)
        self.buckets = buckets or {}
        self._waiting: dict[str, list[int]] = {name: [] for name in self.buckets}
        self._read = True
        self._marks: Marks = []
        self.executed = ExecutionCounts()

    def whole(self, ticks: Sequence[Tick], of: int, *, read: bool = True) -> Marks:
        """Run a chunk of ``of`` videos with everything; unless ``read`` no decision is waited for.

        Returns:
            Marks of the videos' work, if there are buckets, the device has marks, and ``read``.
        """
        for network in self._networks.values():
            network.begin()
        self._read, self._marks = read, []
        later: list[Callable[[], Any]] = []
        for tick in ticks:
            asked = self._charges(tick, of)
            for do in later:
                do()
            for one in asked:
                self._device.answer(one)
            self.executed.tasks.update(task for _, task in tick.visits)
            later = self._filed(tick, of) if self.buckets else self._at_once(tick, of)
        for do in later:
            do()
        for name in self._waiting:
            self._flush(name)
        return self._marks

    def arms(self, calls: Calls) -> None:
        """Run the arms' calls alone, on ready items."""
        for name, n in calls:
            if name in self.buckets:
                self.buckets[name].run(n)
            else:
                self._networks[name].bare(n)

    def uniform(self, runs: Runs, batch: int, times: int) -> None:
        """Run the uniform baseline ``times`` times: each network on ``batch`` ready frames."""
        rows = list(range(batch))
        for network in self._networks.values():
            network.begin()
        for _ in range(times):
            for name, repeats in runs:
                for _ in range(repeats):
                    if name in self.buckets:
                        self.buckets[name].run(batch)  # without decisions nothing is gathered
                    else:
                        self._networks[name].on(rows, batch)

    def _charges(self, tick: Tick, of: int) -> list[Any]:
        """Run policy networks and LSTMs; return the decisions that the host asked for."""
        asked = []
        for charge in tick.charges:
            output, last = self._on(charge.before, charge.rows, of, self.executed.policy)
            asked += self._decided(output, charge.choices, last, len(charge.rows))
        if self.buckets and tick.charges and tick.ends:
            self._mark(tick.ends)
        return asked

    def _on(self, runs: Runs, rows: Sequence[int], of: int, counts: Counter[Any]) -> Any:
        """Run networks one after the other on rows; return the last one's output and its name."""
        output, last = None, ""
        for name, times in runs:
            for _ in range(times):
                output, last = self._networks[name].on(rows, of), name
                counts[name, len(rows)] += 1
        return output, last

    def _decided(self, output: Any, choices: int, name: str, n: int) -> list[Any]:
        """Compute a decision, if there is one, and return what to wait for if the host reads it."""
        if not choices or not name:
            return []
        decision = decide(output, choices, name)
        self.executed.decided += n
        if not self._read:
            return []
        self.executed.reads += 1
        return [self._device.ask(decision)]

    def _at_once(self, tick: Tick, of: int) -> list[Callable[[], Any]]:
        """Run what was decided, each action's rows in one call; nothing is left for later."""
        for number, rows in by_call(tick.visits, self._shared).items():
            task = self._tasks[number]
            output, last = self._on(task.runs, rows, of, self.executed.arms)
            for one in self._decided(output, task.gate, last, len(rows)):
                self._device.answer(one)
        return []

    def _filed(self, tick: Tick, of: int) -> list[Callable[[], Any]]:
        """Return what was decided as work to queue later; what a gate needs runs at once."""
        work: list[Callable[[], Any]] = []
        for number, rows in by_call(tick.visits, self._shared).items():
            task = self._tasks[number]
            calls = [name for name, times in task.runs for _ in range(times)]
            if not task.gate:
                work += [partial(self._put, name, rows, of) for name in calls]
                continue
            asked = []
            for n, name in enumerate(calls, 1):
                gate = task.gate if n == len(calls) else 0
                asked += self._put(name, rows, of, gate) + self._flush(name, gate)
            for one in asked:
                self._device.answer(one)
        return work

    def _put(self, name: str, rows: Sequence[int], of: int, gate: int = 0) -> list[Any]:
        """Put rows into a component's bucket, and run it whenever it is full; see ``_flush``."""
        if name not in self.buckets:  # it keeps a state, so its runs cannot wait
            output, _ = self._on(((name, 1),), rows, of, self.executed.arms)
            asked = self._decided(output, gate, name, len(rows))
            self._mark(rows)
            return asked
        bucket, waiting = self.buckets[name], self._waiting[name]
        asked, start = [], 0
        while start < len(rows):
            part = rows[start : start + bucket.capacity - len(waiting)]
            bucket.put(part, len(waiting))
            waiting += part
            start += len(part)
            if len(waiting) == bucket.capacity:
                asked += self._flush(name, gate)
        return asked

    def _flush(self, name: str, gate: int = 0) -> list[Any]:
        """Run a bucket, full or not; return what to wait for, if a gate decides on the outputs."""
        waiting = self._waiting.get(name)
        if not waiting:
            return []
        n = len(waiting)
        output = self.buckets[name].run(n)
        self.executed.arms[name, n] += 1
        asked = self._decided(output, gate, name, n)
        self._mark(waiting)
        waiting.clear()
        return asked

    def _mark(self, rows: Sequence[int]) -> None:
        """Put a mark behind the latest work of rows."""
        if self._read and self._device.has_marks:
            self._marks.append((tuple(rows), self._device.mark()))
