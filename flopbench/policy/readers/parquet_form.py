"""Reads Parquet: one row per sample, decisions in a list column, the header in the metadata.

DuckDB decodes and passes its vectors on as Arrow arrays (nanoarrow), which numpy reads in place.
The common columns take the fast way, which makes no Python object per sample: DuckDB hashes the
names, and decisions stay bytes. Anything else takes the exact way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flopbench.core.errors import DataError, InputError
from flopbench.policy.blocks import LARGEST_CODE, Block, Place, checked_ids
from flopbench.policy.columns import check_columns, json_value, samples_of
from flopbench.policy.header import FORMAT, Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.base import Reader
from flopbench.policy.readers.raw import duckdb_path
from flopbench.policy.samples import OnDefect, Sample

FAST_COLUMNS = {"id", "actions", "labels", "steps", "exit"}
"""A log with only these columns, its decisions as ids, takes the fast way."""
_INTEGERS = {
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
}


def require_duckdb(path: Path) -> Any:
    """Import DuckDB, and check that its arrays can be read.

    Raises:
        InputError: it is not installed.
    """
    try:
        import duckdb
        import nanoarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path} needs {error.name}, which is not installed",
            "python -m pip install 'flopbench[logs]'",
        ) from None
    return duckdb


class ParquetReader(Reader):
    """One Parquet file."""

    form = "parquet"
    _connection: Any = None

    def _connect(self) -> Any:
        """Return the reader's only connection, made on first use."""
        if self._connection is None:
            # One thread costs the least CPU time and memory, and keeps the rows in order.
            self._connection = require_duckdb(self.path).connect(config={"threads": 1})
        return self._connection

    def _stream(self, query: str) -> Iterator[Any]:
        """Yield the record batches of a query over the file, in order."""
        duckdb = require_duckdb(self.path)
        import nanoarrow

        try:
            relation = self._connect().sql(query, params=[duckdb_path(self.path)])
            yield from nanoarrow.ArrayStream(relation)
        except duckdb.Error as error:
            raise self._damaged(error) from None
        except (OSError, RuntimeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.path} is damaged: {str(error).splitlines()[0]}")

    def _columns(self) -> dict[str, str]:
        """Return column -> SQL type."""
        duckdb = require_duckdb(self.path)
        try:
            query = "DESCRIBE SELECT * FROM read_parquet(?)"
            rows = self._connect().execute(query, [duckdb_path(self.path)]).fetchall()
        except duckdb.Error as error:
            raise self._damaged(error) from None
        columns = {str(row[0]): str(row[1]) for row in rows}
        check_columns(columns, str(self.path))
        return columns

    def header(self) -> Header | None:
        """Return the header in the file's metadata, None where there is none."""
        duckdb = require_duckdb(self.path)
        try:
            query = "SELECT value FROM parquet_kv_metadata(?) WHERE key = ?::BLOB"
            rows = self._connect().execute(query, [duckdb_path(self.path), FORMAT]).fetchall()
        except duckdb.Error as error:
            raise self._damaged(error) from None
        if not rows:
            return None
        where = f"{self.path}, metadata"
        return read_header(json_value(bytes(rows[0][0]), f"{where}: the header"), where)

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's place is its row."""
        self._columns()
        first = 1
        for batch in self._stream("SELECT * FROM read_parquet(?)"):
            place = self._place(first)
            rows = _values(batch, self.path)
            first += len(rows)
            yield samples_of(rows, place, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, the fast way where it applies."""
        types = self._columns()
        wanted = tuple(columns)
        if self.options.exact or wanted or not _is_fast(types, plan):
            yield from super().blocks(plan, report, wanted)
            return
        names = [name for name in ("actions", "labels", "steps", "exit") if name in types]
        listed = ", ".join(f'"{name}"' for name in names)
        # A missing name would hash like any other, so it is queried separately.
        query = f"SELECT hash(id) AS h, id IS NULL AS nameless, {listed} FROM read_parquet(?)"
        first = 1
        for batch in self._stream(query):
            fields = dict(zip(("h", "nameless", *names), batch.iter_children(), strict=True))
            yield self._block(fields, len(batch), first, plan, report)
            first += len(batch)

    def _block(
        self, fields: dict[str, Any], n: int, first: int, plan: Plan, report: OnDefect
    ) -> Block:
        place = self._place(first)
        nameless = fields["nameless"]
        for i in np.flatnonzero(_bits(nameless.buffer(1), nameless.offset, nameless.offset + n)):
            report(DataError(f"{place(int(i))}: id: is missing"))
        codes, lengths = _lists(fields["actions"], n, place, "actions", report)

        def say(position: int, text: str, hint: str = "") -> None:
            i = int(np.searchsorted(np.cumsum(lengths), position, side="right"))
            step = position - int(lengths[:i].sum())
            report(DataError(f"{place(i)}: actions[{step}] {text}", hint))

        codes = checked_ids(codes, plan.size(""), say)
        if not lengths.all() and "exit" not in fields:
            for i in np.flatnonzero(nulls(fields["actions"], 0, n)):
                report(DataError(f"{place(int(i))}: actions: is missing: nothing to count"))
        labels: Any = np.empty(0, np.int64)
        label_lengths = None
        if "labels" in fields:
            labels, label_lengths = _lists(fields["labels"], n, place, "labels", report)
        return Block(
            place=place,
            ids=range(n),  # type: ignore[arg-type]
            hashes=np.asarray(fields["h"].buffer(1))[:n].astype(np.int64),
            codes=codes,
            lengths=lengths,
            steps=_integers(fields.get("steps"), n, LARGEST_CODE, place, "steps", report),
            exits=_integers(fields.get("exit"), n, len(plan.exits) - 1, place, "exit", report),
            labels=labels,
            label_lengths=label_lengths,
        )

    def _place(self, first: int) -> Place:
        return lambda i: f"{self.path}, row {first + i}"


def _is_fast(types: dict[str, str], plan: Plan) -> bool:
    if not set(types) <= FAST_COLUMNS or plan.streams != ("",):
        return False
    if "actions" not in types or types["id"] != "VARCHAR":
        return False
    lists = all(
        types[name].endswith("[]") and types[name][:-2] in _INTEGERS
        for name in ("actions", "labels")
        if name in types
    )
    return lists and all(types[name] in _INTEGERS for name in ("steps", "exit") if name in types)


def _values(batch: Any, path: Path) -> list[dict[str, Any]]:
    """Return the rows of a record batch as Python values."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} has a column of a type that a policy log cannot have: {error}"
        ) from None
    return rows


