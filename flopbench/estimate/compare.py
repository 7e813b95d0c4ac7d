"""Method against method: accuracy, GFLOPS, differences, and which method dominates which.

The form is that of AR-Net's Table 3 (ECCV 2020, supplement): approach, mAP, GFLOPS per frame,
GFLOPS per video. Where two logs hold the same videos, differences are resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations

from flopbench.core.bootstrap import MAP_RESAMPLES, difference_interval, interval
from flopbench.core.errors import InputError, NotComparableError, Remark
from flopbench.estimate.accuracy import paired_map_difference, paired_top1_difference, top1_correct
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.methods import (
    Method,
    Metric,
    methods_of,
    names_of_logs,
    predicted,
)
from flopbench.estimate.runs import Choices, Run
from flopbench.estimate.scores import Predictions
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
MUST_MATCH = ("dataset", "split")
"""Header fields in which two runs must agree to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dominance:
    """One method that is at least as accurate and at most as costly as another.

    Attributes:
        winner: the better method.
        loser: the other method.
        clear: whether the 95 % intervals of both differences exclude 0; None where one of them has
            no interval.
    """

    winner: str
    loser: str
    clear: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        metric: the accuracy that is compared.
        methods: in the order given.
        differences: every other method minus the first.
        dominance: pairs; empty where accuracies are missing.
        front: names of the methods that no other one dominates.
        notes: what qualifies the figures.
    """

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
    anyway: bool = False,
) -> Comparison:
    """Set runs side by side.

    Args:
        runs: estimates made with ids and scores kept, under one counter and rule.
        choices: resamples and seed.
        names: names of the runs; if empty, ``names_of`` names them.
        metric: ``mAP`` or ``top-1``; None takes mAP where every log has scores or quotes it.
        anyway: also compare runs that differ in ``MUST_MATCH``.

    Raises:
        InputError: an unknown metric, or fewer than two runs.
        NotComparableError: the runs are of different datasets or splits, or label one video
            differently.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two logs or more")
    names = names_of_logs([run.counts for run in runs], names)
    notes = _check_comparable(runs, names, anyway)
    chosen, methods = methods_of(runs, names, metric, choices)
    notes += _check_labels(methods, anyway)
    differences = tuple(difference(methods[0], other, chosen, choices) for other in methods[1:])
    dominance = tuple(
        Dominance(winner=a.name, loser=b.name, clear=_is_clear(difference(a, b, chosen, choices)))
        for a, b in permutations(methods, 2)
        if dominates(_place(a), _place(b))
    )
    losers = {d.loser for d in dominance}
    complete = all(a.percent is not None for a in methods)
    for method in methods:
        notes += accuracy_notes(method)
    return Comparison(
        metric=chosen,
        methods=methods,
        differences=differences,
        dominance=dominance,
        front=tuple(a.name for a in methods if a.name not in losers) if complete else (),
        notes=tuple(notes),
    )


def _check_comparable(runs: Sequence[Run], names: Sequence[str], anyway: bool) -> list[Remark]:
    notes = []
    for key in MUST_MATCH:
        values = {getattr(run.header, key) for run in runs} - {None}
        if len(values) > 1:
            listed = " and ".join(repr(v) for v in sorted(values))
            text = f"the logs differ in {key!r}: {listed}"
            if not anyway:
                raise NotComparableError(
                    text,
                    "figures for different videos are not comparable; --anyway compares them",
                )
            notes.append(Remark(text))
    named = list(zip(names, runs, strict=True))
    exact = [(name, run) for name, run in named if run.primary.rule == "exact"]
    if 0 < len(exact) < len(runs):
        published = ", ".join(name for name, run in named if run.primary.rule == "published")
        text = f"rules differ: without runs of rows, only the published rule applies to {published}"
        other = [
            f"{name} {run.published.gflops_per_video:.4f}" for name, run in exact if run.published
        ]
        text += f"; GFLOPS/v under it: {', '.join(other)}" if other else ""
        notes.append(Remark(text, kind="rules"))
    return notes


def _check_labels(methods: Sequence[Method], anyway: bool) -> list[Remark]:
    """Check that runs over the same videos agree on their labels."""
    first, first_predictions = methods[0].run, methods[0].predictions
    for method in methods[1:]:
        other, found = method.run, method.predictions
        if first_predictions is None or found is None or not same_videos(first, other):
            continue
        assert isinstance(first.counts, LogCounts)
        for i, (at, name) in enumerate(
            zip(order_of(first, other), first.counts.ids or (), strict=True)
        ):
            ours, theirs = _labels(first_predictions, i), _labels(found, at)
            if ours != theirs:
                text = f"the logs differ in the labels of {name!r}: {ours} and {theirs}"
                if not anyway:
                    raise NotComparableError(
                        text,
                        "accuracies over different labels are not comparable; "
                        "--anyway compares them",
                    )
                return [Remark(text)]
    return []


