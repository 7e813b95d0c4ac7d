"""A report as GitHub Markdown, with its figures as separate files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from flopbench.core.escaping import markdown_bracketed, markdown_escape, markdown_line
from flopbench.core.grid import to_markdown
from flopbench.core.units import CONVENTION
from flopbench.present.report.records import CostReport, ReportFigure, ReportPart, Section

_CLOSING = re.compile(r"(?<= )(?=#+$)")
"""Before the signs that would close a heading."""


def markdown_of(report: CostReport) -> str:
    """Return the report; the same report gives the same text."""
    blocks = [
        _heading("#", report.title),
        "## Summary",
        _bullets(report.summary),
        CONVENTION,
    ]
    if report.warnings:
        blocks += ["### Warnings", _bullets(report.warnings)]
    for section in report.sections:
        blocks += _section(section)
    blocks += _origin(report)
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    for part in section.parts:
        yield from _part(part)


def _part(part: ReportPart) -> Iterator[str]:
    if part.title:
        yield _heading("###", part.title)
    yield from map(markdown_line, part.lines)
    for table in part.tables:
        yield to_markdown(table.grid)
    for figure in part.figures:
        yield _figure(figure)
    for listing in part.lists:
        yield f"{listing.title}:"
        yield _bullets(listing.items)
    if part.left_out:
        yield "Figures left out:"
        yield _bullets(part.left_out)


def _figure(figure: ReportFigure) -> str:
    caption = figure.caption
    return (
        f"![{markdown_bracketed(caption.alt)}](figures/{figure.name}.svg)\n\n"
        f"**{markdown_escape(caption.title.strip())}.** "
        f"{' '.join(map(markdown_escape, caption.sentences))}"
    )


def _origin(report: CostReport) -> Iterator[str]:
    origin = report.origin
    yield "## How this was made"
    yield "With this command; nothing was measured for it:"
    yield _code(origin.command)
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    yield f"With {markdown_escape(versions)}."
    yield to_markdown(origin.sources.grid)
    yield "The files of this report:"
    yield "\n".join(f"- [{name}]({name})" for name in origin.outputs)


def _code(text: str) -> str:
    """Return a block of code that the text cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}sh\n{text}\n{fence}"


def _heading(signs: str, text: str) -> str:
    """Return a heading; signs at the end of its text do not close it."""
    shown = _CLOSING.sub(r"\\", markdown_line(text))
    return f"{signs} {shown}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_line(line)}" for line in lines)
