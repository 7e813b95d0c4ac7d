"""The offline cost table as text: which columns, which notes, which formats.

Lives here: choosing and naming columns. Does not live here: layout (``grid``), the table's
records and its JSON (``table``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from flopbench.agreement import REFERENCE
from flopbench.errors import InputError
from flopbench.present.grid import Column, Grid, to_csv, to_html, to_latex, to_markdown, to_terminal
from flopbench.table import CostRow, CostTable
from flopbench.units import CONVENTION, millions, readable_giga

STATUS_STYLES = {"verified": "green", "partial": "yellow", "unverified": "yellow"}
"""Colours of the status column; whatever is not listed and not quoted is drawn red."""

TITLE = "Offline cost table: GMACs per forward pass"


def cost_table_grid(table: CostTable) -> Grid:
    """Lay a cost table out with one line a model and input, one column a counter."""
    counters = table.counters()
    lines = table.lines()
    published = any(row.published_gflops is not None for row in table)
    columns = [Column(title="network", align="left"), Column(title="input")]
    if published:
        columns.append(Column(title="published"))
    # The reference counter's total is the dense count itself: one column says both.
    columns += [Column(title="torch (dense)" if c == REFERENCE else c) for c in counters]
    columns += [] if REFERENCE in counters else [Column(title="dense")]
    columns += [Column(title=title) for title in ("act. M", "params M", "feature dim")]
    columns.append(Column(title="status", align="left"))
    footnotes: dict[str, int] = {}
    rows = tuple(_line(line, counters, published, footnotes) for line in lines)
    return Grid(
        title=TITLE,
        columns=tuple(columns),
        rows=rows,
        footnotes=tuple(footnotes),
        caption=_caption(table),
    )


def render_cost_table(table: CostTable, format: str, stream: TextIO) -> str | None:
    """Render a cost table.

    Args:
        table: what to render.
        format: ``table``, ``md``, ``csv``, ``json`` or ``latex``.
        stream: where ``table`` is drawn.

    Returns:
        The text, or None for ``table``, which goes to the stream at once.
    """
    if format == "json":
        return table.dumps()
    if format == "csv":
        return cost_table_csv(table)
    grid = cost_table_grid(table)
    if format == "md":
        return to_markdown(grid)
    if format == "latex":
        return to_latex(grid, "flopbench-costs")
    statuses = {row[-1] for row in grid.rows}
    styles = {
        s: STATUS_STYLES.get(s.split(" ")[0], "" if s == "quoted" else "red") for s in statuses
    }
    to_terminal(grid, stream, styles=styles)
    return None


def cost_table_csv(table: CostTable) -> str:
    """Return one line a row (long form), integers exact, notes joined by ``; ``."""
    rows = []
    for row in table:
        fields: dict[str, Any] = asdict(row)
        fields["notes"] = "; ".join(row.notes)
        fields["not_counted"] = json.dumps(list(row.not_counted)) if row.not_counted else ""
        rows.append(fields)
    names = list(CostRow.__dataclass_fields__)
    return to_csv(names, [[fields[name] for name in names] for fields in rows])


def cost_table_html(table: CostTable) -> str:
    """Return the table for a notebook."""
    return to_html(cost_table_grid(table))


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
    """Refuse a column that no table of these counters has.

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

    Args:
        table: what to sort.
        key: ``model``, ``input``, ``published``, ``dense``, ``activations``, ``params``,
            ``feature_dim``, ``status`` or the name of a counter in the table.

    Raises:
        InputError: there is no such column.
    """
    check_sort_key(key, table.counters())
    name, descending = key.removeprefix("-"), key.startswith("-")

    def value(line: list[CostRow]) -> Any:
        if name in _SORT_KEYS:
            found = [v for r in line if (v := _SORT_KEYS[name](r)) is not None]
        else:
            found = [r.total_macs for r in line if r.counter == name and r.total_macs is not None]
        return found[0] if found else None

    lines = table.lines()
    known = [line for line in lines if value(line) is not None]
    unknown = [line for line in lines if value(line) is None]
    known.sort(key=value, reverse=descending)
    rows = tuple(row for line in [*known, *unknown] for row in line)
    return CostTable(rows=rows, environment=table.environment)


def line_status(line: list[CostRow]) -> str:
    """Put the statuses of one line into a few words: the worst, and whose it is."""
    statuses = {row.counter: row.status for row in line}
    for worst in ("failed", "disputed", "partial", "unverified"):
        who = [counter for counter, status in statuses.items() if status == worst]
        if len(who) == len(statuses):
            return worst
        if who and worst != "unverified":
            agreed = "verified; " if "verified" in statuses.values() else ""
            return f"{agreed}{worst}: {', '.join(who)}"
    return line[0].status


def _line(
    line: list[CostRow], counters: list[str], published: bool, footnotes: dict[str, int]
) -> tuple[str, ...]:
    first = line[0]
    marks = ""
    for note in dict.fromkeys(note for row in line for note in row.notes):
        whose = [row.counter for row in line if note in row.notes]
        text = note if len(whose) == len(line) else f"{', '.join(whose)}: {note}"
        marks += f"[{footnotes.setdefault(text, len(footnotes) + 1)}]"
    totals = {row.counter: row.total_macs for row in line}
    name = first.model if first.classes is None else f"{first.model} ({first.classes})"
    cells = [f"{name} {marks}".rstrip(), first.input or "-"]
    if published:
        value = first.published_gflops
        cells.append("-" if value is None else f"{value:.4f}")
    cells += [_giga(totals.get(name)) for name in counters]
    if REFERENCE not in counters:
        cells.append(_giga(_agreed(line)))
    elif first.counter == "constant":
        cells[counters.index(REFERENCE) - len(counters)] = _giga(first.total_macs)
    cells += [
        _millions(max((r.activations or 0 for r in line), default=0) or None, 2),
        _millions(first.params, 3),
        "-" if first.feature_dim is None else str(first.feature_dim),
        line_status(line),
    ]
    return tuple(cells)


def _agreed(line: list[CostRow]) -> int | None:
    verified = [r.dense_macs for r in line if r.status == "verified"]
    if verified:
        return verified[0]
    known = {r.counter: r.dense_macs for r in line if r.dense_macs is not None}
    return known.get(REFERENCE, next(iter(known.values()), None))


def _caption(table: CostTable) -> tuple[str, ...]:
    dense = (
        "dense = multiply-accumulates of conv, linear, matmul, attention and recurrent operators; "
        "each counter's own column follows that counter's rules. "
        "act. = elements written by dense operators."
    )
    classes = "(200) after a network: its head has that many classes. "
    heads = classes.replace("200", "n") if any(r.classes is not None for r in table) else ""
    versions = ", ".join(f"{name} {value}" for name, value in table.environment.items())
    return tuple(text for text in (CONVENTION, heads + dense, f"Made with {versions}.") if text)


def _giga(count: int | None) -> str:
    """Print GMACs to four decimals, or to three digits where four decimals would hide a cost."""
    return "-" if count is None else readable_giga(count)


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else millions(count, digits)
