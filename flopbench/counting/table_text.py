"""The cost table as text: terminal, Markdown, LaTeX, CSV and JSON, and sorting."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from flopbench.core.errors import InputError
from flopbench.core.grid import Grid, to_csv
from flopbench.core.tables import Tables
from flopbench.core.units import GIGA, PREFIXES
from flopbench.counting.cost_row import QUOTED, CostRow, bare_name, leading_row
from flopbench.counting.table import CostTable
from flopbench.counting.table_grid import cost_table_grid, line_notes

STATUS_STYLES = {"verified": "green", "partial": "yellow", "unverified": "yellow"}
"""Colours of the status column; whatever is not listed and not quoted is drawn red."""


def cost_tables(table: CostTable, *, flat: bool = False) -> Tables:
    """Return a cost table, ready to be shown; ``flat`` CSV has one row a model."""
    grid = cost_table_grid(table.rows, table.environment)
    statuses = {row[-1] for row in grid.rows}
    styles = {s: STATUS_STYLES.get(s, "" if s == "quoted" else "red") for s in statuses}
    styles |= {s: "yellow" for s in statuses if s.startswith("verified for") and ";" not in s}
    return Tables(
        grids={"costs": grid},
        csv=lambda: flat_csv(table) if flat else cost_table_csv(table),
        json=table.dumps,
        styles=styles,
    )


def table_grids(table: CostTable) -> list[Grid]:
    """Lay out a cost table as Python shows it."""
    return [cost_table_grid(table.rows, table.environment)]


def cost_table_csv(table: CostTable) -> str:
    """Return one line per row (long form), integers exact, notes joined by ``; ``."""
    rows = []
    for row in table:
        fields = msgspec.structs.asdict(row)
        fields["notes"] = "; ".join(row.notes)
        fields["not_counted"] = json.dumps(row.not_counted) if row.not_counted else ""
        rows.append(list(fields.values()))
    return to_csv(CostRow.__struct_fields__, rows)


FLAT_COLUMNS = ("model", "infer_img_size", "infer_gmacs", "infer_macts", "param_count")
"""As timm's benchmark files call them: MACs by fvcore's rules / 1e9, activations and parameters
/ 1e6."""


def flat_csv(table: CostTable) -> str:
    """Return one line per model and input: timm's columns, the exact counts, and every counter.

    ``status`` is that of the counter whose dense MACs are to be believed, ``dense_macs`` its count.
    """
    counters = table.counters()
    own = [f"{counter}_{what}" for counter in counters for what in ("macs", "status")]
    header = (*FLAT_COLUMNS, "status", "dense_macs", "activations", "params", "feature_dim")
    rows, mega = [], PREFIXES["M"]
    for line in table.lines():
        under = {row.counter: row for row in line}
        lead, quoted = leading_row(line), under.get(QUOTED)
        macs = None if quoted is None else quoted.total_macs
        numbers = ((macs, GIGA), (lead.activations, mega), (lead.params, mega))
        timms = ["" if count is None else count / unit for count, unit in numbers]
        exact = [lead.dense_macs, lead.activations, lead.params, lead.feature_dim]
        cells: list[Any] = []
        for row in (under.get(counter) for counter in counters):
            cells += ["", ""] if row is None else [row.total_macs, row.status]
        name = bare_name(lead)
        notes = "; ".join(line_notes(line))
        rows.append([name, lead.input, *timms, lead.status, *exact, *cells, lead.spec, notes])
    return to_csv((*header, *own, "spec", "notes"), rows)


_SORT_KEYS: dict[str, Callable[[CostRow], Any]] = {
    "model": lambda r: r.model,
    "input": lambda r: tuple(int(n) for n in r.input.split("x") if n.isdigit()),
    "published": lambda r: r.published_gflops,
    "dense": lambda r: r.dense_macs,
    "activations": lambda r: r.activations,
    "params": lambda r: r.params,
    "feature_dim": lambda r: r.feature_dim,
    "status": lambda r: r.status,
}


def check_sort_key(key: str, counters: Sequence[str]) -> None:
    """Refuse a column that a table of these counters does not have.

    Raises:
        InputError: there is no such column.
    """
    name = key.removeprefix("-")
    if name not in _SORT_KEYS and name not in counters:
        raise InputError(
            f"cannot sort by {name!r}",
            f"columns: {', '.join([*_SORT_KEYS, *counters])}; -NAME puts the largest first",
        )


def sort_table(table: CostTable, key: str) -> CostTable:
    """Sort the lines of a table by a column, smallest first; ``-key`` puts the largest first.

    Raises:
        InputError: there is no such column.
    """
    check_sort_key(key, table.counters())
    name, descending = key.removeprefix("-"), key.startswith("-")

    def value(line: list[CostRow]) -> Any:
        if name in _SORT_KEYS:
            rows = [leading_row(line)] if name == "dense" else line
            found = [v for r in rows if (v := _SORT_KEYS[name](r)) is not None]
        else:
            found = [r.total_macs for r in line if r.counter == name and r.total_macs is not None]
        return found[0] if found else None

    lines = table.lines()
    known = [line for line in lines if value(line) is not None]
    unknown = [line for line in lines if value(line) is None]
    known.sort(key=value, reverse=descending)
    rows = tuple(row for line in [*known, *unknown] for row in line)
    return CostTable(rows=rows, environment=table.environment)
