"""Scores and labels of a counted log as arrays, for accuracies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flopbench.policy.counts import LogCounts, ShareCounts

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block


def score_columns() -> dict[str, Callable[[Block], Any]]:
    """Return the functions that gather the columns which accuracies need."""
    return {"scores": _scores, "prediction": _predictions}


def _scores(block: Block) -> Any:
    import numpy as np

    rows: Any = np.empty(block.size, object)
    rows[:] = [None if row is None else tuple(row) for row in block.columns["scores"]]
    return rows


def _predictions(block: Block) -> Any:
    import numpy as np

    values: Any = np.empty(block.size, object)
    values[:] = block.columns["prediction"]
    return values


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
        first: (n,) first label of each record.
    """

    scores: Any
    classes: Any
    codes: Any
    offsets: Any
    first: Any


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
    number = {name: i for i, name in enumerate(counts.plan.header.class_names or ())}
    lengths = counts.label_lengths.astype(np.int64)
    codes = _label_codes(counts, lengths, number)
    offsets: Any = np.append(0, np.cumsum(lengths))
    scores = _matrix(counts.columns["scores"])
    classes = _indices(counts.columns["prediction"], number)
    if scores is None and classes is None:
        raise NoAccuracy("not every sample has scores of one length, or a prediction")
    return Predictions(
        scores=scores,
        classes=classes,
        codes=codes,
        offsets=offsets,
        first=codes[offsets[:-1]],
    )


def _label_codes(counts: LogCounts, lengths: Any, number: Mapping[str, int]) -> Any:
    """Return every label as a class index, record after record."""
    import numpy as np

    if not len(lengths) or not lengths.all():
        raise NoAccuracy("some samples have no label" if lengths.any() else "no sample has a label")
    values = [number.get(v, v) if isinstance(v, str) else v for v in counts.label_values]
    if not all(isinstance(v, int) for v in values):
        raise NoAccuracy("labels are names, and the header has no class_names to number them")
    return np.array(values, np.int64)[counts.label_codes]


def _matrix(rows: Any) -> Any:
    """Return (n, classes) float64 scores; None unless all records have equally many."""
    import numpy as np

    widths = {0 if row is None else len(row) for row in rows}
    return np.array(list(rows), np.float64) if len(widths) == 1 and 0 not in widths else None


def _indices(predictions: Any, number: Mapping[str, int]) -> Any:
    """Return (n,) class indices; None where some record has none."""
    import numpy as np

    found = [number.get(p, p) if isinstance(p, str) else p for p in predictions]
    return np.array(found, np.int64) if all(isinstance(p, int) for p in found) else None