def _bits(buffer: Any, start: int, stop: int) -> Any:
    """Return bits of a buffer, least significant first, as bytes of 0 and 1."""
    packed = np.frombuffer(bytes(buffer), np.uint8)[start // 8 : -(-stop // 8)]
    return np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + stop - start]


def nulls(array: Any, start: int, stop: int) -> Any:
    """Return (stop - start,) booleans: where an Arrow array has no value."""
    validity = bytes(array.buffer(0))
    begin, end = array.offset + start, array.offset + stop
    whole = validity[begin // 8 : end // 8]
    if not validity or (whole.count(0xFF) == len(whole) and end % 8 == 0):
        return np.zeros(stop - start, bool)
    return _bits(validity, begin, end) == 0


def _integers(array: Any, n: int, largest: int, place: Place, name: str, report: OnDefect) -> Any:
    """Return (n,) integers up to the largest, -1 for no value; None for no column or no values."""
    if array is None:
        return None
    missing = nulls(array, 0, n)
    if missing.all():
        return None
    values = np.asarray(array.buffer(1))[array.offset : array.offset + n]
    wrong = ~missing & ((values < 0) | (values > largest))
    for i in np.flatnonzero(wrong).tolist():
        problem = f"is {int(values[i])}, but this log has {largest + 1} exits"
        if name == "steps":
            problem = f"is {int(values[i])} where 0 to {largest} was expected"
        report(DataError(f"{place(i)}: {name}: {problem}"))
    return np.where(missing | wrong, -1, values.astype(np.int64))


def _lists(array: Any, n: int, place: Place, name: str, report: OnDefect) -> tuple[Any, Any]:
    """Return the items of a list column, flat, and (n,) lengths."""
    offsets = np.asarray(array.buffer(1))[array.offset : array.offset + n + 1].astype(np.int64)
    child = array.child(0)
    start, stop = int(offsets[0]), int(offsets[-1])
    lengths = np.diff(offsets)
    if stop == start:
        return np.empty(0, np.int64), lengths
    items = np.asarray(child.buffer(1))[child.offset + start : child.offset + stop]
    for at in np.flatnonzero(nulls(child, start, stop)):
        i = int(np.searchsorted(np.cumsum(lengths), at, side="right"))
        step = int(at) - int(lengths[:i].sum())
        report(DataError(f"{place(i)}: {name}[{step}] is missing"))
    return items, lengths
