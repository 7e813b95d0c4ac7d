"""The decisions of one sample, step by step, as a film strip shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flopbench.policy.blocks import Place, block_of
from flopbench.policy.decisions import decisions
from flopbench.policy.kernel import tally
from flopbench.policy.plan import Plan
from flopbench.policy.samples import Sample, raise_first
from flopbench.present.figures.ratios import action_size

Kind = Literal["run", "reuse", "skip", "exit", "unknown", "unreached"]

PROCESSED = frozenset({"run", "exit", "unknown"})
"""Kinds whose frame is drawn; for ``unknown`` the log does not say whether it was processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision and the steps that it covers.

    Attributes:
        action: its name in the log; empty for ``unknown`` and ``unreached``.
        kind: run, reuse, skip, exit; ``unknown`` for steps of a sample without actions;
            ``unreached`` for those after an exit.
        label: what a figure writes below it.
        size: (height_px, width_px) of the frame as its networks see it; None for kinds that process
            no frame, and where the log does not say.
        start: its first step, counted from 0.
        steps: how many steps it covers.
        cut: whether the end of the video cuts it short.
    """

    action: str
    kind: Kind
    label: str
    size: tuple[int, int] | None
    start: int
    steps: int
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided on one sample.

    Attributes:
        steps: of the sample.
        streams: stream -> its decisions in order; a log without streams has one, ``""``.
        exit: name of the exit in its ``exit`` field; empty for none.
    """

    steps: int
    streams: dict[str, tuple[Decision, ...]]
    exit: str


def decided(sample: Sample, plan: Plan, place: Place) -> Decided:
    """Return what was decided on one sample.

    Args:
        sample: as a reader gave it.
        plan: what its decisions can be.
        place: where it is, for messages.

    Raises:
        DataError: a defect in it.
    """
    block = block_of([sample], plan, place, raise_first)
    total = int(tally(block, plan, raise_first).steps[0])
    labels = action_labels(plan)
    every = decisions(block, plan)
    covered = np.minimum(every.steps, total - every.first_step)  # the end cuts the last one
    cut = (covered < every.span) & (every.first_step + covered == total)
    streams: dict[str, tuple[Decision, ...]] = {}
    for number, stream in enumerate(plan.streams):
        columns = (every.action, every.first_step, covered, cut)
        own = (column[every.sequence == number].tolist() for column in columns)
        found = [
            Decision(
                action=plan.actions[code].name,
                kind=plan.actions[code].kind,
                label=labels[code],
                size=action_size(plan, code),
                start=start,
                steps=steps,
                cut=is_cut,
            )
            for code, start, steps, is_cut in zip(*own, strict=True)
        ]
        end = found[-1].start + found[-1].steps if found else 0
        if end < total and found:
            found.append(_without_action("unreached", end, total - end))
        elif not found:
            found = [_without_action("unknown", step, 1) for step in range(total)]
        streams[stream] = tuple(found)
    taken = -1 if block.exits is None else int(block.exits[0])
    return Decided(steps=total, streams=streams, exit=plan.exits[taken].name if taken >= 0 else "")


def _without_action(kind: Kind, start: int, steps: int) -> Decision:
    label = "not reached" if kind == "unreached" else ""
    return Decision(action="", kind=kind, label=label, size=None, start=start, steps=steps)


def action_labels(plan: Plan) -> list[str]:
    """Return what a figure writes below each action: ``224``, ``skip 4``.

    It is the size of the networks' input where known, with a letter (``224 a``) where several
    actions of a stream share it; else the action's name.
    """
    sizes = [action_size(plan, i) for i in range(len(plan.actions))]
    labels: list[str] = []
    for i, (action, size) in enumerate(zip(plan.actions, sizes, strict=True)):
        if size is None:
            labels.append(action.name)
            continue
        peers = [
            n
            for n, other in enumerate(plan.actions)
            if other.stream == action.stream and sizes[n] == size
        ]
        letter = f" {_letter(peers.index(i))}" if len(peers) > 1 else ""
        labels.append(size_text(size) + letter)
    return labels


def _letter(number: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[number] if number < 26 else str(number + 1)


def size_text(size: tuple[int, int]) -> str:
    """Return ``224``, or ``112×168`` (height × width) where the sides differ."""
    return f"{size[0]}" if size[0] == size[1] else f"{size[0]}×{size[1]}"


def largest_side(plan: Plan) -> int | None:
    """Return the longest side of any action's input, px; None where no size is known."""
    sizes: list[Any] = [action_size(plan, i) for i in range(len(plan.actions))]
    sides = [max(size) for size in sizes if size is not None]
    return max(sides) if sides else None
