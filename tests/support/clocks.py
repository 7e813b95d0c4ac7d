"""A simulated clock: the seeded noise of a machine, behind the real loop.

``NoiseClock`` takes the place of a clock of ``measure.clocks``, the one seam of the timing code.
``now`` advances only by the time of calls, so a test of many seconds takes none, and every count
can be worked out by hand. ``timed`` and ``interleaved`` run the real loop on it and return rows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from flopbench.replay.records import Replay
from flopbench.timing.devices import DeviceFacts, GatheredFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.measure.sampling import Sampled, first_call, sample
from flopbench.timing.records import ProcessRun, Timing, TimingSpec, Work


class NoiseClock:
    """Times calls by a simulated machine.

    A call that returns a number takes that many times as long; one that returns None takes the
    base time. Time is: base · that factor · warm-up · drift · noise · outlier.

    Args:
        base_s: seconds of a call when nothing disturbs it.
        columns: ``cpu`` (wall_s, cpu_s, wait_s) or ``cuda`` (enqueue_s, gpu_s, end_to_end_s).
        noise: standard deviation of the logarithm of a call's time.
        drift: how much slower each call is than the one before, as a share of the base time.
        warm_up: factors of the first calls.
        outliers: share of calls that are outliers.
        outlier_factor: how many times longer these take.
        waits: wall time beyond CPU time in which others have the processor, as a share of it.
        sleeps: wall time beyond CPU time in which the call waits for something else, as a share.
        enqueue_s: host time of launching one call, on CUDA.
        phases: how many times longer everything takes at a time, the machine's own pace too; None
            reads no pace.
        tick_s: step of the clock behind cpu_s, 0 for none: shorter times read as 0.
        seed: of the generator.
    """

    def __init__(
        self,
        base_s: float,
        *,
        columns: str = "cpu",
        noise: float = 0.0,
        drift: float = 0.0,
        warm_up: Sequence[float] = (),
        outliers: float = 0.0,
        outlier_factor: float = 10.0,
        waits: float = 0.0,
        sleeps: float = 0.0,
        enqueue_s: float = 0.0,
        tick_s: float = 0.0,
        phases: Callable[[float], float] | None = None,
        seed: int = 0,
    ) -> None:
        self.lead = {"cpu": "cpu_s", "cuda": "end_to_end_s"}[columns]
        self.groups_calls = columns == "cpu"
        self.made = 0
        self.timed: list[int] = []
        self._base_s, self._columns = base_s, columns
        self._noise, self._drift, self._warm_up = noise, drift, tuple(warm_up)
        self._outliers, self._outlier_factor = outliers, outlier_factor
        self._waits, self._enqueue_s, self._tick_s = waits, enqueue_s, tick_s
        self._sleeps, self._phases = sleeps, phases
        self._random = random.Random(seed)
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds that all calls took."""
        return self._now

    def time(self, call: Callable[[], Any], calls: int) -> dict[str, float]:
        """Make calls; return what each took on average, by column."""
        self.timed.append(calls)
        busy = sum(self._one(call()) for _ in range(calls)) / calls
        if self._columns == "cpu":
            wall = busy * (1 + self._waits + self._sleeps)
            read = busy // self._tick_s * self._tick_s if self._tick_s else busy
            sample = {"wall_s": wall, "cpu_s": read, "wait_s": busy * self._waits}
            self._now += wall * calls
        else:
            host = self._enqueue_s
            sample = {"enqueue_s": host, "gpu_s": busy, "end_to_end_s": max(host, busy)}
            self._now += sample["end_to_end_s"] * calls
        return sample

    def pace(self) -> float | None:
        """Return a millisecond, or as many as the phase makes of it; reading takes no time."""
        return self._phases(self._now) / 1024 if self._phases else None

    def _one(self, factor: float | None) -> float:
        seconds = self._base_s * (1.0 if factor is None else factor)
        seconds *= self._phases(self._now) if self._phases else 1.0
        if self.made < len(self._warm_up):
            seconds *= self._warm_up[self.made]
        seconds *= 1 + self._drift * self.made
        if self._noise:
            seconds *= math.exp(self._random.gauss(0.0, self._noise))
        if self._outliers and self._random.random() < self._outliers:
            seconds *= self._outlier_factor
        self.made += 1
        return seconds


