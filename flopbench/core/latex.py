"""A table in LaTeX: booktabs rules, in its natural size, of as many columns as fit the place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from flopbench.core.escaping import LATEX_FALLBACK, OTHER_SCRIPTS, latex_escape, one_line
from flopbench.core.grid import Column, Grid, fitted, lines_below

LONG_CELL = 48
"""A column of text with a cell of more characters is set as paragraphs."""
PIECE = 6
"""Characters between the places where a long word may break."""
PARAGRAPH_EM = 18.0
PARAGRAPHS = rf">{{\raggedright\arraybackslash}}p{{{PARAGRAPH_EM:g}em}}"
Place = Literal["column", "page", "text"]
PLACES_PT: Mapping[Place, float] = {"column": 237.0, "page": 497.0, "text": 345.0}
"""Width of a column and of a page in two columns (CVF template), and of the text of a plain
``article`` of 10 points, in points."""
FONT_PT = 8.0
"""``\\footnotesize`` in a document of 10 points: the least that these venues allow in a table."""
GAP_PT = 6.0
"""Between two columns: twice ``\\tabcolsep``."""
_EM_SHARES = (
    *((0.30, "!',.:;<[]_`il "), (0.32, "fj"), (0.35, "-"), (0.38, "I"), (0.41, "()rt")),
    *((0.42, "s"), (0.47, "cez"), (0.50, ">?"), (0.53, '"$*/0123456789\\^ago{}~')),
    *((0.56, "Jkqvxy"), (0.59, "Sbdhnpu"), (0.66, "LZ"), (0.69, "F"), (0.72, "EP")),
    *((0.77, "BCTRw"), (0.81, "ADHNUVXY"), (0.83, "&+=@GKOQ"), (0.89, "#%m"), (1.09, "MW|")),
)
_EM = {character: share for share, characters in _EM_SHARES for character in characters}
"""Width of a character over the font's size: Computer Modern at 8 points (cmr8.tfm)."""
_NUMBER = re.compile(r"-?[0-9][0-9,.]*")
_RANGE = re.compile(r"(-?[0-9][0-9,.]*) to (-?[0-9][0-9,.]*)")


class LatexOptions(Struct, frozen=True, kw_only=True):
    """What a paper asks of a table.

    Attributes:
        place: where it goes; ``page`` is a ``table*``.
        fit: leave out columns where all are wider than the place.
        bare: the ``tabular`` alone.
        bold_best: the best number of a column in bold, where the column has a better end.
        notes: footnotes and conventions below it (``threeparttable``).
    """

    place: Place = "page"
    fit: bool = True
    bare: bool = False
    bold_best: bool = False
    notes: bool = False


def to_latex(grid: Grid, label: str, options: LatexOptions | None = None) -> str:
    """Return a booktabs ``table`` environment, or its ``tabular`` alone."""
    options = options or LatexOptions()
    below = lines_below(grid)
    grid = grid if options.notes else grid.with_footnotes(())
    left_out: tuple[str, ...] = ()
    if options.fit:
        grid, left_out = fitted(grid, PLACES_PT[options.place], _width_pt, GAP_PT)
    alignment = "".join(_alignment(grid))
    best = _best(grid) if options.bold_best else frozenset()
    body = [
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"  \toprule",
        _line([_cell(column.title) for column in grid.columns]),
        r"  \midrule",
        *(
            _line([_bold(_cell(cell), (i, k) in best) for k, cell in enumerate(row)])
            for i, row in enumerate(grid.rows)
        ),
        r"  \bottomrule",
        r"\end{tabular}",
    ]
    lines = list(body) if options.bare else _environment(grid, label, body, options)
    if not options.notes:  # nothing that qualifies a number is lost
        lines = [*(f"% {one_line(text)}" for text in below), *lines]
    text = "\n".join(lines) + "\n"
    packages = ["array"] * (PARAGRAPHS in alignment) + ["booktabs"]
    packages += ["threeparttable"] * (options.notes and not options.bare)
    needs = ", ".join(rf"\usepackage{{{name}}}" for name in packages)
    head = f"% needs {needs}\n"
    if left_out:
        head += f"% left out to fit {PLACES_PT[options.place]:g} pt: {', '.join(left_out)}\n"
    return head + (f"{LATEX_FALLBACK}\n" if OTHER_SCRIPTS in text else "") + text


