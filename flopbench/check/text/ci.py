"""A check for pull-request tools: GitHub annotations, a badge."""

# No "from __future__ import annotations": it would define the name of a function of this module.

import json
import posixpath

from flopbench.check.report import EntryResult, Report
from flopbench.check.text.blocks import explain_entry, explained, headline
from flopbench.core.errors import EXIT_MEASURE, EXIT_NOT_COMPARABLE, EXIT_OK
from flopbench.core.escaping import one_line

MOST_ANNOTATIONS = 10
"""GitHub shows ten of each kind per step and silently drops the others."""
TITLE = "Model cost"


def annotations(report: Report, *, base: str = "") -> list[str]:
    """Return GitHub workflow commands: failures, then unknown states, then improvements.

    At most ten; where there are more, the tenth says how many. ``base`` is the folder that the
    report's paths are relative to, as seen from the checkout.
    """
    found = [
        (level, _annotation(level, entry, report.config, base))
        for level, entry in explained(report)
    ]
    for one in report.drill:
        if not one.caught:
            text = f"{one.entry} {one.metric}: not caught: {one.reason}"
            found.append(("error", _command("error", {"title": TITLE}, text)))
    if len(found) > MOST_ANNOTATIONS:
        found, left = found[: MOST_ANNOTATIONS - 1], found[MOST_ANNOTATIONS - 1 :]
        message = f"{len(left)} more; the job summary and the log of flopbench check list them all"
        level = left[0][0]
        found.append((level, _command(level, {"title": TITLE}, message)))
    return [line for _, line in found]


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
