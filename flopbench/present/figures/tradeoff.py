"""Accuracy against cost: GFLOPS by count, or measured milliseconds, with the Pareto front.

Points are policy logs (accuracy from their scores, cost from the count or from a replay) and rows
of a table: figures printed in other papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.core.errors import InputError, Remark
from flopbench.core.units import plural
from flopbench.estimate.compare import dominates
from flopbench.estimate.methods import Metric
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.counts import LogCounts, ShareCounts
from flopbench.policy.file_kinds import LOG, POINTS, REPLAY
from flopbench.present.figures.caption import Caption, FigureTable, by_key, listed
from flopbench.present.figures.charged import COLUMN
from flopbench.present.figures.inputs.files import CallerError, require_kind, several
from flopbench.present.figures.inputs.logs import Log, priced
from flopbench.present.figures.inputs.points import Point, read_points
from flopbench.present.figures.inputs.replays import Replays
from flopbench.present.figures.measured import measured_costs
from flopbench.present.figures.tradeoff_points import (
    COSTS,
    UNITS,
    Cost,
    TradeoffPoint,
    accuracies_of,
    accuracy_terms,
    check_metric,
    counted_costs,
    log_points,
    published_points,
)
from flopbench.present.kind import NAMES, Option, kind
from flopbench.replay.records import Replay

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """Points, logs first, and how they are drawn.

    Attributes:
        terms: sentences on where costs come from: counter, rule, machine.
        notes: sentences on individual points.
    """

    points: tuple[TradeoffPoint, ...]
    metric: Metric
    cost: Cost
    log_scale: bool
    terms: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[Remark, ...]

    @property
    def front(self) -> tuple[TradeoffPoint, ...]:
        """The points on the Pareto front, the cheapest first."""
        found = [point for point in self.points if point.on_front]
        return tuple(sorted(found, key=lambda point: (point.cost, point.name)))

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        unit = UNITS[self.cost]
        name = "mAP" if self.metric == "mAP" else "Top-1 accuracy"
        many = f"{len(self.points)} {plural(len(self.points), 'point')}"
        best = "; ".join(f"{s.name}: {s.percent:.2f} % at {s.cost:.4g}" for s in self.front)
        sentences = [
            f"{name} (%) against {unit} of {many}; upper left is better.",
            *self.terms,
            *_published(self.points),
            self._intervals(),
            "Step line: Pareto front of the centres of all points drawn (no other is at least as "
            f"accurate and at most as costly): {listed([s.name for s in self.front])}. Intervals "
            "may overlap across it.",
            *self.notes,
        ]
        return Caption(
            title=f"{name} against {unit}",
            sentences=tuple(sentences),
            alt=f"{many}, {self.metric} against {unit}. On the Pareto front: {best}.",
            warnings=self.warnings,
        )

    def _intervals(self) -> str:
        ends = [point.percent_ends or point.cost_ends for point in self.points]
        bare = [point.name for point, own in zip(self.points, ends, strict=True) if own is None]
        if not any(ends):
            return "No point has an interval."
        return "Bars: 95 % intervals." + (f" Without any: {listed(bare)}." if bare else "")

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        return FigureTable.of(map(self._row, self.points))

    def _row(self, point: TradeoffPoint) -> dict[str, object]:
        low, high = point.percent_ends or (None, None)
        least, most = point.cost_ends or (None, None)
        return {
            "approach": point.name,
            "metric": self.metric,
            "percent": point.percent,
            "percent_low": low,
            "percent_high": high,
            f"{self.cost}_per_video": point.cost,
            f"{self.cost}_low": least,
            f"{self.cost}_high": most,
            "pareto_front": point.on_front,
            "kind": "published" if point.published else "log",
            "percent_is_quoted": point.quoted,
            "source": point.source,
            "file": point.file,
            COLUMN: point.charged or None,
        }


@kind(
    takes={LOG: "logs", POINTS: "points", REPLAY: "replays"},
    options=(
        Option("--cost", "GFLOPS/video by count, or ms/video as replays measured", choices=COSTS),
        Option(
            "--mode NAME",
            "which mode of the replays: online, split or bucketed (default: the only one)",
        ),
        Option(
            "--metric NAME",
            "mAP or top-1 (default: what points say, else mAP where every log has it)",
        ),
        Option("--linear", "a linear cost axis (default: logarithmic)", "log_scale"),
        Option(
            "--anyway",
            "also draw logs of different datasets or splits, and times of different machines",
        ),
        NAMES,
    ),
    log_options=("prices", "bootstrap", "reading", "shares"),
)
def tradeoff(
    logs: Log | Sequence[Log] = (),
    ax: Axes | None = None,
    *,
    points: str | Path | Sequence[str | Path] = (),
    replays: Replays = (),
    cost: Cost = "gflops",
    metric: str | None = None,
    mode: str | None = None,
    log_scale: bool = True,
    anyway: bool = False,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Tradeoff:
    """Draw accuracy against cost, with the Pareto front of all points.

    Points are policy logs with scores and labels, and rows of tables, such as other papers' figures
    (columns approach, percent, gflops_per_video or ms_per_video, and source). With the cost in ms,
    replays give the times of logs, joined by method and dataset.

    Args:
        logs: policy logs' files, or ``Run``s made with scores kept; none where points suffice.
        ax: where to draw; None makes a new figure.
        points: tables of points, such as other papers' figures: drawn hollow.
        replays: for ``cost="ms"``: files or records, joined to logs by method and dataset.
        cost: ``gflops`` (GFLOPS/video = GMACs/video, by count) or ``ms`` (ms/video, measured).
        metric: ``mAP`` or ``top-1``; None takes what points say, else mAP where every log has it.
        mode: of the replays; None where they have only one.
        log_scale: whether the axis of the cost is logarithmic.
        anyway: draw different datasets, splits and machines too.
        names: what to call the logs.
        choices: prices, rule, resamples, seed.

    Returns:
        The axes: accuracy in percent against cost.

    Raises:
        InputError: a file of another kind, a log without accuracy, an unknown metric or mode,
            nothing to draw, or a cost of 0 on a logarithmic axis.
        NotComparableError: different datasets, labels or machines, without ``anyway``.
        DataError: a defect in a file.
    """
    _check_cost(cost, bool(several(replays, Replay)) or mode is not None)
    rows: list[Point] = []
    for path in several(points):
        require_kind(path, (POINTS,))
        rows += read_points(path)
    wanted = metric if metric is not None else next((p.metric for p in rows if p.metric), None)
    given = several(logs, Run, LogCounts, ShareCounts)
    found = priced(given, choices, names=names, keep_scores=True) if given else []
    _check_given(bool(found), rows[0].file if rows else None, wanted)
    named, methods, notes = accuracies_of(
        found, choices or Choices(), wanted, anyway=anyway, cost=cost
    )
    warnings = [remark.of(one.name) for one in found for remark in one.run.warnings]
    warnings += check_metric(rows, named)
    if cost == "gflops":
        costs = counted_costs(found)
    else:
        costs = measured_costs(found, replays, mode=mode, anyway=anyway)
    published, doubts = published_points(rows, cost)
    drawn = [*log_points(found, methods, costs, cost), *published]
    warnings += [*costs.warnings, *doubts]
    if not drawn:
        raise CallerError(
            f": no point has a cost in {UNITS[cost]}", "; ".join(map(str, warnings[:3]))
        )
    _check_scale(drawn, log_scale)
    places = [(point.percent, point.cost) for point in drawn]
    return Tradeoff(
        points=tuple(
            replace(s, on_front=not any(dominates(other, (s.percent, s.cost)) for other in places))
            for s in drawn
        ),
        metric=named,
        cost=cost,
        log_scale=log_scale,
        terms=(*costs.terms, *accuracy_terms(named, methods)),
        notes=tuple(notes),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _check_cost(cost: str, timed: bool) -> None:
    if cost not in COSTS:
        raise InputError(f"there is no cost {cost!r}", f"costs: {', '.join(COSTS)}")
    if cost == "gflops" and timed:
        raise CallerError(
            ": a replay or its mode was given, but costs are GFLOPS",
            "replays hold times: --cost ms draws them",
        )


def _check_given(any_log: bool, points: str | None, metric: str | None) -> None:
    if not any_log and points is None:
        raise CallerError(": neither a policy log nor a table of points was given")
    if not any_log and metric is None:
        raise InputError(
            f"{points} does not say which accuracy its figures are",
            "give it a column 'metric', or say --metric mAP or --metric top-1",
        )


def _published(drawn: Sequence[TradeoffPoint]) -> list[str]:
    """Name the papers behind hollow points."""
    rows = [point for point in drawn if point.published]
    if not rows:
        return []
    by_source = by_key((point.source or "source not stated", point.name) for point in rows)
    said = "; ".join(f"{listed(names)}: {source}" for source, names in by_source.items())
    return [f"Hollow: as published, counted or timed as their papers did. {said}."]


def _check_scale(drawn: Sequence[TradeoffPoint], log_scale: bool) -> None:
    for point in drawn:
        if log_scale and point.cost <= 0:
            raise InputError(
                f"{point.name} ({point.file}) costs 0, which a logarithmic axis cannot show",
                "--linear draws it",
            )