def _environment(grid: Grid, label: str, body: Sequence[str], options: LatexOptions) -> list[str]:
    """Wrap a tabular in a float with its caption, and its notes if they were asked for."""
    kind = "table*" if options.place == "page" else "table"
    notes = [_sentence(text) for text in lines_below(grid)] if options.notes else []
    return [
        rf"\begin{{{kind}}}[t]",
        r"  \centering",
        *([r"  \begin{threeparttable}"] if notes else []),
        r"  \setlength{\belowcaptionskip}{4pt}",
        rf"  \caption{{{_sentence(grid.title).rstrip('.')}.}}",
        rf"  \label{{tab:{label}}}",
        r"  \footnotesize\setlength{\tabcolsep}{3pt}",
        *(f"  {line}" for line in body),
        *([r"  \begin{tablenotes}[flushleft]\footnotesize"] if notes else []),
        *(rf"    \item {text}" for text in notes),
        *([r"  \end{tablenotes}", r"  \end{threeparttable}"] if notes else []),
        rf"\end{{{kind}}}",
    ]


def _line(cells: Sequence[str]) -> str:
    return "  " + " & ".join(cells) + r" \\"


def _alignment(grid: Grid) -> Iterator[str]:
    for number, column in enumerate(grid.columns):
        if _is_paragraph(column, [row[number] for row in grid.rows]):
            yield PARAGRAPHS
        else:
            yield "l" if column.align == "left" else "r"


def _is_paragraph(column: Column, cells: Sequence[str]) -> bool:
    return column.align == "left" and any(len(cell) > LONG_CELL for cell in cells)


def _width_pt(column: Column, cells: Sequence[str]) -> float:
    """Return the natural width of a column in points, at ``FONT_PT``."""
    if _is_paragraph(column, cells):
        return PARAGRAPH_EM * FONT_PT
    texts = [column.title, *(_RANGE.sub(r"\1--\2", cell) for cell in cells)]
    return FONT_PT * max(sum(_EM.get(c, 1.0) for c in text) for text in texts)


def _cell(text: str) -> str:
    """Escape a cell: its indentation stays, ranges get a dash, a missing value a minus sign."""
    bare = text.lstrip(" ")
    indent = len(text) - len(bare)
    space = f"\\hspace*{{{indent / 2:g}em}}" if indent else ""
    if bare == "-":
        return space + "$-$"
    if _RANGE.fullmatch(bare):
        return space + _RANGE.sub(r"\1--\2", bare)
    if _NUMBER.match(bare) and bare.startswith("-"):
        return f"{space}$-${latex_escape(bare[1:])}"
    return space + _sentence(bare)


def _bold(cell: str, is_best: bool) -> str:
    return rf"\textbf{{{cell}}}" if is_best else cell


def _best(grid: Grid) -> frozenset[tuple[int, int]]:
    """Return the places (row, column) of the best numbers; equal ones are all best."""
    places = set()
    for k, column in enumerate(grid.columns):
        found = {i: _NUMBER.match(row[k].strip()) for i, row in enumerate(grid.rows)}
        numbers = {i: float(m[0].replace(",", "").rstrip(".")) for i, m in found.items() if m}
        if column.better and len(numbers) > 1:
            best = (min if column.better == "lower" else max)(numbers.values())
            places |= {(i, k) for i, number in numbers.items() if number == best}
    return frozenset(places)


def _sentence(text: str) -> str:
    """Escape text of a paragraph; long words (paths, names) may break anywhere."""
    parts = []
    for n, part in enumerate(re.split(rf"(\S{{{LONG_CELL},}})", text)):
        size = PIECE if n % 2 else max(len(part), 1)
        pieces = [latex_escape(part[k : k + size]) for k in range(0, len(part), size)]
        parts.append(r"\hspace{0pt plus 2pt}".join(pieces))
    return "".join(parts)
