"""Statistics of repeated timings: medians, intervals, percentiles, and ratios of two sets.

The process is the unit of replication: within one process the standard error of a median was 1 %
where processes differed by 8 to 16 % (two shared cores), so an interval from one process is many
times too narrow. No value is ever discarded as an outlier.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Ends = tuple[float, float]
"""Low and high end of an interval."""

Z_95 = 1.959963984540054
LARGEST_LOG = 700.0
"""Of a ratio of times: beyond it, floating point has no such number."""

FEWEST_PROCESSES = 3
"""Fewer than three processes do not show a spread: no row of them is called stable, and no
comparison is decided."""

FEWEST_FOR_INTERVAL = 6
"""Values below which the whole range of a sample covers its median with less than 95 %."""

PERCENTILE_SAMPLES = {50: 1, 90: 64, 95: 130, 99: 662}
"""The fewest samples for each percentile: with these, two or more lie beyond the true percentile
in 99 of 100 cases (binomial), so that it is not read off a single extreme."""

T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom."""


def median(values: Sequence[float]) -> float:
    """Return the median.

    Raises:
        ValueError: there are no values.
    """
    return float(statistics.median(values))


def percentile(values: Sequence[float], q: int) -> float | None:
    """Return the smallest value that at least q per cent of the values do not exceed.

    Args:
        values: the samples.
        q: one of ``PERCENTILE_SAMPLES``.

    Returns:
        None where there are too few samples to state it.
    """
    n = len(values)
    if n < PERCENTILE_SAMPLES[q]:
        return None
    if q == 50:
        return median(values)
    return float(sorted(values)[math.ceil(n * q / 100) - 1])


def median_interval(values: Sequence[float]) -> Ends | None:
    """Return a 95 % interval of the median from order statistics.

    By the normal limit of the binomial, corrected for continuity. It assumes independent samples,
    and so describes how well the median of *one process* is known.

    Returns:
        None for fewer than ``FEWEST_FOR_INTERVAL`` values.
    """
    n = len(values)
    if n < FEWEST_FOR_INTERVAL:
        return None
    ordered = sorted(values)
    reach = Z_95 * math.sqrt(n) / 2
    low = max(0, math.floor(n / 2 - reach - 0.5))
    high = n - 1 - low
    return float(ordered[low]), float(ordered[high])


def half_width(values: Sequence[float]) -> float:
    """Return the half width of ``median_interval`` as a share of the median; inf if unknown."""
    span = median_interval(values)
    centre = median(values) if values else 0.0
    if span is None or centre <= 0:
        return math.inf
    return (span[1] - span[0]) / 2 / centre


def student_95(degrees: int) -> float:
    """Return the two-sided 95 % point of Student's t."""
    return T_95[degrees - 1] if degrees <= len(T_95) else Z_95 + 2.5 / degrees


def repeat_interval(medians: Sequence[float]) -> Ends | None:
    """Return where the headline of a repeat of the same command is expected (95 %).

    A prediction interval for the median of as many further processes, on the logarithm of the
    time, where process medians are assumed to be normally distributed: mean ± t·s·√(1/K + c/K),
    with c the variance of a median of K in units of that of a mean (1 for K ≤ 2, π/2 for many;
    1.35 for 3). It holds for the same machine in the same state; a load that changes between two
    runs is not covered.

    Args:
        medians: one positive median a process.

    Returns:
        None for fewer than two processes.
    """
    ends = repeat_range([math.log(value) for value in medians])
    return None if ends is None else (math.exp(ends[0]), math.exp(ends[1]))


def repeat_range(values: Sequence[float]) -> Ends | None:
    """Return the same for values as they are, of either sign: differences of times."""
    count = len(values)
    if count < 2:
        return None
    centre, deviation = statistics.fmean(values), statistics.stdev(values)
    of_median = 1.0 if count == 2 else min(math.pi / 2, 1.35 + 0.03 * (count - 3))
    reach = student_95(count - 1) * deviation * math.sqrt((1 + of_median) / count)
    own = statistics.median(values)
    return min(centre - reach, own), max(centre + reach, own)


def student_interval(below: Sequence[float], above: Sequence[float] | None = None) -> Ends | None:
    """Return a 95 % interval of a ratio from one value a process, by Student's t on logarithms.

    The bootstrap of three processes cannot leave their range, which holds the true ratio in only
    three of four cases; t is calibrated for samples this small.

    Args:
        below: ratios of paired processes; or, where ``above`` is given, medians of one side.
        above: medians of the other side (Welch's interval of above / below).

    Returns:
        None for fewer than two values, values that are not positive, or beyond any clock.
    """
    sides = [below] if above is None else [below, above]
    if any(len(side) < 2 or min(side) <= 0 for side in sides):
        return None
    logs = [[math.log(value) for value in side] for side in sides]
    means = [statistics.fmean(side) for side in logs]
    errors = [statistics.variance(side) / len(side) for side in logs]
    centre = means[0] if above is None else means[1] - means[0]
    degrees = len(below) - 1
    if above is not None:
        spread = sum(e**2 / (len(side) - 1) for e, side in zip(errors, logs, strict=True))
        degrees = max(1, int(sum(errors) ** 2 / spread)) if spread else len(below) - 1
    reach = student_95(degrees) * math.sqrt(sum(errors))
    if abs(centre) + reach > LARGEST_LOG:
        return None
    return math.exp(centre - reach), math.exp(centre + reach)


def wider(one: Ends | None, other: Ends | None) -> Ends | None:
    """Return the lower low end and the higher high end; None if either interval is None."""
    if one is None or other is None:
        return None
    return min(one[0], other[0]), max(one[1], other[1])


def median_of_medians(groups: Sequence[Sequence[float]]) -> float:
    """Return the median of the groups' medians: the headline of a timing."""
    return _middle([_middle(group) for group in groups])


def _middle(values: Sequence[float]) -> float:
    """Return what ``numpy.median`` does for a few numbers, ten times as fast."""
    import numpy as np

    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)
