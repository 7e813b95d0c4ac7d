"""Counts by SQL: one text for every engine, ``counts.sql``, over two views made for each.

The views have a row for each row of decisions, so an engine may spread them over a cluster. Logs
that the text does not count (exits, further counts) are refused before anything runs; a record
that the exact reader would refuse ends the run, but unknown fields are not looked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import temporary
from flopbench.policy.counts_file import About, write_counts
from flopbench.policy.forms.parquet_form import ParquetReader, require_duckdb
from flopbench.policy.forms.raw import duckdb_path, load_for, quiet_connection, sql_text
from flopbench.policy.header import without_preset_file
from flopbench.policy.log import Log
from flopbench.policy.samples import raise_first
from flopbench.policy.sql_views import LINE_FIELDS, UNCOUNTED, Dialect, Shape, views

INSTEAD = "leave --engine out: the exact reader counts any log"
ALL_DEFECTS = "flopbench log validate lists all defects, with file and line"
_SIZES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_WHOLE = [f"{sign}{size}" for sign in ("", "U") for size in _SIZES]
_TYPES = {"id": ["VARCHAR"], "view": [*_WHOLE, "VARCHAR"], "steps": _WHOLE}
_TYPES["spans"] = [f"{kind}[]" for kind in _WHOLE]
_TYPES["actions"] = _TYPES["labels"] = [*_TYPES["spans"], "VARCHAR[]"]

Run = Callable[[Log, Shape, Path], str]
"""Runs the text over a log, into a new folder; returns the DuckDB query for what came out."""


def counts_text() -> str:
    """Return the text that every engine runs."""
    return (files("flopbench.policy") / "counts.sql").read_text("utf-8")


def write_part_by_sql(log: Log, target: Path, run: Run) -> None:
    """Count a log by SQL and write the part of counts.

    Args:
        log: an opened log of JSON lines or Parquet.
        target: the part to write.
        run: of an engine: ``run_duckdb``, or what ``by_spark.runner`` returns.

    Raises:
        InputError: the log has what the text does not count.
        DataError: a defect of the log; one between its records is found when the part is read.
    """
    duckdb = require_duckdb(target)
    shape = shape_of(log)
    with temporary(Path(tempfile.gettempdir()), "flopbench.") as folder:
        folder.mkdir()
        try:
            query = run(log, shape, folder)
            with quiet_connection(duckdb) as connection:
                about = _about(log, query, connection)
        except duckdb.Error as error:
            raise DataError(_said(error, log)) from None
        labels = "nullif(json(labels), '[]') AS labels"  # one layout, whatever the engine's is
        kept = f"SELECT * REPLACE ({labels}) FROM ({query}) WHERE video IS NOT NULL"
        header = without_preset_file(log.plan.header, log.plan.header)
        write_counts(target, {}, header=header, about=about, query=kept)


def _about(log: Log, query: str, connection: Any) -> About:
    """Return what a part says about itself; refuse counts with a defect."""
    found = connection.execute(
        "SELECT min(defect), max(own_spans), sum(odd_runs)::BIGINT, min(odd_run), count(video) "
        f"FROM ({query})"
    )
    defect, own_spans, odd_runs, odd_run, rows = found.fetchone()
    if defect is not None:
        defect = f"{log.source}: {defect}" if defect.startswith("id ") else defect
        raise DataError(defect, INSTEAD if defect.endswith(UNCOUNTED) else ALL_DEFECTS)
    if not rows:
        raise DataError(f"{log.source} has a header but no samples: there is nothing to count")
    return About(
        sources=[str(reader.path) for reader in log.readers],
        own_spans=bool(own_spans),
        odd_runs=odd_runs,
        first_odd_run=odd_run or "",
    )


def _said(error: Exception, log: Log) -> str:
    """Return an engine's error as one line that names the file, if the engine does."""
    line = str(error).strip().splitlines()[0].partition("Error: ")[2] or str(error)
    named = any(str(one.path) in line for one in log.readers)
    return line if named else f"{log.source}: {line}"


