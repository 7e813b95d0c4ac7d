"""A table as a record, and how it is rendered: terminal, Markdown, CSV, LaTeX, HTML."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from flopbench.core.escaping import (
    LATEX_FALLBACK,
    OTHER_SCRIPTS,
    latex_escape,
    markdown_escape,
    markdown_line,
    one_line,
)

if TYPE_CHECKING:
    from rich.console import Console

LONG_CELL, LONG_WORD = 48, 24
"""In LaTeX a column with a cell of more characters is set as paragraphs, if its words are short."""
PIECE = 6
"""Characters between the places where a long word may break."""
PARAGRAPHS = r">{\raggedright\arraybackslash}p{18em}"
FITTED = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
"""The natural width of a box, or that of the line if that is less (graphicx)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading and its alignment, left for text and right for numbers."""

    title: str
    align: Literal["left", "right"] = "right"


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


def console_for(stream: TextIO) -> Console:
    """Return rich's console on a stream: it prints text unchanged, in colour on a terminal."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with status 1 here

    return _Console(file=stream, highlight=False, emoji=False, soft_wrap=True)


def to_terminal(grid: Grid, stream: TextIO, *, styles: dict[str, str] | None = None) -> None:
    """Draw a grid on a stream; on a terminal in colour, by ``styles`` (cell text -> rich style)."""
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in grid.columns:
        table.add_column(Text(column.title), justify=column.align, no_wrap=True)
    for row in grid.rows:
        table.add_row(*(Text(one_line(cell), style=(styles or {}).get(cell, "")) for cell in row))
    console = console_for(stream)
    # The table takes the width that it needs: a wrapped number is a wrong number.
    needed = Measurement.get(console, console.options.update(width=10_000), table).maximum
    console.width = max(console.width, needed)
    console.print(Text(one_line(grid.title), style="bold"))
    console.print(table)
    for line in _below(grid):
        console.print(Text(one_line(line)))


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
    below = _below(grid)
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


def to_latex(grid: Grid, label: str) -> str:
    """Return a booktabs ``table`` environment, shrunk where it is wider than the line."""

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(map(_latex_cell, cells)) + r" \\"

    alignment = "".join(_latex_columns(grid))
    lines = [
        r"\begin{table}[t]",
        r"  \centering",
        f"  \\caption{{{_latex_sentence(grid.title)}}}",
        f"  \\label{{tab:{label}}}",
        r"  \small",
        f"  \\resizebox{{{FITTED}}}{{!}}{{%",
        f"  \\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"    \toprule",
        line([column.title for column in grid.columns]),
        r"    \midrule",
        *(line(row) for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}}",
    ]
    below = _below(grid)
    if below:
        lines += [r"  \par\smallskip", r"  \begin{minipage}{\linewidth}\footnotesize"]
        lines += [f"    {_latex_sentence(text)}\\par" for text in below]
        lines += [r"  \end{minipage}"]
    text = "\n".join([*lines, r"\end{table}"]) + "\n"
    array = r"\usepackage{array}, " if PARAGRAPHS in alignment else ""
    fallback = f"{LATEX_FALLBACK}\n" if OTHER_SCRIPTS in text else ""
    return f"% needs {array}\\usepackage{{booktabs}} and \\usepackage{{graphicx}}\n{fallback}{text}"


def _latex_columns(grid: Grid) -> Iterator[str]:
    for number, column in enumerate(grid.columns):
        cells = [row[number] for row in grid.rows]
        longest = max((len(cell) for cell in cells), default=0)
        word = max((len(word) for cell in cells for word in cell.split()), default=0)
        if column.align == "left" and longest > LONG_CELL and word <= LONG_WORD:
            yield PARAGRAPHS
        else:
            yield "l" if column.align == "left" else "r"


def _latex_cell(text: str) -> str:
    """Escape a cell; its indentation stays."""
    bare = text.lstrip(" ")
    indent = len(text) - len(bare)
    return (f"\\hspace*{{{indent / 2:g}em}}" if indent else "") + latex_escape(bare)


def _latex_sentence(text: str) -> str:
    """Escape text of a paragraph; long words (paths, names) may break anywhere."""

    parts = []
    for n, part in enumerate(re.split(rf"(\S{{{LONG_CELL},}})", text)):
        size = PIECE if n % 2 else max(len(part), 1)
        pieces = [latex_escape(part[k : k + size]) for k in range(0, len(part), size)]
        parts.append(r"\hspace{0pt plus 2pt}".join(pieces))
    return "".join(parts)


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
    notes = "".join(f"<p><small>{html.escape(text)}</small></p>" for text in _below(grid))
    return (
        f"<table><caption>{html.escape(grid.title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )


def render_grids(
    grids: Sequence[Grid],
    labels: Sequence[str],
    format: str,
    stream: TextIO,
    *,
    styles: dict[str, str] | None = None,
) -> str | None:
    """Return grids one below the other as ``md`` or ``latex``, or draw ``table`` on the stream.

    Args:
        grids: what to render.
        labels: one for each grid, for references in LaTeX.
        format: ``table``, ``md`` or ``latex``.
        stream: what ``table`` is drawn on.
        styles: cell text -> rich style, for ``table``.
    """
    if format == "md":
        return "\n".join(to_markdown(grid) for grid in grids)
    if format == "latex":
        return "\n".join(to_latex(g, label) for g, label in zip(grids, labels, strict=True))
    for number, grid in enumerate(grids):
        if number:
            stream.write("\n")
        to_terminal(grid, stream, styles=styles)
    return None


def _below(grid: Grid) -> list[str]:
    return [*(f"[{n}] {text}" for n, text in enumerate(grid.footnotes, 1)), *grid.caption]
