"""Figures for papers, from files or records; nothing is measured here.

Every kind is a function that takes what it draws and ``ax``, and returns the axes. Without ``ax``
it draws on a new figure in the style of ``paper``; matplotlib is imported on the first call, and
its settings are restored afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flopbench.estimate.runs import Choices
    from flopbench.present.draw.style import Style
    from flopbench.present.figures.class_choice import Sort
    from flopbench.present.figures.classes import Which
    from flopbench.present.figures.fits import FitKind
    from flopbench.present.figures.inputs.logs import Log
    from flopbench.present.figures.inputs.profiles import Profiles
    from flopbench.present.figures.inputs.replays import Replays
    from flopbench.present.figures.inputs.timings import Timings
    from flopbench.present.figures.shares import Of
    from flopbench.present.figures.tradeoff_points import Cost


@contextmanager
def paper(width: str | float = "column", **options: Any) -> Iterator[Style]:
    """Draw and save in the style of a paper; see ``style.paper_style`` for the options.

    Args:
        width: ``column``, ``page``, or inches.
        **options: ``venue``, ``font``, ``text_pt``.

    Raises:
        InputError: an unknown venue, width or font.
    """
    from flopbench.present.draw.style import paper_style

    with paper_style(width, **options) as style:
        yield style


def save(target: Axes | Figure, path: str | Path) -> tuple[str, ...]:
    """Write a figure as PDF, SVG or PNG: the same figure gives the same bytes.

    Args:
        target: axes that a function of this module returned, or their figure.
        path: its suffix selects the format.

    Returns:
        Warnings: letters that no installed font has.

    Raises:
        InputError: an unknown suffix, or a path that cannot be written.
    """
    from flopbench.present.draw.drawing import save_figure

    return save_figure(target, path)


def usage(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    of: Of = "frames",
    group_below: float | None = None,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Axes:
    """Draw how often each action was chosen (AR-Net's Figure 1a).

    Args:
        log: a policy log's file, a ``Run`` or counts; or several, side by side.
        ax: where to draw; None makes a new figure.
        of: what the shares are shares of: ``frames`` or ``decisions``.
        group_below: draw actions whose share is below this in every run together.
        names: what to call the runs.
        choices: how to read and count.

    Returns:
        The axes: lengths of bars in percent.

    Raises:
        InputError: a file of another kind, a log without actions, or more than eight runs.
        DataError: a defect in a log.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.usage import usage_drawing
    from flopbench.present.figures.usage import usage_of

    found = usage_of(log, choices, of=of, group_below=group_below, names=names)
    return on_axes(usage_drawing(found), ax)


def classes(
    log: Log,
    ax: Axes | None = None,
    *,
    classes: int | Sequence[str] | None = None,
    high: str | None = None,
    among: Sequence[str] = (),
    sort: Sort | None = None,
    ratio: Which = "both",
    name: str = "",
    choices: Choices | None = None,
) -> Axes:
    """Draw how much resolution each class gets, with 95 % intervals (AR-Net's Figures 1b and 1c).

    Args:
        log: a policy log's file with labels, a ``Run`` or counts.
        ax: where to draw; None makes a new figure.
        classes: how many, evenly spaced in the sorted order, or which; None draws all, beyond 40
            that many evenly spaced ones.
        high: the action at the highest resolution; None takes the one with the largest input.
        among: actions that run their own network; empty means all with a cost.
        sort: by ``high``, ``usage`` or ``n``, largest first, or by ``name``; None takes the first
            ratio that is drawn.
        ratio: ``high`` (relative high-resolution usage), ``usage`` (resolution usage) or ``both``.
        name: what to call the run.
        choices: how to read; resamples and seed of the intervals.

    Returns:
        The axes: dots in percent, the first class on top.

    Raises:
        InputError: a file of another kind, no labels, an unknown class or action, or a highest
            resolution that the log does not single out.
        DataError: a defect in the log.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.classes import classes_drawing
    from flopbench.present.figures.classes import classes_of

    found = classes_of(
        log,
        choices,
        classes=classes,
        high=high,
        among=among,
        sort=sort,
        ratio=ratio,
        name=name,
    )
    return on_axes(classes_drawing(found), ax)


def frames(
    log: str | Path,
    ax: Axes | None = None,
    *,
    frames: str | Path | Mapping[str, Any] | None = None,
    videos: Sequence[str] = (),
    difficulty: str | None = None,
    per_group: int = 1,
    most_frames: int | None = None,
    choices: Choices | None = None,
) -> Axes:
    """Draw what a policy did with single videos (AR-Net's Figures 2 to 4), one a row.

    Every processed frame is drawn at the input size that its action chose, with as many pixels; a
    decision to skip is one box over its steps. Above each row are its level of difficulty, id,
    cost, prediction and label. The axes have no ticks: their unit is the inch.

    Args:
        log: a policy log's file, or a glob of its shards.
        ax: where to draw; None makes a new figure, as high as the rows require.
        frames: a folder with ``ID.npy`` (T, H, W, 3; uint8), ``ID.mp4`` (``.avi``, ``.mkv``,
            ``.webm``, ``.mov``) or ``ID/`` full of images, or with the files that the log names; a
            ``.npz`` file whose keys are ids; or id -> array (T, H, W, 3), or list of arrays
            (H, W, 3) or of Pillow images. Numbers in the log's ``frames`` count from 0; where it
            has none, steps are evenly spaced. None: files that the log names, in its own folder.
        videos: ids to draw; empty for some of each level of difficulty.
        difficulty: what makes the levels: ``margin``, ``cost`` (circular), ``correct`` or a column
            of the log's ``extra``; None takes the margin where the log has scores, else the cost.
        per_group: how many videos of each level, those nearest to the middle quantiles of its
            costs: one is the video nearest to the median.
        most_frames: how many steps of a video are drawn; None for 64.
        choices: how to read and price.

    Returns:
        The axes. What is missing is drawn as a hatched box.

    Raises:
        InputError: a file of another kind, a table of shares, an unknown id or measure, a price
            that is missing, an id that leads out of the folder, a library that is not installed.
        DataError: a defect in a log.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.frames import frames_drawing
    from flopbench.present.figures.frames.figure import frames_of

    found = frames_of(
        log,
        choices,
        frames=frames,
        videos=videos,
        difficulty=difficulty,
        per_group=per_group,
        most_frames=most_frames,
    )
    return on_axes(frames_drawing(found), ax)


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
) -> Axes:
    """Draw accuracy against cost, with the Pareto front of all points.

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
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.tradeoff import tradeoff_drawing
    from flopbench.present.figures.tradeoff import tradeoff_of

    found = tradeoff_of(
        logs,
        choices,
        points=points,
        replays=replays,
        cost=cost,
        metric=metric,
        mode=mode,
        log_scale=log_scale,
        anyway=anyway,
        names=names,
    )
    return on_axes(tradeoff_drawing(found), ax)


def cost(
    log: Log | Sequence[Log],
    ax: Axes | None = None,
    *,
    cumulative: bool = False,
    names: Sequence[str] = (),
    choices: Choices | None = None,
) -> Axes:
    """Draw how the cost of a video is distributed: GFLOPS a video (= GMACs), one run or several.

    Args:
        log: a policy log's file or a ``Run``; or several.
        ax: where to draw; None makes a new figure.
        cumulative: draw the cumulative distribution instead of a histogram.
        names: what to call the runs.
        choices: prices, rule, reading; what has no price in its table comes from the cache.

    Returns:
        The axes: shares of videos in percent over GFLOPS a video.

    Raises:
        InputError: a file of another kind, a table of shares, a price that is not known, or runs
            under different counters or rules.
        DataError: a defect in a log.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.cost import cost_drawing
    from flopbench.present.figures.cost import cost_of

    return on_axes(cost_drawing(cost_of(log, choices, cumulative=cumulative, names=names)), ax)


def waterfall(
    replay: Replays,
    ax: Axes | None = None,
    *,
    modes: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Axes:
    """Draw the steps from the theoretical speed-up to the measured one.

    Args:
        replay: a replay's file or record, or several, one below the other.
        ax: where to draw; None makes a new figure.
        modes: which modes, in this order; none means all.
        names: what to call the replays.

    Returns:
        The axes: bars in ms/video.

    Raises:
        InputError: a file of another kind, no replay, or a mode that none has.
        DataError: a damaged file.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.waterfall import waterfall_drawing
    from flopbench.present.figures.waterfall import waterfall_of

    return on_axes(waterfall_drawing(waterfall_of(replay, modes=modes, names=names)), ax)


def roofline(
    timings: Timings | Sequence[Timings],
    ax: Axes | None = None,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    batches: Sequence[int] = (),
) -> Axes:
    """Draw what timed models achieved under the measured roofs of their devices.

    Args:
        timings: a file of ``flopbench latency``, a ``TimingFile``, or several.
        ax: where to draw; None makes a new figure.
        devices: ``cpu``, ``cuda``, ``mps`` or part of a machine's name; empty takes all.
        dtypes: number formats; empty takes all.
        batches: samples a call; empty takes all.

    Returns:
        The axes, both logarithmic: FLOP/byte, GFLOP/s (two FLOPs a multiply-accumulate).

    Raises:
        InputError: a file of another kind, a choice that no row meets, no row with roofs and MACs.
        DataError: a damaged file.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.roofline import roofline_drawing
    from flopbench.present.figures.roofline import roofline_of

    found = roofline_of(timings, devices=devices, dtypes=dtypes, batches=batches)
    return on_axes(roofline_drawing(found), ax)


def theory(
    timings: Timings | Sequence[Timings],
    ax: Axes | None = None,
    *,
    fit: FitKind = "proportional",
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    batches: Sequence[int] = (),
) -> Axes:
    """Draw dense MACs against measured time, the fitted line, each model's residual.

    Args:
        timings: a file of ``flopbench latency``, a ``TimingFile``, or several.
        ax: where to draw; None makes a new figure.
        fit: ``proportional`` (time = c · MACs) or ``affine`` (time = a + c · MACs); devices,
            threads, formats, batches and options are fitted separately.
        devices: ``cpu``, ``cuda``, ``mps`` or part of a machine's name; empty takes all.
        dtypes: number formats; empty takes all.
        batches: samples a call; empty takes all.

    Returns:
        The axes, both logarithmic: GMACs, milliseconds a call.

    Raises:
        InputError: a file of another kind, an unknown fit, a choice that no row meets, no row with
            a time and MACs, or more groups than can be distinguished.
        DataError: a damaged file.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.theory import theory_drawing
    from flopbench.present.figures.theory import theory_of

    found = theory_of(timings, fit=fit, devices=devices, dtypes=dtypes, batches=batches)
    return on_axes(theory_drawing(found), ax)


def layers(
    profiles: Profiles,
    ax: Axes | None = None,
    *,
    depth: int | None = None,
    top: int | None = None,
    counter: str | None = None,
) -> Axes:
    """Draw where a model's MACs are: its modules in order, split by operator family.

    Args:
        profiles: a file of ``flopbench explain -o``, or an ``Explanation``.
        ax: where to draw; None makes a new figure.
        depth: levels of the module tree; None takes the first with 5 to 20 bars.
        top: how many of the largest modules to draw individually; None draws all.
        counter: whose breakdown; None takes the reference counter's.

    Returns:
        The axes: dense MACs a sample in the unit that their label names.

    Raises:
        InputError: a file of another kind, an unknown counter, an invalid depth or top, or a
            model without dense MACs.
        DataError: a damaged file.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.layers import layers_drawing
    from flopbench.present.figures.layers import layers_of

    found = layers_of(profiles, depth=depth, top=top, counter=counter)
    return on_axes(layers_drawing(found), ax)


def counters(profiles: Profiles | Sequence[Profiles], ax: Axes | None = None) -> Axes:
    """Draw one model, or several, under each counter, stacked by operator family.

    Args:
        profiles: a file of ``flopbench explain -o``, an ``Explanation``, or several models.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes: each counter's total a sample under its own rules; of several models in percent
        of each one's dense MACs.

    Raises:
        InputError: a file of another kind.
        DataError: a damaged file.
    """
    from flopbench.present.draw.drawing import on_axes
    from flopbench.present.draw.kinds.counters import counters_drawing
    from flopbench.present.figures.counters import counters_of

    return on_axes(counters_drawing(counters_of(profiles)), ax)
