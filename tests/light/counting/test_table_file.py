"""The cost table's file: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, RunCli, assert_refused
from hypothesis import given
from hypothesis import strategies as st
from records import gap

from flopbench.core.errors import DataError
from flopbench.counting.cost_row import CostRow, leading_row, summarise_gaps
from flopbench.counting.table import CostTable
from flopbench.counting.table_grid import cost_table_grid
from flopbench.counting.table_text import cost_tables, sort_table

SAVED = ROOT / "tests" / "data" / "table-schema1.json"


def row(**changes: Any) -> CostRow:
    """Return a plain row with some fields changed."""
    fields: dict[str, Any] = {
        "model": "resnet18",
        "input": "112",
        "counter": "torch",
        "counter_version": "2.15.0",
        "total_macs": 485_000_000,
        "dense_macs": 484_950_000,
        "params": 11_000_000,
        "activations": 630_000,
        "feature_dim": 512,
        "published_gflops": None,
        "status": "verified",
    }
    return CostRow(**{**fields, **changes})


counts = st.none() | st.integers(min_value=0, max_value=2**63)
rows = st.builds(
    row,
    model=st.text(max_size=8),
    total_macs=counts,
    dense_macs=counts,
    feature_dim=counts,
    published_gflops=st.none() | st.floats(min_value=0, max_value=1e6),
    notes=st.lists(st.text(max_size=9)).map(tuple),
    classes=st.none() | st.integers(min_value=1, max_value=9),
)


@given(st.lists(rows, max_size=5))
def test_every_table_survives_its_file(made: list[CostRow]) -> None:
    """JSON holds the whole table; integers stay integers; the same table gives the same bytes."""
    table = CostTable(rows=tuple(made), environment={"torch": "2.15.0"})
    again = CostTable.from_json(json.loads(table.dumps()))
    assert again == table
    assert again.dumps() == table.dumps()


def test_a_file_of_schema_1_is_read() -> None:
    """A file kept from the first schema stays readable."""
    table = CostTable.load(SAVED)
    assert len(table) == 28
    first = table.rows[0]
    assert (first.model, first.input, first.counter) == ("mobilenet_v2", "84", "thop-2020")
    assert first.total_macs == 52_921_376
    assert table.counters() == ["thop-2020", "thop", "fvcore", "torch"]


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"schema": 2}, "reads up to 1"),
        ({"schema": "1"}, "'schema' is '1'"),
        ({"schema": None}, "'schema' is None"),
        ({"kind": "flopbench.profiles"}, "not a flopbench cost table .kind: 'flopbench.profiles'"),
        ({"rows": None}, "'rows' is null where a list was expected"),
        ({"environment": 3}, "'environment' is 3 where an object was expected"),
    ],
)
def test_other_files_are_refused(change: dict[str, Any], needle: str) -> None:
    """A newer schema, another kind or not a table at all: the message says which."""
    data = {**CostTable(rows=(row(),)).to_json(), **change}
    with pytest.raises(DataError, match=needle):
        CostTable.from_json(data)


COUNT = "where a whole number of at least 0"
AMOUNT = "a number of at least 0 and at most 1e+300"


@pytest.mark.parametrize(
    ("field", "value", "needle"),
    [
        ("dense_macs", 1.5, f"rows[1].dense_macs is 1.5 {COUNT} or null"),
        ("dense_macs", True, f"rows[1].dense_macs is true {COUNT} or null"),
        ("dense_macs", -1, f"rows[1].dense_macs is -1 {COUNT} or null"),
        ("model", None, "rows[1].model is null where text was expected"),
        ("notes", "text", "rows[1].notes is 'text' where a list was expected"),
        ("notes", [1], "rows[1].notes[0] is 1 where text was expected"),
        ("not_counted", ["x"], "rows[1].not_counted[0] is 'x' where an object was expected"),
        ("published_gflops", float("nan"), f"rows[1].published_gflops is nan where {AMOUNT}"),
        ("published_gflops", float("inf"), f"rows[1].published_gflops is inf where {AMOUNT}"),
        ("surprise", 1, "rows[1].surprise is an unknown key"),
    ],
)
def test_a_wrong_field_is_named_with_its_row(field: str, value: Any, needle: str) -> None:
    """The message says which row and which field."""
    data = {"schema": 1, "rows": [{"model": "a", "counter": "c", "status": "verified"}] * 2}
    assert len(CostTable.from_json(data)) == 2
    data["rows"][1] = {**data["rows"][1], field: value}
    with pytest.raises(DataError) as caught:
        CostTable.from_json(data, "t.json")
    assert caught.value.message.startswith(f"t.json: {needle}")


def test_a_missing_field_is_named() -> None:
    """A row without a counter is refused."""
    data = {"schema": 1, "rows": [{"model": "a", "status": "verified"}]}
    with pytest.raises(DataError, match=r"rows\[0\]\.counter is missing"):
        CostTable.from_json(data)


def test_gaps_are_summed_over_modules() -> None:
    """Two modules with the same gap make one entry, those that may multiply first."""
    gaps = (
        gap("operator", "aten::add", "a", may_multiply=False),
        gap("operator", "my::op", "a"),
        gap("operator", "my::op", "b"),
    )
    summed = summarise_gaps(gaps)
    assert [(g["name"], g["calls"], g["modules"]) for g in summed] == [
        ("my::op", 2, 2),
        ("aten::add", 1, 1),
    ]


def test_sorting_is_by_number_not_by_text() -> None:
    """9.00 comes before 100.00, lines without a value come last either way."""
    table = CostTable(
        rows=(
            row(model="big", total_macs=100 * 10**9, dense_macs=100 * 10**9),
            row(model="none", total_macs=None, dense_macs=None),
            row(model="small", total_macs=9 * 10**9, dense_macs=9 * 10**9),
        )
    )
    assert [r.model for r in sort_table(table, "dense")] == ["small", "big", "none"]
    assert [r.model for r in sort_table(table, "-torch")] == ["big", "small", "none"]


BLIND = (("thop", "partial", 4), ("torch", "unverified", 100))


@pytest.mark.parametrize(
    ("line", "dense"),
    [
        (BLIND, 100),
        ((("thop", "disputed", 400), ("torch", "verified", 100)), 100),
        ((("thop", "partial", 4), ("fvcore", "unverified", 100)), 100),
        ((("thop", "partial", 4), ("torch", "partial", 60)), 60),
        ((("thop", "unverified", 7), ("fvcore", "unverified", 7)), 7),
        ((("thop", "failed", None), ("fvcore", "partial", 5)), 5),
        ((("constant", "quoted", None),), None),
    ],
)
def test_the_count_that_stands_for_a_model(line: Any, dense: int | None) -> None:
    """What no verdict doubts, else the reference's, else what there is."""
    made = [row(counter=name, status=status, dense_macs=n) for name, status, n in line]
    assert leading_row(made).dense_macs == dense


