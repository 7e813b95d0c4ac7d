"""A table as a record, and how it is rendered: terminal, Markdown, CSV, LaTeX, HTML."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TextIO

from flopbench.core.errors import InputError, near_match
from flopbench.core.escaping import markdown_escape, markdown_line, one_line

if TYPE_CHECKING:
    from rich.console import Console

TERMINAL_GAP = 2
"""Characters between two columns on a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        title: its heading.
        align: left for text, right for numbers.
        rank: where space is short the columns of the highest rank go first; those of 0 go last.
        better: which of its numbers are the best, if any are.
    """

    title: str
    align: Literal["left", "right"] = "right"
    rank: int = 0
    better: Literal["", "lower", "higher"] = ""


def columns(
    titles: Sequence[str],
    text: Collection[str],
    *,
    spare: Sequence[str] = (),
    lower: Collection[str] = (),
    higher: Collection[str] = (),
) -> tuple[Column, ...]:
    """Return columns by their headings.

    Args:
        titles: the headings, in order.
        text: those of text; the others hold numbers.
        spare: those that go where space is short, the first one first.
        lower: those whose lowest number is the best.
        higher: those whose highest number is the best.
    """
    ranks = {title: rank for rank, title in enumerate(reversed(spare), 1)}
    ends: dict[str, Literal["lower", "higher"]] = dict.fromkeys(lower, "lower")
    ends |= dict.fromkeys(higher, "higher")
    return tuple(
        Column(
            title=title,
            align="left" if title in text else "right",
            rank=ranks.get(title, 0),
            better=ends.get(title, ""),
        )
        for title in titles
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table ready to be drawn.

    Attributes:
        rows: a tuple of cells for each row, as long as ``columns``; ``-`` where there is no value.
        footnotes: numbered below the table; cells refer to them as ``[1]``.
        caption: units, convention, environment: lines below the footnotes.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()

    def keeping(self, places: Sequence[int]) -> Grid:
        """Return the grid with the columns at these places, in this order."""
        return replace(
            self,
            columns=tuple(self.columns[k] for k in places),
            rows=tuple(tuple(row[k] for k in places) for row in self.rows),
        )

    def with_warnings(self, warnings: Sequence[object]) -> Grid:
        """Return the grid with warnings below it, for a document that has no stderr."""
        return replace(self, caption=(*self.caption, *(f"Warning: {text}." for text in warnings)))


def fitted(
    grid: Grid, width: float, width_of: Callable[[Column, Sequence[str]], float], gap: float
) -> tuple[Grid, tuple[str, ...]]:
    """Leave out columns until the rest fit, the least important and then the last ones first.

    Args:
        grid: its first column always stays.
        width: what there is.
        width_of: the width of a column with its cells, in the unit of ``width``.
        gap: between two columns.

    Returns:
        The grid, and the headings of the columns that were left out.
    """
    widths = [
        width_of(column, [row[k] for row in grid.rows]) for k, column in enumerate(grid.columns)
    ]
    kept = list(range(len(widths)))
    while len(kept) > 1 and sum(widths[k] for k in kept) + gap * (len(kept) - 1) > width:
        kept.remove(max(kept[1:], key=lambda k: (grid.columns[k].rank, k)))
    gone = tuple(c.title for k, c in enumerate(grid.columns) if k not in kept)
    return grid.keeping(kept), gone


def chosen_columns(grid: Grid, names: Sequence[str]) -> Grid:
    """Return the grid with the named columns, in the order of the names.

    Raises:
        InputError: there is no such column.
    """
    titles = [column.title for column in grid.columns]
    for name in names:
        if name not in titles:
            raise InputError(f"there is no column {name!r}", near_match(name, titles, "columns"))
    return grid.keeping([k for name in names for k, title in enumerate(titles) if title == name])


def console_for(stream: TextIO) -> Console:
    """Return rich's console on a stream: it prints text unchanged, in colour on a terminal."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with status 1 here

    return _Console(file=stream, highlight=False, emoji=False, soft_wrap=True)


def to_terminal(
    grid: Grid, stream: TextIO, *, styles: Mapping[str, str] | None = None, wide: bool = False
) -> None:
    """Draw a grid on a stream.

    On a terminal it is coloured by ``styles`` (cell text -> rich style), and unless it may be
    ``wide``, the least important columns are left out where all would not fit, and named.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    def width_of(column: Column, cells: Sequence[str]) -> int:
        return max(cell_len(one_line(text)) for text in (column.title, *cells))

    console = console_for(stream)
    fits = console.is_terminal and not wide
    left_out: tuple[str, ...] = ()
    if fits:
        grid, left_out = fitted(grid, console.width, width_of, TERMINAL_GAP)
    table = Table(box=None, pad_edge=False, padding=(0, TERMINAL_GAP, 0, 0), header_style="bold")
    needed = 0
    for k, column in enumerate(grid.columns):
        table.add_column(Text(column.title), justify=column.align, no_wrap=True)
        needed += width_of(column, [row[k] for row in grid.rows]) + TERMINAL_GAP
    for row in grid.rows:
        table.add_row(*(Text(one_line(cell), style=(styles or {}).get(cell, "")) for cell in row))
    prose_width = console.width
    # The table takes the width that it needs: a wrapped number is a wrong number.
    console.width = max(console.width, needed)
    console.print(Text(one_line(grid.title), style="bold"))
    console.print(table)
    console.width = prose_width
    gone = [f"Left out: {', '.join(left_out)} (--wide shows all)."] if left_out else []
    for line in (*gone, *lines_below(grid)):
        console.print(Text(one_line(line)), soft_wrap=not fits)


def to_markdown(grid: Grid) -> str:
    """Return a GitHub-flavoured Markdown table with its notes."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(_markdown_cell, cells)) + " |"

    rules = ["---" if column.align == "left" else "---:" for column in grid.columns]
    lines = [
        f"**{markdown_escape(grid.title.strip())}**",
        "",
        line([c.title for c in grid.columns]),
        line(rules),
    ]
    lines += [line(row) for row in grid.rows]
    below = lines_below(grid)
    if below:
        lines += ["", *(part for text in below for part in (markdown_line(text), ""))]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cell(text: str) -> str:
    """Escape a cell; its indentation stays."""
    bare = text.lstrip(" ")
    return "&nbsp;" * (len(text) - len(bare)) + markdown_escape(bare)


def to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return RFC 4180 text with LF line ends; None becomes an empty field."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return stream.getvalue()


def to_html(grid: Grid) -> str:
    """Return a ``<table>`` with its notes, everything escaped."""
    head = "".join(f'<th scope="col">{html.escape(c.title)}</th>' for c in grid.columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{column.align}">{html.escape(cell)}</td>'
            for column, cell in zip(grid.columns, row, strict=True)
        )
        + "</tr>"
        for row in grid.rows
    )
    notes = "".join(f"<p><small>{html.escape(text)}</small></p>" for text in lines_below(grid))
    return (
        f"<table><caption>{html.escape(grid.title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )


def lines_below(grid: Grid) -> list[str]:
    """Return the numbered footnotes, then the caption."""
    return [*(f"[{n}] {text}" for n, text in enumerate(grid.footnotes, 1)), *grid.caption]