def idle() -> None:
    """A call that takes the base time."""


def some_device(name: str = "AMD EPYC", device: str = "cpu", **changes: Any) -> DeviceFacts:
    """Return the facts of a machine; changes by key with ``__`` for the dot."""
    found = GatheredFacts()
    found.put("cpu.model", "AMD EPYC", "")
    found.put("torch.version", "2.15.0", "")
    found.put("gpu.ecc", None, "no GPU")
    for key, value in changes.items():
        found.put(key.replace("__", "."), value, "left out")
    return DeviceFacts(device=device, name=name, facts=found.facts, absent=found.absent)


def as_run(sampled: Sampled, first_s: float, **changes: Any) -> ProcessRun:
    """Turn what the loop sampled into the record of one process."""
    fields: dict[str, Any] = {name: getattr(sampled, name) for name in sampled.__struct_fields__}
    for kind in ("columns", "left_out"):
        fields[kind] = {name: tuple(values) for name, values in fields[kind].items()}
    fields["paces"] = tuple(fields["paces"])
    return ProcessRun(**{"first_s": first_s, **fields, **changes})


def timed(
    clocks: Sequence[NoiseClock],
    spec: TimingSpec | None = None,
    *,
    budget_s: float = 2.0,
    fewest: int = 10,
    best_pace_s: float | None = None,
    run: dict[str, Any] | None = None,
    **changes: Any,
) -> Timing:
    """Time one call on every clock, each standing for a fresh process; return the row.

    Args:
        clocks: one a process.
        spec: the specification.
        budget_s: of the loop.
        fewest: of the loop.
        best_pace_s: that is known of the simulated machine.
        run: fields of every process's record to be changed.
        changes: fields of the row to be changed.
    """
    runs = []
    for clock in clocks:
        first_s = first_call(clock, idle)
        (sampled,) = sample(
            clock, [idle], budget_s=budget_s, fewest=fewest, best_pace_s=best_pace_s
        )
        runs.append(as_run(sampled, first_s, **(run or {})))
    spec = spec or TimingSpec(spec="resnet18@32")
    return Timing(**{"what": spec, "lead": clocks[0].lead, "processes": tuple(runs), **changes})


def timing_file(
    seconds: Mapping[str, float], factors: Sequence[float] = (1.0, 1.0, 1.0), **what: Any
) -> TimingFile:
    """Return a file of networks, each timed in processes that took these multiples of its time."""
    rows = [
        timed([NoiseClock(s * f) for f in factors], TimingSpec(spec=spec, **what), budget_s=0.0)
        for spec, s in seconds.items()
    ]
    return TimingFile(devices=(some_device(),), rows=tuple(rows))


def times_of(replay: Replay, seconds: float, path: Path) -> Path:
    """Write timings of a replay's networks on its machine: all take as long, at batch 1."""
    file = timing_file({part.spec: seconds for part in replay.parts.values()})
    replace(file, devices=(replay.device,)).save(path)
    return path


def interleaved(
    clocks: Sequence[NoiseClock],
    calls: Sequence[Callable[[], Any]],
    *,
    budget_s: float = 2.0,
    label: str = "a against b",
) -> list[Timing]:
    """Let calls take turns on every clock, each standing for a fresh process; return the rows."""
    runs: list[list[ProcessRun]] = [[] for _ in calls]
    for clock in clocks:
        for own, sampled in zip(runs, sample(clock, calls, budget_s=budget_s), strict=True):
            own.append(as_run(sampled, 0.0))
    return [
        Timing(
            what=TimingSpec(spec=f"net{number}@32"),
            lead=clocks[0].lead,
            processes=tuple(own),
            interleaved=label,
            work=Work(dense_macs=1000 * (number + 1)),
        )
        for number, own in enumerate(runs)
    ]
