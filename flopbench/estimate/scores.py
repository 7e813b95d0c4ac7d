"""Scores and labels of a counted log as arrays, for accuracies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flopbench.policy.counts import LogCounts, ShareCounts

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block


def score_columns() -> dict[str, Callable[[Block], Any]]:
    """Return the makers of the columns that accuracies need."""
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
    """Return softmax in two parts: what is in proportion to it, and by what to divide that.

    Args:
        scores: (n, classes) float64.

    Returns:
        (n, classes) exponentials, 1 at each row's highest score, and (n, 1) their sums.
    """
    import numpy as np

    exponentials = scores - scores.max(axis=1, keepdims=True)
    np.exp(exponentials, out=exponentials)
    return exponentials, exponentials.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What accuracies are made from; n records.

    Attributes:
        scores: (n, classes) float64, None where some record has none.
        predictions: (n,) class indices, None where some record has neither.
        codes: every label as a class index, record after record.
        offsets: (n + 1,) where each record's labels begin.
        first: (n,) first label of each record.
    """

    scores: Any
    predictions: Any
    codes: Any
    offsets: Any
    first: Any


def judged(counts: LogCounts | ShareCounts) -> tuple[Judged | None, str]:
    """Return what accuracies are made from, or None and why there are none."""
    import numpy as np

    if isinstance(counts, ShareCounts):
        return None, "a table of shares has no scores"
    if counts.video is not None:
        return None, "several views a video: their scores would have to be merged first"
    lengths = counts.label_lengths.astype(np.int64)
    if not len(lengths) or not lengths.all():
        return None, "some samples have no label" if lengths.any() else "no sample has a label"
    names = counts.plan.header.class_names
    values = list(counts.label_values)
    known = {name: i for i, name in enumerate(names or [])}
    if any(not isinstance(v, int) and v not in known for v in values):
        return None, "labels are names, and the header has no class_names to number them"
    index = np.array([v if isinstance(v, int) else known[v] for v in values], np.int64)
    codes = index[counts.label_codes]
    offsets: Any = np.append(0, np.cumsum(lengths))
    rows = counts.columns["scores"]
    scores = None
    widths = {None if row is None else len(row) for row in rows}
    if len(widths) == 1 and None not in widths and min(w for w in widths if w is not None) > 0:
        scores = np.array(list(rows), np.float64)
    predicted = [known.get(p, p) if isinstance(p, str) else p for p in counts.columns["prediction"]]
    predictions = None
    if all(isinstance(p, int) for p in predicted):
        predictions = np.array(predicted, np.int64)
    if scores is None and predictions is None:
        return None, "not every sample has scores of one length, or a prediction"
    return (
        Judged(
            scores=scores,
            predictions=predictions,
            codes=codes,
            offsets=offsets,
            first=codes[offsets[:-1]],
        ),
        "",
    )
