"""Method against method: accuracy, GFLOPS, differences, and which method dominates which.

The form is that of AR-Net's Table 3 (ECCV 2020, supplement): approach, mAP, GFLOPS per frame,
GFLOPS per video. Where two logs hold the same videos, differences are resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import permutations
from typing import Any

from flopbench.core.bootstrap import MAP_RESAMPLES, difference_interval, interval
from flopbench.core.errors import InputError, NotComparableError, Remark
from flopbench.core.statistics import Ends
from flopbench.core.tables import Shown
from flopbench.core.units import number_of
from flopbench.estimate.accuracy import paired_map_difference, paired_top1_difference, top1_correct
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.methods import Method, Metric, methods_of, names_of_logs
from flopbench.estimate.pairing import check_pairs, video_order
from flopbench.estimate.runs import Choices, Run
from flopbench.estimate.wording import costs_of
from flopbench.policy.counts import LogCounts

COMPARED = (
    "approach",
    "metric",
    "percent",
    "percent_low",
    "percent_high",
    "gflops_per_frame",
    "gflops_per_video",
    "gflops_low",
    "gflops_high",
    "videos",
    "pareto_front",
)
"""Columns of the CSV that ``flopbench compare`` writes."""
Place = tuple[float | None, float | Fraction]
"""Accuracy in percent, and cost: the lower the better."""
SAME_LENGTH = 0.005
"""Mean lengths that differ by no more than this share are called the same."""
MUST_MATCH = ("dataset", "split")
"""Header fields in which two runs must agree to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dominance:
    """One method that is at least as accurate and at most as costly as another.

    ``clear`` is whether the 95 % intervals of both differences exclude 0; None if one is missing.
    """

    winner: str
    loser: str
    clear: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One method minus another.

    Attributes:
        name: the method.
        less: the method that is subtracted.
        gflops_per_video: the difference of costs, with its interval if there is one.
        percent: difference of accuracies, in percentage points; None unless both have one.
        paired: whether the same videos were resampled together.
    """

    name: str
    less: str
    gflops_per_video: float
    ci95_gflops_per_video: Ends | None
    percent: float | None
    ci95_percent: Ends | None
    paired: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Shown):
    """Runs side by side.

    Attributes:
        metric: the accuracy that is compared.
        methods: in the order given.
        differences: every other method minus the reference, which is the first unless asked.
        dominance: pairs; empty where accuracies are missing.
        front: names of the methods that no other one dominates.
        notes: what qualifies the figures.
    """

    _layout = "flopbench.estimate.comparison_text:comparison_grids"
    metric: Metric
    methods: tuple[Method, ...]
    differences: tuple[Difference, ...]
    dominance: tuple[Dominance, ...]
    front: tuple[str, ...]
    notes: tuple[Remark, ...]


def compare(
    runs: Sequence[Run],
    choices: Choices,
    *,
    names: Sequence[str] = (),
    metric: str | None = None,
    reference: int = 0,
    anyway: bool = False,
) -> Comparison:
    """Set runs side by side.

    Args:
        runs: estimates made with ids and scores kept, under one counter and rule.
        choices: resamples and seed.
        names: names of the runs; if empty, ``names_of`` names them.
        metric: ``mAP`` or ``top-1``; None takes the one that every log has or quotes: top-1 first
            where each sample has one label, else mAP.
        reference: number of the run that the others are set against.
        anyway: also compare runs that differ in ``MUST_MATCH``.

    Raises:
        InputError: an unknown metric, or fewer than two runs.
        NotComparableError: the runs are of different datasets or splits, or differ in the labels
            of a video or in the clusters.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two logs or more")
    names = names_of_logs([run.counts for run in runs], names)
    notes = _check_comparable(runs, anyway) + _class_notes(runs, names)
    notes += _rule_notes(runs, names) + _length_notes(runs, names)
    chosen, methods = methods_of(runs, names, metric, choices)
    notes += check_pairs(methods, anyway)

    @cache
    def difference(first: int, other: int) -> Difference:
        return _difference(methods[first], methods[other], chosen, choices)

    dominance = tuple(
        Dominance(winner=methods[a].name, loser=methods[b].name, clear=_is_clear(difference(a, b)))
        for a, b in permutations(range(len(methods)), 2)
        if dominates(_place(methods[a]), _place(methods[b]))
    )
    losers = {d.loser for d in dominance}
    complete = all(a.percent is not None for a in methods)
    for method in methods:
        notes += accuracy_notes(method)
    return Comparison(
        metric=chosen,
        methods=methods,
        differences=tuple(
            difference(reference, other) for other in range(len(methods)) if other != reference
        ),
        dominance=dominance,
        front=tuple(a.name for a in methods if a.name not in losers) if complete else (),
        notes=tuple(notes),
    )


