"""Seeded resampling: the bootstrap over videos, or over clusters of them, and over processes.

Videos that belong together are drawn as whole clusters. What is drawn is then a ratio, the sum over
the drawn clusters divided by the number of their videos, and the percentiles are expanded for the
effective number of clusters, as ``expanded_bootstrap`` does for processes.

Intervals of costs are drawn from sorted videos: their order, in which a log or the parts of one
were read, does not matter to the last bit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from flopbench.core.statistics import Z_95, Ends, student_95
from flopbench.core.units import gflops

RESAMPLES = 1000
MAP_RESAMPLES = 200
"""A resample of mAP takes a pass over every class: fewer than of a mean; the caption says so."""
PROCESS_RESAMPLES = 2000
"""Draws over processes; the ends of a 95 % interval then move by a few per cent of its width."""
LARGEST_BOOTSTRAP = 50_000
"""Videos beyond which the interval is the limit of the bootstrap: the mean ± 1.96 standard errors.
There the two differ by less than the bootstrap's noise at 1,000 resamples, and drawing 1,000 times
from millions of videos takes minutes."""
Groups = Sequence[Sequence[float]]
"""One list of values a process."""
CHUNK = 1 << 22
"""Draws (resamples × videos) held at once: 4 bytes each, and the same again while in use."""


class Interval(Struct, frozen=True, kw_only=True):
    """A 95 % interval of a mean over videos, in GFLOPS a video; its limit has 0 resamples.

    ``clusters`` is how many clusters were drawn; None where videos were.
    """

    low: float
    high: float
    method: str = "bootstrap"
    resamples: int = RESAMPLES
    seed: int = 0
    clusters: int | None = None

    @property
    def ends(self) -> Ends:
        """The lower and the upper end."""
        return self.low, self.high


def interval(
    costs_macs: Any,
    *,
    clusters: Any = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    largest: int = LARGEST_BOOTSTRAP,
) -> Interval | None:
    """Return the 95 % interval of the mean cost of a video, by the percentile bootstrap.

    Args:
        costs_macs: (videos,) MACs.
        clusters: (videos,) the cluster of each, 0 to the number of clusters less one, none of them
            empty; None where each video is drawn alone.
        resamples: how many times the videos are drawn.
        seed: of the generator.
        largest: number of videos, or clusters, beyond which the bootstrap's limit replaces it.

    Returns:
        None for a single video or a single cluster, which says nothing about others, and without
        resamples.
    """
    n = drawn_units(len(costs_macs), clusters)
    if n < 2 or not resamples:
        return None
    costs_macs, clusters = _in_one_order(costs_macs, clusters)
    known = None if clusters is None else n
    if n > largest:
        return normal_limit(
            float(costs_macs.mean()), _squared_error(costs_macs, clusters), seed, known
        )
    means = drawn_means(costs_macs, clusters, resamples=resamples, seed=seed)
    return _drawn(ends_of(means, clusters), resamples, seed, known)


def difference_interval(
    costs_a: Any,
    costs_b: Any,
    *,
    clusters: tuple[Any, Any] = (None, None),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Return the 95 % interval of mean(b) − mean(a), each resampled over its own videos.

    ``clusters`` are those of a and of b, as in ``interval``. ``seed`` is that of a's generator; b's
    is the next one. None where either is a single video or cluster, and without resamples.
    """
    sides = list(zip((costs_a, costs_b), clusters, strict=True))
    units = [drawn_units(len(costs), own) for costs, own in sides]
    if min(units) < 2 or not resamples:
        return None
    sides = [_in_one_order(*side) for side in sides]
    if max(units) > LARGEST_BOOTSTRAP:
        mean_a, mean_b = (float(costs.mean()) for costs, _ in sides)
        return normal_limit(mean_b - mean_a, sum(_squared_error(*side) for side in sides), seed)
    a, b = (
        drawn_means(costs, own, resamples=resamples, seed=seed + n)
        for n, (costs, own) in enumerate(sides)
    )
    return _drawn(ends_of(b - a, *clusters), resamples, seed)


