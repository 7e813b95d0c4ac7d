"""A check for pull-request tools: GitHub annotations, a badge."""

# No "from __future__ import annotations": it would define the name of a function of this module.

import json
import posixpath

from flopbench.check.report import EntryResult, Report
from flopbench.check.text.blocks import UNKNOWN, explain_entry, headline
from flopbench.check.text.junit import junit_xml
from flopbench.check.text.terminal import report_json
from flopbench.core.errors import EXIT_MEASURE, EXIT_NOT_COMPARABLE, EXIT_OK
from flopbench.core.escaping import one_line

__all__ = ["annotations", "badge_json", "junit_xml", "report_json"]

MOST_ANNOTATIONS = 10
"""GitHub shows ten of each kind per step and silently drops the others."""
TITLE = "Model cost"


def annotations(report: Report, *, base: str = "") -> list[str]:
    """Return GitHub workflow commands: failures, then unknown states, then improvements.

    At most ten; where there are more, the tenth says how many.

    Args:
        report: the report.
        base: the folder that its paths are relative to, as seen from the checkout.
    """
    unknown = [e for e in report.entries if e.state in UNKNOWN and not e.failed]
    cheaper = [e for e in report.improvements if not e.failed]
    levels = [
        *(("error", entry) for entry in report.failures),
        *(("warning", entry) for entry in unknown),
        *(("notice", entry) for entry in cheaper),
    ]
    found = [(level, _annotation(level, entry, report.config, base)) for level, entry in levels]
    for d in report.drill:
        if not d.caught:
            text = f"{d.entry} {d.metric}: not caught: {d.reason}"
            found.append(("error", _command("error", {"title": TITLE}, text)))
    shown, left = found, found[MOST_ANNOTATIONS - 1 :]
    if len(left) > 1:
        message = f"{len(left)} more; the job summary and the log of flopbench check list them all"
        more = _command(left[0][0], {"title": TITLE}, message)
        shown = [*found[: MOST_ANNOTATIONS - 1], (left[0][0], more)]
    return [line for _, line in shown]


def badge_json(report: Report) -> str:
    """Return a badge for the shields.io endpoint."""
    message, colour = _badge(report)
    data = {"schemaVersion": 1, "label": "model cost", "message": message, "color": colour}
    return json.dumps(data, indent=2) + "\n"


def _badge(report: Report) -> tuple[str, str]:
    status = report.exit_status
    if status == EXIT_OK:
        return "passing", "brightgreen"
    if status == EXIT_MEASURE:
        return "not measured", "orange"
    if status == EXIT_NOT_COMPARABLE:
        return "not comparable", "yellow"
    if report.drill:
        return "self-test failed", "red"
    gone = sum(e.state == "gone" for e in report.failures)
    grew = sum(any(r.failed and r.state == "worse" for r in e.metrics) for e in report.failures)
    over = len(report.failures) - gone - grew
    counts = ((grew, "grew"), (over, "over limit"), (gone, "gone"))
    (count, word), *rest = [(count, word) for count, word in counts if count]
    first = f"{count} of {len(report.entries)} {word}"
    return ", ".join([first, *(f"{count} {word}" for count, word in rest)]), "red"


def _annotation(level: str, entry: EntryResult, config: str, base: str) -> str:
    file, line = _place(entry, config)
    file = posixpath.normpath(posixpath.join(base, file)) if file else ""
    properties = {"file": file, "line": line} if file else {}
    body = [" ".join(text.split()) for text in explain_entry(entry, config)[1:]]
    title = f"{TITLE}: {headline(entry)}"
    return _command(level, {**properties, "title": title}, "\n".join(body))


def _place(entry: EntryResult, config: str) -> tuple[str, str]:
    """Return the file and line to look at; empty where there are none."""
    file, _, line = entry.source.rpartition(":")
    if file and line.isascii() and line.isdigit():
        return file, line
    return (config, str(entry.line)) if entry.line else ("", "")


def _command(level: str, properties: dict[str, str], message: str) -> str:
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {given}::{_data(message)}"


def _data(text: str) -> str:
    """Escape a message; of control characters only line ends are kept, as GitHub reads them."""
    clean = "\n".join(one_line(line) for line in text.split("\n"))
    return clean.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
