"""Accuracy against cost, by count, by clock, in frames or in parameters, with the Pareto front.

Points are policy logs (accuracy from their scores, cost from the count or from a replay) and rows
of a table: figures printed in other papers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.estimate.compare import dominates
from flopbench.estimate.methods import RunTime
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.counts import LogCounts, ShareCounts
from flopbench.policy.file_kinds import LOG, POINTS, REPLAY
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs.files import CallerError, require_kind, several
from flopbench.present.figures.inputs.logs import Log, NamedRun, priced, words_of
from flopbench.present.figures.inputs.points import Point, read_points
from flopbench.present.figures.inputs.replays import Replays
from flopbench.present.figures.predicted import Times, timed_costs
from flopbench.present.figures.tradeoff_costs import (
    COLUMNS,
    COSTS,
    Cost,
    LogCosts,
    counted_costs,
    frame_costs,
    parameter_costs,
    unit_of,
)
from flopbench.present.figures.tradeoff_data import Tradeoff
from flopbench.present.figures.tradeoff_points import (
    Accuracies,
    Series,
    TradeoffPoint,
    accuracies_of,
    accuracy_terms,
    check_metric,
    cost_scale,
    difference_text,
    log_points,
    named_points,
    published_points,
    with_own,
    with_series,
    without_source,
)
from flopbench.present.kind import NAMES, Axes, Option, kind
from flopbench.replay.records import Replay
from flopbench.timing.file import TimingFile

LOG_FROM = 4.0
"""Costs this many times apart are drawn on a logarithmic axis; nearer ones on a linear one."""
ELSEWHERE: Mapping[Cost, str] = {
    "gflops": "",
    "ms": "; a log has it by its replay (flopbench replay LOG -o replay.json) or by --times",
    "frames": "; a log has it without that",
    "params": "; a log has it where each of its components is a network with a counted row",
}
"""What has this cost, besides the column of a table."""


@kind(
    takes={LOG: "logs", POINTS: "points", REPLAY: "replays"},
    options=(
        Option(
            "--x",
            "GFLOPS/video by count, ms/video as replays measured or times predict, processed "
            "frames a video, or millions of parameters",
            "cost",
            choices=COSTS,
        ),
        Option("--cost", "the same as --x", choices=COSTS),
        Option(
            "--series NAME=POINT,POINT",
            "join points by a line; each is a file, a name or a pattern of them; repeatable",
            repeat=True,
        ),
        Option(
            "--own NAME",
            "a point or series to draw filled, the others hollow; repeatable (default: logs)",
            repeat=True,
        ),
        Option("--reference NAME", "write next to own points how far they are from this one"),
        Option("--no-front", "leave out the Pareto front", "front"),
        Option(
            "--mode NAME",
            "which mode of the replays: online, split or bucketed (default: the only one)",
        ),
        Option(
            "--times FILE",
            "for --cost ms: saved timings of 'flopbench latency', which predict the ms of logs "
            "without a replay; repeatable",
            repeat=True,
        ),
        Option("--batch N", "take times of this batch (default: 1)", positive=True),
        Option("--dtype TYPE", "take times of this dtype, of several"),
        Option(
            "--metric NAME",
            "mAP or top-1 (default: what points say, else as compare: top-1 where each sample has "
            "one label)",
        ),
        Option(
            "--linear",
            f"a linear axis of the cost (default: where costs are less than {LOG_FROM:g} times "
            "apart)",
            "log_scale",
            const=False,
        ),
        Option("--log", "a logarithmic axis of the cost", "log_scale", const=True),
        Option(
            "--anyway",
            "also draw logs of different datasets or splits, and times of different machines",
        ),
        NAMES,
    ),
    log_options=("prices", "bootstrap", "cluster", "reading", "shares"),
)
def tradeoff(
    logs: Log | Sequence[Log] = (),
    ax: Axes | None = None,
    *,
    points: str | Path | Sequence[str | Path] = (),
    replays: Replays = (),
    cost: Cost = "gflops",
    series: Series = (),
    own: Sequence[str] = (),
    reference: str = "",
    front: bool = True,
    metric: str | None = None,
    mode: str | None = None,
    times: Times = (),
    batch: int | None = None,
    dtype: str | None = None,
    log_scale: bool | None = None,
    anyway: bool = False,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Tradeoff:
    """Draw accuracy against cost, with the Pareto front of all points.

    Points are policy logs with scores and labels, and rows of tables, such as other papers' figures
    (columns approach, percent, series, source and a cost). With the cost in ms, replays give the
    times of logs, joined by method and dataset; or times of their networks predict them.

    Args:
        logs: policy logs' files, or ``Run``s made with scores kept; none where points suffice.
        ax: where to draw; None makes a new figure.
        points: tables of points, such as other papers' figures: hollow beside logs.
        replays: for ``cost="ms"``: files or records, joined to logs by method and dataset.
        cost: ``gflops`` (GFLOPS/video = GMACs/video, by count), ``ms`` (ms/video, measured or
            predicted), ``frames`` (processed frames a video) or ``params`` (millions of
            parameters).
        series: name -> the points of one method, which a line joins; each is a name, a file or a
            pattern of them. Tables may have a column ``series`` instead.
        own: points or series that are filled, the others being hollow; empty for the logs.
        reference: the point that own points are set against; empty for none.
        front: whether the Pareto front is drawn.
        metric: ``mAP`` or ``top-1``; None takes what points say, else as ``compare``.
        mode: of the replays; None where they have only one.
        times: for ``cost="ms"``: timing files or records, which predict what logs without a replay
            take.
        batch: of those times; None for 1.
        dtype: of those times; None where all have one.
        log_scale: whether the axis of the cost is logarithmic; None: where costs are far apart.
        anyway: draw different datasets, splits and machines too.
        names: what to call the logs.
        choices: prices, rule, resamples, seed, clusters.

    Returns:
        The axes: accuracy in percent against cost.

    Raises:
        InputError: a file of another kind, a log without accuracy, an unknown metric, mode or
            point, nothing to draw, or a cost of 0 on a logarithmic axis.
        NotComparableError: different datasets, labels or machines, without ``anyway``.
        DataError: a defect in a file.
    """
    timed = several(times, TimingFile)
    _check_cost(cost, several(replays, Replay) or mode, timed, batch or dtype)
    rows = _rows(points)
    wanted = metric if metric is not None else next((p.metric for p in rows if p.metric), None)
    given = several(logs, Run, LogCounts, ShareCounts)
    found = priced(given, choices, names=names, keep_scores=True) if given else []
    _check_given(bool(found), rows[0].file if rows else None, wanted, bool(timed))
    files = tuple(str(log) for log in given if isinstance(log, (str, Path)))
    choices = replace(choices or Choices(), beside=files)
    predicted: dict[str, RunTime] = {}
    if cost == "ms":
        costs, predicted = timed_costs(
            found, replays, times, choices, mode=mode, batch=batch, dtype=dtype, anyway=anyway
        )
    else:
        costs = BY_COUNT[cost](found)
    accuracies = accuracies_of(
        found, choices, wanted, anyway=anyway, cost=cost, reference=reference, times=predicted
    )
    drawn, warnings = _points(found, rows, accuracies, costs, cost)
    drawn = _with_front(with_own(with_series(drawn, series), own))
    scale = cost_scale(drawn, cost)
    made = [f"Intervals of {scale.prefix}FLOPS: {costs.intervals}."] if costs.intervals else []
    return Tradeoff(
        points=tuple(drawn),
        metric=accuracies.metric,
        cost=cost,
        log_scale=_scale(drawn, log_scale),
        reference=_reference(drawn, reference),
        own_named=bool(own),
        show_front=front,
        terms=(*costs.terms, *made, *accuracy_terms(accuracies)),
        differences=tuple(
            difference_text(one, accuracies.metric, cost, words_of(found), scale)
            for one in accuracies.differences
        ),
        notes=accuracies.notes,
        warnings=tuple(dict.fromkeys([*warnings, *without_source(rows, drawn)])),
        words=words_of(found),
        inverted=accuracies.inverted,
    )


def _rows(points: str | Path | Sequence[str | Path]) -> list[Point]:
    """Read tables of points."""
    rows: list[Point] = []
    for path in several(points):
        require_kind(path, (POINTS,))
        rows += read_points(path)
    return rows


def _points(
    found: Sequence[NamedRun],
    rows: Sequence[Point],
    accuracies: Accuracies,
    costs: LogCosts,
    cost: Cost,
) -> tuple[list[TradeoffPoint], list[Remark]]:
    """Return the points that have this cost, logs first, and warnings; refuse none at all."""
    warnings = [remark.of(one.name) for one in found for remark in one.run.warnings]
    warnings += check_metric(rows, accuracies.metric)
    unit = unit_of(cost, words_of(found))
    published, doubts = published_points(rows, cost, unit)
    drawn = [*log_points(found, accuracies.methods, costs, cost), *published]
    if not drawn:
        said = "; ".join(map(str, costs.warnings[:3]))
        raise CallerError(
            f": no point has {unit}" + (f": {said}" if said else ""),
            f"a table of points has it in a column {COLUMNS[cost]}{ELSEWHERE[cost]}",
        )
    return drawn, [*warnings, *costs.warnings, *doubts]


BY_COUNT: Mapping[str, Callable[[Sequence[NamedRun]], LogCosts]] = {
    "gflops": counted_costs,
    "frames": frame_costs,
    "params": parameter_costs,
}


def _with_front(points: Sequence[TradeoffPoint]) -> list[TradeoffPoint]:
    places = [(point.percent, point.cost) for point in points]
    return [
        replace(p, on_front=not any(dominates(other, (p.percent, p.cost)) for other in places))
        for p in points
    ]


def _reference(points: Sequence[TradeoffPoint], reference: str) -> str:
    """Return the name of the reference; refuse several, and one that costs nothing."""
    if not reference:
        return ""
    found = [points[n] for n in named_points(points, reference, "--reference")]
    if len(found) > 1:
        raise InputError(
            f"--reference: {reference!r} is {len(found)} points",
            f"choose one of {listed([point.name for point in found], 'or')}",
        )
    if found[0].cost <= 0:
        raise InputError(f"--reference: {found[0].name} costs 0, and nothing is a share of that")
    return found[0].name


def _check_cost(cost: Cost, replayed: object, times: object, chosen: object) -> None:
    """Refuse an unknown cost, and times or choices of them that it has no use for."""
    if cost not in COSTS:
        raise InputError(f"there is no cost {cost!r}", f"costs: {', '.join(COSTS)}")
    if cost != "ms" and replayed:
        raise CallerError(
            f": a replay or its mode was given, but costs are {unit_of(cost)}",
            "replays hold times: --x ms draws them",
        )
    if cost != "ms" and times:
        raise CallerError(
            f": times were given, but costs are {unit_of(cost)}", "--cost ms draws them"
        )
    if chosen and not times:
        raise CallerError(": a batch or dtype says which times to take, and none were given")


def _check_given(any_log: bool, points: str | None, metric: str | None, timed: bool) -> None:
    if not any_log and points is None:
        raise CallerError(": neither a policy log nor a table of points was given")
    if not any_log and timed:
        raise CallerError(": times predict what logs take, and no policy log was given")
    if not any_log and metric is None:
        raise InputError(
            f"{points} does not say which accuracy its figures are",
            "give it a column 'metric', or say --metric mAP or --metric top-1",
        )


def _scale(drawn: Sequence[TradeoffPoint], log_scale: bool | None) -> bool:
    """Return whether the axis is logarithmic; one that was asked for must be possible."""
    costs = [point.cost for point in drawn]
    if log_scale and min(costs) <= 0:
        free = min(drawn, key=lambda point: point.cost)
        raise InputError(
            f"{free.name} ({free.file}) costs 0, which a logarithmic axis cannot show",
            "--linear draws it",
        )
    return max(costs) >= LOG_FROM * min(costs) > 0 if log_scale is None else log_scale
