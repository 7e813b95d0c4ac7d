"""A check as JUnit XML: a test case for each entry and metric.

A violation is a failure; what could not be measured or compared is an error; what is new, advisory
or accepted passes, with a remark. So does an inconclusive latency where the entry is otherwise
fine: outcomes agree with the exit status. Without times or host names, the same report gives the
same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple
from xml.etree import ElementTree

from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.blocks import (
    UNKNOWN,
    advised,
    explain_entry,
    growth_line,
    headline,
    limit_line,
    self_test_line,
    summary_line,
    verdict,
)

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


class _Case(NamedTuple):
    """One test case: its outcome, its full text, and a one-line message where it did not pass."""

    classname: str
    name: str
    outcome: Literal["passed", "failure", "error"]
    text: str
    message: str = ""


def junit_xml(report: Report) -> str:
    """Return a check as JUnit XML."""
    cases = list(_self_test(report)) if report.drill else []
    if not cases:
        cases = [case for entry in report.entries for case in _cases(entry, report.config)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome == "failure" for case in cases)),
        "errors": str(sum(case.outcome == "error" for case in cases)),
        "skipped": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "flopbench check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(report.config), **counts})
    for case in cases:
        names = {"classname": _clean(case.classname), "name": _clean(case.name)}
        element = ElementTree.SubElement(suite, "testcase", names)
        if case.outcome != "passed":
            wrong = {"message": _clean(case.message)}
            ElementTree.SubElement(element, case.outcome, wrong).text = _clean(case.text)
        elif case.text:
            ElementTree.SubElement(element, "system-out").text = _clean(case.text)
    shown = [*report.notices, f"{summary_line(report)}; {verdict(report)}"]
    ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(shown))
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _cases(entry: EntryResult, config: str) -> Iterator[_Case]:
    """Yield an entry's cases, and one for the entry itself where no metric carries its state."""
    block = "\n".join(explain_entry(entry, config))
    unknown = entry.state in UNKNOWN
    cases = [_of_metric(result, entry, block) for result in entry.metrics]
    yield from cases
    if entry.failed and not any(result.failed for result in entry.metrics):
        yield _Case(entry.name, "entry", "failure", block, headline(entry))
    elif unknown and all(case.outcome == "passed" for case in cases):
        yield _Case(entry.name, "entry", "error", block, entry.reason or headline(entry))
    elif not cases:
        yield _Case(entry.name, "entry", "passed", "")


def _of_metric(result: MetricResult, entry: EntryResult, block: str) -> _Case:
    if result.failed:
        grew = growth_line(result) if result.state == "worse" else ""
        message = "; ".join(filter(None, (limit_line(result), grew)))
        return _Case(entry.name, result.metric, "failure", block, message or headline(entry))
    if result.state in UNKNOWN and entry.state in UNKNOWN:
        message = result.reason or entry.reason or f"{result.metric} is {result.state}"
        return _Case(entry.name, result.metric, "error", block, message)
    lines = ["new: nothing to compare with yet"] if result.state == "new" else []
    if result.state not in ("new", "same"):
        lines.append(growth_line(result))
    if advised(result):
        lines += [limit_line(result), "its budget is advisory"]
    lines += [result.reason, f"accepted: {result.accepted}" if result.accepted else ""]
    return _Case(entry.name, result.metric, "passed", "\n".join(filter(None, lines)))


def _self_test(report: Report) -> Iterator[_Case]:
    for one in report.drill:
        if one.caught:
            yield _Case(one.entry, one.metric, "passed", "")
        else:
            missed = f"not caught: {one.reason}"
            yield _Case(one.entry, one.metric, "failure", self_test_line(report), missed)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)
