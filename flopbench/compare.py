"""Method against method: accuracy, GFLOPS, their differences, and who dominates whom.

The form of AR-Net's Table 3 (ECCV 2020, supplement): approach, mAP, GFLOPS a frame, GFLOPS a
video. Where two logs hold the same videos, differences are resampled in pairs.

Lives here: those records. Does not live here: a single run (``runs``), accuracies (``accuracy``),
printing (``present``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Literal

from flopbench.accuracy import (
    Accuracy,
    mean_average_precision,
    paired_map_difference,
    paired_top1_difference,
    top1,
    top1_correct,
)
from flopbench.errors import InputError, NotComparableError
from flopbench.estimate import interval, resampled_means, video_costs
from flopbench.naming import near_match
from flopbench.policy.counts import LogCounts
from flopbench.runs import Choices, Run
from flopbench.scores import Judged, judged
from flopbench.units import gflops

Metric = Literal["mAP", "top-1"]
METRICS: tuple[Metric, ...] = ("mAP", "top-1")
MUST_MATCH = ("dataset", "split")
"""What two runs must share for their figures to be set side by side."""

_ALIASES = {"map": "mAP", "top1": "top-1", "top-1": "top-1", "accuracy": "top-1", "acc": "top-1"}
MAP_RESAMPLES = 200
"""A resample of mAP costs a pass over every class: fewer than of a mean, said in the caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """One line of the comparison.

    Attributes:
        name: the run's method, made unique.
        run: its estimate.
        accuracy: from the log's scores; None where it has none.
        quoted: the figure that the header quotes instead, in percent.
        why_none: why there is no accuracy.
    """

    name: str
    run: Run
    accuracy: Accuracy | None
    quoted: float | None
    why_none: str = ""

    @property
    def percent(self) -> float | None:
        """The accuracy that counts, in percent."""
        return self.quoted if self.accuracy is None else self.accuracy.percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One approach less the first one.

    Attributes:
        name: which approach.
        gflops_per_video: the difference.
        ci95_gflops_per_video: its interval, None where there is none.
        percent: difference of accuracies, in percentage points; None without both.
        ci95_percent: its interval.
        paired: whether the same videos were resampled together.
    """

    name: str
    gflops_per_video: float
    ci95_gflops_per_video: tuple[float, float] | None
    percent: float | None
    ci95_percent: tuple[float, float] | None
    paired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dominance:
    """One approach that is at least as accurate and at most as costly as another.

    Attributes:
        winner: the better one.
        loser: the other one.
    """

    winner: str
    loser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        metric: which accuracy.
        approaches: in the order given.
        differences: every other approach less the first.
        dominance: pairs, empty where accuracies are missing.
        front: names of the approaches that nobody dominates.
        notes: what a reader must know.
    """

    metric: Metric
    approaches: tuple[Approach, ...]
    differences: tuple[Difference, ...]
    dominance: tuple[Dominance, ...]
    front: tuple[str, ...]
    notes: tuple[str, ...]


