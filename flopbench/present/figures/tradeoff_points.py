"""Turns logs and rows of tables into points of accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import DataError, InputError, Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import CONVENTION, VIDEOS, Words
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.compare import Comparison, Difference, accuracy_notes, compare
from flopbench.estimate.methods import Method, Metric, methods_of
from flopbench.estimate.runs import Choices
from flopbench.present.figures.caption import listed
from flopbench.present.figures.charged import charged_as, charged_sentences
from flopbench.present.figures.inputs import points as tables
from flopbench.present.figures.inputs.logs import NamedRun, left_out, videos_text, words_of
from flopbench.present.figures.inputs.points import Point

Cost = Literal["gflops", "ms", "frames", "params"]
COSTS: tuple[Cost, ...] = ("gflops", "ms", "frames", "params")
COLUMNS: Mapping[Cost, str] = dict(zip(COSTS, tables.COSTS, strict=True))
"""Cost -> the column that has it, in tables that are read and in the one that is written."""
UNITS: Mapping[Cost, str] = {
    "gflops": "GFLOPS/{words.sample}",
    "ms": "ms/{words.sample}",
    "frames": "processed {words.steps}/{words.sample}",
    "params": "parameters",
}
"""Of each cost, but for the words of the logs: see ``unit_of``."""
SHOWN = 5
"""At most this many pairs that an interval leaves undecided are listed; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeoffPoint:
    """One point.

    Attributes:
        published: whether it is a row of a table; else a log.
        source: the paper that a row cites; empty for a log.
        quoted: the accuracy is stated by the log's header, not recomputed.
        cost: in a unit of ``UNITS``, GFLOPS being GMACs; the intervals are of 95 %, where known.
        charged: components of a log that are charged otherwise than by default; empty for none.
        series: the method of which this is one setting; empty for a point that stands alone.
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
    own: bool = False
    on_front: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCosts:
    """What logs cost, in one unit.

    Attributes:
        by_name: log's name -> its cost and the 95 % interval; logs without a cost are absent.
        terms: sentences on where the costs come from.
        warnings: what did not match, and what makes costs questionable.
    """

    by_name: Mapping[str, tuple[float, Ends | None]]
    terms: tuple[str, ...]
    warnings: tuple[Remark, ...] = ()


def accuracies_of(
    found: Sequence[NamedRun],
    choices: Choices,
    metric: str | None,
    *,
    anyway: bool,
    cost: Cost,
    reference: str = "",
) -> tuple[Metric, Sequence[Method], list[str], list[str]]:
    """Compute accuracies; several logs must pass the checks of ``compare``.

    Pairs that an interval leaves undecided are noted for GFLOPS only, the cost of ``compare``.

    Returns:
        The metric, one method a log, sentences on their differences from the reference where that
        is one of the logs, and sentences on single ones.

    Raises:
        InputError: an unknown metric, or a log without that accuracy.
        NotComparableError: different datasets or labels, without ``anyway``.
    """
    runs, names = [one.run for one in found], [one.name for one in found]
    if len(runs) > 1:
        place = next((n for n, one in enumerate(found) if reference in _names(one)), None)
        result = compare(
            runs, choices, names=names, metric=metric, reference=place or 0, anyway=anyway
        )
        chosen, methods = result.metric, result.methods
        notes = [*result.notes, *(_open_pairs(result) if cost == "gflops" else [])]
        own = () if place is None else result.differences
        apart = [_difference_text(one, chosen, cost, words_of(found)) for one in own]
    else:
        chosen, methods = methods_of(runs, names, metric, choices)
        notes = [note for method in methods for note in accuracy_notes(method)]
        apart = []
    for method in methods:
        if method.percent is None:
            raise InputError(
                f"{method.run.source} has no {chosen}: {method.why_none}",
                f'give its header the figure, such as "metrics": {{"{chosen}": 73.8}}, or its '
                "samples labels and scores",
            )
    return chosen, methods, apart, [f"Note: {note}." for note in notes]


def unit_of(cost: Cost, words: Words = VIDEOS) -> str:
    """Return the unit of a cost, such as ``GFLOPS/image``."""
    return UNITS[cost].format(words=words)


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, as figures print it."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _names(one: NamedRun) -> tuple[str, str]:
    return one.name, str(one.run.source)


def _difference_text(one: Difference, metric: Metric, cost: Cost, words: Words) -> str:
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
        parts.append(part(one.gflops_per_video, unit_of(cost, words), one.ci95_gflops_per_video))
    if one.percent is not None:
        parts.append(part(one.percent, f"{metric} points", one.ci95_percent))
    how = f", {words.samples} resampled in pairs" if one.paired else ""
    return f"{one.name} against {one.less}: {', '.join(parts)}{how}."


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
    """Refuse rows of another metric with a DataError; return remarks on rows that name none."""
    for row in rows:
        if row.metric not in {None, metric}:
            raise DataError(
                f"{row.file}, line {row.line}, column 'metric': {row.metric}, expected {metric}",
                "accuracies of different kinds cannot share an axis",
            )
    silent = dict.fromkeys(row.file for row in rows if row.metric is None)
    return [Remark(f"{file}: rows that name no metric are taken as {metric}") for file in silent]


def frame_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the frames that the logs process, a video."""
    steps = words_of(found).steps
    said = f"Processed {steps}: those under an action that runs a network, or under an exit."
    return LogCosts(
        by_name={one.name: (one.run.primary.processed_frames_per_video, None) for one in found},
        terms=(*log_terms(found), *([said] if found else [])),
    )


