"""Builds a report from what was read, and files from a report."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

from flopbench.core.errors import InputError
from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.latex import LatexOptions, to_latex
from flopbench.core.version import VERSION
from flopbench.present.report.headline import headlines_of
from flopbench.present.report.markdown import markdown_of
from flopbench.present.report.material import InputFile, Material
from flopbench.present.report.page import page_of
from flopbench.present.report.records import CostReport, Table
from flopbench.present.report.sections import compared, sections_of, warnings_in
from flopbench.present.report.summary import summary_of

LIBRARIES = ("numpy", "msgspec", "matplotlib", "jinja2")
"""What the bytes of a report depend on."""
DIGITS = 12
"""Digits of a hash in LaTeX, where all 64 would make the table illegible."""


def require_libraries() -> None:
    """Raise if a report's libraries are not installed."""
    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"a report needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            "pip install 'flopbench[plots]'",
        )


def build_report(
    material: Material,
    *,
    title: str,
    command: str,
    progress: Callable[[int, str], None] | None = None,
) -> CostReport:
    """Return the report of what was read; ``progress`` gets each section's number and title."""
    comparison, why_none = compared(material)
    headlines = headlines_of(material, comparison)
    sections = sections_of(material, comparison, why_none, progress)
    own = {"flopbench": VERSION, "Python": platform.python_version()}
    return CostReport(
        title=title,
        headlines=headlines,
        summary=summary_of(material, comparison, [one.name for one in headlines]),
        warnings=warnings_in(sections),
        sections=sections,
        command=command,
        versions=own | {name: version(name) for name in LIBRARIES},
        sources=Table(
            name="sources",
            grid=_sources_grid(material.sources),
            short=_sources_grid(material.sources, DIGITS),
        ),
    )


def files_of(report: CostReport) -> dict[str, bytes]:
    """Return the files of a report, the page last: name inside its folder -> content.

    A file name that is not UTF-8 is shown with question marks.
    """
    files: dict[str, str | bytes] = {}
    for table in [*(one for section in report.sections for one in section.tables), report.sources]:
        header = [column.title for column in table.grid.columns]
        files[f"tables/{table.name}.csv"] = to_csv(header, table.grid.rows)
        if table.unrounded:
            files[f"tables/{table.name}-unrounded.csv"] = table.unrounded
        label = f"flopbench-{table.name}"
        files[f"tables/{table.name}.tex"] = to_latex(
            table.short or table.grid, label, LatexOptions(notes=True)
        )
    for figure in (one for section in report.sections for one in section.figures):
        files[f"figures/{figure.name}.svg"] = figure.svg
        files[f"figures/{figure.name}.pdf"] = figure.pdf
        files[f"figures/{figure.name}.csv"] = figure.csv
    names = ("index.html", "report.md", *files)
    files["report.md"] = markdown_of(report, names)
    files["index.html"] = page_of(report, names)
    return {
        name: text.encode("utf-8", "replace") if isinstance(text, str) else text
        for name, text in files.items()
    }


def _sources_grid(sources: tuple[InputFile, ...], digits: int | None = None) -> Grid:
    digest = f"SHA-256, {digits} digits" if digits else "SHA-256"
    return Grid(
        title="The input files",
        columns=columns(
            ("file", "kind", "bytes", "made with", digest), ("file", "kind", "made with", digest)
        ),
        rows=tuple(
            (s.name, s.kind, f"{s.size:,}", s.made_with, s.sha256[:digits]) for s in sources
        ),
    )
