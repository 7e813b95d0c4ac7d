"""The loop that times calls: first call, warm-up until stable, samples until precise.

The clock is a parameter: the loop runs on any object with ``now`` and ``time``, a real clock of
``clocks`` or a seeded noise model in the tests. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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

Call = Callable[[], Any]


class Clock(Protocol):
    """A clock that times calls.

    Attributes:
        lead: the primary column, which headlines and stopping decisions use.
        groups_calls: whether a sample may hold several short calls.
    """

    lead: str
    groups_calls: bool

    def now(self) -> float:
        """Return seconds since some fixed time."""

    def time(self, call: Call, calls: int) -> dict[str, float]:
        """Make ``calls`` calls; return column name -> seconds per call."""


@dataclass(slots=True, kw_only=True)
class Sampled:
    """The warm-up and samples of one call in one process; fields as in ``ProcessRun``."""

    warm_up_calls: int = 0
    warm_up_s: float = 0.0
    settled: bool = False
    stopped: Literal["precise", "budget"] = "budget"
    calls_per_sample: int = 1
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, sample: dict[str, float]) -> None:
        """Add one sample."""
        for name, seconds in sample.items():
            self.columns.setdefault(name, []).append(seconds)


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
    clock: Clock, calls: Sequence[Call], *, budget_s: float, fewest: int = FEWEST_SAMPLES
) -> list[Sampled]:
    """Warm calls up, then time them in turn, forwards and backwards, until all are precise.

    Several calls are interleaved in ABBA order, so that neither always follows the other, and have
    the same number of samples: as many as ``budget_s`` seconds per call allow, and at least
    ``fewest``.
    """
    results = [Sampled() for _ in calls]
    order = list(zip(calls, results, strict=True))
    for call, sampled in order:
        warm_up(clock, call, sampled)
    start, taken = clock.now(), 0
    while True:
        for call, sampled in order if taken % 2 == 0 else reversed(order):
            sampled.add(clock.time(call, sampled.calls_per_sample))
        taken += 1
        if taken < fewest:
            continue
        if taken % CHECK_EVERY == 0:
            widths = [half_width(sampled.columns[clock.lead]) for sampled in results]
            if max(widths) <= PRECISE_WITHIN:
                for sampled in results:
                    sampled.stopped = "precise"
                return results
        if clock.now() - start >= budget_s * len(calls):
            return results