def _labels(found: Predictions, i: int) -> list[int]:
    return sorted(set(found.codes[found.offsets[i] : found.offsets[i + 1]].tolist()))


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
    return [Remark(text, method.name) for text in _accuracy_texts(method)]


def _accuracy_texts(method: Method) -> list[str]:
    if method.accuracy is None:
        if method.quoted is not None:
            return ["accuracy as its header quotes it, not recomputed"]
        return [f"no accuracy: {method.why_none}"]
    notes = list(method.accuracy.notes)
    if method.quotes_other is not None:
        notes.append(
            f"its header quotes {method.quotes_other:g} %; its scores give "
            f"{method.accuracy.percent:.2f} %"
        )
    absent = method.accuracy.absent_classes
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (" …" if len(absent) > 10 else "")
        notes.append(f"{len(absent)} classes without a video are left out of the mean: {shown}")
    return notes


def same_terms(choices: Choices, first: Run) -> Choices:
    """Return the choices for all further runs: they use the first run's counter."""
    return replace(choices, counter=first.book.primary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One method minus another.

    Attributes:
        name: the method.
        less: the method that is subtracted.
        gflops_per_video: the difference of costs.
        ci95_gflops_per_video: its interval; None where there is none.
        percent: difference of accuracies, in percentage points; None unless both have one.
        ci95_percent: its interval.
        paired: whether the same videos were resampled together.
    """

    name: str
    less: str
    gflops_per_video: float
    ci95_gflops_per_video: tuple[float, float] | None
    percent: float | None
    ci95_percent: tuple[float, float] | None
    paired: bool


def difference(first: Method, other: Method, metric: Metric, choices: Choices) -> Difference:
    """Return ``other`` minus ``first``."""
    a, b = first.run, other.run
    paired = same_videos(a, b)
    order = order_of(a, b) if paired else None
    percent, percent_ci = None, None
    if first.percent is not None and other.percent is not None:
        percent = other.percent - first.percent
    computed = first.accuracy is not None and other.accuracy is not None
    if computed and first.predictions is not None and other.predictions is not None:
        percent_ci = _accuracy_interval(
            first.predictions, other.predictions, order, metric, choices
        )
    return Difference(
        name=other.name,
        less=first.name,
        gflops_per_video=b.primary.gflops_per_video - a.primary.gflops_per_video,
        ci95_gflops_per_video=_cost_interval(a, b, order, choices),
        percent=percent,
        ci95_percent=percent_ci,
        paired=paired,
    )


def same_videos(a: Run, b: Run) -> bool:
    """Whether two runs are over the same videos, judged by their ids."""
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return False
    if a.counts.video is not None or b.counts.video is not None:
        return False
    if a.counts.ids is None or b.counts.ids is None:
        return False
    return len(a.counts.ids) == len(b.counts.ids) and set(a.counts.ids) == set(b.counts.ids)


def order_of(a: Run, b: Run) -> list[int]:
    """Return the index in ``b`` of each video of ``a``."""
    assert isinstance(a.counts, LogCounts)
    assert isinstance(b.counts, LogCounts)
    where = {name: i for i, name in enumerate(b.counts.ids or ())}
    return [where[name] for name in a.counts.ids or ()]


def _cost_interval(
    a: Run, b: Run, order: list[int] | None, choices: Choices
) -> tuple[float, float] | None:
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    costs_a = video_costs(a.counts, a.prices, a.primary.rule)
    costs_b = video_costs(b.counts, b.prices, b.primary.rule)
    if order is not None:
        found = interval(costs_b[order] - costs_a, resamples=choices.resamples, seed=choices.seed)
    else:
        found = difference_interval(
            costs_a, costs_b, resamples=choices.resamples, seed=choices.seed
        )
    return None if found is None else (found.low, found.high)


def _accuracy_interval(
    a: Predictions, b: Predictions, order: list[int] | None, metric: Metric, choices: Choices
) -> tuple[float, float] | None:
    import numpy as np

    if order is None:
        return None
    where = np.array(order)
    if metric == "top-1":
        correct_a = top1_correct(predicted(a), a.first)
        correct_b = top1_correct(predicted(b), b.first)[where]
        _, found = paired_top1_difference(
            correct_b, correct_a, resamples=choices.resamples, seed=choices.seed
        )
        return found
    _, found = paired_map_difference(
        b.scores[where],
        a.scores,
        a.codes,
        a.offsets,
        resamples=min(choices.resamples, MAP_RESAMPLES),
        seed=choices.seed,
    )
    return found