def _in_one_order(costs: Any, clusters: Any) -> tuple[Any, Any]:
    """Return videos sorted by cost, and their clusters numbered by sum and size."""
    import numpy as np

    if clusters is None:
        return np.sort(costs), None
    order = np.argsort(costs)
    costs, clusters = costs[order], clusters[order]
    sums, sizes = np.bincount(clusters, weights=costs), np.bincount(clusters)
    number: Any = np.empty(len(sums), np.int64)
    number[np.lexsort((sizes, sums))] = np.arange(len(sums))
    return costs, number[clusters]


def drawn_units(videos: int, clusters: Any = None) -> int:
    """Return how many units a resample draws: videos, or clusters (videos,) of them."""
    return videos if clusters is None else int(clusters.max()) + 1


def drawn_means(values: Any, clusters: Any = None, *, resamples: int, seed: int) -> Any:
    """Return (resamples,) means of (videos,) values, drawn alone or in whole clusters."""
    import numpy as np

    if clusters is None:
        return resampled_means(values[None, :], resamples=resamples, seed=seed)[0]
    sizes = np.bincount(clusters).astype(np.float64)
    sums = np.bincount(clusters, weights=values)
    drawn = resampled_means(np.stack([sums, sizes]), resamples=resamples, seed=seed)
    return drawn[0] / drawn[1]


def ends_of(drawn: Any, *clusters: Any) -> Ends:
    """Return the ends of a 95 % interval: the middle of some draws, expanded for clusters.

    ``clusters``: (videos,) of each side that was drawn; the side with the fewest counts.
    """
    numbers = [_effective(own) for own in clusters if own is not None]
    return _expanded(drawn, min(numbers)) if numbers else middle_of(drawn)


def _effective(clusters: Any) -> int:
    """Return the effective number of clusters, (Σ size)² / Σ size², rounded down, at least 2.

    Kish, Survey Sampling, 1965. Equal clusters count in full; with one size in ten times another,
    few of them carry the mean, and percentiles for all of them would be too narrow.
    """
    import numpy as np

    sizes = np.bincount(clusters)
    return max(2, len(clusters) ** 2 // int(np.square(sizes).sum()))


def _squared_error(costs: Any, clusters: Any = None) -> float:
    """Return the squared standard error of a mean, with the bootstrap's divisor n.

    Of clusters it is that of a ratio, linearised: Σ (sum − mean × size)² / (Σ size)².
    """
    if clusters is None:
        return float(costs.var()) / len(costs)
    import numpy as np

    off = np.sort(np.bincount(clusters, weights=costs - costs.mean()))
    return float(off @ off) / len(costs) ** 2


def _drawn(ends: Ends, resamples: int, seed: int, clusters: int | None = None) -> Interval:
    low, high = map(gflops, ends)
    return Interval(low=low, high=high, resamples=resamples, seed=seed, clusters=clusters)


def normal_limit(
    centre: float, squared_error: float, seed: int, clusters: int | None = None
) -> Interval:
    """Return a mean ± 1.96 standard errors, both in MACs, as the limit of the bootstrap."""
    reach = Z_95 * math.sqrt(squared_error)
    return Interval(
        low=gflops(centre - reach),
        high=gflops(centre + reach),
        method="normal limit of the bootstrap",
        resamples=0,
        seed=seed,
        clusters=clusters,
    )


def middle_of(drawn: Any, tail: float = 0.025) -> Ends:
    """Return the ends of the middle of some draws, with a share of ``tail`` cut off at each end."""
    import numpy as np

    ordered = np.sort(drawn)

    def quantile(share: float) -> float:
        """Interpolate as np.quantile does, which imports all of numpy.ma."""
        whole = int(at := (len(ordered) - 1) * share)
        low, high = ordered[whole], ordered[min(whole + 1, len(ordered) - 1)]
        part = at - whole
        return float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part))

    return quantile(tail), quantile(1 - tail)


