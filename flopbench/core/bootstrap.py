"""95 % intervals of mean costs: the percentile bootstrap over videos, seeded, and its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from flopbench.core.units import gflops

RESAMPLES = 1000
LARGEST_BOOTSTRAP = 50_000
"""Videos beyond which the interval is the bootstrap's own limit: the mean ± 1.96 standard errors.
There the two differ by less than the bootstrap's noise at 1,000 resamples, and drawing 1,000 times
from millions of videos takes minutes."""
Z_95 = 1.959963984540054
CHUNK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval of a mean over videos.

    Attributes:
        low: lower end, GFLOPS a video.
        high: upper end.
        method: ``bootstrap`` or ``normal limit of the bootstrap``.
        resamples: how many, 0 for the limit.
        seed: of the generator.
    """

    low: float
    high: float
    method: str = field(default="bootstrap", kw_only=True)
    resamples: int = field(default=RESAMPLES, kw_only=True)
    seed: int = field(default=0, kw_only=True)


def interval(
    costs_macs: Any,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    largest: int = LARGEST_BOOTSTRAP,
) -> Interval | None:
    """Return the 95 % interval of the mean cost of a video.

    Args:
        costs_macs: (videos,) MACs.
        resamples: of the percentile bootstrap over videos.
        seed: of its generator.
        largest: videos beyond which the bootstrap's limit stands for it.

    Returns:
        None for a single video, which says nothing of others.
    """
    import numpy as np

    n = len(costs_macs)
    if n < 2:
        return None
    if n > largest:
        return _limit(float(costs_macs.mean()), _squared_error(costs_macs), seed)
    means = resampled_means(costs_macs[None, :], resamples=resamples, seed=seed)[0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(
        low=gflops(float(low)), high=gflops(float(high)), resamples=resamples, seed=seed
    )


def difference_interval(
    costs_a: Any, costs_b: Any, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Return the 95 % interval of the mean of b less that of a, over videos of their own.

    Args:
        costs_a: (n,) MACs.
        costs_b: (m,) MACs.
        resamples: as for ``interval``.
        seed: of a's generator; b's is the next one.

    Returns:
        None where either is a single video.
    """
    import numpy as np

    if min(len(costs_a), len(costs_b)) < 2:
        return None
    if max(len(costs_a), len(costs_b)) > LARGEST_BOOTSTRAP:
        difference = float(costs_b.mean()) - float(costs_a.mean())
        return _limit(difference, _squared_error(costs_a) + _squared_error(costs_b), seed)
    a, b = (
        resampled_means(costs[None, :], resamples=resamples, seed=seed + n)[0]
        for n, costs in enumerate((costs_a, costs_b))
    )
    low, high = np.quantile(b - a, [0.025, 0.975])
    return Interval(
        low=gflops(float(low)), high=gflops(float(high)), resamples=resamples, seed=seed
    )


def _squared_error(costs: Any) -> float:
    """Return the squared standard error of a mean, as the bootstrap has it."""
    return float(costs.var()) / len(costs)


def _limit(centre: float, squared_error: float, seed: int) -> Interval:
    reach = Z_95 * math.sqrt(squared_error)
    return Interval(
        low=gflops(centre - reach),
        high=gflops(centre + reach),
        method="normal limit of the bootstrap",
        resamples=0,
        seed=seed,
    )


def resampled_means(values: Any, *, resamples: int, seed: int) -> Any:
    """Return (k, resamples) means of k rows over the same resampled videos.

    Args:
        values: (k, videos) numbers.
        resamples: how many times videos are drawn with replacement.
        seed: of the generator.
    """
    import numpy as np

    k, n = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty((k, resamples))
    rows = max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = rng.integers(0, n, size=(stop - start, n), dtype=np.int32)
        for row in range(k):
            means[row, start:stop] = values[row][drawn].mean(axis=1)
    return means
