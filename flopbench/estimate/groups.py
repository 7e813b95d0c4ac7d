"""A run broken down by class or by difficulty."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP, Interval
from flopbench.core.errors import InputError
from flopbench.core.units import number_of
from flopbench.estimate.charges import Rule
from flopbench.estimate.clusters import Clusters
from flopbench.estimate.difficulty import difficulty_groups
from flopbench.estimate.estimator import Estimate, estimate, video_costs
from flopbench.estimate.prices import PriceList
from flopbench.estimate.spread import interval_of_costs, unit_costs
from flopbench.policy.counts import LogCounts, SumCounts, WithoutRecords, label_name

SMALLEST_LIMIT = 1000
"""The bootstrap is always drawn for a group of up to so many videos."""


class Group(Struct, frozen=True, kw_only=True):
    """Some of a run's videos: a class, or a level of difficulty."""

    name: str
    estimate: Estimate
    interval: Interval | None


def groups_of(
    counts: LogCounts | WithoutRecords,
    prices: PriceList,
    rule: Rule,
    *,
    by: str,
    difficulty: str,
    clusters: Clusters | None = None,
    resamples: int,
    seed: int,
) -> tuple[tuple[Group, ...], str]:
    """Break a run down ``by`` ``class``, or by ``difficulty`` under a measure of that module.

    ``clusters`` are those of the run: of a group, the clusters that reach into it are drawn.

    Returns:
        The groups, each with its own bootstrap, and what qualifies them.

    Raises:
        InputError: the log lacks what the groups are made from.
    """
    if isinstance(counts, LogCounts):
        costs = video_costs(counts, prices, rule)
    elif isinstance(counts, SumCounts) and by == "class":
        costs = unit_costs(counts, prices, rule)
    else:
        samples = counts.plan.words.samples
        raise InputError(f"{counts.what} has no {samples}: --by {by} cannot apply")
    if isinstance(counts, SumCounts) or by == "class":
        members, note = _classes(counts)
    else:
        levels = difficulty_groups(counts, difficulty, costs)
        members, note = list(levels.groups.items()), levels.note
    # The groups share the limit of one log.
    largest = max(SMALLEST_LIMIT, LARGEST_BOOTSTRAP // len(members))
    groups = []
    for name, own in members:
        videos = None
        if isinstance(counts, SumCounts):
            of_group, totals = own, own.totals()
        else:
            records, videos = counts.whole_videos(own)
            of_group, totals = counts, counts.totals(records)
        found = estimate(totals, counts.plan, prices, rule)
        ci95 = interval_of_costs(
            of_group,
            prices,
            rule,
            costs,
            videos=videos,
            clusters=None if clusters is None else clusters.of(videos),
            resamples=resamples,
            seed=seed,
            largest=largest,
        )
        groups.append(Group(name=name, estimate=found, interval=ci95))
    if any(one.interval is None and (one.estimate.videos or 0) > 1 for one in groups):
        note = "; ".join(filter(None, (note, "a group within one cluster has no interval")))
    return tuple(groups), note


def _classes(counts: LogCounts | SumCounts) -> tuple[list[tuple[str, Any]], str]:
    """Return the records of each class, or the sums over its videos, and what qualifies them."""
    if isinstance(counts, SumCounts):
        by_label = counts.labels
        several, unlabelled = counts.sum_of("several labels"), counts.sum_of("unlabelled")
    else:
        by_label, lengths = counts.by_label(), counts.label_lengths
        several, unlabelled = int((lengths > 1).sum()), int((lengths == 0).sum())
    if not by_label:
        raise InputError(f"{counts.source} has no labels: --by class cannot apply")
    notes = []
    if several:
        samples = counts.plan.words.samples
        notes.append(f"{samples} with several labels count in each of their classes")
    if unlabelled:
        notes.append(f"without a label and in no class: {number_of(unlabelled, 'record')}")
    return [(label_name(counts.plan, v), own) for v, own in by_label.items()], "; ".join(notes)
