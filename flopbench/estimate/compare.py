"""Method against method: accuracy, GFLOPS, time, differences, and which method dominates which.

The form is that of AR-Net's Table 3 (ECCV 2020, supplement): approach, mAP, GFLOPS per frame,
GFLOPS per video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, NotComparableError
from flopbench.core.remarks import Remark
from flopbench.core.tables import Shown
from flopbench.core.units import number_of
from flopbench.estimate.differences import Difference, difference_of
from flopbench.estimate.methods import Method, Metric, RunTime, methods_of, names_of_logs
from flopbench.estimate.pairing import check_pairs
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
TIMED = ("ms_per_video", "ms_low", "ms_high", "videos_per_s", "pareto_front_ms")
"""Further ones, with times."""
Place = tuple[float | None, float | Fraction]
"""Accuracy in percent, and cost: the lower the better."""
SAME_LENGTH = 0.005
"""Mean lengths that differ by no more than this share are called the same."""
MUST_MATCH = ("dataset", "split")
"""Header fields in which two runs must agree to be compared."""


class Dominance(Struct, frozen=True, kw_only=True):
    """One method that is at least as accurate and at most as costly as another.

    ``clear`` is whether the 95 % intervals of both differences exclude 0; None if one is missing.
    """

    winner: str
    loser: str
    clear: bool | None


class Inversion(Struct, frozen=True, kw_only=True):
    """One method that is cheaper in GFLOPS than another, and slower in ms.

    Attributes:
        difference: the method minus the other one.
        resolved: whether the 95 % intervals of both differences exclude 0; None if one is missing.
    """

    difference: Difference
    resolved: bool | None


class Comparison(Shown, Struct, frozen=True, kw_only=True):
    """Runs side by side.

    Attributes:
        metric: the accuracy that is compared.
        methods: in the order given.
        differences: every other method minus the reference, which is the first unless asked.
        dominance: pairs; empty where accuracies are missing.
        front: names of the methods that no other one dominates.
        notes: what qualifies the figures.
        dominance_ms, front_ms: the same with the time as the cost, of the methods that have one.
        inversions: pairs that GFLOPS and ms put in opposite orders.
    """

    _layout = "flopbench.estimate.comparison_text:comparison_grids"
    metric: Metric
    methods: tuple[Method, ...]
    differences: tuple[Difference, ...]
    dominance: tuple[Dominance, ...]
    front: tuple[str, ...]
    notes: tuple[Remark, ...]
    dominance_ms: tuple[Dominance, ...] = ()
    front_ms: tuple[str, ...] = ()
    inversions: tuple[Inversion, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether any method has a time."""
        return any(one.time is not None for one in self.methods)


def compare(
    runs: Sequence[Run],
    choices: Choices,
    *,
    names: Sequence[str] = (),
    metric: str | None = None,
    reference: int = 0,
    anyway: bool = False,
    times: Sequence[RunTime | None] = (),
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
        times: what each run takes, None where that is not known; empty for none.

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
    if times:
        methods = tuple(replace(m, time=t) for m, t in zip(methods, times, strict=True))

    @cache
    def difference(first: int, other: int) -> Difference:
        return difference_of(methods[first], methods[other], chosen, choices)

    dominance, front = _dominance(methods, difference, ms=False)
    dominance_ms, front_ms = _dominance(methods, difference, ms=True)
    for method in methods:
        notes += accuracy_notes(method)
    return Comparison(
        metric=chosen,
        methods=methods,
        differences=tuple(
            difference(reference, other) for other in range(len(methods)) if other != reference
        ),
        dominance=dominance,
        front=front,
        notes=tuple(notes),
        dominance_ms=dominance_ms,
        front_ms=front_ms,
        inversions=_inversions(methods, difference),
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


def _dominance(
    methods: Sequence[Method], difference: Callable[[int, int], Difference], *, ms: bool
) -> tuple[tuple[Dominance, ...], tuple[str, ...]]:
    """Return who dominates whom, and the front; with ``ms`` the cost is the time."""
    places: dict[int, Place] = {}
    for n, method in enumerate(methods):
        if not ms:
            places[n] = method.percent, method.run.primary.macs_per_video
        elif method.time is not None:
            places[n] = method.percent, method.time.ms_per_video
    found = tuple(
        Dominance(
            winner=methods[a].name, loser=methods[b].name, clear=_is_clear(difference(a, b), ms)
        )
        for a, b in permutations(places, 2)
        if dominates(places[a], places[b])
    )
    losers = {d.loser for d in found}
    complete = all(percent is not None for percent, _ in places.values())
    names = [methods[n].name for n in places]
    return found, tuple(name for name in names if name not in losers) if complete else ()


def _is_clear(loser_less_winner: Difference, ms: bool) -> bool | None:
    percent, cost = loser_less_winner.ci95_percent, loser_less_winner.ci95_gflops_per_video
    if ms:
        cost = loser_less_winner.ci95_ms_per_video
    if cost is None or percent is None:
        return None
    return cost[0] > 0 and percent[1] < 0


def _inversions(
    methods: Sequence[Method], difference: Callable[[int, int], Difference]
) -> tuple[Inversion, ...]:
    """Return the pairs that GFLOPS and ms put in opposite orders, by their centres."""
    found = []
    dealt = [isinstance(m.run.counts, LogCounts) and m.run.counts.at_random for m in methods]
    logs = {str(m.run.source) for m, random in zip(methods, dealt, strict=True) if not random}
    # Dealt out again, decisions take what they took: such a policy would repeat its log's pairs.
    own = [n for n, m in enumerate(methods) if not dealt[n] or str(m.run.source) not in logs]
    for a, b in permutations(own, 2):
        one, other = methods[a], methods[b]
        if one.time is None or other.time is None:
            continue
        cheaper = one.run.primary.macs_per_video < other.run.primary.macs_per_video
        if not cheaper or one.time.ms_per_video <= other.time.ms_per_video:
            continue
        apart = difference(b, a)
        cost, time = apart.ci95_gflops_per_video, apart.ci95_ms_per_video
        resolved = None if cost is None or time is None else cost[1] < 0 < time[0]
        found.append(Inversion(difference=apart, resolved=resolved))
    return tuple(found)


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
