"""Reads Parquet logs of the common columns as arrays: the fast way, without an object a decision.

DuckDB decodes and hashes ids, and numpy reads its Arrow arrays (nanoarrow) in place. A column that
nobody needs is read only where its type leaves room for a defect. What only the exact reader can
decide, such as a list with a gap, is left to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from flopbench.policy.blocks import (
    DUCKDB,
    IDS,
    LARGEST_CODE,
    MOST_NAMES,
    Block,
    Place,
    Say,
    checked_ids,
    says,
    says_item,
)
from flopbench.policy.forms.base import NeedsExactReader
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

_WHOLE = frozenset(
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
)
_REAL = frozenset({"FLOAT", "DOUBLE"})
_TEXT = frozenset({"VARCHAR"})
_TYPES = {
    "id": _TEXT,
    "actions": {f"{kind}[]" for kind in _WHOLE},
    "labels": {f"{kind}[]" for kind in _WHOLE | _TEXT},
    "steps": _WHOLE,
    "exit": _WHOLE,
    "view": _WHOLE | _TEXT,
    "prediction": _WHOLE | _TEXT,
    "scores": {f"{kind}[]" for kind in _REAL},
    "frames": {f"{kind}[]" for kind in _WHOLE | _TEXT},
    "latency_ms": _REAL | _WHOLE,
    "extra_json": _TEXT,
}
"""Column -> the types with which it takes the fast way; with any other column, none does."""
_COUNTED = ("actions", "labels", "steps", "exit", "view", "extra_json")
"""Columns that are always read: counts need them, or their text may be defective."""
_CARRIED = {"scores", "prediction", "extra"}
"""Further fields that a block can carry."""
_EXTRA = msgspec.json.Decoder(dict[str, int | float | str | bool | None] | None)


class FastColumns(Struct, frozen=True, kw_only=True):
    """The columns of a log that are read, and how they become blocks.

    Attributes:
        plan: what the decisions can be.
        wanted: the fields that blocks carry.
        read: column -> SQL of the columns that are read; ``whole`` has no value where a list that
            is not read has a gap.
        named: whether blocks have all names.
    """

    plan: Plan
    wanted: list[str]
    read: dict[str, str]
    named: bool

    @classmethod
    def of(cls, types: dict[str, str], plan: Plan, wanted: Sequence[str]) -> FastColumns | None:
        """Return how to read a log with these columns, None where it needs the exact reader."""
        plain = {"id", "actions"} <= set(types) and plan.streams == ("",)
        if not plain or any(kind not in _TYPES.get(name, ()) for name, kind in types.items()):
            return None
        further = [name for name in wanted if name != IDS]
        if not _CARRIED.issuperset(further):
            return None
        named = IDS in wanted or "view" in types
        read = {name: name for name in (*_COUNTED, *further) if name in types}
        read["hash"] = "CASE WHEN id IS NOT NULL THEN hash(id) END"
        read["id"] = "id" if named else f"CASE WHEN file_row_number < {MOST_NAMES} THEN id END"
        if lists := [name for name in ("scores", "frames") if name in types and name not in read]:
            gaps = (f"coalesce(len({name}) <> list_count({name}), false)" for name in lists)
            read["whole"] = f"CASE WHEN NOT ({' OR '.join(gaps)}) THEN true END"
        return cls(plan=plan, wanted=further, read=read, named=named)

    def query(self) -> str:
        """Return the query."""
        columns = ", ".join(self.read.values())
        return f"SELECT {columns} FROM read_parquet(?, file_row_number = true)"

    def block(self, batch: Any, place: Place, report: OnDefect, first: int) -> Block:
        """Turn a batch of Arrow arrays into a block; ``first`` is the number of its first row.

        Raises:
            NeedsExactReader: something is wrong that only that reader can name.
        """
        n, say = len(batch), says(place, report)
        fields = dict(zip(self.read, batch.iter_children(), strict=True))
        if "whole" in fields and _gaps(fields["whole"], 0, n):
            raise NeedsExactReader
        for i in _gaps(fields["hash"], 0, n):
            say(i, "id: is missing")
        codes, lengths = _lists(fields["actions"], n, "actions", say)
        codes = checked_ids(codes, self.plan.size(""), says_item(say, lengths, "actions"))
        if not lengths.all() and "exit" not in fields:
            for i in _gaps(fields["actions"], 0, n):
                say(i, "actions: is missing: nothing to count")
        labels: Any = ()
        label_lengths = None
        if "labels" in fields:
            labels, label_lengths = _lists(fields["labels"], n, "labels", say)
        views = _values(fields["view"], n) if "view" in fields else None
        if views is not None and views.count(None) == n:
            views = None
        names = _texts(fields["id"], n if self.named else min(n, max(0, MOST_NAMES - first)))
        return Block(
            place=place,
            ids=names if self.named else range(n),  # type: ignore[arg-type]
            hashes=_numbers(fields["hash"], n).view(np.int64).copy() if views is None else None,
            hashed_by=DUCKDB,
            codes=codes,
            lengths=lengths,
            steps=_integers(fields.get("steps"), n, LARGEST_CODE, "steps", say),
            exits=_integers(fields.get("exit"), n, len(self.plan.exits) - 1, "exit", say),
            labels=labels,
            label_lengths=label_lengths,
            views=views,
            columns=self._columns(fields, n),
            first_ids=names,
        )

    def _columns(self, fields: dict[str, Any], n: int) -> dict[str, Any]:
        """Return the fields that are carried; the text of ``extra`` is decoded in any case."""
        found: dict[str, Any] = {name: [None] * n for name in self.wanted}
        makers = {"scores": _scores, "prediction": _values}
        found |= {name: makers[name](fields[name], n) for name in makers if name in fields}
        if "extra_json" in fields:
            extra = _extra(fields["extra_json"], n)
            found |= {"extra": extra} if "extra" in found else {}
        return found


def _scores(array: Any, n: int) -> Any:
    """Return (n, classes) float64 where all rows are alike, else n lists or None."""
    numbers, lengths = _lists(array, n, "scores", _leave)
    missing = _gaps(array, 0, n)
    if lengths[0] and (lengths == lengths[0]).all() and not missing:
        return numbers.reshape(n, -1).astype(np.float64)
    ends, flat = np.cumsum(lengths).tolist(), numbers.tolist()
    rows = [flat[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]
    for i in missing:
        rows[i] = None
    return rows


def _extra(array: Any, n: int) -> list[Any]:
    """Return n objects of JSON text, None for no text."""
    try:
        return [None if text is None else _EXTRA.decode(text) for text in _texts(array, n)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NeedsExactReader from None


def _values(array: Any, n: int) -> list[Any]:
    """Return n whole numbers or texts, None for no value."""
    if array.n_buffers > 2:
        return _texts(array, n)
    values: list[Any] = _numbers(array, n).tolist()
    for i in _gaps(array, 0, n):
        values[i] = None
    return values


def _texts(array: Any, n: int, start: int = 0) -> list[Any]:
    """Return n texts of a column, None for no value."""
    first = array.offset + start
    ends = np.asarray(array.buffer(1))[first : first + n + 1].tolist()
    data = bytes(memoryview(array.buffer(2))[ends[0] : ends[-1]])
    ends = [end - ends[0] for end in ends]
    text = data.decode()
    if len(text) == len(data):  # a character is a byte
        found: list[Any] = [text[a:b] for a, b in pairwise(ends)]
    else:
        found = [data[a:b].decode() for a, b in pairwise(ends)]
    for i in _gaps(array, start, start + n):
        found[i] = None
    return found


def _numbers(array: Any, n: int) -> Any:
    """Return the first n numbers of an array, with anything where it has none."""
    return np.asarray(array.buffer(1))[array.offset : array.offset + n]


def _leave(*_: Any) -> None:
    raise NeedsExactReader


def _gaps(array: Any, start: int, stop: int) -> list[int]:
    """Return where an Arrow array has no value, counted from ``start``."""
    begin, end = array.offset + start, array.offset + stop
    # A bit a value, least significant first; no bits where no value is missing.
    packed = np.frombuffer(array.buffer(0), np.uint8)[begin // 8 : -(-end // 8)]
    if not len(packed) or (end % 8 == 0 and packed.min() == 0xFF):
        return []
    bits = np.unpackbits(packed, bitorder="little")[begin % 8 :][: stop - start]
    return np.flatnonzero(bits == 0).tolist()  # type: ignore[no-any-return]


def _integers(array: Any, n: int, largest: int, name: str, say: Say) -> Any:
    """Return (n,) integers up to the largest, -1 for no value; None for no column or no values."""
    if array is None:
        return None
    missing: Any = np.zeros(n, bool)
    missing[_gaps(array, 0, n)] = True
    if missing.all():
        return None
    values = _numbers(array, n)
    wrong = ~missing & ((values < 0) | (values > largest))
    known = f", but this log has {largest + 1} exits"
    if name == "steps":
        known = f" where 0 to {largest} was expected"
    for i in np.flatnonzero(wrong).tolist():
        say(i, f"{name}: is {int(values[i])}{known}")
    return np.where(missing | wrong, -1, values.astype(np.int64))


def _lists(array: Any, n: int, name: str, say: Say) -> tuple[Any, Any]:
    """Return the items of a list column, flat, and (n,) lengths."""
    offsets = _numbers(array, n + 1)
    child = array.child(0)
    start, stop = int(offsets[0]), int(offsets[-1])
    lengths = np.diff(offsets)
    if stop == start:
        return np.empty(0, np.int64), lengths
    if child.n_buffers > 2:
        items: Any = _texts(child, stop - start, start)
    else:
        items = np.asarray(child.buffer(1))[child.offset + start : child.offset + stop]
    say_item = says_item(say, lengths, name)
    for at in _gaps(child, start, stop):
        say_item(at, "is missing")
    return items, lengths
