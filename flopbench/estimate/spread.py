"""How the costs of videos spread: the interval of their mean, drawn, or from two exact moments.

The bootstrap draws from the costs of single videos. Its limit needs their mean and variance only,
which are exact fractions of whole numbers, from the records of a log as from sums over its videos
(``policy/sums_file.py``): whoever adds them up, they are rounded once, here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP, Interval, interval, normal_limit
from flopbench.core.units import EXACT_FLOATS
from flopbench.estimate.charges import Rule, charge_items, record_items
from flopbench.estimate.estimator import macs_of, whole_macs
from flopbench.estimate.prices import PriceList
from flopbench.policy.counts import LogCounts, SumCounts, WithoutRecords

Moments = tuple[int, Fraction, Fraction]
"""How many videos there are, what they cost in MACs, and the sum of the squares of that."""


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
    """Return the 95 % interval of the mean cost of a video; of sums, always the limit.

    Args:
        counts: of a log.
        prices: of its components.
        rule: which decisions are charged.
        costs_macs: (videos,) what each video of records costs; of sums, ``unit_costs`` if known.
        videos: (k,) the numbers of those that are meant; None for all.
        clusters: (k,) the cluster of each, for ``interval``, as the others.

    Returns:
        None where ``interval`` has none, and for shares.
    """
    found: Moments | None = None
    if isinstance(counts, SumCounts):
        found = moments_of_sums(counts, costs_macs or unit_costs(counts, prices, rule))
    elif isinstance(counts, LogCounts):
        own = costs_macs if videos is None else costs_macs[videos]
        if clusters is None and len(own) > largest and resamples:
            found = moments_of_records(counts, prices, rule, videos)
        if found is None:
            return interval(own, clusters=clusters, resamples=resamples, seed=seed, largest=largest)
    if found is None or found[0] < 2 or not resamples:
        return None
    n, whole, squares = found
    variance = max(squares / n - (whole / n) ** 2, Fraction(0))
    return normal_limit(float(whole / n), float(variance / n), seed)


def unit_costs(counts: SumCounts, prices: PriceList, rule: Rule) -> dict[str, Fraction]:
    """Return what one of each amount costs in MACs, without those that cost nothing."""

    def cost(one: str) -> Fraction:
        totals = counts.totals(lambda other: int(other == one))
        return whole_macs(charge_items(totals, counts.plan, rule), prices)

    return {one: macs for one in {one for one, _ in counts.sums} if (macs := cost(one))}


def moments_of_sums(counts: SumCounts, units: Mapping[str, Fraction]) -> Moments:
    """Return them for sums."""
    whole = sum((macs * counts.sum_of(one) for one, macs in units.items()), Fraction(0))
    squares = Fraction(0)
    for (one, other), total in counts.sums.items():
        if one in units and other in units:
            squares += units[one] * units[other] * total
    return counts.sum_of("video"), whole, squares


def moments_of_records(
    counts: LogCounts, prices: PriceList, rule: Rule, videos: Any
) -> Moments | None:
    """Return them for records, or for some videos; None where runs are no whole numbers."""
    import numpy as np

    if counts.counts is not None and (counts.counts % 1).any():
        return None
    spans = [action.span for action in counts.plan.actions if rule == "published"]
    parts = math.lcm(*spans)
    chosen: Any = slice(None) if videos is None else videos

    def charged() -> Iterator[tuple[Any, Fraction]]:
        for item in record_items(counts, rule, of_videos=True):
            if unit := macs_of(item.costs, prices):
                yield item.times[chosen], unit

    scale = math.lcm(*(unit.denominator for _, unit in charged()))
    most = sum((int(times.max()) + 1) * unit for times, unit in charged())
    large = most * parts * scale >= EXACT_FLOATS
    costs: Any = np.zeros(counts.videos, object if large else float)[chosen]
    for times, unit in charged():
        whole, one = np.rint(times * float(parts)), int(unit * scale)
        costs += whole.astype(np.int64).astype(object) * one if large else whole * float(one)
    first = second = 0
    values, often = np.unique(costs, return_counts=True)
    for value, number in zip(map(int, values.tolist()), often.tolist(), strict=True):
        first += value * number
        second += value**2 * number
    return len(costs), Fraction(first, parts * scale), Fraction(second, (parts * scale) ** 2)
