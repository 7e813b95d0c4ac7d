"""One row of a film strip: a record of the log, its decisions and its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flopbench.core.errors import InputError
from flopbench.policy.plan import Plan
from flopbench.policy.samples import Sample
from flopbench.present.figures.frames.choice import ChosenRecord
from flopbench.present.figures.frames.images import (
    FrameImage,
    FrameImages,
    FrameSource,
    How,
    frame_images_of,
)
from flopbench.present.figures.frames.steps import PROCESSED, Decided, Decision, decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The decisions of one stream of a video.

    Attributes:
        stream: its name; empty where the log has one stream.
        decisions: in order, up to the last step that is drawn.
        pictures: step -> frame, for processed steps.
    """

    stream: str
    decisions: tuple[Decision, ...]
    pictures: Mapping[int, FrameImage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One row: one record of the log.

    Attributes:
        id: of the video.
        view: which view of it; None where the log has no views.
        group: its level of difficulty; empty for none.
        label: its labels, by name; empty where the log has none.
        prediction: the predicted class, by name; empty where the log has none.
        right: whether the prediction is one of the labels; None where one of them is missing.
        exit: name of the exit taken; empty for none.
        gflops_per_video: cost of the video, all of its views.
        steps: how many the record has.
        drawn: how many of them are drawn, from the first one.
        strips: one a stream.
    """

    id: str
    view: int | str | None
    group: str
    label: str
    prediction: str
    right: bool | None
    exit: str
    gflops_per_video: float
    steps: int
    drawn: int
    strips: tuple[Strip, ...]

    @property
    def missing(self) -> int:
        """How many processed frames have no image."""
        return sum(p.pixels is None for strip in self.strips for p in strip.pictures.values())

    @property
    def processed(self) -> int:
        """How many frames are drawn as processed."""
        return sum(len(strip.pictures) for strip in self.strips)


def film_of(
    chosen: ChosenRecord, plan: Plan, source: FrameSource, most: int
) -> tuple[Film, How, list[str]]:
    """Return the row of one record, how its steps were matched with frames, and warnings.

    Args:
        chosen: the record.
        plan: what its decisions can be.
        source: where frames come from.
        most: the most steps to draw.

    Raises:
        InputError: a record without steps; as ``pictures_of``.
        DataError: a defect in the record.
    """
    sample = chosen.sample
    found = decided(sample, plan, chosen.place)
    if not found.steps:
        raise InputError(
            f"{chosen.place(0)}: {sample.id!r} has no steps: there is nothing to draw",
            "a film strip needs 'actions', or 'steps' in the header or the sample",
        )
    drawn = min(found.steps, most)
    strips, pictures = _strips(sample, found, drawn, source)
    label, prediction, right = _judged(sample, plan)
    film = Film(
        id=sample.id,
        view=sample.view,
        group=chosen.group,
        label=label,
        prediction=prediction,
        right=right,
        exit=found.exit,
        gflops_per_video=chosen.gflops_per_video,
        steps=found.steps,
        drawn=drawn,
        strips=strips,
    )
    return film, pictures.how, list(pictures.warnings)


def _strips(
    sample: Sample, found: Decided, drawn: int, source: FrameSource
) -> tuple[tuple[Strip, ...], FrameImages]:
    """Return the streams with their processed frames, up to the last step that is drawn."""
    streams = {name: _first(own, drawn) for name, own in found.streams.items()}
    seen = {
        (name, step): decision.size
        for name, own in streams.items()
        for decision in own
        if decision.kind in PROCESSED
        for step in range(decision.start, decision.start + decision.steps)
    }
    wanted = [(step, size) for (_, step), size in seen.items()]
    pictures = frame_images_of(sample.id, sample.frames, found.steps, wanted, source)
    strips = tuple(
        Strip(
            stream=name,
            decisions=own,
            pictures={s: pictures.at[s, size] for (n, s), size in seen.items() if n == name},
        )
        for name, own in streams.items()
    )
    return strips, pictures


def _first(decisions: Sequence[Decision], most: int) -> tuple[Decision, ...]:
    """Return the decisions of the first steps, the last one shortened."""
    return tuple(
        replace(d, steps=min(d.steps, most - d.start)) for d in decisions if d.start < most
    )


def _judged(sample: Sample, plan: Plan) -> tuple[str, str, bool | None]:
    """Return labels and prediction by name, and whether the prediction is one of the labels."""
    names = plan.header.class_names

    def name_of(value: int | str) -> str:
        known = names is not None and isinstance(value, int) and 0 <= value < len(names)
        return names[value] if known and names is not None else str(value)  # type: ignore[index]

    predicted = sample.prediction
    if predicted is None and sample.scores:
        predicted = max(range(len(sample.scores)), key=sample.scores.__getitem__)
    labels = [name_of(value) for value in sample.labels or ()]
    prediction = "" if predicted is None else name_of(predicted)
    right = prediction in labels if labels and predicted is not None else None
    return ", ".join(labels), prediction, right