def same_terms(choices: Choices, first: Run) -> Choices:
    """Return the choices for all further runs: they use the first run's counter."""
    return replace(choices, counter=first.book.primary)


def _check_comparable(runs: Sequence[Run], anyway: bool) -> list[Remark]:
    notes = []
    for key in MUST_MATCH:
        values = {getattr(run.header, key) for run in runs} - {None}
        if len(values) > 1:
            listed = " and ".join(repr(v) for v in sorted(values))
            text = f"the logs differ in {key!r}: {listed}"
            if not anyway:
                raise NotComparableError(
                    text,
                    f"figures for different {runs[0].header.words.samples} are not comparable; "
                    "--anyway compares them",
                )
            notes.append(Remark(text))
    return notes


def _class_notes(runs: Sequence[Run], names: Sequence[str]) -> list[Remark]:
    """Note which runs name other classes than the first that names any, as one dataset."""
    datasets = {run.header.dataset for run in runs} - {None}
    if len(datasets) > 1:
        return []
    named: dict[frozenset[str], list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        if run.header.class_names:
            classes = frozenset(one.replace("_", " ") for one in run.header.class_names)
            named.setdefault(classes, []).append(name)
    notes = []
    for classes in list(named)[1:]:
        first = next(iter(named))
        sizes = " and ".join(str(n) for n in dict.fromkeys((len(first), len(classes))))
        text = f"{named[first][0]} and {', '.join(named[classes])} name different classes"
        text += f" ({len(first & classes)} of {sizes} in common)"
        text += "".join(f": two sets share the name {name!r}" for name in datasets)
        notes.append(Remark(text))
    return notes


def _rule_notes(runs: Sequence[Run], names: Sequence[str]) -> list[Remark]:
    """Note where some runs follow the published rule only because the exact one does not apply."""
    named = list(zip(names, runs, strict=True))
    exact = [(name, run) for name, run in named if run.primary.rule == "exact"]
    if not 0 < len(exact) < len(runs):
        return []
    published = ", ".join(name for name, run in named if run.primary.rule == "published")
    text = f"rules differ: without runs of rows, only the published rule applies to {published}"
    other = [f"{name} {run.published.gflops_per_video:.4f}" for name, run in exact if run.published]
    text += f"; GFLOPS/v under it: {', '.join(other)}" if other else ""
    return [Remark(text, kind="rules")]


def _length_notes(runs: Sequence[Run], names: Sequence[str]) -> list[Remark]:
    """Note where costs of a step are those of samples of different lengths."""
    known = zip(names, (run.primary for run in runs), strict=True)
    lengths = {  # of one view
        name: one.frames_per_video * (one.videos or 1) / one.records
        for name, one in known
        if one.gflops_per_frame is not None
    }
    if not lengths or max(lengths.values()) <= (1 + SAME_LENGTH) * min(lengths.values()):
        return []
    costs = costs_of(runs)
    listed = ", ".join(f"{name} {length:.4g}" for name, length in lengths.items())
    return [
        Remark(
            f"{costs.short_per_step} is over {costs.words.samples} of different lengths ({listed} "
            f"{costs.words.steps}): {costs.short_per_sample} compares them",
        )
    ]


def dominates(a: Place, b: Place) -> bool:
    """Whether a is at least as accurate and at most as costly as b, and better in one of them."""
    (percent_a, cost_a), (percent_b, cost_b) = a, b
    if percent_a is None or percent_b is None:
        return False
    no_worse = percent_a >= percent_b and cost_a <= cost_b
    return no_worse and (percent_a > percent_b or cost_a < cost_b)


def _place(method: Method) -> Place:
    return method.percent, method.run.primary.macs_per_video


def _is_clear(loser_less_winner: Difference) -> bool | None:
    cost, percent = loser_less_winner.ci95_gflops_per_video, loser_less_winner.ci95_percent
    if cost is None or percent is None:
        return None
    return cost[0] > 0 and percent[1] < 0


def accuracy_notes(method: Method) -> list[Remark]:
    """Return the notes on one accuracy."""
    if method.accuracy is None:
        why = f"no accuracy: {method.why_none}"
        if method.quoted is not None:
            why = "accuracy as its header quotes it, not recomputed"
        return [Remark(why, method.name)]
    notes = list(method.accuracy.notes)
    if method.quotes_other is not None:
        notes.append(
            f"its header quotes {method.quotes_other:g} %; its scores give "
            f"{method.accuracy.percent:.2f} %"
        )
    absent = method.accuracy.absent_classes
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (" …" if len(absent) > 10 else "")
        classes, one = number_of(len(absent), "class"), method.run.header.words.sample
        notes.append(f"without a positive {one}, so left out of the mean: {classes}, {shown}")
    return [Remark(text, method.name) for text in notes]


def _difference(first: Method, other: Method, metric: Metric, choices: Choices) -> Difference:
    """Return ``other`` minus ``first``."""
    a, b = first.run, other.run
    order = video_order(a, b)
    percent, ends = None, None
    if first.percent is not None and other.percent is not None:
        percent = other.percent - first.percent
    if first.accuracy is not None and other.accuracy is not None and order is not None:
        ends = _accuracy_interval(first, other, order, metric, choices)
    return Difference(
        name=other.name,
        less=first.name,
        gflops_per_video=b.primary.gflops_per_video - a.primary.gflops_per_video,
        ci95_gflops_per_video=_cost_interval(a, b, order, choices),
        percent=percent,
        ci95_percent=ends,
        paired=order is not None,
    )


def _cost_interval(a: Run, b: Run, order: list[int] | None, choices: Choices) -> Ends | None:
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    costs_a = video_costs(a.counts, a.prices, a.primary.rule)
    costs_b = video_costs(b.counts, b.prices, b.primary.rule)
    resamples, seed = choices.resamples, choices.seed
    drawn = _drawn(a), _drawn(b)
    if order is not None:
        paired = costs_b[order] - costs_a
        found = interval(paired, clusters=drawn[0], resamples=resamples, seed=seed)
    else:
        found = difference_interval(
            costs_a, costs_b, clusters=drawn, resamples=resamples, seed=seed
        )
    return None if found is None else found.ends


def _drawn(run: Run) -> Any:
    """Return the cluster of each video; None where videos are drawn alone."""
    return None if run.clusters is None else run.clusters.drawn


def _accuracy_interval(
    first: Method, other: Method, order: list[int], metric: Metric, choices: Choices
) -> Ends | None:
    """Return the interval of a difference of accuracies over the same videos."""
    a, b = first.predictions, other.predictions
    assert a is not None
    assert b is not None
    resamples, seed, drawn = choices.resamples, choices.seed, _drawn(first.run)
    if metric == "top-1":
        correct_a = top1_correct(a.predicted, a.first)
        correct_b = top1_correct(b.predicted, b.first)[order]
        return paired_top1_difference(
            correct_b, correct_a, clusters=drawn, resamples=resamples, seed=seed
        )[1]
    return paired_map_difference(
        b.scores[order],
        a.scores,
        a.codes,
        a.offsets,
        clusters=drawn,
        resamples=min(resamples, MAP_RESAMPLES),
        seed=seed,
    )[1]
