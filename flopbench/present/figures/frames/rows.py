"""One row of a film strip: a record of the log, its decisions step by step, and their frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.units import GIGA, Scale, table_scale
from flopbench.policy.blocks import Block, Place, block_of
from flopbench.policy.decisions import decisions
from flopbench.policy.kernel import tally
from flopbench.policy.plan import Plan
from flopbench.policy.samples import Sample, raise_first
from flopbench.present.figures.frames.media import FrameSource, Picture, Size, pictures_of
from flopbench.present.figures.ratios import action_size, costs_size

Kind = Literal["run", "reuse", "skip", "exit", "unknown", "unreached"]

PROCESSED = frozenset({"run", "exit", "unknown"})
"""Kinds whose frame is drawn; for ``unknown`` the log does not say whether it was processed."""


class Decision(Struct, frozen=True, kw_only=True):
    """One decision and the steps that it covers.

    Attributes:
        action: its name in the log; empty for ``unknown`` and ``unreached``.
        kind: that of its action; ``unknown`` for steps of a sample without actions, ``unreached``
            for those after an exit.
        label: what a figure writes below it.
        size: of the frame as its networks see it; None also for kinds that process no frame.
        cut: whether the end of the video cuts it short.
        pictures: the frame of each step, for processed kinds.
    """

    action: str = ""
    kind: Kind
    label: str = ""
    size: Size = None
    start: int
    steps: int
    cut: bool = False
    pictures: tuple[Picture, ...] = ()

    @property
    def end(self) -> int:
        """The step after its last one."""
        return self.start + self.steps


class Film(Struct, frozen=True, kw_only=True):
    """One row: one record of the log. What it does not have is an empty text.

    Attributes:
        group: its level of difficulty, or class.
        group_gflops: median cost of the group's videos; None without a group.
        label: its labels, by name.
        prediction: the predicted class, by name.
        right: whether the prediction is one of the labels; None where one of them is missing.
        gflops_per_video: cost of the video, all of its views.
        drawn: how many of its steps are drawn, from the first one.
        streams: stream -> its decisions up to the last step that is drawn; a log without streams
            has one, ``""``.
        evenly_spaced: whether evenly spaced frames are drawn, for lack of their numbers.
        warning: which frames have no image, and why.
    """

    id: str
    view: int | str | None
    group: str = ""
    group_gflops: float | None = None
    label: str
    prediction: str
    right: bool | None
    exit: str
    gflops_per_video: float = 0.0
    steps: int
    drawn: int
    streams: Mapping[str, tuple[Decision, ...]]
    evenly_spaced: bool
    warning: str

    @property
    def decisions(self) -> list[Decision]:
        """Those of all streams."""
        return [decision for own in self.streams.values() for decision in own]

    @property
    def processed(self) -> int:
        """How many frames are drawn as processed."""
        return sum(len(decision.pictures) for decision in self.decisions)

    @property
    def missing(self) -> int:
        """How many of them have no image."""
        return sum(p.pixels is None for decision in self.decisions for p in decision.pictures)


def film_of(sample: Sample, place: Place, plan: Plan, source: FrameSource, *, most: int) -> Film:
    """Return the row of one record, without group and cost, with at most so many of its steps."""
    block = block_of([sample], plan, place, raise_first)
    steps = int(tally(block, plan, raise_first).steps[0])
    if not steps:
        raise InputError(
            f"{place(0)}: {sample.id!r} has no steps: there is nothing to draw",
            "a film strip needs 'actions', or 'steps' in the header or the sample",
        )
    drawn = min(steps, most)
    streams = _streams(block, plan, steps)
    wanted = [
        (step, decision.size)
        for own in streams.values()
        for decision in own
        if decision.kind in PROCESSED
        for step in range(decision.start, min(decision.end, drawn))
    ]
    pictures, evenly_spaced, warning = pictures_of(sample, steps, wanted, source)

    def shown(decision: Decision) -> Decision:
        """Shorten a decision to the steps that are drawn; add their frames."""
        covered = range(decision.start, min(decision.end, drawn))
        own = [pictures[step, decision.size] for step in covered if decision.kind in PROCESSED]
        return replace(decision, steps=len(covered), pictures=tuple(own))

    label, prediction, right = _judged(sample, plan)
    taken = -1 if block.exits is None else int(block.exits[0])
    return Film(
        id=sample.id,
        view=sample.view,
        label=label,
        prediction=prediction,
        right=right,
        exit=plan.exits[taken].name if taken >= 0 else "",
        steps=steps,
        drawn=drawn,
        streams={k: tuple(shown(d) for d in own if d.start < drawn) for k, own in streams.items()},
        evenly_spaced=evenly_spaced,
        warning=warning,
    )


def _streams(block: Block, plan: Plan, steps: int) -> dict[str, list[Decision]]:
    """Return stream -> its decisions in order, over all steps of the block's only sample."""
    labels = action_labels(plan)
    if not plan.actions:
        return {"": _steps_to_exit(block, plan, steps)}
    every = decisions(block, plan)
    covered = np.minimum(every.steps, steps - every.first_step)  # the end cuts the last one
    cut = (covered < every.span) & (every.first_step + covered == steps)
    streams: dict[str, list[Decision]] = {stream: [] for stream in plan.streams}
    columns = (every.sequence, every.action, every.first_step, covered, cut)
    for number, code, start, own, is_cut in zip(*(c.tolist() for c in columns), strict=True):
        action = plan.actions[code]
        streams[plan.streams[number]].append(
            Decision(
                action=action.name,
                kind=action.kind,
                label=labels[code],
                size=action_size(plan, code),
                start=start,
                steps=own,
                cut=is_cut,
            )
        )
    for found in streams.values():
        if not found:
            found += [Decision(kind="unknown", start=step, steps=1) for step in range(steps)]
        elif (end := found[-1].end) < steps:
            rest = Decision(kind="unreached", label="not reached", start=end, steps=steps - end)
            found.append(rest)
    return streams


