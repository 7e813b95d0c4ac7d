"""The loop that times calls: first call, warm-up until stable, samples until precise.

The clock is a parameter: the loop runs on any object with ``now`` and ``time``, a real clock of
``clocks`` or a seeded noise model in the tests. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from flopbench.core.statistics import half_width, median

WARM_UP_CALLS = 10
"""Fewest calls of a warm-up, and the calls of a block; medians of blocks are compared."""

WARM_UP_S = 1.0
"""Fewest seconds of a warm-up: processor clocks rise, allocators and caches fill."""

WARM_UP_WITHIN = 0.02
"""Two successive blocks whose medians differ by no more than this share are stable."""

WARM_UP_LIMIT_S = 20.0
"""A warm-up that is not stable by then is given up, and the row says so. If ten calls take longer
than half of it, a block has as many calls as fit, at least two."""

PRECISE_WITHIN = 0.005
"""Sampling stops once the 95 % interval of the process's own median is within ± this share."""

FEWEST_SAMPLES = 10
"""Taken whatever the budget: an interval of a median needs at least six."""

CHECK_EVERY = 10
"""Samples between two checks of the interval: checking every sample would stop by chance."""

SHORTEST_SAMPLE_S = 1e-3
"""Calls on a host clock are grouped until a sample lasts as long: reading the clocks takes about
a microsecond, and a scheduler tick then matters little."""

PACE_WITHIN = 0.15
"""A sample counts if a fixed piece of work beside it took no more than this share above its best
time. A shared processor falls into phases of 1 to 30 s in which all calls take half as long again,
that work as well; within its quick phases all drift by a tenth, which their pace takes out."""

PATIENCE_S = 25.0
"""Seconds beyond the budget for which such samples are waited for."""

Call = Callable[[], Any]


class Clock(Protocol):
    """A clock that times calls.

    Attributes:
        lead: the column that stopping decisions use.
        groups_calls: whether a sample may hold several short calls.
    """

    lead: str
    groups_calls: bool

    def now(self) -> float:
        """Return seconds since some fixed time."""

    def time(self, call: Call, calls: int) -> dict[str, float]:
        """Make ``calls`` calls; return column name -> seconds per call."""

    def pace(self) -> float | None:
        """Return the seconds of a fixed piece of work; None where these tell nothing."""
        return None


class Sampled(Struct, kw_only=True):
    """The warm-up and samples of one call in one process; fields as in ``ProcessRun``."""

    warm_up_calls: int = 0
    warm_up_s: float = 0.0
    settled: bool = False
    stopped: Literal["precise", "budget"] = "budget"
    calls_per_sample: int = 1
    columns: dict[str, list[float]] = {}
    left_out: dict[str, list[float]] = {}
    paces: list[float] = []
    best_pace_s: float | None = None

    def add(self, sample: dict[str, float]) -> None:
        """Add one sample."""
        for name, seconds in sample.items():
            self.columns.setdefault(name, []).append(seconds)

    def keep(self, quick: Sequence[int]) -> None:
        """Keep the samples at these places; set the others apart."""
        slow = sorted(set(range(len(next(iter(self.columns.values()))))) - set(quick))
        if slow:
            self.left_out = {name: [own[i] for i in slow] for name, own in self.columns.items()}
            self.columns = {name: [own[i] for i in quick] for name, own in self.columns.items()}


def first_call(clock: Clock, call: Call) -> float:
    """Make the very first call; return its wall time in seconds."""
    start = clock.now()
    clock.time(call, 1)
    return clock.now() - start


def warm_up(clock: Clock, call: Call, sampled: Sampled, limit_s: float = WARM_UP_LIMIT_S) -> None:
    """Call until two successive blocks agree, or for ``limit_s``; ``sampled`` is filled in."""
    start = clock.now()
    primary = [clock.time(call, 1)[clock.lead]]
    each_s = clock.now() - start
    block = WARM_UP_CALLS
    if 2 * block * each_s > limit_s:
        block = max(2, min(block, int(limit_s / (2 * each_s))))
    while True:
        while len(primary) % block:
            primary.append(clock.time(call, 1)[clock.lead])
        elapsed = clock.now() - start
        if len(primary) >= 2 * block and elapsed >= WARM_UP_S:
            before, after = median(primary[-2 * block : -block]), median(primary[-block:])
            if abs(after - before) <= WARM_UP_WITHIN * before:
                sampled.settled = True
                break
            if elapsed >= limit_s:
                break
        primary.append(clock.time(call, 1)[clock.lead])
    sampled.warm_up_calls = len(primary)
    sampled.warm_up_s = clock.now() - start
    typical = median(primary[-block:])
    if clock.groups_calls and 0 < typical < SHORTEST_SAMPLE_S:
        sampled.calls_per_sample = math.ceil(SHORTEST_SAMPLE_S / typical)


