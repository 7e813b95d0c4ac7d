"""A check as text on a terminal, as Markdown and as JSON, all from the report alone.

The JSON is ``Report.to_json`` (kind ``flopbench.check``), indented by two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import (
    amount,
    arrow,
    growth,
    head_room_bar,
    share_of_change,
)
from flopbench.check.text.blocks import (
    UNKNOWN,
    advised,
    closing,
    explain_entry,
    self_test_line,
    summary_line,
    unmatched_lines,
    verdict,
)
from flopbench.check.text.causes import aligned
from flopbench.core.errors import EXIT_OK
from flopbench.core.escaping import one_line
from flopbench.core.grid import console_for

__all__ = ["explain_entry", "render_check", "report_json"]

WIDTH = 100
"""Lines are folded here on any terminal: the same report gives the same text."""
MARKS = {"FAIL": "bold red", "??": "yellow", "note": "cyan", "ok": "green"}
"""Marks of entries and their styles; they are words, so that they work without colour."""

QUIET = ("same", "new")
"""States of a metric with nothing to report but its amount."""

SMALLEST_WIDTH = 40
"""Characters that a long name leaves on its line, at least."""

Row = list[str] | str
"""Pieces that must not be broken, or a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """One line, its style, and how many of its first characters have it."""

    text: str
    style: str = ""
    styled: int = 0


def render_check(
    report: Report, format: str, stream: TextIO, *, failures_first: bool
) -> str | None:
    """Render a check.

    Args:
        report: what to render.
        format: ``table``, ``md`` or ``json``.
        stream: where ``table`` is drawn, in colour where it is a terminal.
        failures_first: whether failures are at the top, as for a file or a pipe, or at the bottom,
            just above the summary, where a terminal shows them; for ``table`` only.

    Returns:
        The text, or None for ``table``, which is written to the stream directly.
    """
    if format == "json":
        return report_json(report)
    if format == "md":
        from flopbench.check.text.markdown import github_summary

        return github_summary(report)
    _draw(_lines(report, failures_first), stream)
    return None


def report_json(report: Report) -> str:
    """Return the report file, from which every other output can be rendered again."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"


def mark(entry: EntryResult) -> str:
    """Return the word that says whether an entry is fine: a key of ``MARKS``."""
    if entry.failed:
        return "FAIL"
    if entry.state in UNKNOWN:
        return "??"
    return "note" if entry.state in ("new", "inconclusive") else "ok"


def _lines(report: Report, failures_first: bool) -> list[OutputLine]:
    if report.drill:
        parts = [_self_test(report), _summary(report)]
    else:
        head = [OutputLine(text=f"notice: {one_line(n)}", style="cyan") for n in report.notices]
        below = [OutputLine(text=f"{text} {command}") for text, command in closing(report)]
        blocks = list(_blocks(report))
        overview = [*head, *_overview(report.entries)]
        if failures_first:
            parts = [*blocks, overview, below, _summary(report)]
        else:
            parts = [overview, below, *blocks, _summary(report)]
    lines: list[OutputLine] = []
    for part in parts:
        if part:
            lines += [*([OutputLine(text="")] if lines else []), *part]
    return lines


def _overview(entries: Sequence[EntryResult]) -> Iterator[OutputLine]:
    """Yield an entry's line, and below it what does not fit."""
    heads = aligned([(mark(e), e.state, one_line(e.name)) for e in entries]) if entries else []
    indent = max(map(len, heads), default=0) + 2
    for entry, head in zip(entries, heads, strict=True):
        rows = _rows(entry)
        for number, text in enumerate(_folded(rows, max(WIDTH - indent, SMALLEST_WIDTH)) or [""]):
            word = mark(entry)
            left = head.ljust(indent) if not number else " " * indent
            line = (left + text).rstrip()
            yield OutputLine(text=line, style=MARKS[word], styled=0 if number else len(word))


def _rows(entry: EntryResult) -> list[Row]:
    """Return what is reported of an entry, each item on separate lines."""
    moved = [result for result in entry.metrics if _is_moved(result)]
    still = [r for r in entry.metrics if r.state in QUIET and not _is_moved(r)]
    rows: list[Row] = [_metric_row(result) for result in moved]
    if entry.state == "gone":
        rows.append(_old_amounts(entry))
    rows.append(_still_row(still, with_moved=bool(moved)))
    rows.append(one_line(entry.reason))
    # Metrics that passed for the same reason share one remark.
    rows += dict.fromkeys(remark for result in entry.metrics for remark in _remarks(result, entry))
    rows += [f"note: {one_line(note)}" for note in entry.notes]
    return [row for row in rows if row]