def _pieces(resamples: int, videos: int) -> Iterator[slice]:
    """Cut resamples into pieces of at most ``CHUNK`` draws."""
    rows = max(1, CHUNK // videos)
    for start in range(0, resamples, rows):
        yield slice(start, min(start + rows, resamples))


def resampled_means(values: Any, *, resamples: int, seed: int) -> Any:
    """Return (k, resamples) means of k rows, (k, videos), over the same resampled videos."""
    import numpy as np

    k, n = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty((k, resamples))
    for piece in _pieces(resamples, n):
        drawn = rng.integers(0, n, size=(piece.stop - piece.start, n), dtype=np.int32)
        for row in range(k):
            means[row, piece] = values[row][drawn].mean(axis=1)
    return means


def resampled_weights(
    videos: int, clusters: Any = None, *, resamples: int, seed: int
) -> Iterator[tuple[slice, Any]]:
    """Yield resamples as the number of times each drew each video, some at a time.

    Args:
        videos: how many there are.
        clusters: (videos,) the cluster of each, where whole clusters are drawn.
        resamples: how many.
        seed: of the generator.

    Yields:
        A slice of R resamples, and (R, videos) int32.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    units = drawn_units(videos, clusters)
    for piece in _pieces(resamples, videos):
        weights: Any = np.empty((piece.stop - piece.start, units), dtype=np.int32)
        for row in weights:
            row[:] = np.bincount(rng.integers(units, size=units), minlength=units)
        yield piece, weights if clusters is None else weights.take(clusters, axis=1)


def resampled_counts(counts: Sequence[int], *, resamples: int, seed: int) -> Any:
    """Return (resamples, k) counts of k kinds of videos, without drawing each video.

    ``counts`` is how many videos are of each kind; together at least one.
    """
    import numpy as np

    shares = np.array(counts) / sum(counts)
    return np.random.default_rng(seed).multinomial(sum(counts), shares, size=resamples)


def expanded_bootstrap(
    groups: Groups,
    statistic: Callable[[Groups], float],
    *,
    resamples: int = PROCESS_RESAMPLES,
    seed: int = 0,
) -> Ends | None:
    """Return a 95 % interval of a statistic over processes: groups are drawn, then their values.

    The percentile bootstrap is too narrow for a handful of groups, so its percentiles are expanded
    (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, "expanded percentile"):
    Φ(-√(n/(n-1))·t). For three groups that is the whole range of the draws.

    Returns:
        None for fewer than two groups, or where a group is empty.
    """
    n = len(groups)
    if n < 2 or not all(len(group) for group in groups):
        return None
    return _expanded(_draws(groups, statistic, resamples, seed), n)


def ratio_bootstrap(
    below: Groups,
    above: Groups,
    statistic: Callable[[Groups], float],
    *,
    resamples: int = PROCESS_RESAMPLES,
    seed: int = 0,
) -> Ends | None:
    """Return a 95 % interval of statistic(above) / statistic(below), drawn independently.

    As ``expanded_bootstrap`` of either; ``seed`` is that of ``below``, ``above`` has the next one.
    """
    n = min(len(below), len(above))
    if n < 2 or not all(len(group) for group in (*below, *above)):
        return None
    denominators = _draws(below, statistic, resamples, seed)
    return _expanded(_draws(above, statistic, resamples, seed + 1) / denominators, n)


def _draws(groups: Groups, statistic: Callable[[Groups], float], resamples: int, seed: int) -> Any:
    """Return (resamples,) statistics of groups drawn with replacement, and values within each."""
    import numpy as np

    generator = np.random.default_rng(seed)
    arrays = [np.asarray(group, float) for group in groups]
    n = len(arrays)
    drawn = []
    for _ in range(resamples):
        picked = [arrays[i] for i in generator.integers(0, n, n)]
        values = [one[generator.integers(0, len(one), len(one))] for one in picked]
        drawn.append(statistic(values))
    return np.array(drawn)


def _expanded(drawn: Any, n: int) -> Ends:
    tail = statistics.NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_95(n - 1))
    return middle_of(drawn, tail)