def sample(
    clock: Clock,
    calls: Sequence[Call],
    *,
    budget_s: float,
    fewest: int = FEWEST_SAMPLES,
    best_pace_s: float | None = None,
) -> list[Sampled]:
    """Warm calls up, then time them in turn, forwards and backwards, until all are precise.

    Several calls are interleaved in ABBA order, so that neither always follows the other, and have
    the same number of samples: as many as ``budget_s`` seconds per call allow, and at least
    ``fewest``. Samples of the machine's slow phases are left out, and do not count: a process that
    has too few others goes on for ``PATIENCE_S``, then takes the quickest by pace. ``best_pace_s``
    is the best that is known of this machine.
    """
    results = [Sampled() for _ in calls]
    order = list(zip(calls, results, strict=True))
    for call, sampled in order:
        warm_up(clock, call, sampled)
    start, taken, waiting = clock.now(), 0, False
    paces = _Paces(clock, best_pace_s)
    while True:
        for call, sampled in order if taken % 2 == 0 else reversed(order):
            sampled.add(clock.time(call, sampled.calls_per_sample))
        taken += 1
        paces.read()
        spent_s = clock.now() - start - budget_s * len(calls)
        if taken < fewest or (taken % CHECK_EVERY and spent_s < (PATIENCE_S if waiting else 0)):
            continue
        quick = paces.quick()
        waiting = len(quick) < fewest
        if waiting and spent_s < PATIENCE_S:
            continue
        precise = taken % CHECK_EVERY == 0 and all(
            half_width(paces.scaled(sampled.columns[clock.lead], quick)) <= PRECISE_WITHIN
            for sampled in results
        )
        if precise or spent_s >= 0:
            break
    if waiting:
        quick = paces.quickest(fewest)
    for sampled in results:
        sampled.stopped = "precise" if precise else "budget"
        sampled.keep(quick)
        paces.tell(sampled, quick)
    return results


def best_pace(readings: Sequence[float]) -> float:
    """Return the best pace that is no luck of a moment: the 20 % quantile of some readings."""
    return sorted(readings)[len(readings) // 5]


class _Paces:
    """The machine's pace about each sample: the mean of the readings before and after it."""

    def __init__(self, clock: Clock, best_s: float | None) -> None:
        self._clock, self._known_s = clock, best_s
        self._readings = [clock.pace()]
        self._about: list[float] = []

    def read(self) -> None:
        """Take the reading after a sample."""
        self._readings.append(self._clock.pace())
        before, after = self._readings[-2:]
        self._about.append(((before or 0.0) + (after or 0.0)) / 2)

    def _best_s(self) -> float:
        own = best_pace([reading or 0.0 for reading in self._readings])
        return own if self._known_s is None else min(own, self._known_s)

    def quick(self) -> list[int]:
        """Return the places of the samples that count."""
        limit_s = (1 + PACE_WITHIN) * self._best_s()
        return [place for place, pace in enumerate(self._about) if pace <= limit_s]

    def quickest(self, number: int) -> list[int]:
        """Return the places of the samples with the best pace, in order of time."""
        return sorted(sorted(range(len(self._about)), key=self._about.__getitem__)[:number])

    def scaled(self, seconds: Sequence[float], places: Sequence[int]) -> list[float]:
        """Return samples over their pace, which is 1 where it is not read."""
        return [seconds[place] / (self._about[place] or 1.0) for place in places]

    def tell(self, sampled: Sampled, places: Sequence[int]) -> None:
        """Say the pace about each sample, and the best; nothing if it is not read."""
        if self._readings[0] is not None:
            sampled.paces = [self._about[place] for place in places]
            sampled.best_pace_s = self._best_s()