def _is_moved(result: MetricResult) -> bool:
    """Whether a metric has a separate line: it changed, is not known, or fails."""
    return result.state not in (*QUIET, "gone") or bool(result.failed and result.new)


def _old_amounts(entry: EntryResult) -> list[str]:
    """Return the amounts of an entry that is gone, empty where they are not known."""
    was = [amount(result.metric, result.old) for result in entry.metrics if result.old is not None]
    return ["was", *was] if was else []


def _still_row(still: Sequence[MetricResult], *, with_moved: bool) -> list[str]:
    """Return the amounts that did not change, and their headroom.

    Args:
        still: their metrics.
        with_moved: whether other metrics changed, so that these must say that they did not.
    """
    pieces = [amount(result.metric, result.new) for result in still if result.new is not None]
    if with_moved and pieces:
        pieces.append("unchanged" if still[0].state == "same" else "new")
    return [*pieces, *filter(None, map(head_room_bar, still))]


def _metric_row(result: MetricResult) -> list[str]:
    metric, old, new = result.metric, result.old, result.new
    bar = head_room_bar(result)
    name = "latency " if metric == "latency" else ""  # any other is clear from its unit
    if result.state in UNKNOWN or old is None or new is None or old == new:
        here = metric if new is None else f"{name}{amount(metric, new)}"
        return [here, *([bar] if bar else [])]
    share = share_of_change(old, new, result.max_increase)
    pieces = [f"{name}{arrow(metric, old, new)}", share, growth(metric, old, new), bar]
    return [piece for piece in pieces if piece]


def _remarks(result: MetricResult, entry: EntryResult) -> Iterator[str]:
    """Yield further remarks: why a metric passes, or why nothing is known."""
    subject = "" if entry.state == "gone" else f"{result.metric} "
    if result.reason and result.reason != entry.reason:
        yield f"{result.metric}: {one_line(result.reason)}"
    if result.accepted:
        yield f"{subject}accepted: {one_line(result.accepted)}"
    elif advised(result) and not result.reason:
        over = "over its limit" if result.over_limit else "more than allowed"
        yield f"{result.metric} is {over}; its budget is advisory"


def _blocks(report: Report) -> Iterator[list[OutputLine]]:
    """Yield failures, then unknown states, each with an explanation."""
    unknown = [e for e in report.entries if e.state in UNKNOWN and not e.failed]
    for entry in (*report.failures, *unknown):
        word = mark(entry)
        first, *rest = explain_entry(entry, report.config)
        head = OutputLine(
            text=f"{word} {first}", style=MARKS[word], styled=len(word) + 1 + len(first)
        )
        yield [head, *(OutputLine(text=text) for text in rest)]


def _self_test(report: Report) -> list[OutputLine]:
    lines = [OutputLine(text=self_test_line(report))]
    rows = [
        ("caught" if d.caught else "MISSED", one_line(d.entry), d.metric, one_line(d.reason))
        for d in report.drill
    ]
    for result, text in zip(report.drill, aligned(rows), strict=True):
        style = MARKS["ok" if result.caught else "FAIL"]
        lines.append(OutputLine(text=text, style=style, styled=len("caught")))
    return lines


def _summary(report: Report) -> list[OutputLine]:
    known = report.baseline and f"baseline {one_line(report.baseline)}"
    facts = [known or "no baseline yet", f"counter {one_line(report.counter)}"]
    status = report.exit_status
    style = MARKS["ok" if status == EXIT_OK else "FAIL" if status == 1 else "??"]
    last = f"{summary_line(report)}; {verdict(report)}"
    return [
        OutputLine(text="; ".join(facts)),
        *(OutputLine(text=text) for text in _folded([one_line(report.convention)], WIDTH) if text),
        *(OutputLine(text=text) for text in unmatched_lines(report)),
        OutputLine(text=last, style=style, styled=len(last)),
    ]


def _folded(rows: Sequence[Row], width: int) -> list[str]:
    """Fold rows into lines of at most ``width``: between pieces, or between words of a sentence."""
    lines = []
    for row in rows:
        between = " " if isinstance(row, str) else "  "
        line = ""
        for piece in row.split() if isinstance(row, str) else row:
            longer = f"{line}{between}{piece}" if line else piece
            if line and len(longer) > width:
                lines.append(line)
                longer = f"  {piece}"
            line = longer
        lines.append(line)
    return lines


def _draw(lines: Sequence[OutputLine], stream: TextIO) -> None:
    """Write lines, in colour where the stream is a terminal."""
    if not stream.isatty():
        stream.write("".join(f"{line.text}\n" for line in lines))
        return
    from rich.text import Text

    console = console_for(stream)
    for line in lines:
        text = Text(line.text)
        text.stylize(line.style, 0, line.styled)
        console.print(text)
