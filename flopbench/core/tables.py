"""A result as tables, and how a user wants to see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, TextIO

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, near_match
from flopbench.core.escaping import markdown_line, one_line
from flopbench.core.grid import (
    Grid,
    chosen_columns,
    columns,
    to_html,
    to_markdown,
    to_terminal,
    to_text,
    write_prose,
)
from flopbench.core.units import plural

if TYPE_CHECKING:
    from flopbench.core.latex import LatexOptions

TEXT_WIDTH = 120
"""Characters, where Python shows a result on no terminal."""


class Layout(Struct, frozen=True, kw_only=True):
    """How a user wants to see a result.

    Attributes:
        format: ``table``, ``md``, ``csv``, ``json`` or ``latex``.
        parts: names of the tables to show; empty for all.
        columns: headings of the columns to show, in this order; empty for all that fit.
        latex: what a paper asks for.
        wide: show all columns on a terminal, however narrow it is.
        notes: show all notes on a terminal.
    """

    format: str = "table"
    parts: Sequence[str] = ()
    columns: Sequence[str] = ()
    latex: LatexOptions | None = None
    wide: bool = False
    notes: bool = False


class Shown:
    """A result that Python shows as its tables: ``print``, a prompt, a notebook.

    ``_layout`` names the function that lays a result out as grids, ``module:function``: it imports
    the module of the result.
    """

    __slots__ = ()
    _layout: ClassVar[str]

    def __repr__(self) -> str:
        """Return the tables as text, as wide as the terminal."""
        import shutil

        width = shutil.get_terminal_size((TEXT_WIDTH, 24)).columns
        return "\n\n".join(to_text(grid, width) for grid in self._grids())

    def _repr_html_(self) -> str:
        return "".join(map(to_html, self._grids()))

    def _grids(self) -> list[Grid]:
        module, _, name = self._layout.partition(":")
        return list(getattr(import_module(module), name)(self))


def grid_of(
    title: str,
    rows: Sequence[Mapping[str, str]],
    text: Sequence[str],
    *,
    spare: Sequence[str] = (),
    lower: Sequence[str] = (),
    higher: Sequence[str] = (),
    **more: object,
) -> Grid:
    """Return a table of rows, heading -> cell, that are all alike; see ``columns``."""
    titles = list(rows[0]) if rows else []
    return Grid(
        title=title,
        columns=columns(titles, text, spare=spare, lower=lower, higher=higher),
        rows=tuple(tuple(row.values()) for row in rows),
        **more,  # type: ignore[arg-type]
    )


class Tables(Struct, frozen=True, kw_only=True):
    """A result, ready to be shown.

    Attributes:
        grids: its tables by name; the name is the label in LaTeX, behind ``flopbench-``.
        csv: returns its numbers as CSV.
        json: returns its file.
        warnings: printed below the first table, except on a terminal, where they go to stderr.
        below: lines below all tables.
        notes: more of them, on a terminal only where all notes were asked for.
        styles: cell text -> rich style.
    """

    grids: Mapping[str, Grid]
    csv: Callable[[], str]
    json: Callable[[], str]
    warnings: Sequence[object] = ()
    below: Sequence[str] = ()
    notes: Sequence[str] = ()
    styles: Mapping[str, str] = {}

    def render(self, layout: Layout | str, stream: TextIO) -> str | None:
        """Return the text of a format, or draw ``table`` on the stream and return None.

        Raises:
            InputError: there is no such part or column.
        """
        layout = Layout(format=layout) if isinstance(layout, str) else layout
        if layout.format in ("json", "csv"):
            return self.json() if layout.format == "json" else self.csv()
        grids = self._chosen(layout)
        if layout.format == "table":
            self._draw(list(grids.values()), layout, stream)
            return None
        below = (*self.below, *self.notes)
        first = next(iter(grids))
        grids[first] = grids[first].with_warnings(self.warnings)
        if layout.format == "md":
            texts = [to_markdown(grid) for grid in grids.values()]
            texts += ["\n\n".join(map(markdown_line, below)) + "\n"] if below else []
            return "\n".join(texts)
        from flopbench.core.latex import LatexOptions, to_latex

        comments = "".join(f"% {one_line(line)}\n" for line in below)
        named = grids.items()
        options = replace(layout.latex or LatexOptions(), fit=not layout.columns)
        tables = [to_latex(grid, f"flopbench-{name}", options) for name, grid in named]
        return "\n".join(tables) + comments

    def _draw(self, grids: Sequence[Grid], layout: Layout, stream: TextIO) -> None:
        """Draw tables on a stream; on a terminal the notes that were not asked for are counted."""
        brief = stream.isatty() and not layout.notes
        kept_back = len(self.notes) if brief else 0
        for number, grid in enumerate(grids):
            stream.write("\n" if number else "")
            kept_back += to_terminal(
                grid, stream, styles=self.styles, wide=layout.wide, notes=layout.notes
            )
        below = [*self.below, *([] if brief else self.notes)]
        write_prose(["", *below] if below else [], stream)
        if kept_back:
            write_prose([f"{kept_back} {plural(kept_back, 'note')}: --notes"], stream)

    def _chosen(self, layout: Layout) -> dict[str, Grid]:
        for part in layout.parts:
            if part not in self.grids:
                raise InputError(
                    f"there is no part {part!r}", near_match(part, self.grids, "parts")
                )
        names = layout.parts or list(self.grids)
        grids = {name: self.grids[name] for name in names}
        if not layout.columns:
            return grids
        if not layout.parts:  # the columns named are those of the first table
            grids = dict([next(iter(grids.items()))])
        return {name: chosen_columns(grid, layout.columns) for name, grid in grids.items()}
