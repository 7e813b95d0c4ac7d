"""One run as a line of a comparison: its cost, and its accuracy computed or quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import InputError, near_match
from flopbench.estimate.accuracy import Accuracy, mean_average_precision, top1
from flopbench.estimate.runs import Choices, Run
from flopbench.estimate.scores import Judged

Metric = Literal["mAP", "top-1"]
METRICS: tuple[Metric, ...] = ("mAP", "top-1")
AGREES = 0.051
"""Percentage points that a quoted figure of one decimal may be off by its rounding alone."""

_ALIASES = {"map": "mAP", "top1": "top-1", "top-1": "top-1", "accuracy": "top-1", "acc": "top-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """One line of the comparison.

    Attributes:
        name: the run's method, made unique.
        run: its estimate.
        accuracy: from the log's scores; None where it has none.
        quoted: the figure that the header quotes instead, in percent.
        why_none: why there is no accuracy.
        quotes_other: what the header quotes where the scores give another figure, in percent.
        judged: what the accuracy was made from.
    """

    name: str
    run: Run
    accuracy: Accuracy | None
    quoted: float | None
    why_none: str = ""
    quotes_other: float | None = None
    judged: Judged | None = field(default=None, repr=False)

    @property
    def percent(self) -> float | None:
        """The accuracy that counts, in percent."""
        return self.quoted if self.accuracy is None else self.accuracy.percent


def choose_metric(asked: str | None, runs: Sequence[Run], known: Sequence[Judged | None]) -> Metric:
    """Return the accuracy to compare by.

    Args:
        asked: what the user typed; None takes the first that every run has or quotes.
        runs: the runs.
        known: what each one's accuracy can be made from.

    Raises:
        InputError: there is no such metric.
    """
    if asked is not None:
        found = _ALIASES.get(asked.lower())
        if found not in METRICS:
            raise InputError(f"there is no metric {asked!r}", near_match(asked, METRICS, "metrics"))
        return found
    for metric in METRICS:
        if all(
            _quoted(run, metric) is not None or _can(found, metric)
            for run, found in zip(runs, known, strict=True)
        ):
            return metric
    return METRICS[0]


def _can(found: Judged | None, metric: Metric) -> bool:
    return found is not None and (metric == "top-1" or found.scores is not None)


def _quoted(run: Run, metric: Metric) -> float | None:
    for name, value in (run.header.metrics or {}).items():
        if _ALIASES.get(name.lower()) == metric and isinstance(value, (int, float)):
            return float(value)
    return None


def approach_of(
    name: str, run: Run, found: Judged | None, why: str, metric: Metric, choices: Choices
) -> Approach:
    """Return one line of the comparison; ``why`` says why ``found`` is None."""
    quoted = _quoted(run, metric)
    accuracy = None
    if found is not None and _can(found, metric):
        accuracy = _accuracy(found, metric, choices)
    elif found is not None:
        why = f"{metric} needs scores"
    other = None
    if accuracy is not None and quoted is not None and abs(accuracy.percent - quoted) > AGREES:
        other = quoted
    return Approach(
        name=name,
        run=run,
        accuracy=accuracy,
        quoted=None if accuracy is not None else quoted,
        why_none="" if accuracy is not None or quoted is not None else why,
        quotes_other=other,
        judged=found,
    )


def _accuracy(found: Judged, metric: Metric, choices: Choices) -> Accuracy:
    if metric == "mAP":
        return mean_average_precision(
            found.scores,
            found.codes,
            found.offsets,
            resamples=min(choices.resamples, MAP_RESAMPLES),
            seed=choices.seed,
        )
    return top1(predicted(found), found.first, resamples=choices.resamples, seed=choices.seed)


def predicted(found: Judged) -> Any:
    """Return what top-1 is made from: predictions where there are some, else scores."""
    return found.scores if found.predictions is None else found.predictions
