"""Builds a report from what was read, files from a report, and its folder, atomically."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from flopbench.core import stopping
from flopbench.core.errors import InputError
from flopbench.core.files import check_writable, locked, temporary, umask, write_atomic
from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.latex import LatexOptions, to_latex
from flopbench.core.version import VERSION
from flopbench.present.report.markdown import markdown_of
from flopbench.present.report.material import InputFile, Material
from flopbench.present.report.page import GENERATOR, page_of
from flopbench.present.report.records import CostReport, Table
from flopbench.present.report.sections import compared, sections_of, warnings_in
from flopbench.present.report.summary import headlines_of, summary_of

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


PAGE = "index.html"
STAGE = ".flopbench-"
"""Start of the name of a folder whose files are not in place yet."""
FOLDERS = ("tables", "figures")
MARK = f'<meta name="generator" content="{GENERATOR} '
MARK_BYTES = 4096
"""The mark is within this many bytes of the start of a page."""
_OURS = re.compile(r"(?:tables|figures)/[a-z0-9-]+\.(?:tex|csv|svg|pdf)")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot become a report, before any work is done.

    A folder may be missing, empty, or hold an earlier report.
    """
    if not os.path.lexists(folder):
        check_writable(folder)
        return
    if not folder.is_dir():
        what = "a file" if folder.exists() else "a link to nothing"
        raise InputError(
            f"cannot write a report into {folder}: it is {what}", "a report is a folder of files"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"cannot write into {folder}: permission denied")
    if any(folder.iterdir()) and not _is_report(folder):
        raise InputError(
            f"{folder} is not empty and does not hold a report: nothing in it is touched",
            f"name a new folder, such as {folder / 'report'}",
        )
    for name in FOLDERS:
        if os.path.lexists(folder / name) and not (folder / name).is_dir():
            raise InputError(f"cannot write into {folder / name}: it is not a folder")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the files of a report: all into a temporary folder first, then each to its place.

    Existing files are only replaced when everything has been written; nothing is ever deleted. Of
    two processes that write one report, the second waits: its files are the ones that stay.

    Returns:
        Names of files of an earlier report that this one does not have, and of temporary folders of
        a report that was killed.
    """
    with locked(folder.resolve().parent):
        check_folder(folder)
        there = folder.is_dir()
        try:
            with temporary(folder if there else folder.parent, STAGE) as stage:
                stage.mkdir(0o700)
                for name, content in files.items():
                    path = stage / name
                    path.parent.mkdir(exist_ok=True)
                    write_atomic(path, content)
                if there:
                    _move(stage, folder, files)
                else:
                    os.chmod(stage, 0o777 & ~umask())
                    os.rename(stage, folder)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}") from None
        found = [
            path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_file()
        ]
        ours = sorted(name for name in found if _OURS.fullmatch(name) and name not in files)
        return (*ours, *sorted(path.name for path in folder.glob(f"{STAGE}*") if path.is_dir()))


def _move(stage: Path, folder: Path, files: Mapping[str, bytes]) -> None:
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
    for name in files:
        check_writable(folder / name)
    with stopping.held():
        for name in files:
            os.replace(stage / name, folder / name)


def _is_report(folder: Path) -> bool:
    try:
        with open(folder / PAGE, "rb") as stream:
            head = stream.read(MARK_BYTES)
    except OSError:
        return False
    return MARK.encode() in head