def test_lines_are_sorted_by_the_count_that_stands_for_the_model() -> None:
    """100 MACs of which THOP sees 4 come after 50."""
    rows = [
        *(row(model="a", counter=name, status=status, dense_macs=n) for name, status, n in BLIND),
        row(model="b", counter="thop", dense_macs=50),
        row(model="b", dense_macs=50),
    ]
    found = sort_table(CostTable(rows=tuple(rows)), "dense")
    assert [line[0].model for line in found.lines()] == ["b", "a"]


def test_a_note_of_one_counter_names_it() -> None:
    """A note that every row carries stands alone; any other names its counters."""
    table = CostTable(rows=(row(notes=("both", "mine")), row(counter="thop", notes=("both",))))
    assert cost_table_grid(table.rows, table.environment).footnotes == ("both", "torch: mine")


def test_a_saved_table_is_printed_without_torch(run_cli: RunCli, tmp_path: Path) -> None:
    """``--from`` reads a file and renders it in every format; no measuring library is loaded."""
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise ImportError('torch must not be imported')")
    env = {"PYTHONPATH": str(tmp_path)}
    for format in ("table", "md", "csv", "json", "latex"):
        result = run_cli("table", "--from", str(SAVED), "--format", format, env=env, process=True)
        assert result.returncode == 0, result.stderr
        assert "resnet50" in result.stdout.replace("\\_", "_")
    again = run_cli("table", "--from", str(SAVED), "--format", "json").stdout
    assert CostTable.from_json(json.loads(again)) == CostTable.load(SAVED)


