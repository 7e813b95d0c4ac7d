"""A table as a record, and how it is rendered: terminal, Markdown, CSV, LaTeX, HTML."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, near_match
from flopbench.core.escaping import markdown_escape, markdown_line, one_line

if TYPE_CHECKING:
    from rich.console import Console

TERMINAL_GAP = 2
"""Characters between two columns on a terminal."""
SHORTEST_NAME = 24
"""Characters that a name in a first column keeps, at least."""
_COLOURS = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE"})
"""Variables by which users ask rich for colours that are not for a terminal."""
_MARKS = r"(?: (?:\[[0-9]+\])+)+$"
"""References to footnotes at the end of a cell; ``depths=[2]`` of a specification is none."""


class Column(Struct, frozen=True, kw_only=True):
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


class Grid(Struct, frozen=True, kw_only=True):
    """A table ready to be drawn.

    Attributes:
        rows: a tuple of cells for each row, as long as ``columns``; ``-`` where there is no value.
        footnotes: numbered below the table; cells refer to them as ``[1]``.
        caption: units, convention, environment: lines below the footnotes.
        stay: those of both that a terminal shows without ``--notes``: one general note for all
            tables of a result, and whatever changes how a figure or a verdict is to be read.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()
    stay: Collection[str] = ()

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

    def with_footnotes(self, kept: Collection[str]) -> Grid:
        """Return the grid with these footnotes alone, numbered again, also in its cells."""
        if not self.footnotes:
            return self
        left = list(dict.fromkeys(text for text in self.footnotes if text in kept))
        places = {
            str(n): left.index(text) + 1 for n, text in enumerate(self.footnotes, 1) if text in kept
        }

        def renumbered(marks: re.Match[str]) -> str:
            numbers = [places[n] for n in re.findall("[0-9]+", marks[0]) if n in places]
            return " " * bool(numbers) + "".join(f"[{n}]" for n in numbers)

        rows = tuple(tuple(re.sub(_MARKS, renumbered, cell) for cell in row) for row in self.rows)
        return replace(self, rows=rows, footnotes=tuple(left))


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


def _short_names(grid: Grid, width: int, widths: Sequence[int]) -> Grid:
    """Cut what is long in a first column of text where all columns do not fit, at its beginning.

    The end of a path is what tells it from others. Names that would become equal stay.
    """
    most = max(width // 2, SHORTEST_NAME)
    fit = sum(widths) + TERMINAL_GAP * (len(widths) - 1) <= width
    if fit or widths[0] <= most or grid.columns[0].align != "left":
        return grid
    names = [row[0] for row in grid.rows]
    short = [name if len(name) <= most else f"…{name[1 - most :]}" for name in names]
    if len(set(short)) < len(set(names)):
        return grid
    rows = tuple((name, *row[1:]) for name, row in zip(short, grid.rows, strict=True))
    return replace(grid, rows=rows)


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
    grid: Grid,
    stream: TextIO,
    *,
    styles: Mapping[str, str] | None = None,
    wide: bool = False,
    notes: bool = True,
) -> int:
    """Draw a grid on a stream; return how many of its notes were kept back.

    On a terminal it is coloured by ``styles`` (cell text -> rich style); unless it may be ``wide``,
    the least important columns are left out where all would not fit, and named; without ``notes``
    only those that ``stay`` are below it. Nothing else is left out of a file or a pipe.
    """

    def width_of(column: Column, cells: Sequence[str]) -> int:
        return max(_width(one_line(text)) for text in (column.title, *cells))

    def widths_of(grid: Grid) -> list[int]:
        return [width_of(c, [row[k] for row in grid.rows]) for k, c in enumerate(grid.columns)]

    on_screen = stream.isatty()
    console = console_for(stream) if on_screen or not _COLOURS.isdisjoint(os.environ) else None
    notes_below = len(lines_below(grid))
    if on_screen and not notes:
        staying = tuple(line for line in grid.caption if line in grid.stay)
        grid = replace(grid.with_footnotes(grid.stay), caption=staying)
    notes_below -= len(lines_below(grid))
    left_out: tuple[str, ...] = ()
    if console is not None and on_screen and not wide:
        grid = _short_names(grid, console.width, widths_of(grid))
        grid, left_out = fitted(grid, console.width, width_of, TERMINAL_GAP)
    widths = widths_of(grid)
    write_prose([one_line(grid.title)], stream, style="bold")
    for row in (None, *grid.rows):
        line: list[tuple[str, str]] = []
        for k, column in enumerate(grid.columns):
            cell = one_line(column.title if row is None else row[k])
            space = " " * (widths[k] - _width(cell))
            line.append((" " * TERMINAL_GAP if k else "", ""))
            line.append((space if column.align == "right" else "", ""))
            line.append((cell, "bold" if row is None else (styles or {}).get(cell, "")))
            line.append((space if column.align == "left" else "", ""))
        if console is None:
            stream.write("".join(text for text, _ in line).rstrip() + "\n")
        else:
            _print_styled(line, console)
    gone = (
        [f"Left out: {', '.join(dict.fromkeys(left_out))} (--wide shows all)."] if left_out else []
    )
    write_prose([*gone, *map(one_line, lines_below(grid))], stream)
    return notes_below


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _print_styled(line: Iterable[tuple[str, str]], console: Console) -> None:
    from rich.text import Text

    text = Text.assemble(*line)
    text.rstrip()
    console.print(text)


def write_prose(lines: Iterable[str], stream: TextIO, *, style: str = "") -> None:
    """Write lines; on a terminal they are wrapped between words, below their own indentation."""
    lines = map(one_line, lines)
    if not stream.isatty():
        stream.write("".join(f"{line.rstrip()}\n" for line in lines))
        return
    import textwrap

    from rich.text import Text

    console = console_for(stream)
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        pieces = textwrap.wrap(
            line,
            max(console.width, len(indent) + 1),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for piece in pieces or [""]:
            console.print(Text(piece, style))


def to_text(grid: Grid, width: int) -> str:
    """Return a table as plain text, with the columns that fit into so many characters."""

    def width_of(column: Column, cells: Sequence[str]) -> int:
        return max(len(one_line(text)) for text in (column.title, *cells))

    grid, _ = fitted(grid, width, width_of, TERMINAL_GAP)
    stream = io.StringIO()
    to_terminal(grid, stream)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


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
    import csv

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return stream.getvalue()


def to_html(grid: Grid) -> str:
    """Return a ``<table>`` with its notes, everything escaped."""
    import html

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
