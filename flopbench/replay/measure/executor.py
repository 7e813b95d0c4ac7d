"""Passes of a replay: the same videos with everything, without waiting, arms alone, uniform.

Within a tick policy network and LSTM run first, then the host copies the decision and waits for
it, as a program that does not know it must, and then follows the log's decision. With buckets, the
calls that a tick's decisions ask for are queued only after the next tick's policy: while the host
waits for that policy's decision, the device has work queued behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flopbench.replay.lockstep import Calls, Tick, by_call, shared_calls
from flopbench.replay.measure.device import Device
from flopbench.replay.measure.networks import Bucket, Network, decide
from flopbench.replay.workload import Runs, Task

Marks = list[tuple[Sequence[int], Any]]
"""(rows of the chunk, mark behind their latest work)."""


@dataclass(slots=True)
class ExecutionCounts:
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
        self._gate = 0
        self._asked: list[Any] = []
        self.executed = ExecutionCounts()

    def whole(self, ticks: Sequence[Tick], of: int, *, read: bool = True) -> Marks:
        """Run a chunk with everything.

        Args:
            ticks: of the chunk.
            of: videos in the chunk.
            read: whether the host waits for decisions, and marks are made.

        Returns:
            Marks of the videos' work, if there are buckets and the device has marks.
        """
        for network in self._networks.values():
            network.begin()
        self._read, self._marks = read, []
        later: list[Callable[[], None]] = []
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
            output, last = None, ""
            for name, times in charge.before:
                for _ in range(times):
                    output, last = self._networks[name].on(charge.rows, of), name
                    self.executed.policy[name, len(charge.rows)] += 1
            if charge.choices:
                asked += self._decided(output, charge.choices, last, len(charge.rows))
        if self.buckets and tick.charges and tick.ends:
            self._mark(tick.ends)
        return asked

    def _decided(self, output: Any, choices: int, name: str, n: int) -> list[Any]:
        """Compute a decision; ask for it if the host reads it. Return what to wait for."""
        decision = decide(output, choices, name)
        self.executed.decided += n
        if not self._read:
            return []
        self.executed.reads += 1
        return [self._device.ask(decision)]

    def _at_once(self, tick: Tick, of: int) -> list[Callable[[], None]]:
        """Run what was decided, each action's rows in one call; nothing is left for later."""
        for number, rows in by_call(tick.visits, self._shared).items():
            task = self._tasks[number]
            output, last = None, ""
            for name, times in task.runs:
                for _ in range(times):
                    output, last = self._networks[name].on(rows, of), name
                    self.executed.arms[name, len(rows)] += 1
            if task.gate and last:
                for one in self._decided(output, task.gate, last, len(rows)):
                    self._device.answer(one)
        return []

    def _filed(self, tick: Tick, of: int) -> list[Callable[[], None]]:
        """Return what was decided as work to queue later; what a gate needs runs at once."""
        work: list[Callable[[], None]] = []
        for number, rows in by_call(tick.visits, self._shared).items():
            task = self._tasks[number]
            if task.gate and task.runs:
                self._through_gate(task, rows, of)
                continue
            for name, times in task.runs:
                work += [partial(self.put, name, rows, of)] * times
        return work

    def _through_gate(self, task: Task, rows: Sequence[int], of: int) -> None:
        """Run what a gate decides on, one network after the other, and wait for the gate."""
        calls = [name for name, times in task.runs for _ in range(times)]
        for n, name in enumerate(calls, 1):
            self._gate = task.gate if n == len(calls) else 0
            self.put(name, rows, of)
            self._flush(name)
        self._gate = 0
        for one in self._asked:
            self._device.answer(one)
        self._asked = []

    def put(self, name: str, rows: Sequence[int], of: int) -> None:
        """Put rows into a component's bucket and run it whenever it is full."""
        if name not in self.buckets:  # it keeps a state, so its runs cannot wait
            output = self._networks[name].on(rows, of)
            self.executed.arms[name, len(rows)] += 1
            if self._gate:
                self._asked += self._decided(output, self._gate, name, len(rows))
            self._mark(rows)
            return
        bucket, waiting = self.buckets[name], self._waiting[name]
        start = 0
        while start < len(rows):
            part = rows[start : start + bucket.capacity - len(waiting)]
            bucket.put(part, len(waiting))
            waiting += part
            start += len(part)
            if len(waiting) == bucket.capacity:
                self._flush(name)

    def _flush(self, name: str) -> None:
        """Run a bucket, full or not."""
        waiting = self._waiting.get(name)
        if not waiting:
            return
        n = len(waiting)
        output = self.buckets[name].run(n)
        self.executed.arms[name, n] += 1
        if self._gate:
            self._asked += self._decided(output, self._gate, name, n)
        self._mark(waiting)
        waiting.clear()

    def _mark(self, rows: Sequence[int]) -> None:
        """Put a mark behind the latest work of rows."""
        if self._read and self._device.has_marks:
            self._marks.append((tuple(rows), self._device.mark()))
