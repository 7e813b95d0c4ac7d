"""Parquet: one row per sample, decisions in a list column, the header in the metadata.

DuckDB decodes and passes its vectors on as Arrow arrays (nanoarrow). The common columns take the
fast way (``parquet_fast``). Anything else takes the exact way.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flopbench.core.errors import DataError, FlopbenchError, InputError
from flopbench.core.files import temporary
from flopbench.core.limits import most_unpacked_bytes, too_much
from flopbench.policy.blocks import Block, Place
from flopbench.policy.columns import (
    JSON_SUFFIX,
    LISTS,
    SCALARS,
    Kinds,
    check_columns,
    is_json,
    json_value,
    kinds_of,
    rows_of,
)
from flopbench.policy.forms.base import Copy, Reader
from flopbench.policy.forms.parquet_fast import FastColumns
from flopbench.policy.forms.raw import Remote, duckdb_path, load_for, quiet_connection, sql_text
from flopbench.policy.header import FORMAT, Header, header_json, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

FRUGAL = {"threads": 1, "memory_limit": "512MB"}
"""DuckDB's settings for writing: bounded memory for a log of any size, rows in order."""
LEAST_OBJECT_BYTES = 1 << 24
"""DuckDB reserves twice the longest line."""


def require_duckdb(path: Path) -> Any:
    """Import DuckDB, and check that its arrays can be read."""
    try:
        import duckdb
        import nanoarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path} needs {error.name}, which is not installed",
            "python -m pip install 'flopbench[logs]'",
        ) from None
    return duckdb


def unreadable(path: Path, error: Exception) -> FlopbenchError:
    """Return the error for a file that DuckDB does not read."""
    said = str(error).splitlines()[0]
    if isinstance(path, Remote):
        return InputError(f"cannot read {path}: {said}")
    return DataError(f"{path} is damaged: {said}")


def check_unpacked(connection: Any, path: Path) -> None:
    """Refuse a Parquet file that would unpack to too much; a value takes a byte at least.

    Raises:
        InputError: it is larger than the limit.
        duckdb.Error: it is damaged.
    """
    query = (
        "SELECT coalesce(sum(greatest(total_uncompressed_size, num_values)), 0), "
        "coalesce(sum(total_compressed_size), 0) FROM parquet_metadata(?)"
    )
    size, packed = connection.execute(query, [duckdb_path(path)]).fetchone()
    limit = most_unpacked_bytes(packed if isinstance(path, Remote) else path.stat().st_size)
    if size > limit:
        raise too_much(path, limit)


def remote_files(pattern: str) -> list[Path]:
    """Return the files of an address, which may be a glob but for ``https://``."""
    first = Remote.of(pattern)
    if pattern.startswith("http") or not glob.has_magic(pattern):
        return [first]
    duckdb = require_duckdb(first)
    try:
        with quiet_connection(duckdb) as connection:
            found = load_for(connection, first).execute("SELECT file FROM glob(?)", [pattern])
            names = [name for (name,) in found.fetchall()]
            return [Remote.of(name) if "://" in name else Path(name) for name in names]
    except duckdb.Error as error:
        raise InputError(f"cannot read {pattern}: {str(error).splitlines()[0]}") from None


