"""Checks the fields that counting does not need: scores, predictions, frames, times."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flopbench.core.errors import DataError, near_match
from flopbench.policy.blocks import Block, Place
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample


def check_samples(samples: Sequence[Sample], plan: Plan, place: Place, report: OnDefect) -> None:
    """Report defects in the fields that counting does not use."""
    names = plan.header.class_names
    for i, sample in enumerate(samples):
        for field, text, hint in _defects(sample, plan, names):
            report(DataError(f"{place(i)}: {field}: {text}", hint))


def check_scores(block: Block, report: OnDefect) -> None:
    """Report scores that are not finite, where a block carries scores."""
    for i, scores in enumerate(block.columns.get("scores", ())):
        for field, text, hint in _score_defects(scores or ()):
            report(DataError(f"{block.place(i)}: {field}: {text}", hint))


def _score_defects(scores: Sequence[float]) -> list[tuple[str, str, str]]:
    if all(map(math.isfinite, scores)):
        return []
    bad = next(n for n, value in enumerate(scores) if not math.isfinite(value))
    return [(f"scores[{bad}]", f"is {scores[bad]}, not a finite number", "")]


def _defects(sample: Sample, plan: Plan, names: list[str] | None) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if not sample.id:
        found.append(("id", "is empty", ""))
    scores = sample.scores
    if scores is not None:
        if names is not None and len(scores) != len(names):
            text = f"{len(scores)} numbers where {len(names)} classes are named"
            found.append(("scores", text, ""))
        found += _score_defects(scores)
    if sample.latency_ms is not None and not 0 <= sample.latency_ms < math.inf:
        found.append(("latency_ms", f"is {sample.latency_ms} where a time was expected", ""))
    for name, value in (sample.extra or {}).items():
        if isinstance(value, float) and not math.isfinite(value):
            found.append((f"extra.{name}", f"is {value}, not a finite number", ""))
    if names is not None and sample.prediction is not None:
        prediction = sample.prediction
        if isinstance(prediction, int) and not 0 <= prediction < len(names):
            found.append(("prediction", f"is {prediction} of {len(names)} classes", ""))
        if isinstance(prediction, str) and prediction not in names:
            hint = near_match(prediction, names, "classes")
            found.append(("prediction", f"is {prediction!r}, which is not in 'class_names'", hint))
    if sample.frames is not None and isinstance(sample.actions, list) and plan.per_step:
        steps = len(sample.actions)
        if len(sample.frames) != steps:
            found.append(("frames", f"{len(sample.frames)} entries for {steps} actions", ""))
    return found
