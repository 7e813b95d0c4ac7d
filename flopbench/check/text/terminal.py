"""A check as text on a terminal, as Markdown and as JSON, all from the report alone.

The JSON is ``Report.to_json`` (kind ``flopbench.check``), indented by two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple, TextIO

from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import amount, arrow, growth, head_room_bar, share_of_change
from flopbench.check.text.blocks import (
    UNKNOWN,
    advised,
    closing,
    explain_entry,
    explained,
    self_test_line,
    summarise_entry,
    summary_line,
    unmatched_lines,
    verdict,
)
from flopbench.check.text.causes import aligned
from flopbench.core.errors import EXIT_OK
from flopbench.core.escaping import one_line
from flopbench.core.grid import console_for

WIDTH = 100
"""Lines are folded here, or at the width of a narrower terminal."""
INDENT = 6
"""Of an entry's metrics on a terminal on which they do not fit beside its name."""
SMALLEST_WIDTH = 40
"""Characters that a long name leaves on its line, at least."""
MARKS = {"FAIL": "bold red", "??": "yellow", "note": "cyan", "ok": "green"}
"""Marks of entries and their styles; they are words, so that they work without colour."""
QUIET = ("same", "new")
"""States of a metric with nothing to report but its amount."""

Row = list[str] | str
"""Pieces that must not be broken, or a sentence."""


class OutputLine(NamedTuple):
    """One line, its style, and how many of its first characters have it."""

    text: str
    style: str = ""
    styled: int = 0


def render_check(
    report: Report, format: str, stream: TextIO, *, verbose: bool = False
) -> str | None:
    """Return a check as ``md`` or ``json``; draw it on the stream as ``table``.

    ``verbose`` explains failures with all metrics, causes and modules.
    """
    if format == "json":
        return report_json(report)
    if format == "md":
        from flopbench.check.text.markdown import github_summary

        return github_summary(report)
    width = min(WIDTH, console_for(stream).width) if stream.isatty() else WIDTH
    if report.drill:
        parts = [_self_test(report)]
    else:
        notices = [OutputLine(f"notice: {one_line(notice)}", "cyan") for notice in report.notices]
        parts = [
            [*notices, *_overview(report.entries, width)],
            [OutputLine(f"{text} {command}") for text, command in closing(report)],
        ]
        told = [entry for level, entry in explained(report) if level != "notice"]
        parts += [_block(entry, report, verbose) for entry in told]
    parts = [part for part in (*parts, _summary(report, verbose, width)) if part]
    lines = [line for part in parts for line in (OutputLine(""), *part)]
    _draw(lines[1:], stream, width)
    return None


def report_json(report: Report) -> str:
    """Return the report file, from which every other output can be rendered again."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"


def _mark(entry: EntryResult) -> str:
    """Return the word that says whether an entry is fine: a key of ``MARKS``."""
    if entry.failed:
        return "FAIL"
    if entry.state in UNKNOWN:
        return "??"
    return "note" if entry.state in ("new", "inconclusive") else "ok"


def _overview(entries: Sequence[EntryResult], width: int) -> Iterator[OutputLine]:
    """Yield an entry's line, and below it what does not fit."""
    heads = aligned([(_mark(e), e.state, one_line(e.name)) for e in entries])
    beside = max(map(len, heads), default=0) + 2
    for entry, head in zip(entries, heads, strict=True):
        mark, indent = _mark(entry), beside
        rows = _rows(entry)
        if width < WIDTH and any(
            beside + len("  ".join(r)) > width for r in rows if isinstance(r, list)
        ):
            indent, rows = INDENT, ["", *rows]
        first, *rest = _folded(rows, max(width - indent, SMALLEST_WIDTH)) or [""]
        yield OutputLine((head.ljust(indent) + first).rstrip(), MARKS[mark], len(mark))
        for text in rest:
            yield OutputLine((" " * indent + text).rstrip(), MARKS[mark])