def compare(
    runs: Sequence[Run], choices: Choices, *, metric: str | None = None, anyway: bool = False
) -> Comparison:
    """Set runs side by side.

    Args:
        runs: estimates made with ids and scores kept, under one counter and rule.
        choices: for resamples and seed.
        metric: ``mAP`` or ``top-1``; None takes mAP where every log has scores or quotes it.
        anyway: compare also what differs in ``MUST_MATCH``.

    Raises:
        InputError: an unknown metric, or fewer than two runs.
        NotComparableError: the runs are of different datasets or splits.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two logs or more")
    notes = _check_comparable(runs, anyway)
    known = [judged(run.counts) for run in runs]
    chosen = _metric(metric, runs, [found for found, _ in known])
    names = _names(runs)
    approaches = tuple(
        _approach(name, run, found, why, chosen, choices)
        for name, run, (found, why) in zip(names, runs, known, strict=True)
    )
    first, first_judged = approaches[0], known[0][0]
    differences = tuple(
        _difference(first, first_judged, other, found, chosen, choices)
        for other, (found, _) in zip(approaches[1:], known[1:], strict=True)
    )
    dominance = _dominance(approaches)
    losers = {d.loser for d in dominance}
    complete = all(a.percent is not None for a in approaches)
    for approach in approaches:
        notes += [f"{approach.name}: {text}" for text in _accuracy_notes(approach)]
    return Comparison(
        metric=chosen,
        approaches=approaches,
        differences=differences,
        dominance=dominance,
        front=tuple(a.name for a in approaches if a.name not in losers) if complete else (),
        notes=tuple(notes),
    )


def _check_comparable(runs: Sequence[Run], anyway: bool) -> list[str]:
    notes = []
    for key in MUST_MATCH:
        values = {getattr(run.header, key) for run in runs} - {None}
        if len(values) > 1:
            said = " and ".join(repr(v) for v in sorted(values))
            if not anyway:
                raise NotComparableError(
                    f"the logs differ in {key!r}: {said}",
                    "figures of different videos cannot be set side by side; --anyway does it",
                )
            notes.append(f"the logs differ in {key!r}: {said}")
    rules = {run.main.rule for run in runs}
    if len(rules) > 1:
        notes.append("some runs are under the published rule, for want of runs of rows")
    return notes


def _metric(asked: str | None, runs: Sequence[Run], known: Sequence[Judged | None]) -> Metric:
    if asked is not None:
        found = _ALIASES.get(asked.lower())
        if found not in METRICS:
            raise InputError(f"there is no metric {asked!r}", near_match(asked, METRICS, "metrics"))
        return found
    for metric in METRICS:
        if all(
            _quoted(run, metric) is not None or _can(found, metric)
            for run, found in zip(runs, known, strict=True)
        ):
            return metric
    return METRICS[0]


def _can(found: Judged | None, metric: Metric) -> bool:
    return found is not None and (metric == "top-1" or found.scores is not None)


def _quoted(run: Run, metric: Metric) -> float | None:
    for name, value in (run.header.metrics or {}).items():
        if _ALIASES.get(name.lower()) == metric and isinstance(value, (int, float)):
            return float(value)
    return None


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.method for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.source})"
        for name, run in zip(names, runs, strict=True)
    ]


def _approach(
    name: str, run: Run, found: Judged | None, why: str, metric: Metric, choices: Choices
) -> Approach:
    quoted = _quoted(run, metric)
    accuracy = None
    if found is not None and _can(found, metric):
        accuracy = _accuracy(found, metric, choices)
    elif found is not None:
        why = f"{metric} needs scores"
    return Approach(
        name=name,
        run=run,
        accuracy=accuracy,
        quoted=None if accuracy is not None else quoted,
        why_none="" if accuracy is not None or quoted is not None else why,
    )


def _accuracy(found: Judged, metric: Metric, choices: Choices) -> Accuracy:
    if metric == "mAP":
        return mean_average_precision(
            found.scores,
            found.codes,
            found.offsets,
            resamples=min(choices.resamples, MAP_RESAMPLES),
            seed=choices.seed,
        )
    return top1(_predicted(found), found.first, resamples=choices.resamples, seed=choices.seed)


def _predicted(found: Judged) -> Any:
    return found.scores if found.predictions is None else found.predictions


def _difference(
    first: Approach,
    first_judged: Judged | None,
    other: Approach,
    other_judged: Judged | None,
    metric: Metric,
    choices: Choices,
) -> Difference:
    a, b = first.run, other.run
    paired = _same_videos(a, b)
    order = _order(a, b) if paired else None
    percent, percent_ci = None, None
    if first.percent is not None and other.percent is not None:
        percent = other.percent - first.percent
    if (
        paired
        and first_judged is not None
        and other_judged is not None
        and first.accuracy is not None
        and other.accuracy is not None
    ):
        percent_ci = _accuracy_interval(first_judged, other_judged, order, metric, choices)
    return Difference(
        name=other.name,
        gflops_per_video=b.main.gflops_per_video - a.main.gflops_per_video,
        ci95_gflops_per_video=_cost_interval(a, b, order, choices),
        percent=percent,
        ci95_percent=percent_ci,
        paired=paired,
    )


def _same_videos(a: Run, b: Run) -> bool:
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return False
    if a.counts.video is not None or b.counts.video is not None:
        return False
    if a.counts.ids is None or b.counts.ids is None:
        return False
    return len(a.counts.ids) == len(b.counts.ids) and set(a.counts.ids) == set(b.counts.ids)


def _order(a: Run, b: Run) -> list[int]:
    """Return where each video of ``a`` stands in ``b``."""
    assert isinstance(a.counts, LogCounts)
    assert isinstance(b.counts, LogCounts)
    where = {name: i for i, name in enumerate(b.counts.ids or ())}
    return [where[name] for name in a.counts.ids or ()]


def _cost_interval(
    a: Run, b: Run, order: list[int] | None, choices: Choices
) -> tuple[float, float] | None:
    import numpy as np

    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    costs_a = video_costs(a.counts, a.prices, a.main.rule)
    costs_b = video_costs(b.counts, b.prices, b.main.rule)
    if order is not None:
        found = interval(costs_b[order] - costs_a, resamples=choices.resamples, seed=choices.seed)
        return None if found is None else (found.low, found.high)
    if min(len(costs_a), len(costs_b)) < 2:
        return None
    means = [
        resampled_means(costs[None, :], resamples=choices.resamples, seed=choices.seed + n)[0]
        for n, costs in enumerate((costs_a, costs_b))
    ]
    low, high = np.quantile(means[1] - means[0], [0.025, 0.975])
    return gflops(float(low)), gflops(float(high))


def _accuracy_interval(
    a: Judged, b: Judged, order: list[int] | None, metric: Metric, choices: Choices
) -> tuple[float, float] | None:
    import numpy as np

    if order is None:
        return None
    where = np.array(order)
    if metric == "top-1":
        correct_a = top1_correct(_predicted(a), a.first)
        correct_b = top1_correct(_predicted(b), b.first)[where]
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


def _dominance(approaches: Sequence[Approach]) -> tuple[Dominance, ...]:
    found = []
    for a, b in permutations(approaches, 2):
        if a.percent is None or b.percent is None:
            continue
        cost_a, cost_b = a.run.main.macs_per_video, b.run.main.macs_per_video
        no_worse = a.percent >= b.percent and cost_a <= cost_b
        if no_worse and (a.percent > b.percent or cost_a < cost_b):
            found.append(Dominance(winner=a.name, loser=b.name))
    return tuple(found)


def _accuracy_notes(approach: Approach) -> list[str]:
    if approach.accuracy is None:
        if approach.quoted is not None:
            return ["accuracy as its header quotes it, not recomputed"]
        return [f"no accuracy: {approach.why_none}"]
    notes = list(approach.accuracy.notes)
    absent = approach.accuracy.absent_classes
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (" …" if len(absent) > 10 else "")
        notes.append(f"{len(absent)} classes without a video are left out of the mean: {shown}")
    return notes


def same_terms(choices: Choices, first: Run) -> Choices:
    """Return the choices under which all further runs are made: the first run's counter."""
    return replace(choices, counter=first.book.primary)