def shape_of(log: Log) -> Shape:
    """Return how the samples of a log are written.

    Raises:
        InputError: the log has what the text does not count.
    """
    plan = log.plan

    def refuse(what: str) -> InputError:
        return InputError(f"{log.source}: {what} {UNCOUNTED}", INSTEAD)

    if log.form not in ("jsonl", "parquet"):
        raise InputError(
            f"{log.source}: SQL counts JSON lines and Parquet, and this is {log.form}",
            f"flopbench log convert writes Parquet; or {INSTEAD}",
        )
    if plan.exits or any(action.kind == "exit" for action in plan.actions):
        raise refuse("exits")
    if not plan.actions:
        raise refuse("logs without actions")
    if log.form == "jsonl":
        first = first_choice(log)
        if isinstance(first, list):
            raise refuse("one-hot rows")
        names = isinstance(first, str)
        if names and any(action.name.isdigit() for action in plan.actions):
            raise refuse("actions whose names are numbers, by their names,")
        return Shape(names=names)
    columns: dict[str, str] = {}
    for reader in log.readers:
        assert isinstance(reader, ParquetReader)  # as the log's form says
        found = counted_columns(reader.types(), refuse)
        if columns and found != columns:
            raise DataError(
                f"{reader.path}: its columns differ from those of {log.readers[0].path}", INSTEAD
            )
        columns = found
    kinds = {kind for name, kind in columns.items() if name.partition(".")[0] == "actions"}
    if len(kinds) > 1:
        raise refuse("streams of different types")
    return Shape(columns=columns, names=kinds == {"VARCHAR[]"})


def first_choice(log: Log) -> Any:
    """Return the first decision of a log, None if it has none."""
    for samples, _ in log.samples(raise_first):
        for sample in samples:
            actions = sample.actions
            lists = actions.values() if isinstance(actions, dict) else [actions]
            for choices in lists:
                if choices:
                    return choices[0]
    return None


def counted_columns(
    columns: Mapping[str, str], refuse: Callable[[str], InputError]
) -> dict[str, str]:
    """Return those of a Parquet file's columns that counts depend on, with their types."""
    kept = {}
    for name, kind in columns.items():
        field = name.partition(".")[0].removesuffix("_json")
        if field in ("exit", "counts"):
            raise refuse(f"columns {name!r}")
        if field in _TYPES:
            if kind not in _TYPES[field]:
                raise refuse(f"columns {name!r} of type {kind}")
            kept[name] = kind
    return kept


def run_duckdb(log: Log, shape: Shape, folder: Path) -> str:
    """Count with DuckDB, on this machine."""
    duckdb = require_duckdb(log.readers[0].path)
    target = folder / "counted.parquet"
    paths = ", ".join(sql_text(duckdb_path(reader.path)) for reader in log.readers)
    if shape.columns is None:
        texts = dict.fromkeys(LINE_FIELDS, "JSON") | {"id": "VARCHAR", "view": "VARCHAR"}
        columns = ", ".join(f"{name}: {sql_text(kind)}" for name, kind in texts.items())
        form = f"format = 'newline_delimited', columns = {{{columns}}}"
        raw = f"read_json([{paths}], {form}, filename = true)"
    else:
        raw = f"read_parquet([{paths}], filename = true)"
    settings = {"temp_directory": str(folder), "preserve_insertion_order": False}
    with quiet_connection(duckdb, **settings) as connection:
        load_for(connection, log.readers[0].path)
        connection.execute(f"CREATE TEMP VIEW raw AS SELECT *, filename AS source FROM {raw}")
        for name, query in views(log.plan, shape, Dialect()).items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {query}")
        connection.execute(f"COPY ({counts_text()}) TO {sql_text(str(target))} (FORMAT parquet)")
    return f"SELECT * FROM read_parquet({sql_text(str(target))})"
