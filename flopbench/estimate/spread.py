"""How costs spread over videos: the exact moments behind a mean, and the interval of it.

The bootstrap draws from the costs of single videos. Its limit needs two numbers only, the mean and
the variance: of whole numbers of decisions, they are exact fractions, from the records of a log as
from sums over its videos (``policy/sums.py``), and are rounded once.
"""

from __future__ import annotations

import math
from fractions import Fraction
from operator import mul
from typing import Any

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP, Interval, interval, normal_limit
from flopbench.estimate.charges import Rule, charged_amounts
from flopbench.estimate.estimator import macs_of
from flopbench.estimate.prices import PriceList
from flopbench.policy.counts import LogCounts, WithoutRecords
from flopbench.policy.sums import VIDEO, SumCounts, amounts_of

AT_ONCE = 1 << 16


def interval_of_costs(
    counts: LogCounts | WithoutRecords,
    prices: PriceList,
    rule: Rule,
    costs_macs: Any = None,
    *,
    videos: Any = None,
    clusters: Any = None,
    resamples: int,
    seed: int,
    largest: int = LARGEST_BOOTSTRAP,
) -> Interval | None:
    """Return the 95 % interval of the mean cost of a video; from sums it is the limit.

    Args:
        counts: of a log.
        prices: of its components.
        rule: which decisions are charged.
        costs_macs: (videos,) what each video of records costs.
        videos: (k,) the numbers of those that are meant; None for all.
        clusters: (k,) the cluster of each, for ``interval``, as the others.

    Returns:
        None where ``interval`` has none, and for shares.
    """
    found = None
    if isinstance(counts, SumCounts):
        found = _moments_of_sums(counts, prices, rule)
    elif isinstance(counts, LogCounts):
        own = costs_macs if videos is None else costs_macs[videos]
        if clusters is None and len(own) > largest and resamples:
            found = _moments_of_records(counts, prices, rule, videos)
        if found is None:
            return interval(own, clusters=clusters, resamples=resamples, seed=seed, largest=largest)
    if found is None or found[0] < 2 or not resamples:
        return None
    n, mean, variance = found
    return normal_limit(float(mean), float(variance / n), seed)


def _units(counts: LogCounts | SumCounts, prices: PriceList, rule: Rule) -> dict[str, Fraction]:
    """Return what a video costs for each one of an amount: MACs."""
    units: dict[str, Fraction] = {}
    for item in charged_amounts(counts.plan, rule):
        name, part = item.times
        units[name] = units.get(name, Fraction(0)) + part * macs_of(item.costs, prices)
    return {name: macs for name, macs in units.items() if macs}


def _moments_of_sums(
    counts: SumCounts, prices: PriceList, rule: Rule
) -> tuple[int, Fraction, Fraction]:
    """Return the number of videos, the mean cost in MACs, and its variance over the videos."""
    units, sums = _units(counts, prices, rule), counts.sums
    n = counts.sum_of(VIDEO)
    mean = sum((macs * counts.sum_of(name) for name, macs in units.items()), Fraction(0)) / n
    squares = Fraction(0)
    for (one, other), total in sums.items():
        if one in units and other in units:
            squares += units[one] * units[other] * total * (1 if one == other else 2)
    return n, mean, max(squares / n - mean**2, Fraction(0))


def _moments_of_records(
    counts: LogCounts, prices: PriceList, rule: Rule, videos: Any
) -> tuple[int, Fraction, Fraction] | None:
    """Return the same from records; None where some amount is no whole number."""
    import numpy as np

    units = _units(counts, prices, rule)
    divisor = math.lcm(1, *(macs.denominator for macs in units.values()))
    costs: Any = np.zeros(counts.videos if videos is None else len(videos), np.int64)
    most = 0
    for name, values in amounts_of(counts):
        if name not in units:
            continue
        whole: Any = (values if videos is None else values[videos]).astype(np.int64)
        if values.dtype.kind == "f" and (values != np.floor(values)).any():
            return None
        unit = int(units[name] * divisor)
        most += int(whole.max()) * unit
        kind: Any = np.int64 if most < 1 << 63 else object
        costs = costs.astype(kind, copy=False) + whole.astype(kind, copy=False) * unit
    first = second = 0
    for low in range(0, len(costs), AT_ONCE):
        part = costs[low : low + AT_ONCE].tolist()
        first += sum(part)
        second += sum(map(mul, part, part))
    n = len(costs)
    mean = Fraction(first, n * divisor)
    return n, mean, Fraction(second, n * divisor**2) - mean**2
