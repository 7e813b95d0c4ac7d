"""The content of a report as records, independent of the output format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from flopbench.core.grid import Grid
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION
from flopbench.present.figures.caption import Caption

LEADING = "tradeoff"
"""The figure that stands at the top."""


def once(lines: Iterable[str]) -> list[str]:
    """Return lines without the convention, which a report says once, at its top."""
    return [text for line in lines if (text := line.replace(CONVENTION, "").strip())]


class Table(Struct, frozen=True, kw_only=True):
    """One table.

    Attributes:
        name: of its files, without suffix; never taken from a log.
        unrounded: CSV text of the numbers behind it; empty where another table has them.
        short: a narrower version for LaTeX; None for ``grid``.
    """

    name: str
    grid: Grid
    unrounded: str = ""
    short: Grid | None = None


class ReportFigure(Struct, frozen=True, kw_only=True):
    """One figure, drawn.

    Attributes:
        name: of its files, without suffix.
        svg: for the page, at the width of a printed page.
        narrow: the same at column width, for small screens.
        csv: the numbers behind it, unrounded.
    """

    name: str
    caption: Caption
    svg: bytes
    narrow: bytes
    pdf: bytes
    csv: str


class Number(Struct, frozen=True, kw_only=True):
    """One number of a headline: with its unit, what it is, and what qualifies it (may be empty)."""

    value: str
    what: str
    more: str


class Headline(Struct, frozen=True, kw_only=True):
    """What a report says first of a run: up to three numbers, those that exist."""

    name: str
    numbers: tuple[Number, ...]


class Part(Struct, frozen=True, kw_only=True):
    """What a report shows of one file, or of all files of a kind together, in this order.

    Attributes:
        title: a heading; empty for none.
        figures: those that could be drawn.
        lists: heading -> sentences, such as the figures left out, each with a reason.
        warnings: what makes its numbers questionable; shown with the summary.
    """

    title: str = ""
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[ReportFigure] = ()
    lists: Mapping[str, Sequence[str]] = {}
    warnings: Sequence[Remark] = ()


class Section(Struct, frozen=True, kw_only=True):
    """One section: the target of its links, its heading, its parts."""

    anchor: str
    title: str
    parts: Sequence[Part]

    @property
    def tables(self) -> list[Table]:
        """All its tables."""
        return [table for part in self.parts for table in part.tables]

    @property
    def figures(self) -> list[ReportFigure]:
        """All its figures."""
        return [figure for part in self.parts for figure in part.figures]


class CostReport(Struct, frozen=True, kw_only=True):
    """The whole report.

    Attributes:
        headlines: the numbers that it begins with.
        summary: the main findings, one sentence each.
        warnings: what makes numbers questionable.
        sections: in order; none is empty.
        command: the command line, quoted for a shell.
        versions: of what its bytes depend on.
        sources: table of the input files.
    """

    title: str
    headlines: Sequence[Headline]
    summary: Sequence[str]
    warnings: Sequence[str]
    sections: Sequence[Section]
    command: str
    versions: Mapping[str, str]
    sources: Table

    @property
    def leading(self) -> ReportFigure | None:
        """The trade-off, which stands below the headlines instead of in its section."""
        figures = (figure for section in self.sections for figure in section.figures)
        return next((figure for figure in figures if figure.name == LEADING), None)
