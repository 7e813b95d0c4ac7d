"""A check as Markdown for GitHub: a job summary, or a comment that is kept up to date.

Names, specifications and notes are data: they are shown, never interpreted. In text they are
written as character references, which disable every Markdown construct, inside ``<code>``, where
GitHub links neither ``@names`` nor issues; in blocks they are inside ``<pre>``.
"""

from __future__ import annotations

import html
from bisect import bisect_left
from collections.abc import Sequence

from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import amount, amounts_apart, difference, head_room
from flopbench.check.text.blocks import (
    UNKNOWN,
    closing,
    explain_entry,
    explained,
    self_test_line,
    status_phrase,
    summary_line,
    unmatched_lines,
    verdict,
)
from flopbench.core.errors import EXIT_CHECK_FAILED, EXIT_OK
from flopbench.core.escaping import one_line
from flopbench.core.units import plural

MARKER = "<!-- flopbench-check -->"
"""First in the text: a comment that begins with it is replaced, not followed by another."""
MOST_BYTES = 900_000
"""GitHub refuses a job summary beyond 1 MiB; the rest is left for other steps."""

_TITLES = ("entry", "state", "metric", "baseline", "now", "change", "headroom")
_SELF_TEST_TITLES = ("entry", "metric", "injected growth", "why")


def github_summary(report: Report, *, most_bytes: int = MOST_BYTES) -> str:
    """Return a check as GitHub-flavoured Markdown of at most so many bytes of UTF-8.

    Details are left out from the end, then rows of the table; a sentence says how many.
    """
    sign = {EXIT_OK: "✅", EXIT_CHECK_FAILED: "❌"}.get(report.exit_status, "⚠️")
    head = [MARKER, f"## {sign} Model cost: {verdict(report)}", ""]
    if report.drill:
        head += [escape_text(self_test_line(report)), ""]
        rows = [
            _row((code(d.entry), d.metric, "caught" if d.caught else "**missed**", code(d.reason)))
            for d in report.drill
        ]
        details: list[str] = []
    else:
        for line in report.notices:
            head += [escape_text(line), ""]
        rows = [row for entry in report.entries for row in _entry_rows(entry)]
        details = [_details(entry, report) for _, entry in explained(report)]
    foot = [f"{escape_text(text)} {code(command)}" for text, command in closing(report)]
    foot += [escape_text(line) for line in unmatched_lines(report)]
    baseline = code(report.baseline) if report.baseline else "none yet"
    foot.append(f"{summary_line(report)}. Baseline: {baseline}; counter: {code(report.counter)}.")
    if report.convention:
        foot.append(escape_text(report.convention))
    titles = _SELF_TEST_TITLES if report.drill else _TITLES
    table = [_row(titles), _row(["---"] * len(titles))]
    return _capped(head, table, rows, details, foot, most_bytes)


def code(text: str) -> str:
    """Escape text for a cell or a sentence and show it as code; empty for an empty text."""
    return f"<code>{_references(text)}</code>" if text else ""


def escape_text(text: str) -> str:
    """Escape a sentence: it reads unchanged, without links, mentions or markup."""
    # A zero-width space keeps "@name" and "#1" from being linked after references are resolved.
    return _references(text).replace("&#64;", "&#64;&#8203;").replace("&#35;", "&#35;&#8203;")


def _references(text: str) -> str:
    """Write characters with a meaning in Markdown or HTML as character references."""
    plain = one_line(text)
    number = len(plain) - len(plain.lstrip("0123456789"))
    return "".join(
        f"&#{ord(c)};" if _means_something(plain, place, number) else c
        for place, c in enumerate(plain)
    )


def _means_something(text: str, place: int, number: int) -> bool:
    """Return whether a character may be markup; ``number`` digits begin the text."""
    c = text[place]
    if c.isalnum() or ord(c) > 127:
        return False
    if c == ":":
        return text[place + 1 : place + 2] == "/"  # otherwise not an address
    if c == "." and text[max(place - 3, 0) : place].lower() == "www":
        return True
    if place == number and (c in ".)" if number else c in " +-="):
        return True  # would start a list, a heading's underline or an indented block
    return c not in " ,%+-=().;/?'\""


def _details(entry: EntryResult, report: Report) -> str:
    """Return one entry's block, collapsed; ``<pre>`` keeps its columns and links nothing."""
    lines = explain_entry(entry, report.config)[1:]
    text = "\n".join(html.escape(line, quote=False) for line in lines)
    title = code(entry.name) + " " + status_phrase(entry)
    return f"<details><summary>{title}</summary>\n\n<pre>\n{text}\n</pre>\n\n</details>\n"


def _entry_rows(entry: EntryResult) -> list[str]:
    """Return an entry's rows, with its name and state only in the first."""
    state = f"**{entry.state}**" if entry.failed else entry.state
    cells = [_cells(result) for result in entry.metrics] or [("", "", "", code(entry.reason), "")]
    heads = [(code(entry.name), state), *([("", "")] * (len(cells) - 1))]
    return [_row((*head, *rest)) for head, rest in zip(heads, cells, strict=True)]


def _cells(result: MetricResult) -> tuple[str, ...]:
    metric, old, new = result.metric, result.old, result.new
    name = f"**{metric}**" if result.failed else metric
    room = escape_text(head_room(result))
    room = f"**{room}**" if room and result.over_limit else room
    unknown = result.state in UNKNOWN
    if old is None or new is None or unknown:
        before, now = ("" if value is None else amount(metric, value) for value in (old, new))
        change: str = result.state
    else:
        before, now = amounts_apart(metric, old, new)
        change = difference(result) if old != new else ""
    if result.accepted and not unknown:
        change += f", accepted: {code(result.accepted)}"
    return name, "" if unknown else before, now, change, room


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _capped(
    head: Sequence[str],
    table: Sequence[str],
    rows: Sequence[str],
    details: Sequence[str],
    foot: Sequence[str],
    most: int,
) -> str:
    """Join the parts, leaving out whole details, then whole rows, from the end, so that it fits."""

    def text(left_out: int) -> str:
        no_details = min(left_out, len(details))
        no_rows = left_out - no_details
        said = [
            f"{out:,} {plural(out, noun)}"
            for out, noun in ((no_rows, "row"), (no_details, "explanation"))
            if out
        ]
        cut = f"Left out, because the text would be too long: {', '.join(said)}."
        shown = rows[: len(rows) - no_rows]
        parts = [
            *head,
            *([*table, *shown, ""] if shown else ()),
            *details[: len(details) - no_details],
            *((cut, "") if said else ()),
            *(part for line in foot for part in (line, "")),
        ]
        return "\n".join(parts).rstrip() + "\n"

    whole = range(len(details) + len(rows))
    return text(bisect_left(whole, True, key=lambda out: len(text(out).encode()) <= most))