def parameter_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the parameters of all networks that the logs charge, in millions."""
    by_name: dict[str, tuple[float, Ends | None]] = {}
    warnings = []
    for one in found:
        prices = [one.run.prices.prices[name] for name in one.run.primary.by_component]
        unknown = [f"{price.component} ({price.spec})" for price in prices if price.params is None]
        if unknown:
            text = f"the parameters of {listed(unknown)} are not known; left out"
            warnings.append(Remark(text, one.name))
        else:
            by_name[one.name] = sum(price.params or 0 for price in prices) / 1e6, None
    drawn = [one for one in found if one.name in by_name]
    said = "Parameters: millions, of every component that is charged; shared ones count twice."
    return LogCosts(
        by_name=by_name,
        terms=(*log_terms(drawn), *([said] if drawn else [])),
        warnings=tuple(warnings),
    )


def counted_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the logs' GFLOPS/video by count."""
    if not found:
        return LogCosts(by_name={}, terms=(CONVENTION,))
    first = found[0].run
    rules = listed(list(dict.fromkeys(one.run.primary.rule for one in found)))
    intervals = {one.name: one.run.interval for one in found}
    over = {one.name: drawn_text(one.run.clusters, one.run.header.words) for one in found}
    ways = dict.fromkeys(
        i.method
        + (f" over {over[name]}, {i.resamples:,} resamples, seed {i.seed}" if i.resamples else "")
        for name, i in intervals.items()
        if i is not None
    )
    return LogCosts(
        by_name={
            one.name: (one.run.primary.gflops_per_video, None if i is None else (i.low, i.high))
            for one, i in zip(found, intervals.values(), strict=True)
        },
        terms=(
            *log_terms(found),
            f"Counter: {first.prices.counted_by}; {first.prices.origin}; {rules} rule.",
            CONVENTION,
            *charged_sentences(found),
            *([f"Intervals of GFLOPS: {'; '.join(ways)}."] if ways else []),
        ),
    )


def log_terms(found: Sequence[NamedRun]) -> list[str]:
    """Return which videos the logs cover, and which of their samples are left out."""
    if not found:
        return []
    logs = [
        f"{o.name}: {videos_text(o.run.header.words, e.videos, e.records)}, {o.run.source}"
        for o in found
        for e in [o.run.primary]
    ]
    return [f"Logs: {'; '.join(logs)}.", *left_out([t for o in found for t in o.run.warnings])]


def accuracy_terms(metric: Metric, methods: Sequence[Method]) -> list[str]:
    """Return how the intervals of accuracies were made, where there are any."""
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
                cost_ends=row.gflops_ends if cost == "gflops" else None,
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
