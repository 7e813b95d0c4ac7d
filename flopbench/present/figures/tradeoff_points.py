"""Turns logs and rows of tables into points of accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import DataError, InputError, Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import CONVENTION
from flopbench.estimate.compare import Comparison, accuracy_notes, compare
from flopbench.estimate.methods import Method, Metric, methods_of
from flopbench.estimate.runs import Choices
from flopbench.policy.file_kinds import POINTS
from flopbench.present.figures.caption import listed
from flopbench.present.figures.charged import charged_as, charged_sentences
from flopbench.present.figures.inputs.files import require_kind, several
from flopbench.present.figures.inputs.logs import NamedRun, left_out, videos_text
from flopbench.present.figures.inputs.points import Point, read_points
from flopbench.present.figures.measured import Measured

Cost = Literal["gflops", "ms"]
COSTS: tuple[Cost, ...] = ("gflops", "ms")
UNITS = {"gflops": "GFLOPS/video", "ms": "ms/video"}
SHOWN = 5
"""At most this many pairs that an interval leaves undecided are listed; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeoffPoint:
    """One point.

    Attributes:
        name: what the figure calls it.
        file: where it comes from.
        published: whether it is a row of a table; else a log.
        source: the paper that a row cites; empty for a log.
        percent: accuracy, percent.
        percent_ends: its 95 % interval, where known.
        charged: components of a log that are charged otherwise than by default; empty for none.
        quoted: the accuracy is stated by the log's header, not recomputed.
        cost: GFLOPS/video (= GMACs), or ms/video.
        cost_ends: its 95 % interval, where known.
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
    on_front: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSet:
    """Points of one kind: logs, or rows of tables.

    Attributes:
        points: all of them.
        terms: sentences on where their costs come from.
        warnings: what makes them questionable.
    """

    points: tuple[TradeoffPoint, ...]
    terms: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccuracies:
    """The accuracies of the logs.

    Attributes:
        metric: which accuracy.
        approaches: one a log.
        notes: sentences on them.
    """

    metric: Metric
    approaches: tuple[Method, ...]
    notes: tuple[str, ...]


def read_point_tables(points: str | Path | Sequence[str | Path]) -> list[Point]:
    """Read tables of points.

    Raises:
        InputError: a file of another kind.
        DataError: a defect in a table.
    """
    rows: list[Point] = []
    for path in several(points):
        require_kind(path, (POINTS,))
        rows += read_points(path)
    return rows


def accuracies_of(
    found: Sequence[NamedRun],
    choices: Choices,
    metric: str | None,
    *,
    anyway: bool,
    cost: Cost,
) -> LogAccuracies:
    """Compute accuracies; several logs must pass the checks of ``compare``.

    Pairs that an interval leaves undecided are noted for GFLOPS only, the cost of ``compare``.

    Raises:
        InputError: an unknown metric, or a log without that accuracy.
        NotComparableError: different datasets or labels, without ``anyway``.
    """
    runs, names = [one.run for one in found], [one.name for one in found]
    if len(runs) > 1:
        result = compare(runs, choices, names=names, metric=metric, anyway=anyway)
        chosen, approaches = result.metric, result.methods
        notes = [*result.notes, *(_open_pairs(result) if cost == "gflops" else [])]
    else:
        chosen, approaches = methods_of(runs, names, metric, choices)
        notes = [note for a in approaches for note in accuracy_notes(a)]
    for approach in approaches:
        if approach.percent is None:
            raise InputError(
                f"{approach.run.source} has no {chosen}: {approach.why_none}",
                f'give its header the figure, such as "metrics": {{"{chosen}": 73.8}}, or its '
                "samples labels and scores",
            )
    return LogAccuracies(
        metric=chosen, approaches=approaches, notes=tuple(f"Note: {note}." for note in notes)
    )


def _open_pairs(result: Comparison) -> list[Remark]:
    """Note the pairs that an interval leaves undecided."""
    pairs = [f"{d.winner} over {d.loser}" for d in result.dominance if d.clear is False]
    if not pairs:
        return []
    more = f" and {len(pairs) - SHOWN} more" if pairs[SHOWN:] else ""
    return [
        Remark(
            "at least as accurate at no more GFLOPS, but a 95 % interval of a difference includes "
            f"0: {', '.join(pairs[:SHOWN])}{more}"
        )
    ]


def check_metric(rows: Sequence[Point], metric: Metric) -> list[Remark]:
    """Refuse rows of another metric; return remarks on rows that name none.

    Raises:
        DataError: a row of another metric.
    """
    for row in rows:
        if row.metric not in {None, metric}:
            raise DataError(
                f"{row.file}, line {row.line}, column 'metric': {row.metric}, expected {metric}",
                "accuracies of different kinds cannot share an axis",
            )
    silent = dict.fromkeys(row.file for row in rows if row.metric is None)
    return [Remark(f"{file}: rows that name no metric are taken as {metric}") for file in silent]


def counted_points(found: Sequence[NamedRun], accuracies: LogAccuracies) -> PointSet:
    """Return the logs' points with their GFLOPS/video by count."""
    points = []
    for one, approach in zip(found, accuracies.approaches, strict=True):
        ends = one.run.interval
        cost = one.run.primary.gflops_per_video
        point = _log_point(one, approach, cost, None if ends is None else (ends.low, ends.high))
        points.append(replace(point, charged=charged_as(one.run)))
    return PointSet(
        points=tuple(points), terms=(*_count_terms(found), *_accuracy_terms(accuracies))
    )


