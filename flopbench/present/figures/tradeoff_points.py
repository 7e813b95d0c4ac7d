"""Turns logs and rows of tables into points of accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import GIGA, Scale, Words, table_scale
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.compare import Comparison, accuracy_notes, compare
from flopbench.estimate.differences import Difference
from flopbench.estimate.methods import Method, Metric, RunTime, methods_of
from flopbench.estimate.orders import inversion_lines
from flopbench.estimate.runs import Choices, parse_pairs
from flopbench.present.figures.caption import MOST_LOOKS
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import NamedRun, charged_as
from flopbench.present.figures.inputs.points import Point
from flopbench.present.figures.tradeoff_costs import COLUMNS, Cost, LogCosts, unit_of

SHOWN = 5
"""At most this many pairs that an interval leaves undecided are listed; the rest are counted."""


class TradeoffPoint(Struct, frozen=True, kw_only=True):
    """One point.

    Attributes:
        published: whether it is a row of a table; else a log.
        source: the paper that a row cites; empty for a log.
        quoted: the accuracy is stated by the log's header, not recomputed.
        cost: in a unit of ``UNITS``, GFLOPS being GMACs; the intervals are of 95 %, where known.
        charged: components of a log that are charged otherwise than by default; empty for none.
        series: the method of which this is one setting; empty for a point that stands alone.
        time: how a log's ms are known: ``predicted`` or ``measured``; empty for other costs.
        own: whether it is filled beside the others, which are hollow.
        on_front: whether no other point is at least as good in both.
    """

    name: str
    file: str
    published: bool
    source: str
    percent: float
    percent_ends: Ends | None
    quoted: bool
    cost: float
    cost_ends: Ends | None
    charged: str = ""
    series: str = ""
    time: str = ""
    own: bool = False
    on_front: bool = False


class Accuracies(Struct, frozen=True, kw_only=True):
    """Accuracies of logs, and how they compare.

    Attributes:
        methods: one a log.
        differences: how far they are from the reference, where that is a log.
        notes: sentences on single ones and on pairs.
        inverted: log's name -> those that cost more GFLOPS, but take less time.
    """

    metric: Metric
    methods: Sequence[Method]
    differences: Sequence[Difference]
    notes: tuple[str, ...]
    inverted: Mapping[str, tuple[str, ...]]


def accuracies_of(
    found: Sequence[NamedRun],
    choices: Choices,
    metric: str | None,
    *,
    anyway: bool,
    cost: Cost,
    reference: str = "",
    times: Mapping[str, RunTime] | None = None,
) -> Accuracies:
    """Compute accuracies; several logs must pass the checks of ``compare``.

    Pairs that an interval leaves undecided are noted for the costs of ``compare``: GFLOPS, and ms
    where ``times`` has them by the logs' names.

    Raises:
        InputError: an unknown metric, or a log without that accuracy.
        NotComparableError: different datasets or labels, without ``anyway``.
    """
    runs, names = [one.run for one in found], [one.name for one in found]
    inverted: dict[str, list[str]] = {}
    if len(runs) > 1:
        called = [(one.name, str(one.run.source)) for one in found]
        place = next((n for n, own in enumerate(called) if reference in own), None)
        result = compare(
            runs,
            choices,
            names=names,
            metric=metric,
            reference=place or 0,
            anyway=anyway,
            times=[(times or {}).get(name) for name in names],
        )
        chosen, methods = result.metric, result.methods
        notes = [*result.notes, *_open_pairs(result, cost)]
        notes += [Remark(line.removesuffix(".")) for line in inversion_lines(result)]
        for one in result.inversions:
            sure = "" if one.resolved else " (not resolved)"
            inverted.setdefault(one.difference.name, []).append(one.difference.less + sure)
        apart = () if place is None else result.differences
    else:
        chosen, methods = methods_of(runs, names, metric, choices)
        notes = [note for method in methods for note in accuracy_notes(method)]
        apart = ()
    for method in methods:
        if method.percent is None:
            raise InputError(
                f"{method.run.source} has no {chosen}: {method.why_none}",
                f'give its header the figure, such as "metrics": {{"{chosen}": 73.8}}, or its '
                "samples labels and scores",
            )
    return Accuracies(
        metric=chosen,
        methods=methods,
        differences=apart,
        notes=tuple(f"Note: {note}." for note in notes),
        inverted={name: tuple(others) for name, others in inverted.items()},
    )


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, as figures print it."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def cost_scale(points: Sequence[TradeoffPoint], cost: Cost) -> Scale:
    """Return the unit of counts on the axis; other costs have one unit."""
    return table_scale(max(p.cost for p in points) * GIGA if cost == "gflops" else 0)


def difference_text(one: Difference, metric: Metric, cost: Cost, words: Words, scale: Scale) -> str:
    """Say how far a log is from the reference, with the intervals that there are."""

    def part(value: float, unit: str, ends: Ends | None) -> str:
        # Two digits of what is uncertain: half the interval's width.
        wide = abs(value) / 10 if ends is None else (ends[1] - ends[0]) / 2
        digits = max(0, 1 - math.floor(math.log10(wide))) if wide else 1
        low, high = (signed(end, digits) for end in ends or (0.0, 0.0))
        sure = "" if ends is None else f" (95 % {low} to {high})"
        return f"{signed(value, digits)} {unit}{sure}"

    parts = []
    if cost == "gflops":
        factor, own = GIGA / scale.divisor, one.ci95_gflops_per_video
        ends = None if own is None else (factor * own[0], factor * own[1])
        parts.append(part(factor * one.gflops_per_video, unit_of(cost, words, scale), ends))
    if cost == "ms" and one.ms_per_video is not None:
        parts.append(part(one.ms_per_video, unit_of(cost, words), one.ci95_ms_per_video))
    if one.percent is not None:
        parts.append(part(one.percent, f"{metric} points", one.ci95_percent))
    how = f", {words.samples} resampled in pairs" if one.paired else ""
    return f"{one.name} against {one.less}: {', '.join(parts)}{how}."


def _open_pairs(result: Comparison, cost: Cost) -> list[Remark]:
    """Note the pairs that an interval leaves undecided."""
    known = {"gflops": ("GFLOPS", result.dominance), "ms": ("ms", result.dominance_ms)}
    unit, dominance = known.get(cost, ("", ()))
    pairs = [f"{d.winner} over {d.loser}" for d in dominance if d.clear is False]
    if not pairs:
        return []
    more = f" and {len(pairs) - SHOWN} more" if pairs[SHOWN:] else ""
    return [
        Remark(
            f"at least as accurate at no more {unit}, but a 95 % interval of a difference includes "
            f"0: {', '.join(pairs[:SHOWN])}{more}"
        )
    ]


def check_metric(rows: Sequence[Point], metric: Metric) -> list[Remark]:
    """Refuse rows of another metric with a DataError; return remarks on rows that name none."""
    for row in rows:
        if row.metric not in {None, metric}:
            raise DataError(
                f"{row.file}, line {row.line}, column 'metric': {row.metric}, expected {metric}",
                "accuracies of different kinds cannot share an axis",
            )
    silent = dict.fromkeys(row.file for row in rows if row.metric is None)
    return [Remark(f"{file}: rows that name no metric are taken as {metric}") for file in silent]


def accuracy_terms(accuracies: Accuracies) -> list[str]:
    """Return how the intervals of accuracies were made, where there are any."""
    methods, metric = accuracies.methods, accuracies.metric
    if not any(m.accuracy and m.accuracy.ci95_percent for m in methods):
        return []
    few = f", at most {MAP_RESAMPLES} resamples" if metric == "mAP" else ""
    over = " or ".join(
        dict.fromkeys(drawn_text(m.run.clusters, m.run.header.words) for m in methods)
    )
    return [f"Intervals of {metric}: bootstrap over {over}{few}."]


def log_points(
    found: Sequence[NamedRun], methods: Sequence[Method], costs: LogCosts, cost: Cost
) -> list[TradeoffPoint]:
    """Return the points of the logs that have a cost."""
    return [
        TradeoffPoint(
            name=one.name,
            file=str(one.run.source),
            published=False,
            source="",
            percent=method.percent or 0.0,  # a log without one was refused
            percent_ends=None if method.accuracy is None else method.accuracy.ci95_percent,
            quoted=method.quoted is not None,
            cost=costs.by_name[one.name][0],
            cost_ends=costs.by_name[one.name][1],
            charged=charged_as(one.run) if cost == "gflops" else "",
            time=costs.kinds.get(one.name, ""),
        )
        for one, method in zip(found, methods, strict=True)
        if one.name in costs.by_name
    ]


def published_points(
    rows: Sequence[Point], cost: Cost, unit: str
) -> tuple[list[TradeoffPoint], list[Remark]]:
    """Return the points of the rows that have this cost, and remarks on those that lack it."""
    points, remarks = [], []
    for row in rows:
        value = row.costs.get(COLUMNS[cost])
        if value is None:
            place = f"{row.file}, line {row.line}: {row.approach}"
            remarks.append(Remark(f"{place} has no {unit} and is left out"))
            continue
        points.append(
            TradeoffPoint(
                name=row.approach,
                file=row.file,
                published=True,
                source=row.source,
                percent=row.percent,
                percent_ends=row.percent_ends,
                quoted=True,
                cost=value,
                cost_ends=row.ends.get(COLUMNS[cost]),
                series=row.series,
            )
        )
    return points, remarks


def without_source(rows: Sequence[Point], drawn: Sequence[TradeoffPoint]) -> list[Remark]:
    """Return remarks on rows of others that cite no paper."""
    others = {(p.file, p.name) for p in drawn if p.published and not p.own}
    return [
        Remark(f"{row.file}, line {row.line}: {row.approach}: source not stated")
        for row in rows
        if not row.source and (row.file, row.approach) in others
    ]


Series = Mapping[str, Sequence[str]] | Sequence[str]
"""Name -> the points of a series; or texts such as ``AR-Net=a.jsonl,b.jsonl``."""


def named_points(points: Sequence[TradeoffPoint], text: str, flag: str) -> list[int]:
    """Return the places of the points that a name, series or file selects, or a pattern of them."""
    names = [(point.name, point.series, point.file) for point in points]
    same = [n for n, own in enumerate(names) if text in own]
    found = same or [n for n, own in enumerate(names) if any(fnmatchcase(o, text) for o in own)]
    if not text or not found:
        known = dict.fromkeys(name for own in names for name in (own[1], own[0]) if name)
        raise InputError(f"{flag}: no point is {text!r}", near_match(text, known, "points"))
    return found


def with_series(points: Sequence[TradeoffPoint], series: Series) -> list[TradeoffPoint]:
    """Put points into series, beside those that rows of tables name."""
    if not isinstance(series, Mapping):
        given = [series] if isinstance(series, str) else series
        series = {name: text.split(",") for name, text in parse_pairs(given, "--series").items()}
    chosen: dict[int, str] = {}
    for name, members in series.items():
        for member in [members] if isinstance(members, str) else members:
            for n in named_points(points, member.strip(), f"--series {name}"):
                if chosen.setdefault(n, name) != name:
                    raise InputError(f"{points[n].name} is in the series {chosen[n]} and {name}")
    found = [replace(p, series=chosen.get(n, p.series)) for n, p in enumerate(points)]
    looks = len({point.series for point in found})
    if looks > MOST_LOOKS:  # the points without a series take one
        raise CallerError(
            f": {looks} series; at most {MOST_LOOKS} can be distinguished", "draw several figures"
        )
    return found


def with_own(points: Sequence[TradeoffPoint], own: Sequence[str]) -> list[TradeoffPoint]:
    """Say which points are our own: those that are named, else logs."""
    named = {n for text in own for n in named_points(points, text, "--own")}
    return [
        replace(point, own=n in named if own else not point.published)
        for n, point in enumerate(points)
    ]
