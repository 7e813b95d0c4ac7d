"""A report as GitHub Markdown, with its figures as separate files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from flopbench.core.escaping import markdown_bracketed, markdown_escape, markdown_line
from flopbench.core.grid import to_markdown
from flopbench.core.units import CONVENTION
from flopbench.present.report.records import LEADING, CostReport, Headline, Part, ReportFigure, once

_CLOSING = re.compile(r"(?<= )(?=#+$)")
"""Before the signs that would close a heading."""


def markdown_of(report: CostReport, files: Sequence[str] = ()) -> str:
    """Return the report, with the names of the files next to it; always the same text."""
    blocks = [
        _heading("#", report.title),
        "## Summary",
        *map(_headline, report.headlines),
        CONVENTION,
        *([_figure(report.leading)] if report.leading else []),
        *([_bullets(report.summary)] if report.summary else []),
    ]
    if report.warnings:
        blocks += ["### Warnings", _bullets(report.warnings)]
    for section in report.sections:
        blocks.append(f"## {section.title}")
        for part in section.parts:
            blocks += _part(part)
    blocks += _origin(report, files)
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _part(part: Part) -> Iterator[str]:
    if part.title:
        yield _heading("###", part.title)
    yield from map(markdown_line, part.lines)
    for table in part.tables:
        yield to_markdown(replace(table.grid, caption=tuple(once(table.grid.caption))))
    for figure in part.figures:
        if figure.name != LEADING:
            yield _figure(figure)
    for title, lines in part.lists.items():
        yield f"{title}:"
        yield _bullets(lines)


def _figure(figure: ReportFigure) -> str:
    caption = figure.caption
    return (
        f"![{markdown_bracketed(caption.alt)}](figures/{figure.name}.svg)\n\n"
        f"**{markdown_escape(caption.title.strip())}.** "
        f"{' '.join(map(markdown_escape, once(caption.sentences)))}"
    )


def _headline(headline: Headline) -> str:
    lines = [f"**{markdown_escape(headline.name.strip())}**", ""]
    lines += [
        f"- **{one.value}** {markdown_escape(one.what)}"
        + (f" ({markdown_escape(one.more)})" if one.more else "")
        for one in headline.numbers
    ]
    return "\n".join(lines)


def _origin(report: CostReport, files: Sequence[str]) -> Iterator[str]:
    yield "## How this was made"
    yield "With this command; nothing was measured for it:"
    yield _code(report.command)
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"With {markdown_escape(versions)}."
    yield to_markdown(report.sources.grid)
    yield "The files of this report:"
    yield "\n".join(f"- [{name}]({name})" for name in files)


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
