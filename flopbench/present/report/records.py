"""The content of a report as records, independent of the output format."""

from __future__ import annotations

from dataclasses import dataclass

from flopbench.core.grid import Grid
from flopbench.present.figures.caption import Caption


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table.

    Attributes:
        name: of its files, without suffix; never taken from a log.
        grid: what is shown.
        unrounded: CSV text of the numbers behind it; empty where another table has them.
        short: a narrower version for LaTeX; None for ``grid``.
    """

    name: str
    grid: Grid
    unrounded: str = ""
    short: Grid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFigure:
    """One figure, drawn.

    Attributes:
        name: of its files, without suffix.
        caption: title, sentences, alternative text.
        svg: for the page, at the width of a printed page.
        narrow: the same at column width, for small screens.
        pdf: for papers.
        csv: the numbers behind it, unrounded.
    """

    name: str
    caption: Caption
    svg: bytes
    narrow: bytes
    pdf: bytes
    csv: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sentences under their own heading."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPart:
    """The part of a section on one file, or on all of them together.

    Attributes:
        title: a heading; empty for none.
        lines: paragraphs.
        tables: in order.
        figures: below the tables.
        lists: below the figures.
        left_out: figures that could not be drawn, each with a reason.
    """

    title: str = ""
    lines: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[ReportFigure, ...] = ()
    lists: tuple[Listing, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section.

    Attributes:
        anchor: the target of links.
        title: its heading.
        parts: in order.
    """

    anchor: str
    title: str
    parts: tuple[ReportPart, ...]

    @property
    def tables(self) -> list[Table]:
        """All its tables."""
        return [table for part in self.parts for table in part.tables]

    @property
    def figures(self) -> list[ReportFigure]:
        """All its figures."""
        return [figure for part in self.parts for figure in part.figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How a report was made.

    Attributes:
        command: the command line, quoted for a shell.
        versions: name -> version.
        sources: table of the input files.
        outputs: every file of the report, in order.
    """

    command: str
    versions: dict[str, str]
    sources: Table
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """The whole report.

    Attributes:
        title: of the page.
        summary: the main findings, one sentence each.
        sections: in order; none is empty.
        origin: see ``Origin``.
        warnings: what makes numbers questionable.
    """

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    origin: Origin
    warnings: tuple[str, ...]