def _steps_to_exit(block: Block, plan: Plan, steps: int) -> list[Decision]:
    """Return one decision a step of a log of exits: up to the exit taken, if it says how many."""
    taken = -1 if block.exits is None else int(block.exits[0])
    seen = plan.exits[taken].steps if taken >= 0 else None
    if not seen:
        kind: Kind = "unknown" if seen is None else "unreached"
        return [Decision(kind=kind, start=step, steps=1) for step in range(steps)]
    size = costs_size(plan, plan.exits[taken].costs)
    found = [Decision(kind="run", size=size, start=step, steps=1) for step in range(seen - 1)]
    label = plan.exits[taken].name
    found.append(Decision(kind="exit", label=label, size=size, start=seen - 1, steps=1))
    if seen < steps:
        rest = Decision(kind="unreached", label="not reached", start=seen, steps=steps - seen)
        found.append(rest)
    return found


def _judged(sample: Sample, plan: Plan) -> tuple[str, str, bool | None]:
    """Return labels and prediction by name, and whether the prediction is one of the labels."""
    names = plan.header.class_names or ()

    def name_of(value: int | str) -> str:
        known = isinstance(value, int) and 0 <= value < len(names)
        return names[value] if known else str(value)  # type: ignore[index]

    predicted = sample.prediction
    if predicted is None and sample.scores:
        predicted = max(range(len(sample.scores)), key=sample.scores.__getitem__)
    labels = [name_of(value) for value in sample.labels or ()]
    prediction = "" if predicted is None else name_of(predicted)
    right = prediction in labels if labels and predicted is not None else None
    return ", ".join(labels), prediction, right


def action_labels(plan: Plan) -> list[str]:
    """Return what a figure writes below each action: ``224``, ``skip 4``.

    It is the size of the networks' input where known, with a letter (``224 a``) where several
    actions of a stream share it; else the action's name.
    """
    sizes: list[Any] = [action_size(plan, i) for i in range(len(plan.actions))]
    keys = [(action.stream, size) for action, size in zip(plan.actions, sizes, strict=True)]
    labels: list[str] = []
    for i, (action, size) in enumerate(zip(plan.actions, sizes, strict=True)):
        if size is None:
            labels.append(action.name)
            continue
        text = f"{size[0]}" if size[0] == size[1] else f"{size[0]}×{size[1]}"
        number = keys[:i].count(keys[i])
        letter = chr(ord("a") + number) if number < 26 else str(number + 1)
        labels.append(f"{text} {letter}" if keys.count(keys[i]) > 1 else text)
    return labels


def largest_side(plan: Plan) -> int | None:
    """Return the longest side of any action's input, px; None where no size is known."""
    sizes = [action_size(plan, i) for i in range(len(plan.actions))]
    return max((max(size) for size in sizes if size is not None), default=None)


def unit_of(films: Sequence[Film]) -> Scale:
    """Return the unit of the costs of all rows."""
    return table_scale(max((film.gflops_per_video for film in films), default=0.0) * GIGA)


def amount(gflops: float, unit: Scale) -> str:
    """Print a cost of the figure in its unit."""
    value = gflops * GIGA / unit.divisor
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"
