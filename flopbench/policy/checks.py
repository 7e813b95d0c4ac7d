"""Checks the fields that counting does not need: scores, predictions, frames, times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from flopbench.core.errors import near_match
from flopbench.policy.blocks import Block, Place, says
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample


def check_samples(samples: Sequence[Sample], plan: Plan, place: Place, report: OnDefect) -> None:
    """Report defects in the fields that counting does not use."""
    say = says(place, report)
    classes = frozenset(plan.header.class_names or ())
    for i, sample in enumerate(samples):
        for defect in _defects(sample, plan, classes):
            say(i, *defect)


def check_scores(block: Block, report: OnDefect) -> None:
    """Report scores that are not finite, where a block carries scores."""
    say, rows = says(block.place, report), block.columns.get("scores", ())
    if isinstance(rows, np.ndarray) and np.isfinite(rows).all():
        return
    for i, scores in enumerate(rows):
        for text in _score_defects(() if scores is None else scores):
            say(i, text)


def _score_defects(scores: Sequence[float]) -> list[str]:
    if all(map(math.isfinite, scores)):
        return []
    bad = next(n for n, value in enumerate(scores) if not math.isfinite(value))
    return [f"scores[{bad}]: is {scores[bad]}, not a finite number"]


def _defects(sample: Sample, plan: Plan, classes: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Yield the text of each defect, with a hint where there is one."""
    names = plan.header.class_names
    if not sample.id:
        yield ("id: is empty",)
    scores, prediction = sample.scores, sample.prediction
    if scores is not None:
        if names is not None and len(scores) != len(names):
            yield (f"scores: {len(scores)} numbers where {len(names)} classes are named",)
        yield from ((text,) for text in _score_defects(scores))
    if sample.latency_ms is not None and not 0 <= sample.latency_ms < math.inf:
        yield (f"latency_ms: is {sample.latency_ms} where a time was expected",)
    for name, value in (sample.extra or {}).items():
        if isinstance(value, float) and not math.isfinite(value):
            yield (f"extra.{name}: is {value}, not a finite number",)
    if names is not None and isinstance(prediction, int) and not 0 <= prediction < len(names):
        yield (f"prediction: is {prediction} of {len(names)} classes",)
    if names is not None and isinstance(prediction, str) and prediction not in classes:
        text = f"prediction: is {prediction!r}, which is not in 'class_names'"
        yield text, near_match(prediction, names, "classes")
    frames, actions = sample.frames, sample.actions
    if frames is None or not isinstance(actions, list) or not plan.per_step:
        return
    if len(frames) != len(actions):
        yield (f"frames: {len(frames)} entries for {len(actions)} actions",)
