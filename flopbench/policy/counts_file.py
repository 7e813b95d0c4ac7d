"""Counts files: what the samples of a log, or of some of its shards, add up to, one part each.

``flopbench log reduce`` writes them, ``flopbench estimate --counts`` merges any number of them, in
any order, into the counts of the whole log. Any engine can make them. A part is a Parquet file; its
rows are the records (views of videos) times the actions that occur in each, sorted by video, view
and action, and a record without actions is one row:

============= ============ =====================================================================
column        type         meaning
============= ============ =====================================================================
``video``     VARCHAR      the sample's ``id``
``view``      VARCHAR      its view, NULL where the log has none
``cluster``   VARCHAR      of ``--cluster COLUMN``: that value of ``extra`` as text; else NULL
``labels``    VARCHAR      JSON of the list, ``[3]`` or ``["dog","cat"]``; NULL without labels
``exit``      VARCHAR      name of the exit taken; NULL without
``counts``    VARCHAR      JSON of the additional runs, ``{"resnet18":5.12}``; NULL without
``steps``     BIGINT       sampled steps of the record, also those that no decision covers
``action``    VARCHAR      name of the action, ``stream: name`` with streams; NULL without actions
``frames``    BIGINT       steps under the action; 0 without an action
``decisions`` BIGINT       decisions for it by the exact rule; 0 without an action
============= ============ =====================================================================

The first seven are the record's, and so the same in all of its rows. A part of sums
(``policy/sums_file.py``) has other columns, and as many rows for any number of records.

The file's metadata has the header as logs in Parquet have it, JSON under ``flopbench.policy-log``,
and under ``flopbench.counts`` the JSON of ``About``. Version history: 1, the first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Struct

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_schema, check_writable, temporary
from flopbench.core.records import Count, Record, decode
from flopbench.policy.columns import json_value
from flopbench.policy.counts import LogCounts, objects
from flopbench.policy.engine import odd_runs_remark
from flopbench.policy.forms.parquet_form import check_unpacked, require_duckdb, unreadable
from flopbench.policy.forms.raw import (
    Remote,
    duckdb_path,
    load_for,
    open_bytes,
    quiet_connection,
    read_some,
    sql_text,
)
from flopbench.policy.header import (
    FORMAT,
    Header,
    header_json,
    read_header,
    without_preset_file,
)

KIND = "flopbench.counts"
SCHEMA = 1
VIEW = "view"
"""Among the columns of counts to be written: the view of each record."""
REMAKE = "flopbench log reduce"


class Layout(Struct, frozen=True, kw_only=True):
    """The rows of a part: column -> type in SQL, and what sorts them."""

    types: Mapping[str, str]
    order: str


_OF_RECORD = dict.fromkeys(("video", "view", "cluster", "labels", "exit", "counts"), "VARCHAR")
_COUNTED = {"steps": "BIGINT", "action": "VARCHAR", "frames": "BIGINT", "decisions": "BIGINT"}
RECORDS = Layout(types=_OF_RECORD | _COUNTED, order="video, view NULLS FIRST, action NULLS FIRST")
SUMS = Layout(
    types=dict.fromkeys(("label", "amount", "times"), "VARCHAR") | {"sum": "DECIMAL(38, 0)"},
    order="label NULLS FIRST, amount, times",
)


class About(Record, frozen=True, kw_only=True):
    """What a part says about itself.

    Attributes:
        header_sha256: of the bytes under ``flopbench.policy-log``.
        sources: the files that were counted.
        cluster: the column of ``extra`` that ``cluster`` holds; None where it holds none.
        own_spans: whether some decision states how many steps it covers, and the number is not its
            action's span; the published rule does not apply then.
        odd_runs: how many runs no policy with the declared spans could make.
        first_odd_run: where the first one is.
        warnings: what was odd about the files.
    """

    kind: str = KIND
    schema: int = SCHEMA
    header_sha256: str = ""
    sources: Annotated[list[str], msgspec.Meta(min_length=1)]
    cluster: str | None = None
    own_spans: bool = False
    odd_runs: Count = 0
    first_odd_run: str = ""
    warnings: list[str] = msgspec.field(default_factory=list)


class Part(Struct, frozen=True, kw_only=True):
    """One file: its header, what it says about itself, and the layout of its rows."""

    path: Path
    header: Header
    about: About
    layout: Layout


def write_counts(
    target: Path,
    tables: Mapping[str, Mapping[str, Any]],
    *,
    header: Header,
    about: About,
    layout: Layout = RECORDS,
    query: str = "FROM rows",
) -> None:
    """Write a part, whole or not at all.

    Args:
        target: the file.
        tables: of the query: name -> column -> (rows,) numpy array, of objects for text.
        header: what the decisions mean.
        about: where the rows come from.
        layout: the columns of the part.
        query: SQL that makes the columns of a part; the rows are sorted here.

    Raises:
        InputError: the file cannot be written, or DuckDB is missing.
        DataError: the query fails.
    """
    check_writable(target)
    if target.name == "-" or (target.exists() and not target.is_file()):
        raise InputError(f"cannot write {target}: a part is a file", "such as part0.counts")
    duckdb = require_duckdb(target)
    text = header_json(header)
    about = msgspec.structs.replace(about, header_sha256=hashlib.sha256(text).hexdigest())
    metadata = {FORMAT: text.decode(), KIND: msgspec.json.encode(about).decode()}
    listed = ", ".join(f"{sql_text(key)}: {sql_text(value)}" for key, value in metadata.items())
    typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in layout.types.items())
    whole = target.resolve()
    try:
        with temporary(whole.parent, f".{whole.name}.") as folder:
            folder.mkdir()
            with quiet_connection(duckdb, temp_directory=str(folder / "spilt")) as connection:
                connection.execute("SET pandas_analyze_sample = 0")  # every object is text
                for name, table in tables.items():
                    connection.register(name, dict(table))
                connection.execute(
                    f"COPY (SELECT {typed} FROM ({query}) ORDER BY {layout.order}) "
                    f"TO {sql_text(str(folder / 'part'))} "
                    f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{listed}}})"
                )
            os.replace(folder / "part", whole)
    except duckdb.Error as error:
        raise DataError(f"cannot write {target}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from None


def write_part(
    target: Path,
    counts: LogCounts,
    sources: Sequence[str],
    *,
    cluster: str | None = None,
    clusters: Any = None,
) -> None:
    """Write counts as a part: see ``write_counts``.

    Args:
        target: the file.
        counts: with ids, and views among their columns.
        sources: the files that were counted.
        cluster: the column of ``extra`` that ``clusters`` (records,) are of.
        clusters: the text of each.
    """
    plan, n = counts.plan, counts.records
    actions = [*(plan.action_label(i) for i in range(len(plan.actions))), None]
    exits = [*(exit.name for exit in plan.exits), None]
    record, action = np.nonzero((counts.frames > 0) | (counts.decisions > 0))
    empty = np.flatnonzero(np.bincount(record, minlength=n) == 0)
    none: Any = np.zeros(len(empty), np.int64)

    records = {
        "record": np.arange(n),
        "video": objects([] if counts.ids is None else counts.ids),
        "view": objects(v if v is None else str(v) for v in counts.columns[VIEW]),
        "cluster": objects([None] * n) if clusters is None else clusters,
        "labels": objects(_label_texts(counts)),
        "exit": objects([None] * n if counts.exits is None else [exits[i] for i in counts.exits]),
        "counts": objects(_runs_texts(counts)),
        "steps": counts.steps.astype(np.int64),
    }
    rows = {
        "record": np.concatenate([record, empty]),
        "action": objects(actions)[np.concatenate([action, none - 1])],
        "frames": np.concatenate([counts.frames[record, action], none]).astype(np.int64),
        "decisions": np.concatenate([counts.decisions[record, action], none]).astype(np.int64),
    }
    about = about_of(counts, sources, cluster)
    header = without_preset_file(plan.header, plan.header)
    tables, query = {"rows": rows, "records": records}, "FROM rows JOIN records USING (record)"
    write_counts(target, tables, header=header, about=about, query=query)


def about_of(counts: LogCounts, sources: Sequence[str], cluster: str | None = None) -> About:
    """Return what a part of these counts says about itself; refuse actions of one name."""
    plan = counts.plan
    if len({plan.action_label(i) for i in range(len(plan.actions))}) < len(plan.actions):
        raise DataError(f"{counts.source}: two actions have one name, with that of their stream")
    odd = odd_runs_remark(counts.odd_runs, counts.first_odd_run)
    return About(
        sources=list(sources),
        cluster=cluster,
        own_spans=counts.own_spans,
        odd_runs=counts.odd_runs,
        first_odd_run=counts.first_odd_run,
        warnings=[str(remark) for remark in counts.warnings if remark not in odd],
    )


def _label_texts(counts: LogCounts) -> Iterator[str | None]:
    """Yield the labels of each record as JSON."""
    texts = [msgspec.json.encode(value).decode() for value in counts.label_values]
    alone = [f"[{text}]" for text in texts]
    codes, end = counts.label_codes.tolist(), 0
    for n in counts.label_lengths.tolist():
        end += n
        if n == 1:
            yield alone[codes[end - 1]]
        else:
            yield f"[{','.join(texts[code] for code in codes[end - n : end])}]" if n else None


def _runs_texts(counts: LogCounts) -> Iterator[str | None]:
    """Yield the additional runs of each record as JSON."""
    if counts.counts is None:
        yield from [None] * counts.records
        return
    names = list(counts.plan.header.components or {})
    for row in counts.counts.tolist():
        runs = {name: times for name, times in zip(names, row, strict=True) if times}
        yield msgspec.json.encode(runs).decode() if runs else None


@contextmanager
def spilling(path: Path) -> Iterator[Any]:
    """Yield a connection of DuckDB, of rows in order, that sorts on the disk what is too large."""
    duckdb = require_duckdb(path)
    with (
        temporary(Path(tempfile.gettempdir()), "flopbench.") as folder,
        quiet_connection(duckdb, threads=1, temp_directory=str(folder)) as connection,
    ):
        yield load_for(connection, path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make what DuckDB finds wrong an error of the file."""
    duckdb = require_duckdb(path)
    try:
        yield
    except (duckdb.Error, OverflowError, UnicodeError) as error:
        raise unreadable(path, error) from None


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does; one by address is."""
    if isinstance(path, Remote):
        return True
    with open_bytes(path) as stream:
        return read_some(stream, path, 4) == b"PAR1"


def read_part(path: Path, connection: Any) -> Part | None:
    """Return the header of a part and what it says about itself; None for any other file.

    Raises:
        InputError: it would unpack to too much, or cannot be read.
        DataError: it is damaged, or of a newer schema.
    """
    if not is_parquet(path):
        return None
    file = [duckdb_path(path)]
    with naming(path):
        check_unpacked(connection, path)
        rows = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", file).fetchall()
        query = "DESCRIBE SELECT * FROM read_parquet(?)"
        there = {row[0] for row in connection.execute(query, file).fetchall()}
    found = {bytes(key): bytes(value) for key, value in rows}
    if KIND.encode() not in found:
        return None
    where = f"{path}, metadata"
    data = json_value(found[KIND.encode()], where)
    check_schema(
        data, where, kind=KIND, schema=SCHEMA, what="a part of a log's counts", remake=REMAKE
    )
    about = decode(data, About, where)
    text = found.get(FORMAT.encode(), b"")
    if hashlib.sha256(text).hexdigest() != about.header_sha256:
        raise DataError(
            f"{path}: 'header_sha256' is not that of the header under {FORMAT!r}",
            f"the header was changed: make the part again with {REMAKE}",
        )
    layout = SUMS if "sum" in there else RECORDS
    for name in layout.types:
        if name not in there:
            raise DataError(f"{path}: the column {name!r} is missing")
    header = read_header(json_value(text, where), where, path)
    return Part(path=path, header=header, about=about, layout=layout)
