"""A check as Markdown for GitHub: a job summary, or a comment that is kept up to date.

Names, specifications and notes are data: they are shown, never interpreted. In text they are
written as character references, which disable every Markdown construct, inside ``<code>``, where
GitHub links neither ``@names`` nor issues; in blocks they are inside ``<pre>``.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import (
    amount,
    amounts_apart,
    growth,
    head_room,
    share_of_change,
)
from flopbench.check.text.blocks import (
    UNKNOWN,
    closing,
    explain_entry,
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
    """Return a check as GitHub-flavoured Markdown.

    Args:
        report: what to render.
        most_bytes: cap, in UTF-8. Details are left out from the end, then rows of the table; a
            sentence says how many.
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
        details = [_details(entry, report) for entry in _explained(report)]
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


def _explained(report: Report) -> list[EntryResult]:
    """Return the entries with details: failures, unknown states, then cheaper ones."""
    rest = [entry for entry in report.entries if not entry.failed]
    unknown = [entry for entry in rest if entry.state in UNKNOWN]
    return [*report.failures, *unknown, *(entry for entry in rest if entry.state == "better")]


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
    room = head_room(result)
    room = f"**{escape_text(room)}**" if room and result.over_limit else escape_text(room)
    if result.state in UNKNOWN:
        return name, "", "" if new is None else amount(metric, new), result.state, room
    if old is None or new is None:
        before, now = ("" if value is None else amount(metric, value) for value in (old, new))
        accepted = f", accepted: {code(result.accepted)}" if result.accepted else ""
        return name, before, now, f"{result.state}{accepted}", room
    before, now = amounts_apart(metric, old, new)
    change = ""
    if old != new:
        share = share_of_change(old, new, result.max_increase)
        change = f"{growth(metric, old, new)}{f' ({share})' if share else ''}"
    if result.accepted:
        change += f", accepted: {code(result.accepted)}"
    return name, before, now, change, room


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

    def text(shown_rows: int, shown_details: int) -> str:
        left = []
        for shown, whole, noun in (
            (shown_rows, rows, "row"),
            (shown_details, details, "explanation"),
        ):
            if out := len(whole) - shown:
                left.append(f"{out:,} {plural(out, noun)}")
        cut = [f"Left out, because the text would be too long: {', '.join(left)}.", ""]
        body = [*table, *rows[:shown_rows], ""] if shown_rows else []
        below = [part for line in foot for part in (line, "")]
        parts = [*head, *body, *details[:shown_details], *(cut if left else []), *below]
        return "\n".join(parts).rstrip() + "\n"

    def fits(shown_rows: int, shown_details: int) -> bool:
        return len(text(shown_rows, shown_details).encode()) <= most

    shown = _most(len(details), lambda n: fits(len(rows), n))
    if shown or fits(len(rows), 0):
        return text(len(rows), shown)
    return text(_most(len(rows), lambda n: fits(n, 0)), 0)


def _most(whole: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to ``whole`` that fits, 0 where none does."""
    low, high = 0, whole
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
