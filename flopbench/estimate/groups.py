"""A run broken down by class or by difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flopbench.core.bootstrap import LARGEST_BOOTSTRAP, Interval
from flopbench.core.errors import InputError
from flopbench.core.units import Words, number_of
from flopbench.estimate.charges import Rule
from flopbench.estimate.clusters import Clusters
from flopbench.estimate.difficulty import difficulty_groups
from flopbench.estimate.estimator import Estimate, estimate, video_costs
from flopbench.estimate.prices import PriceList
from flopbench.estimate.spread import interval_of_costs
from flopbench.policy.counts import LogCounts, SumCounts, WithoutRecords, label_name

SMALLEST_LIMIT = 1000
"""The bootstrap is always drawn for a group of up to so many videos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
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
    if isinstance(counts, SumCounts) and by == "class":
        return _classes_of_sums(counts, prices, rule, resamples=resamples, seed=seed)
    if isinstance(counts, WithoutRecords):
        samples = counts.plan.words.samples
        raise InputError(f"{counts.what} has no {samples}: --by {by} cannot apply")
    costs = video_costs(counts, prices, rule)
    if by == "class":
        members, note = _classes(counts)
    else:
        levels = difficulty_groups(counts, difficulty, costs)
        members, note = list(levels.groups.items()), levels.note
    # The groups share the limit of one log.
    largest = max(SMALLEST_LIMIT, LARGEST_BOOTSTRAP // len(members))
    groups = []
    for name, chosen in members:
        records, videos = counts.whole_videos(chosen)
        found = estimate(counts.totals(records), counts.plan, prices, rule)
        ci95 = interval_of_costs(
            counts,
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


def _classes(counts: LogCounts) -> tuple[list[tuple[str, Any]], str]:
    members = [(counts.label_name(v), chosen) for v, chosen in counts.by_label().items()]
    if not members:
        raise _no_labels(counts)
    several, unlabelled = counts.label_lengths > 1, counts.label_lengths == 0
    return members, _note(counts.plan.words, int(several.sum()), int(unlabelled.sum()))


def _note(words: Words, several: int, unlabelled: int) -> str:
    notes = []
    if several:
        notes.append(f"{words.samples} with several labels count in each of their classes")
    if unlabelled:
        notes.append(f"without a label and in no class: {number_of(unlabelled, 'record')}")
    return "; ".join(notes)


def _classes_of_sums(
    counts: SumCounts, prices: PriceList, rule: Rule, *, resamples: int, seed: int
) -> tuple[tuple[Group, ...], str]:
    if not counts.labels:
        raise _no_labels(counts)
    groups = [
        Group(
            name=label_name(counts.plan, label),
            estimate=estimate(own.totals(), counts.plan, prices, rule),
            interval=interval_of_costs(own, prices, rule, resamples=resamples, seed=seed),
        )
        for label, own in counts.labels.items()
    ]
    several, unlabelled = counts.sum_of("several labels"), counts.sum_of("unlabelled")
    return tuple(groups), _note(counts.plan.words, several, unlabelled)


def _no_labels(counts: LogCounts | SumCounts) -> InputError:
    return InputError(f"{counts.source} has no labels: --by class cannot apply")
