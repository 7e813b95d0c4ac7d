"""Reads large CSV files through DuckDB: the fast way, which gives up on anything unusual.

A row is a decision. DuckDB parses, hashes ids and turns actions into ids; numpy cuts the rows into
samples. Only plain files qualify: ``id`` and ``action``, with ``step`` and integer ``labels`` at
most, one stream, every cell valid. All others go to the exact reader.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from flopbench.policy.blocks import DUCKDB, Block, Place
from flopbench.policy.forms.base import NeedsExactReader
from flopbench.policy.forms.raw import (
    duckdb_path,
    open_bytes,
    quiet_connection,
    read_some,
    sql_text,
    unpacking_errors,
)
from flopbench.policy.plan import Plan

FAST_COLUMNS = ("id", "step", "action", "labels")
ROWS_AT_ONCE = 1 << 18
SCANNED_BYTES = 1 << 20


def fast_blocks(path: Path, plan: Plan) -> Iterator[Block] | None:
    """Return the blocks of a plain file, None where the exact reader is needed from the start."""
    try:
        import duckdb  # noqa: F401
        import nanoarrow  # noqa: F401
    except ModuleNotFoundError:
        return None
    names = _plain_columns(path, plan)
    return None if names is None else _blocks(path, _query(names, plan), names)


def _plain_columns(path: Path, plan: Plan) -> list[str] | None:
    if plan.streams != ("",):
        return None
    with open_bytes(path) as stream:
        errors: tuple[type[Exception], ...] = (csv.Error, UnicodeDecodeError, *unpacking_errors())
        try:
            names = next(csv.reader([stream.readline().decode("utf-8")]), [])
        except errors:
            return None
    plain = set(names) <= set(FAST_COLUMNS) and {"id", "action"} <= set(names)
    return names if plain and len(set(names)) == len(names) else None


def _query(names: list[str], plan: Plan) -> str:
    cases = " ".join(
        f"WHEN {sql_text(name)} THEN {i}"
        for i, name in enumerate(plan.indices[""])
        if not name.lstrip("-").isdigit()
    )
    numbers = " ".join(f"WHEN '{i}' THEN {i}" for i in range(plan.size("")))
    columns = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in names)
    wanted = ["hash(id) AS h", f"(CASE action {cases} {numbers} ELSE -1 END)::SMALLINT AS a"]
    if "step" in names:
        wanted.append("coalesce(try_cast(step AS INTEGER), -1) AS s")
    if "labels" in names:
        plain = r"regexp_full_match(labels, '[0-9]{1,9}')"
        wanted.append(
            f"CASE WHEN {plain} THEN labels::INTEGER WHEN coalesce(labels, '') = '' THEN -1 "
            "ELSE -2 END AS l"
        )
    return (
        f"SELECT {', '.join(wanted)} FROM read_csv(?, columns = {{{columns}}}, header = true, "
        "auto_detect = false, delim = ',', quote = '\"', escape = '\"', strict_mode = true, "
        "null_padding = false, ignore_errors = false)"
    )


def _blocks(path: Path, query: str, names: list[str]) -> Iterator[Block]:
    is_plain = cache(partial(_is_a_line_a_row, path))

    def place(row: int) -> str:
        if not is_plain():
            raise NeedsExactReader
        return f"{path}:{row + 2}"

    kept: list[Any] = []
    first_ids = _first_ids(path, names.index("id"))
    row = 0
    for columns in _columns(path, query):
        if kept:
            columns = [np.concatenate(pair) for pair in zip(kept, columns, strict=True)]
        starts = _starts(columns[0])
        last = int(starts[-1])  # the last sample may go on
        if last:
            block = _block(place, [c[:last] for c in columns], starts[:-1], names, row)
            yield block if row else replace(block, first_ids=first_ids)
            row += last
        kept = [c[last:] for c in columns]
    if kept and len(kept[0]):
        yield _block(place, kept, _starts(kept[0]), names, row)


def _columns(path: Path, query: str) -> Iterator[list[Any]]:
    """Yield the columns of some hundred thousand rows at a time."""
    import duckdb
    import nanoarrow

    with quiet_connection(duckdb) as connection:
        connection.execute("SET threads = 1")
        group: list[list[Any]] = []
        rows = 0
        try:
            for batch in nanoarrow.ArrayStream(connection.sql(query, params=[duckdb_path(path)])):
                n = len(batch)
                columns = batch.iter_children()  # the query gives no nulls
                group.append(
                    [np.asarray(c.buffer(1))[c.offset : c.offset + n].copy() for c in columns]
                )
                rows += n
                if rows >= ROWS_AT_ONCE:
                    yield [np.concatenate(parts) for parts in zip(*group, strict=True)]
                    group, rows = [], 0
        except (duckdb.Error, OSError, RuntimeError):
            raise NeedsExactReader from None
        if group:
            yield [np.concatenate(parts) for parts in zip(*group, strict=True)]


def _first_ids(path: Path, column: int) -> list[str]:
    """Return the ids on the first lines, whatever is wrong with these."""
    with open_bytes(path) as stream:
        lines = read_some(stream, path, SCANNED_BYTES).decode("utf-8", "replace").splitlines()
    rows = csv.reader(lines[1:])
    with suppress(csv.Error):
        return list(dict.fromkeys(row[column] for row in rows if len(row) > column))
    return []


def _is_a_line_a_row(path: Path) -> bool:
    """Whether a file has no blank lines, and no quotes that could contain a line end."""
    last = b""
    with open_bytes(path) as stream:
        while piece := read_some(stream, path, SCANNED_BYTES):
            window = last + piece.replace(b"\r", b"")
            if b'"' in window or b"\n\n" in window:
                return False
            last = window[-1:]
    return True


def _starts(hashes: Any) -> Any:
    return np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))


def _block(place: Place, columns: list[Any], starts: Any, names: list[str], row: int) -> Block:
    hashes, codes = columns[0], columns[1]
    if (codes < 0).any():
        raise NeedsExactReader
    n = len(starts)
    lengths: Any = np.diff(np.append(starts, len(hashes)))
    rest = columns[2:]
    if "step" in names:
        wanted = np.arange(len(hashes)) - np.repeat(starts, lengths)
        if (rest[0] != wanted).any():
            raise NeedsExactReader
    labels, label_lengths = None, None
    if "labels" in names:
        own = rest[-1]
        first = own[starts]
        if (own == -2).any() or ((own != -1) & (own != np.repeat(first, lengths))).any():
            raise NeedsExactReader
        labels, label_lengths = first[first >= 0], (first >= 0).astype(np.int64)
    return Block(
        place=lambda i: place(row + int(starts[i])),
        ids=range(n),  # type: ignore[arg-type]
        hashes=hashes[starts].view(np.int64),
        hashed_by=DUCKDB,
        codes=codes.astype(np.int64),
        lengths=lengths,
        labels=() if labels is None else labels,
        label_lengths=label_lengths,
    )
