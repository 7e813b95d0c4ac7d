"""How hard a video is: the measures by which a run's cost can be broken down.

* ``cost``: by the run's own cost, as AR-Net's figures do. Circular: "harder videos cost more" holds
  by construction.
* ``margin``: by the softmax probability of the first class less that of the second; a small margin
  is hard.
* ``correct``: videos that were classified rightly and those that were not.
* any of the log's own columns (``extra``): by thirds of a number, or by the values of a text.

Lives here: those groups. Does not live here: what they cost (``runs``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flopbench.errors import InputError
from flopbench.naming import near_match
from flopbench.policy.counts import LogCounts

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block

COST, MARGIN, CORRECT = "cost", "margin", "correct"
MEASURES = (COST, MARGIN, CORRECT)
LEVELS = ("easy", "medium", "hard")
MOST_VALUES = 50
"""A column of more distinct texts than this is a name, not a level."""


def difficulty_needs(measure: str) -> tuple[dict[str, Callable[[Block], Any]], list[str]]:
    """Return what must be gathered while reading: column makers, and the fields they need."""
    if measure == COST:
        return {}, []
    if measure == MARGIN:
        return {MARGIN: _margins}, ["scores"]
    if measure == CORRECT:
        return {CORRECT: _corrects}, ["scores", "prediction"]
    return {measure: lambda block: _own_column(block, measure)}, ["extra"]


def difficulty_groups(
    counts: LogCounts, measure: str, costs_macs: Any
) -> tuple[dict[str, Any], str]:
    """Sort records into groups.

    Args:
        counts: a counted log with n records.
        measure: see the module's docstring.
        costs_macs: (n,) cost of each record's video.

    Returns:
        Name of the group -> (k,) indices of its records; and what a reader must know.

    Raises:
        InputError: the log lacks what the measure needs.
    """
    import numpy as np

    if measure == COST:
        note = "circular: the groups are made from the cost itself, so harder must cost more"
        return _thirds(costs_macs, LEVELS), note
    values = counts.columns[measure]
    if measure == CORRECT:
        known = {"right": values == 1, "wrong": values == 0}
        groups = {name: np.flatnonzero(mask) for name, mask in known.items()}
        missing = int((values < 0).sum())
        _require(missing < len(values), counts, "predictions or scores, and labels")
        return {k: v for k, v in groups.items() if len(v)}, _left_out(missing)
    if values.dtype == object:
        return _by_value(counts, measure, values)
    known_at = np.flatnonzero(~np.isnan(values))
    if measure == MARGIN:
        _require(len(known_at) > 0, counts, "scores of two classes or more")
        thirds = _thirds(-values[known_at], LEVELS)
        note = "thirds by the softmax margin between the first and the second class"
    else:
        _require(len(known_at) > 0, counts, f"a column {measure!r} in 'extra'")
        thirds = _thirds(values[known_at], ("low", "middle", "high"))
        note = f"thirds by the column {measure!r}"
    left_out = _left_out(len(values) - len(known_at))
    return {k: known_at[v] for k, v in thirds.items()}, "; ".join(filter(None, (note, left_out)))


def _thirds(values: Any, names: tuple[str, ...]) -> dict[str, Any]:
    import numpy as np

    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, len(names))
    return {name: np.sort(part) for name, part in zip(names, parts, strict=True) if len(part)}


def _by_value(counts: LogCounts, measure: str, values: Any) -> tuple[dict[str, Any], str]:
    import numpy as np

    texts = np.array(["" if v is None else str(v) for v in values])
    names = sorted(set(texts.tolist()) - {""})
    _require(bool(names), counts, f"a column {measure!r} in 'extra'")
    if len(names) > MOST_VALUES:
        raise InputError(
            f"{counts.source}: the column {measure!r} has {len(names)} distinct texts",
            f"a column of levels has at most {MOST_VALUES}; a number is cut into thirds",
        )
    groups = {name: np.flatnonzero(texts == name) for name in names}
    return groups, _left_out(int((texts == "").sum()))


def _left_out(missing: int) -> str:
    return f"{missing} records without a value are left out" if missing else ""


def _require(condition: bool, counts: LogCounts, what: str) -> None:
    if not condition:
        raise InputError(
            f"{counts.source} has no {what}: this difficulty cannot be told",
            near_match("", MEASURES, "measures") + ", or a column of 'extra'",
        )


def _margins(block: Block) -> Any:
    import numpy as np

    scores = block.columns["scores"]
    margins = np.full(block.size, np.nan)
    for i, row in enumerate(scores):
        if row is not None and len(row) > 1:
            values = np.asarray(row, np.float64)
            powers = np.exp(values - values.max())
            second, first = np.partition(powers, -2)[-2:]
            margins[i] = (first - second) / powers.sum()
    return margins


def _corrects(block: Block) -> Any:
    import numpy as np

    lengths = block.label_lengths
    ends: Any = np.zeros(block.size, np.int64) if lengths is None else np.cumsum(lengths)
    result: Any = np.full(block.size, -1, np.int8)
    for i in range(block.size):
        labels = list(block.labels[ends[i] - (0 if lengths is None else lengths[i]) : ends[i]])
        predicted = block.columns["prediction"][i]
        scores = block.columns["scores"][i]
        if predicted is None and scores:
            predicted = max(range(len(scores)), key=scores.__getitem__)
        if predicted is not None and labels:
            result[i] = predicted in labels
    return result


def _own_column(block: Block, name: str) -> Any:
    import numpy as np

    values = [(extra or {}).get(name) for extra in block.columns["extra"]]
    if any(isinstance(v, (str, bool)) for v in values):
        return np.array(values, object)
    return np.array([np.nan if v is None else float(v) for v in values])
