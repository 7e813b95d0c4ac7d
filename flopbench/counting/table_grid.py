"""The cost table as a grid: its columns, notes and caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flopbench.core.grid import Grid, columns
from flopbench.core.units import CONVENTION, GIGA, Scale, millions, table_scale
from flopbench.counting.agreement import REFERENCE, restriction
from flopbench.counting.cost_row import CostRow, counters_of, leading_row, lines_of

OF_QUOTES = ("published ", "quoted: ")
"""What footnotes begin with that say where a printed figure is from, not what a count is worth."""


def cost_table_grid(rows: Sequence[CostRow], environment: Mapping[str, str]) -> Grid:
    """Lay out a cost table with one line per model and input, and one column per counter."""
    counters = counters_of(rows)
    scale = _scale(rows)
    # The reference counter's total is the dense count itself: one column shows both.
    titles = ["network", "input", "published"]
    titles += ["torch (dense)" if c == REFERENCE else c for c in counters]
    titles += [] if REFERENCE in counters else ["dense" if counters else f"{scale.prefix}MACs"]
    titles += ["act. M", "params M", "feature dim", "status"]
    others = [counter for counter in reversed(counters) if counter != REFERENCE]
    footnotes: dict[str, int] = {}
    cells = [_line(line, counters, scale, footnotes) for line in lines_of(rows)]
    grid = Grid(
        title=f"Offline cost table: {scale.prefix}MACs per forward pass",
        columns=columns(
            titles,
            ("network", "status"),
            spare=("feature dim", "act. M", "params M", *others[:-1], "status", *others[-1:]),
        ),
        rows=tuple(cells),
        footnotes=tuple(footnotes),
        caption=_caption(rows, environment),
        stay={CONVENTION, *(text for text in footnotes if not text.startswith(OF_QUOTES))},
    )
    # A column that no row can fill is left out; a counter that failed keeps its own.
    optional = {"input", "published", "act. M", "params M", "feature dim"}
    empty = [{row[k] for row in cells} == {"-"} for k in range(len(titles))]
    return grid.keeping(
        [k for k, title in enumerate(titles) if not (empty[k] and title in optional)]
    )


def _scale(rows: Sequence[CostRow]) -> Scale:
    counts = [count for row in rows for count in (row.total_macs, row.dense_macs) if count]
    quoted = [row.published_gflops * GIGA for row in rows if row.published_gflops]
    return table_scale(max([*counts, *quoted], default=0))


def line_status(line: list[CostRow]) -> str:
    """Summarise the statuses of one line: the worst one, and which counters have it."""
    statuses = {row.counter: row.status for row in line}
    notes = [note for row in line if row.status == "verified" for note in row.notes]
    verified = f"verified {restriction(notes).partition(':')[0]}".rstrip()
    for worst in ("failed", "disputed", "partial", "unverified"):
        who = [counter for counter, status in statuses.items() if status == worst]
        if len(who) == len(statuses):
            return worst
        if who and worst != "unverified":
            agreed = f"{verified}; " if "verified" in statuses.values() else ""
            return f"{agreed}{worst}: {', '.join(who)}"
    return verified if line[0].status == "verified" else line[0].status


def line_notes(line: Sequence[CostRow]) -> list[str]:
    """Return the notes of one line, each with its counters where it is not about all of them."""
    notes = []
    for note in dict.fromkeys(note for row in line for note in row.notes):
        counted_by = [row.counter for row in line if note in row.notes]
        notes.append(note if len(counted_by) == len(line) else f"{', '.join(counted_by)}: {note}")
    return notes


def _line(
    line: list[CostRow], counters: list[str], scale: Scale, footnotes: dict[str, int]
) -> tuple[str, ...]:
    first = line[0]
    numbers = (footnotes.setdefault(text, len(footnotes) + 1) for text in line_notes(line))
    marks = "".join(f"[{number}]" for number in numbers)
    totals = {row.counter: row.total_macs for row in line}
    name = first.model if first.classes is None else f"{first.model} ({first.classes})"
    quoted = first.published_gflops
    digits = ".4f" if scale.divisor == GIGA else ".6g"
    published = "-" if quoted is None else f"{quoted * (GIGA / scale.divisor):{digits}}"
    cells = [f"{name} {marks}".rstrip(), first.input or "-", published]
    constant = first.total_macs if first.counter == "constant" else None
    for name in counters:
        own = constant if name == REFERENCE and constant is not None else totals.get(name)
        cells.append(_in(scale, own))
    if REFERENCE not in counters:
        dense = leading_row(line).dense_macs
        cells.append(_in(scale, dense if constant is None else constant))
    cells += [
        _millions(max((r.activations or 0 for r in line), default=0) or None, 2),
        _millions(first.params, 3),
        "-" if first.feature_dim is None else str(first.feature_dim),
        line_status(line),
    ]
    return tuple(cells)


def _caption(rows: Sequence[CostRow], environment: Mapping[str, str]) -> tuple[str, ...]:
    dense = (
        "dense = multiply-accumulates of conv, linear, matmul, attention and recurrent operators; "
        "each counter's own column follows that counter's rules. "
        "act. = elements written by dense operators."
    )
    classes = "(200) after a network: its head has that many classes. "
    heads = classes.replace("200", "n") if any(r.classes is not None for r in rows) else ""
    versions = ", ".join(f"{name} {value}" for name, value in environment.items())
    dense = dense if counters_of(rows) else ""  # constants have neither
    return tuple(text for text in (CONVENTION, heads + dense, f"Made with {versions}.") if text)


def _in(scale: Scale, count: int | None) -> str:
    return "-" if count is None else scale.text(count)


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else millions(count, digits)
