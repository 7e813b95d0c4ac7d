"""Scores and labels of a counted log as arrays, for accuracies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flopbench.policy.counts import LogCounts, ShareCounts

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block


def score_columns() -> dict[str, Callable[[Block], Any]]:
    """Return the functions that gather the columns which accuracies need."""
    return {
        "scores": lambda block: objects(
            None if row is None else tuple(row) for row in block.columns["scores"]
        ),
        "prediction": lambda block: objects(block.columns["prediction"]),
    }


def objects(values: Iterable[Any]) -> Any:
    """Return (n,) objects, one a value: numpy makes no matrix of values of equal length."""
    import numpy as np

    listed = list(values)
    made: Any = np.empty(len(listed), object)
    made[:] = listed
    return made


def powers(scores: Any) -> tuple[Any, Any]:
    """Return softmax in two parts: its numerators and its denominators.

    Args:
        scores: (n, classes) float64.

    Returns:
        (n, classes) exponentials, 1 at each row's highest score; (n, 1) their sums.
    """
    import numpy as np

    exponentials = scores - scores.max(axis=1, keepdims=True)
    np.exp(exponentials, out=exponentials)
    return exponentials, exponentials.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What accuracies are computed from, of n records.

    Attributes:
        scores: (n, classes) float64; None where some record has none.
        classes: (n,) predicted class indices; None where some record has no prediction.
        codes: every label as a class index, record after record.
        offsets: (n + 1,) where each record's labels begin.
    """

    scores: Any
    classes: Any
    codes: Any
    offsets: Any

    @property
    def first(self) -> Any:
        """(n,) first label of each record."""
        return self.codes[self.offsets[:-1]]

    @property
    def predicted(self) -> Any:
        """What top-1 is computed from: predictions where there are any, else scores."""
        return self.scores if self.classes is None else self.classes

    def labels(self, i: int) -> list[int]:
        """The labels of one record, sorted."""
        return sorted(set(self.codes[self.offsets[i] : self.offsets[i + 1]].tolist()))


class NoAccuracy(Exception):
    """A log from which no accuracy can be computed; its text says why."""


def predictions_of(counts: LogCounts | ShareCounts) -> Predictions:
    """Return the scores, predictions and labels of a counted log.

    Raises:
        NoAccuracy: the log lacks what an accuracy needs.
    """
    import numpy as np

    if isinstance(counts, ShareCounts):
        raise NoAccuracy("a table of shares has no scores")
    if counts.video is not None:
        raise NoAccuracy("several views a video: their scores would have to be merged first")
    lengths = counts.label_lengths.astype(np.int64)
    if not len(lengths) or not lengths.all():
        raise NoAccuracy("some samples have no label" if lengths.any() else "no sample has a label")
    number = {name: i for i, name in enumerate(counts.plan.header.class_names or ())}
    values = _indices(counts.label_values, number)
    if values is None:
        raise NoAccuracy("labels are names, and the header has no class_names to number them")
    rows = counts.columns["scores"]
    widths = {0 if row is None else len(row) for row in rows}
    alike = len(widths) == 1 and 0 not in widths
    scores = np.array(list(rows), np.float64) if alike else None
    classes = _indices(counts.columns["prediction"], number)
    if scores is None and classes is None:
        raise NoAccuracy("not every sample has scores of one length, or a prediction")
    return Predictions(
        scores=scores,
        classes=classes,
        codes=values[counts.label_codes],
        offsets=np.append(0, np.cumsum(lengths)),
    )


def _indices(values: Iterable[Any], number: Mapping[str, int]) -> Any:
    """Return (n,) class indices; None where one is missing or a name without a number."""
    import numpy as np

    found = [number.get(v, v) if isinstance(v, str) else v for v in values]
    return np.array(found, np.int64) if all(isinstance(v, int) for v in found) else None