class ParquetReader(Reader):
    """One Parquet file; a sample's place is its row."""

    _connection: Any = None

    def header(self) -> Header | None:
        """Return the header in the file's metadata, None where there is none."""
        query = "SELECT value FROM parquet_kv_metadata(?) WHERE key = ?::BLOB"
        rows = self._fetched(query, FORMAT)
        where = f"{self.path}, metadata"
        if not rows:
            return None
        data = json_value(bytes(rows[0][0]), f"{where}: the header")
        return read_header(data, where, self.path)

    def rows(
        self, plan: Plan, report: OnDefect
    ) -> Iterator[tuple[Iterable[Mapping[str, Any]], Place]]:
        """Yield the rows of the file."""
        self.types()
        first = 1
        for batch in self._batches("SELECT * FROM read_parquet(?)"):
            try:
                rows: list[dict[str, Any]] = batch.to_pylist()
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise DataError(
                    f"{self.path} has a column of a type that a policy log cannot have: {error}"
                ) from None
            yield rows, self._place(first)
            first += len(rows)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, the fast way where it applies."""
        types = self.types()
        fast = None if self.options.exact else FastColumns.of(types, plan, columns)
        if fast is None:
            yield from super().blocks(plan, report, columns)
            return
        first = 0
        for batch in self._batches(fast.query()):
            yield fast.block(batch, self._place(first + 1), report, first)
            first += len(batch)

    def types(self) -> dict[str, str]:
        """Return column -> SQL type.

        Raises:
            InputError: the file holds counts.
            DataError: it is damaged, or has a column that no log has.
        """
        rows = self._fetched("DESCRIBE SELECT * FROM read_parquet(?)")
        columns = {str(row[0]): str(row[1]) for row in rows}
        of_records, of_sums = {"video", "frames", "decisions"}, {"amount", "times", "sum"}
        if of_records <= columns.keys() or of_sums <= columns.keys():
            hint = f"flopbench estimate --counts {self.path}"
            raise InputError(f"{self.path} holds counts, not samples", hint)
        check_columns(columns, str(self.path))
        return columns

    @staticmethod
    def write(copy: Copy) -> int:
        """Write typed columns, by way of JSON lines that DuckDB reads."""
        duckdb = require_duckdb(copy.temporary)
        kinds, count = kinds_of(copy.samples())
        with temporary(copy.temporary.parent, f"{copy.temporary.name}.") as lines:
            longest = LEAST_OBJECT_BYTES
            with open(lines, "xb") as stream:
                for row in rows_of(copy.samples(), kinds):
                    line = msgspec.json.encode(row) + b"\n"
                    longest = max(longest, len(line))
                    stream.write(line)
            types = _sql_types(kinds, copy.plan)
            columns = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in types)
            query = (
                f"COPY (SELECT * FROM read_json({sql_text(duckdb_path(lines))}, "
                f"columns = {{{columns}}}, format = 'newline_delimited', "
                f"maximum_object_size = {longest})) TO {sql_text(str(copy.temporary))} "
                f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{sql_text(FORMAT)}: "
                f"{sql_text(header_json(copy.header).decode())}}})"
            )
            try:
                with quiet_connection(duckdb, **FRUGAL) as connection:
                    connection.execute(query)
            except duckdb.Error as error:
                raise DataError(f"cannot write Parquet: {str(error).splitlines()[0]}") from None
        return count

    def _connect(self) -> Any:
        """Return the reader's only connection, made on first use."""
        if self._connection is None:
            # One thread costs the least CPU time and memory, and keeps the rows in order.
            own = quiet_connection(require_duckdb(self.path), threads=1)
            self._connection = load_for(own, self.path)
            check_unpacked(self._connection, self.path)
        return self._connection

    def _fetched(self, query: str, *more: str) -> list[Any]:
        """Return all rows of a query over the file."""
        duckdb = require_duckdb(self.path)
        try:
            found: list[Any] = (
                self._connect().execute(query, [duckdb_path(self.path), *more]).fetchall()
            )
        except (duckdb.Error, OverflowError, ValueError) as error:
            raise self._damaged(error) from None
        return found

    def _batches(self, query: str) -> Iterator[Any]:
        """Yield the record batches of a query over the file, in order."""
        duckdb = require_duckdb(self.path)
        import nanoarrow

        try:
            relation = self._connect().sql(query, params=[duckdb_path(self.path)])
            yield from nanoarrow.ArrayStream(relation)
        except (duckdb.Error, OSError, RuntimeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> FlopbenchError:
        return unreadable(self.path, error)

    def _place(self, first: int) -> Place:
        return lambda i: f"{self.path}, row {first + i}"


def _sql_types(kinds: Kinds, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield column and SQL type; ids take the smallest type that holds them all."""
    size = max((plan.size(stream) for stream in plan.streams), default=0)
    id_type = "UTINYINT" if size <= 1 << 8 else "USMALLINT" if size <= 1 << 16 else "UINTEGER"
    yield "id", "VARCHAR"
    for name in (*SCALARS, *LISTS):
        if name not in kinds:
            continue
        if is_json(name, kinds):
            yield name + JSON_SUFFIX, "VARCHAR"
        else:
            scalar = "VARCHAR" if kinds[name] == {str} else "BIGINT"
            yield name, scalar + ("[]" if name in LISTS else "")
    for name, kind in (("actions", f"{id_type}[]"), ("spans", "UINTEGER[]")):
        if name in kinds:
            for stream in plan.streams:
                yield (f"{name}.{stream}" if stream else name), kind
    simple = {"scores": "DOUBLE[]", "exit": "INTEGER", "steps": "BIGINT", "latency_ms": "DOUBLE"}
    yield from ((name, kind) for name, kind in simple.items() if name in kinds)
    yield from ((name + JSON_SUFFIX, "VARCHAR") for name in ("counts", "extra") if name in kinds)
