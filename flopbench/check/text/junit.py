"""A check as JUnit XML: a test case for each entry and metric.

A violation is a failure; what could not be measured or compared is an error; what is new, advisory
or accepted passes, with a remark. So does an inconclusive latency where the entry is otherwise
fine: outcomes agree with the exit status. Without times or host names, the same report gives the
same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case: its outcome, a one-line message, and the full text."""

    classname: str
    name: str
    outcome: Literal["passed", "failure", "error"] = "passed"
    message: str = ""
    text: str = ""


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


def _cases(entry: EntryResult, config: str) -> Iterator[Case]:
    """Yield an entry's cases, and one for the entry itself where no metric carries its state."""
    block = "\n".join(explain_entry(entry, config))
    shown = False
    for result in entry.metrics:
        plain = Case(classname=entry.name, name=result.metric, text=_passed(result))
        if result.failed:
            message = _message(result) or headline(entry)
            yield _wrong(plain, "failure", message, block)
        elif result.state in UNKNOWN and entry.state in UNKNOWN:
            message = result.reason or entry.reason or f"{result.metric} is {result.state}"
            yield _wrong(plain, "error", message, block)
        else:
            yield plain
            continue
        shown = True
    whole = Case(classname=entry.name, name="entry")
    if entry.failed and not any(result.failed for result in entry.metrics):
        yield _wrong(whole, "failure", headline(entry), block)
    elif entry.state in UNKNOWN and not shown:
        yield _wrong(whole, "error", entry.reason or headline(entry), block)
    elif not entry.metrics:
        yield whole


def _wrong(case: Case, outcome: Literal["failure", "error"], message: str, text: str) -> Case:
    return Case(
        classname=case.classname, name=case.name, outcome=outcome, message=message, text=text
    )


def _message(result: MetricResult) -> str:
    over = limit_line(result) if result.over_limit else ""
    grew = growth_line(result) if result.state == "worse" else ""
    return "; ".join(text for text in (over, grew) if text)


def _passed(result: MetricResult) -> str:
    """Say how a passing metric changed, where it did."""
    if result.state == "new":
        lines = ["new: nothing to compare with yet"]
    else:
        lines = [growth_line(result)] if result.state not in ("same", *UNKNOWN) else []
    if advised(result):
        lines += [limit_line(result)] if result.over_limit else []
        lines.append("its budget is advisory")
    lines += [result.reason, f"accepted: {result.accepted}" if result.accepted else ""]
    return "\n".join(line for line in lines if line)


def _self_test(report: Report) -> Iterator[Case]:
    for result in report.drill:
        plain = Case(classname=result.entry, name=result.metric)
        missed = f"not caught: {result.reason}"
        yield plain if result.caught else _wrong(plain, "failure", missed, self_test_line(report))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)
