"""Cells of a CSV log: the columns, and how values become text and back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flopbench.policy.samples import Sample

OWN_COLUMNS = (
    "id",
    "view",
    "labels",
    "prediction",
    "scores",
    "exit",
    "counts",
    "steps",
    "frames",
    "latency_ms",
    "extra",
)
"""Columns of the sample."""
LINE_COLUMNS = ("stream", "step", "action", "span")
"""Columns of the single decision."""
COLUMNS = (*OWN_COLUMNS, *LINE_COLUMNS)
EMPTY = "[]"
"""An empty list of decisions or spans; an empty cell means that there is none."""

INTEGER = re.compile(r"-?[0-9]{1,4300}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def scalar(cell: str) -> int | str:
    """Read a cell: a whole number is a number, anything else is text."""
    return int(cell) if INTEGER.fullmatch(cell) else cell


def number(cell: str) -> int | float | str:
    """Read a cell of a user-defined column: a finite number, or text."""
    value = scalar(cell)
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    return value


def lines_of(sample: Sample, action_names: Callable[[int, str], str]) -> Iterator[list[str]]:
    """Yield the CSV lines of a sample whose decisions are ids, in the order of ``COLUMNS``.

    Args:
        sample: see ``columns.coded``.
        action_names: (id, stream) -> text of the cell.
    """
    own = [_cell(name, getattr(sample, name)) for name in OWN_COLUMNS]
    parts: Any = (sample.actions, sample.spans)
    if not any(isinstance(part, dict) for part in parts):
        parts = [None if part is None else {"": part} for part in parts]
    actions_of, spans_of = (part or {} for part in parts)
    for stream in dict.fromkeys([*actions_of, *spans_of]) or [""]:
        actions, spans = actions_of.get(stream), spans_of.get(stream)
        none = ("", *("" if part is None else EMPTY for part in (actions, spans)))
        cells: list[tuple[str, ...]] = [
            (str(step), action_names(action, stream), "" if spans is None else str(spans[step]))
            for step, action in enumerate(actions or ())
        ]
        for line in cells or [none]:
            yield [*own, stream, *line]
            own = [sample.id, own[1], *[""] * (len(own) - 2)]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in {"scores", "counts", "frames", "extra"}:
        return json.dumps(value, ensure_ascii=False)
    if name == "labels":
        return _text(value[0]) if len(value) == 1 else json.dumps(value, ensure_ascii=False)
    if name == "id":
        return str(value)
    return _text(value)


def _text(value: Any) -> str:
    """Print a scalar so that ``scalar`` reads it back; text that looks otherwise is quoted JSON."""
    if isinstance(value, str) and (value == "" or value[0] in '["' or INTEGER.fullmatch(value)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)


def used_columns(rows: Iterable[list[str]]) -> list[int]:
    """Return which of ``COLUMNS`` hold anything in some lines."""
    used = {at for row in rows for at, cell in enumerate(row) if cell}
    return sorted(used | {COLUMNS.index("id")})