def test_damaged_tables_are_refused_on_the_command_line(run_cli: RunCli, tmp_path: Path) -> None:
    """A newer schema and a truncated file: one message, exit 2, the output file untouched."""
    out = tmp_path / "out.md"
    out.write_text("precious")
    newer = tmp_path / "newer.json"
    newer.write_text(SAVED.read_text().replace('"schema": 1', '"schema": 9', 1))
    refused = run_cli("table", "--from", str(newer), "-o", str(out))
    assert_refused(refused, "newer.json", "schema 9", "upgrade flopbench")
    cut = tmp_path / "cut.json"
    cut.write_text(SAVED.read_text()[:-200])
    assert_refused(run_cli("table", "--from", str(cut), "-o", str(out)), "cut.json:", "not JSON")
    assert_refused(run_cli("table", "--from", "none.json"), "none.json", "No such file")
    assert_refused(run_cli("table", "resnet18", "--from", str(SAVED)), "--from")
    assert out.read_text() == "precious"


def test_markdown_and_latex_escape_what_a_file_says() -> None:
    """A name from a file cannot break the table it is printed in."""
    table = CostTable(rows=(row(model="a|b_c&d%", notes=("50 % <b>",)),))
    assert "a\\|b_c&d%" in (cost_tables(table).render("md", None) or "")  # type: ignore[arg-type]
    assert r"a\textbar{}b\_c\&d\%" in (cost_tables(table).render("latex", None) or "")  # type: ignore[arg-type]
    assert "&lt;b&gt;" in table._repr_html_()


def counted(macs: int, counter: str = "torch", **more: Any) -> CostRow:
    """Return the row of a small network."""
    return CostRow(
        model="net", input="8", counter=counter, total_macs=macs, dense_macs=macs,
        params=9, activations=9, status="verified", **more,
    )  # fmt: skip


def constant(macs: int) -> CostRow:
    """Return the row of a quoted figure."""
    return CostRow(model=f"value:{macs}", counter="constant", total_macs=macs, status="quoted")


@pytest.mark.parametrize(
    ("rows", "unit", "headings", "cells"),
    [
        ([constant(1_800_000_000)], "GMACs", "network GMACs status", ["1.8000"]),
        ([constant(40_000_000)], "MMACs", "network MMACs status", ["40.000"]),
        (
            [counted(606_208), constant(50)],
            "MMACs",
            "network input torch (dense) act. M params M status",
            ["0.606", "5.00e-05"],
        ),
        (
            [counted(606_208), counted(300_000_000, classes=2)],
            "GMACs",
            "network input torch (dense) act. M params M status",
            ["6.06e-04", "0.3000"],
        ),
        (
            [counted(50_000_000, "thop", published_gflops=0.0512), constant(9_000_000)],
            "MMACs",
            "network input published thop dense act. M params M status",
            ["51.2", "-"],
        ),
    ],
    ids=["one constant", "a small one", "beside a net", "one unit a column", "published"],
)
def test_columns_and_units_fit_the_rows(
    rows: list[CostRow], unit: str, headings: str, cells: list[str]
) -> None:
    """A constant alone is shown; the unit is by the largest count; no column is empty."""
    grid = cost_table_grid(rows, {})
    assert grid.title == f"Offline cost table: {unit} per forward pass"
    assert " ".join(column.title for column in grid.columns) == headings
    place = 1 if len(grid.columns) == 3 else 2
    assert [row[place] for row in grid.rows] == cells
