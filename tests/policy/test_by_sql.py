"""Counts by SQL on DuckDB: the rows of the exact reader, or an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")

from conftest import RunCli  # noqa: E402
from sql_logs import ACTIONS, BAD, KINDS, NET, write  # noqa: E402

import flopbench  # noqa: E402
from flopbench.core.errors import FlopbenchError, InputError  # noqa: E402
from flopbench.policy.writers import convert_file  # noqa: E402


def rows(part: Path) -> list[Any]:
    """Return the rows of a part, in their order."""
    return duckdb.connect().execute("FROM read_parquet(?)", [str(part)]).fetchall()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_exact_reader(kind: str, tmp_path: Path) -> None:
    """A part by SQL is a part by the exact reader, of lines and of Parquet."""
    lines = write(tmp_path / "log.jsonl", *KINDS[kind])
    columns = tmp_path / "log.parquet"
    convert_file(lines, columns)
    for log in (lines, columns):
        if log is columns and kind == "names":
            continue  # its labels are JSON text
        exact = flopbench.reduce_log(log, tmp_path / "exact.counts")
        by_sql = flopbench.reduce_log(log, tmp_path / "sql.counts", engine="duckdb")
        assert rows(tmp_path / "sql.counts") == rows(tmp_path / "exact.counts")
        assert (by_sql.own_spans, by_sql.odd_runs) == (exact.own_spans, exact.odd_runs)
        assert by_sql.first_odd_run.partition(": ")[2] == exact.first_odd_run.partition(": ")[2]


@pytest.mark.parametrize("wrong", BAD)
def test_what_the_exact_reader_refuses_ends_the_run(wrong: str, tmp_path: Path) -> None:
    """A defect is said with its file, and nothing is written."""
    said, fields, samples = BAD[wrong]
    good = {"id": "v1", "actions": [0, 0]}
    log = write(tmp_path / "log.jsonl", {"actions": ACTIONS, **fields}, [good, *samples])
    with pytest.raises(FlopbenchError) as found:
        flopbench.reduce_log(log, tmp_path / "sql.counts", engine="duckdb")
    assert str(log) in found.value.message
    assert said in found.value.message
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize(
    ("fields", "samples", "said"),
    [
        ({"actions": ACTIONS, "exits": [{"name": "e"}]}, [{"id": "v", "actions": [0]}], "exits"),
        ({}, [{"id": "v", "counts": {"net": 1}}], "logs without actions"),
        ({"actions": ACTIONS}, [{"id": "v", "actions": [[1, 0, 0]]}], "one-hot rows"),
        (
            {"actions": ["7"], "components": {"7": NET["components"]["net"]}},
            [{"id": "v", "actions": ["7"]}],
            "numbers",
        ),
    ],
)
def test_what_sql_does_not_count_is_refused(
    fields: dict[str, Any], samples: list[Any], said: str, tmp_path: Path
) -> None:
    """It is refused before anything runs; the message names the way out."""
    log = write(tmp_path / "log.jsonl", fields, samples)
    with pytest.raises(InputError, match=f"{said}.* are not counted by SQL") as found:
        flopbench.reduce_log(log, tmp_path / "sql.counts", engine="duckdb")
    assert "leave --engine out" in found.value.hint


@pytest.mark.parametrize(("engine", "said"), [("sqlite", "no engine"), ("spark", "needs --master")])
def test_an_engine_that_is_none(engine: str, said: str, tmp_path: Path) -> None:
    """From Python, too, it is one message."""
    log = write(tmp_path / "log.jsonl", *KINDS["rows"])
    with pytest.raises(InputError, match=said):
        flopbench.reduce_log(log, tmp_path / "sql.counts", engine=engine)


def test_options_and_forms_that_sql_lacks(run_cli: RunCli, tmp_path: Path) -> None:
    """Each is one message with status 2."""
    log = write(tmp_path / "log.jsonl", *KINDS["rows"])
    convert_file(log, tmp_path / "log.csv")
    for words, said in (
        (["log.csv", "--engine", "duckdb"], "SQL counts JSON lines and Parquet, and this is csv"),
        (["log.jsonl", "--engine", "duckdb", "--duplicates", "first"], "--engine duckdb has no"),
        (["log.jsonl", "--engine", "spark"], "--engine spark and --master go together"),
        (["log.jsonl", "--master", "local[1]"], "--engine spark and --master go together"),
    ):
        done = run_cli("log", "reduce", *words, "-o", "sql.counts", cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "sql.counts").exists()
