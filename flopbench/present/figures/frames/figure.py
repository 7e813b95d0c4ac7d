"""Film strips: what a policy did with single videos, AR-Net's Figures 2 to 4.

Each row is one video (one view of it, where a log has views): its sampled steps in order, every
processed frame with the pixels that its network saw, every decision to skip as one box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import Words, gflops, number_of
from flopbench.estimate.difficulty import COST
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Choices
from flopbench.policy.counts import LogCounts
from flopbench.policy.file_kinds import LOG
from flopbench.policy.header import Component
from flopbench.policy.plan import Plan, plan_of
from flopbench.present.figures.caption import Caption, FigureTable
from flopbench.present.figures.frames.caption import (
    choice_sentences,
    cost_sentences,
    drawing_sentences,
    picture_sentences,
)
from flopbench.present.figures.frames.choice import (
    levels_of,
    nearest,
    of_videos,
    opened,
    read_records,
    usual_measure,
)
from flopbench.present.figures.frames.media import source_of
from flopbench.present.figures.frames.rows import (
    Decision,
    Film,
    amount,
    film_of,
    largest_side,
    unit_of,
)
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.logs import COLUMN, charged_as, priced, videos_text
from flopbench.present.kind import Axes, Option, kind

MOST_FRAMES = 64
"""Steps that a row shows by default."""


class Frames(Struct, frozen=True, kw_only=True):
    """Rows of frames, from top to bottom.

    Attributes:
        full_px: side of an input that fills its cell, px; None where the log gives no sizes.
        charged: components that are not charged by default; empty for none.
    """

    films: tuple[Film, ...]
    full_px: int | None
    name: str
    charged: str
    sentences: tuple[str, ...]
    warnings: tuple[Remark, ...]

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        unit, shown = unit_of(self.films), []
        for film in self.films:
            group = f" ({film.group})" if film.group else ""
            verdict = {True: ", right", False: ", wrong", None: ""}[film.right]
            looked = f"{film.processed} frames processed in {film.drawn} steps"
            cost = f"{amount(film.gflops_per_video, unit)} {unit.prefix}FLOPS"
            shown.append(f"{film.id}{group}: {looked}, {cost}{verdict}")
        rows = number_of(len(self.films), "row")
        return Caption(
            title=f"Frames as {self.name} saw them",
            sentences=self.sentences,
            alt=f"Film strips in {rows}. {'; '.join(shown)}.",
            warnings=self.warnings,
        )

    @property
    def table(self) -> FigureTable:
        """One row a step and stream."""
        return FigureTable.of(
            {**_table_row(film, stream, number, decision, step), COLUMN: self.charged or None}
            for film in self.films
            for stream, decisions in film.streams.items()
            for number, decision in enumerate(decisions)
            for step in range(decision.start, decision.end)
        )


NO_FRAMES = (
    "no frames were found: all of them are hatched placeholders; --frames PATH says where frames "
    "are"
)


def _table_row(
    film: Film, stream: str, number: int, decision: Decision, step: int
) -> dict[str, object]:
    height, width = decision.size or (None, None)
    picture = decision.pictures[step - decision.start] if decision.pictures else None
    drawn = "no" if picture is None else "placeholder" if picture.pixels is None else "yes"
    return {
        "video": film.id,
        "view": film.view,
        "group": film.group or None,
        "stream": stream or None,
        "step": step,
        "decision": number,
        "action": decision.action or None,
        "kind": decision.kind,
        "input_height_px": height,
        "input_width_px": width,
        "skipped": decision.kind == "skip",
        "frame": (picture.origin or None) if picture else None,
        "drawn": drawn,
        "gflops_per_video": film.gflops_per_video,
        "label": film.label or None,
        "prediction": film.prediction or None,
        "right": film.right,
    }


@kind(
    takes={LOG: "log"},
    options=(
        Option(
            "--frames PATH",
            "where frames are: a folder with ID.npy, ID.mp4 (or .avi, .mkv, .webm, .mov), ID/ "
            "full of images, or the image files that the log names; or a .npz file whose keys are "
            "ids (default: the folder of the log, for the files that it names)",
        ),
        Option(
            "--video ID",
            "draw this video; repeatable (default: some of each level of difficulty)",
            "videos",
            repeat=True,
        ),
        Option(
            "--class NAME",
            "draw videos of this class; repeatable (with --difficulty: of each level of it)",
            "classes",
            repeat=True,
        ),
        Option(
            "--difficulty MEASURE",
            "what makes the levels: margin (of the softmax), cost (circular), correct, or a "
            "column of the log's 'extra' (default: margin where the log has scores, else cost)",
        ),
        Option("--per-group N", "videos of each level or class", positive=True),
        Option(
            "--most-frames N",
            "draw at most the first N steps of a video (default: 64)",
            positive=True,
        ),
    ),
    log_options=("prices", "reading"),
)
def frames(
    log: str | Path | Sequence[str | Path],
    ax: Axes | None = None,
    *,
    frames: str | Path | Mapping[str, Any] | None = None,
    videos: Sequence[str] = (),
    classes: Sequence[str] = (),
    difficulty: str | None = None,
    per_group: int = 1,
    most_frames: int | None = None,
    choices: Choices | None = None,
) -> Frames:
    """Draw what a policy did with single videos (AR-Net's Figures 2 to 4), one a row.

    Every processed frame is drawn at the input size that its action chose, with as many pixels; a
    decision to skip is one box over its steps. Above each row are its level of difficulty, id,
    cost, the median cost of the level, prediction and label. By default it is one video of each
    level of difficulty, the one nearest to the level's median cost.

    Args:
        log: a policy log's file, or a glob of its shards.
        ax: where to draw; None makes a new figure, as high as the rows require.
        frames: a folder with ``ID.npy`` (T, H, W, 3; uint8), ``ID.mp4`` (``.avi``, ``.mkv``,
            ``.webm``, ``.mov``) or ``ID/`` full of images, or with the files that the log names; a
            ``.npz`` file whose keys are ids; or id -> array (T, H, W, 3), or list of arrays
            (H, W, 3) or of Pillow images. Numbers in the log's ``frames`` count from 0; where it
            has none, steps are evenly spaced. None: files that the log names, in its own folder.
        videos: ids to draw; empty for some of each level of difficulty.
        classes: draw videos of these classes; with ``difficulty``, of each level of each.
        difficulty: what makes the levels: ``margin``, ``cost`` (circular), ``correct`` or a column
            of the log's ``extra``; None takes the margin where the log has scores, else the cost.
        per_group: how many videos of each level or class, those nearest to the middle quantiles
            of its costs: one is the video nearest to the median.
        most_frames: how many steps of a video are drawn; None for 64.
        choices: how to read and price.

    Returns:
        The axes, without ticks: their unit is the inch. What is missing is a hatched box.

    Raises:
        InputError: a file of another kind, several logs, a table of shares, an unknown id, class
            or measure, a price that is missing, an id that leads out of the folder, a library that
            is not installed.
        DataError: a defect in a log.
    """
    import numpy as np

    path = _only_file(log)
    if per_group < 1 or (most_frames is not None and most_frames < 1):
        raise InputError("per_group and most_frames: expected 1 or more")
    if videos and classes:
        raise InputError("videos are chosen by id or by class", "leave --video or --class out")
    choices = choices or Choices()
    recorded = opened(path, choices)
    measure = difficulty or (None if classes else usual_measure(recorded))
    # One price list and no intervals: nothing else is drawn.
    terms = replace(choices, by="difficulty", difficulty=measure or COST, alone=True, resamples=1)
    run = priced([path], terms)[0].run
    counts = run.counts
    assert isinstance(counts, LogCounts)
    costs = video_costs(counts, run.prices, run.primary.rule)
    levels = levels_of(counts, costs, measure, classes)
    costs = costs if counts.video is None else costs[counts.video]
    medians = {
        name: gflops(float(np.median(costs[of_videos(own, counts.video)])))
        for name, own in levels.groups.items()
    }
    picks: dict[str, list[int]] = {}
    if not videos:
        groups = levels.groups.items()
        picks = {name: nearest(own, costs, counts.video, per_group) for name, own in groups}
    records = read_records(
        recorded,
        [record for own in picks.values() for record in own],
        videos,
        views=counts.video is not None,
    )
    plan = _priced_plan(counts.plan, run.prices)
    source = source_of(frames, recorded.readers[0].path)
    films = []
    for record, (sample, place) in records.items():
        group = next((k for k, own in levels.groups.items() if (own == record).any()), "")
        group_gflops, own_gflops = medians.get(group), gflops(float(costs[record]))
        found = film_of(sample, place, plan, source, most=most_frames or MOST_FRAMES)
        films.append(
            replace(found, group=group, group_gflops=group_gflops, gflops_per_video=own_gflops)
        )
    unit = unit_of(films)
    known = [remark for remark in run.warnings if remark.kind != "clusters"]
    warnings = [film.warning for film in films if film.warning]
    if not warnings and all(film.missing == film.processed for film in films):
        warnings = [NO_FRAMES]
    return Frames(
        films=tuple(films),
        full_px=largest_side(plan),
        name=run.method,
        charged=charged_as(run),
        sentences=(
            *drawing_sentences(films, plan),
            *picture_sentences(films, source, plan),
            *choice_sentences(
                run, levels, measure, medians, unit, by_hand=bool(videos), per_group=per_group
            ),
            *cost_sentences(run, unit),
        ),
        warnings=tuple(
            dict.fromkeys(
                [*known, *_small(picks, per_group, run.header.words), *map(Remark, warnings)]
            )
        ),
    )


def _only_file(log: object) -> str | Path:
    """Return the path of the one log that is drawn."""
    files = list(log) if isinstance(log, (list, tuple)) else [log]
    if len(files) != 1:
        raise CallerError(
            f" takes one log, not {len(files)}",
            "name the shards of one log by a glob in quotes, such as 'run-*.jsonl'",
        )
    path = files[0]
    if not isinstance(path, (str, Path)):
        raise CallerError(
            f" needs the file of one log: frames are not in {type(path).__name__}",
            "give its path; name the shards of one log by a glob, such as 'run-*.jsonl'",
        )
    return path


def _small(picks: Mapping[str, Sequence[int]], per_group: int, words: Words) -> list[Remark]:
    """Warn of groups with fewer samples than requested."""
    return [
        Remark(f"the group {k!r} has only {many} where {per_group} were requested")
        for k, own in picks.items()
        for many in [videos_text(words, len(own))]
        if len(own) < per_group
    ]


def _priced_plan(plan: Plan, prices: PriceList) -> Plan:
    """Return the plan with the networks that are charged; their inputs may have other sizes."""
    components: dict[str, str | Component] = {k: price.spec for k, price in prices.prices.items()}
    return plan_of(msgspec.structs.replace(plan.header, components=components))