def measured_points(
    found: Sequence[NamedRun], accuracies: LogAccuracies, times: Measured
) -> PointSet:
    """Return the points of the logs that were replayed, with their measured ms/video."""
    timed = [one for one in found if one.name in times.ms]
    points = [
        _log_point(one, approach, times.ms[one.name], times.ends_ms[one.name])
        for one, approach in zip(found, accuracies.approaches, strict=True)
        if one.name in times.ms
    ]
    return PointSet(
        points=tuple(points),
        terms=(*times.terms, *_log_terms(timed), *_accuracy_terms(accuracies)),
        warnings=tuple(map(Remark, times.warnings)),
    )


def published_points(rows: Sequence[Point], cost: Cost) -> PointSet:
    """Return the rows that have this cost."""
    points, warnings = [], []
    for row in rows:
        value = row.gflops_per_video if cost == "gflops" else row.ms_per_video
        place = f"{row.file}, line {row.line}: {row.approach}"
        if value is None:
            warnings.append(f"{place} has no {UNITS[cost]} and is left out")
            continue
        if not row.source:
            warnings.append(f"{place}: source not stated")
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
                cost_ends=row.gflops_ends if cost == "gflops" else None,
            )
        )
    return PointSet(points=tuple(points), warnings=tuple(map(Remark, warnings)))


def _log_point(one: NamedRun, approach: Method, cost: float, ends: Ends | None) -> TradeoffPoint:
    percent = approach.percent
    assert percent is not None  # judged_of refused it
    return TradeoffPoint(
        name=one.name,
        file=str(one.run.source),
        published=False,
        source="",
        percent=percent,
        percent_ends=None if approach.accuracy is None else approach.accuracy.ci95_percent,
        quoted=approach.quoted is not None,
        cost=cost,
        cost_ends=ends,
    )


def _count_terms(found: Sequence[NamedRun]) -> list[str]:
    if not found:
        return [CONVENTION]
    first = found[0].run
    rules = listed(list(dict.fromkeys(one.run.primary.rule for one in found)))
    known = [one.run.interval for one in found if one.run.interval is not None]
    ways = dict.fromkeys(
        i.method
        + (f" over videos, {i.resamples:,} resamples, seed {i.seed}" if i.resamples else "")
        for i in known
    )
    return [
        *_log_terms(found),
        f"Counter: {f'{first.prices.counter} {first.prices.version}'.strip()}; prices: "
        f"{first.table}; {rules} rule.",
        CONVENTION,
        *charged_sentences(found),
        *([f"Intervals of GFLOPS: {'; '.join(ways)}."] if ways else []),
    ]


def _log_terms(found: Sequence[NamedRun]) -> list[str]:
    """Return which videos the logs cover, and which of their samples are left out."""
    logs = [
        f"{o.name}: {videos_text(o.run.primary.videos, o.run.primary.records)}, {o.run.source}"
        for o in found
    ]
    return [f"Logs: {'; '.join(logs)}.", *left_out([t for o in found for t in o.run.warnings])]


def _accuracy_terms(accuracies: LogAccuracies) -> list[str]:
    if not any(a.accuracy and a.accuracy.ci95_percent for a in accuracies.approaches):
        return []
    few = f", at most {MAP_RESAMPLES} resamples" if accuracies.metric == "mAP" else ""
    return [f"Intervals of {accuracies.metric}: bootstrap over videos{few}."]