def _rows(entry: EntryResult) -> list[Row]:
    """Return what is reported of an entry, each item on separate lines."""
    moved = [_metric_row(result) for result in entry.metrics if _is_moved(result)]
    rows: list[Row] = [*moved, _still_row(entry, after_others=bool(moved)), one_line(entry.reason)]
    # Metrics that passed for the same reason share one remark.
    rows += dict.fromkeys(remark for result in entry.metrics for remark in _remarks(result, entry))
    rows += [f"note: {one_line(note)}" for note in entry.notes]
    return [row for row in rows if row]


def _still_row(entry: EntryResult, *, after_others: bool) -> list[str]:
    """Return the amounts that did not change and their headroom, or those of a gone entry."""
    if entry.state == "gone":
        was = [amount(one.metric, one.old) for one in entry.metrics if one.old is not None]
        return ["was", *was] if was else []
    still = [one for one in entry.metrics if one.state in QUIET and not _is_moved(one)]
    pieces = [amount(one.metric, one.new) for one in still if one.new is not None]
    if after_others and pieces:
        pieces.append("unchanged" if still[0].state == "same" else "new")
    return [*pieces, *filter(None, map(head_room_bar, still))]


def _is_moved(result: MetricResult) -> bool:
    """Whether a metric has a separate line: it changed, is not known, or fails."""
    return result.state not in (*QUIET, "gone") or bool(result.failed and result.new)


def _metric_row(result: MetricResult) -> list[str]:
    metric, old, new = result.metric, result.old, result.new
    name = "latency " if metric == "latency" else ""  # any other is clear from its unit
    if result.state in UNKNOWN or old is None or new is None or old == new:
        pieces = [metric if new is None else f"{name}{amount(metric, new)}"]
    else:
        share = share_of_change(old, new, result.max_increase)
        pieces = [f"{name}{arrow(metric, old, new)}", share, growth(metric, old, new)]
    return [piece for piece in (*pieces, head_room_bar(result)) if piece]


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


def _block(entry: EntryResult, report: Report, verbose: bool) -> list[OutputLine]:
    mark = _mark(entry)
    first, *rest = (explain_entry if verbose else summarise_entry)(entry, report.config)
    head = f"{mark} {first}"
    return [OutputLine(head, MARKS[mark], len(head)), *map(OutputLine, rest)]


def _self_test(report: Report) -> list[OutputLine]:
    rows = [
        ("caught" if d.caught else "MISSED", one_line(d.entry), d.metric, one_line(d.reason))
        for d in report.drill
    ]
    styles = [MARKS["ok" if d.caught else "FAIL"] for d in report.drill]
    return [
        OutputLine(self_test_line(report)),
        *map(OutputLine, aligned(rows), styles, [len("caught")] * len(rows)),
    ]


def _summary(report: Report, verbose: bool, width: int) -> list[OutputLine]:
    known = f"baseline {one_line(report.baseline)}" if report.baseline else "no baseline yet"
    style = {EXIT_OK: MARKS["ok"], 1: MARKS["FAIL"]}.get(report.exit_status, MARKS["??"])
    last = f"{summary_line(report)}; {verdict(report)}"
    lines = [
        f"{known}; counter {one_line(report.counter)}",
        *(filter(None, _folded([one_line(report.convention)], width)) if verbose else []),
        *unmatched_lines(report),
    ]
    return [*map(OutputLine, lines), OutputLine(last, style, len(last))]


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


def _draw(lines: Sequence[OutputLine], stream: TextIO, width: int) -> None:
    """Write lines; where the stream is a terminal, in colour and wrapped."""
    if not stream.isatty():
        stream.write("".join(f"{line.text}\n" for line in lines))
        return
    from rich.text import Text

    console = console_for(stream)
    for line in lines:
        for number, piece in enumerate(_wrapped(line.text, width)):
            whole = line.styled >= len(line.text)
            text = Text(piece)
            text.stylize(line.style, 0, len(piece) if whole else line.styled * (not number))
            console.print(text)


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap a line below its indentation; a command stays whole, to be copied."""
    if len(text) <= width:
        return [text]
    said, colon, command = text.partition(": flopbench ")
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    pieces = wrap(said + colon[:1], width, subsequent_indent=indent, break_long_words=False)
    return [*pieces, f"{indent}flopbench {command}"] if colon else pieces
