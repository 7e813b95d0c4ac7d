"""What every output of a check shows: the entries it explains and in which words, the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

from flopbench.check.records import Metric
from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import (
    allowed_share,
    amount,
    amounts_apart,
    arrow,
    difference,
    growth,
    limit_and_actual,
    share_of_change,
)
from flopbench.check.text.causes import short_why, why_lines
from flopbench.core.errors import EXIT_CHECK_FAILED, EXIT_MEASURE, EXIT_OK
from flopbench.core.escaping import one_line
from flopbench.core.units import plural

if TYPE_CHECKING:
    from flopbench.check.accepting import Move

LOCK_IN = 'flopbench accept --improvements --reason "why"'
ACCEPT_ALL = 'flopbench accept --all --reason "why"'
UNKNOWN = ("not comparable", "not measured")
"""States in which nothing is known about a change: no amounts are compared."""

Level = Literal["error", "warning", "notice"]


def explained(report: Report) -> list[tuple[Level, EntryResult]]:
    """Return the entries to explain: failures, what is not known, then what became cheaper."""
    rest = [entry for entry in report.entries if not entry.failed]
    return [
        *(("error", entry) for entry in report.failures),
        *(("warning", entry) for entry in rest if entry.state in UNKNOWN),
        *(("notice", entry) for entry in rest if entry.state == "better"),
    ]


def command_to_accept(*names: str) -> str:
    """Return the command that accepts entries, quoted for a shell."""
    quoted = " ".join(shlex.quote(one_line(name)) for name in names)
    if any(name.startswith("-") for name in names):
        return f'flopbench accept --reason "why" -- {quoted}'
    return f'flopbench accept {quoted} --reason "why"'


def explain_entry(
    entry: EntryResult, config: str, *, accept_command: str | None = None
) -> list[str]:
    """Explain one entry: what is wrong, by how much, which module caused it, and what to do.

    ``config`` is the file, or the test, that sets its budgets, ``accept_command`` what accepts the
    change, where it is not ``flopbench accept``. All lines but the first are indented.
    """
    below = [f"what: {one_line(entry.what)}"] if entry.what not in ("", entry.name) else []
    if entry.reason:
        below.append(f"why: {one_line(entry.reason)}")
    if entry.state != "gone":
        for result in entry.metrics:
            told = _metric_lines(result, config, entry.reason)
            # What holds for several metrics is said at the first of them.
            below += [line for line in told if not (line.startswith(" ") and line in below)]
    if entry.state not in UNKNOWN:
        below += why_lines(entry)
    below += [f"note: {one_line(note)}" for note in entry.notes]
    command = LOCK_IN if entry.state == "better" else command_to_accept(entry.name)
    below += _what_to_do(entry, config, accept_command or command)
    return [headline(entry), *(f"  {line}" for line in below)]


MOST_CAUSES = 3
"""Causes that the short explanation of a failure names."""


def summarise_entry(entry: EntryResult, config: str) -> list[str]:
    """Explain one entry in about six lines: what the table of all entries does not say."""
    what = f" ({one_line(entry.what)})" if entry.what not in ("", entry.name) else ""
    below = []
    for result in (result for result in entry.metrics if result.failed):
        said = limit_line(result) or (_allowance(result) if result.allowed != result.old else "")
        note = f'; "{one_line(result.note)}"' if result.note else ""
        if said or note:
            below.append(f"{result.metric}: {said} ({_place(result, config)}){note}")
    if entry.state not in UNKNOWN:
        below += short_why(entry, MOST_CAUSES)
    below += _what_to_do(entry, config, command_to_accept(entry.name))
    return [headline(entry) + what, *(f"  {line}" for line in below)]


def headline(entry: EntryResult) -> str:
    """Return one line that says what happened to an entry, its name first."""
    return f"{one_line(entry.name)} {status_phrase(entry)}"


def status_phrase(entry: EntryResult) -> str:
    """Return what happened to an entry, without its name: ``costs more than allowed``."""
    if entry.state == "gone":
        return "is gone"
    if entry.failed and any(result.over_limit and result.failed for result in entry.metrics):
        grew = any(result.failed and grown(result) for result in entry.metrics)
        return f"{'costs more than allowed and ' if grew else ''}is over its limit"
    if entry.failed:
        return "costs more than allowed"
    return {
        "not comparable": "is not comparable with its baseline",
        "not measured": "could not be measured",
        "inconclusive": "could not be distinguished from its baseline",
        "better": "became cheaper",
        "worse": "costs more, which is allowed",
        "new": "is new",
    }.get(entry.state, "is the same")


def grown(result: MetricResult) -> bool:
    """Return whether a metric grew beyond what its baseline allows."""
    if result.state in UNKNOWN or result.new is None or result.allowed is None:
        return False
    return result.new > result.allowed


def advised(result: MetricResult) -> bool:
    """Return whether a metric violates an advisory budget."""
    return result.gate == "advisory" and not result.failed and (result.over_limit or grown(result))


def limit_line(result: MetricResult) -> str:
    """Print actual, limit and excess; empty where the limit holds."""
    if not result.over_limit or result.limit is None or result.new is None:
        return ""
    limit, actual = limit_and_actual(result)
    excess = growth(result.metric, result.limit, result.new).removeprefix("+")
    return f"{actual}, limit {limit}: {excess} over"


def growth_line(result: MetricResult) -> str:
    """Print baseline, actual amount and the change between them.

    Empty for a metric that is not comparable or lacks one of the two amounts.
    """
    if result.old is None or result.new is None or result.state in UNKNOWN:
        return ""
    # A paired latency of the other revision was measured just now; no baseline holds it.
    origin = "the other revision" if result.gate == "paired" else "baseline"
    return f"{origin} {arrow(result.metric, result.old, result.new)}: {difference(result)}"


def _metric_lines(result: MetricResult, config: str, shown: str) -> list[str]:
    """Say how a metric changed; nothing where it did not."""
    grew = growth_line(result) if result.state != "same" else ""
    lines = [limit_line(result), grew, _allowance(result) if grew else ""]
    lines.append(one_line(result.reason) if result.reason != shown else "")
    lines.append(f"accepted: {one_line(result.accepted)}" if result.accepted else "")
    advisory = advised(result)
    if advisory or (result.failed and (result.over_limit or grown(result))):
        default = not result.budget_line and result.limit is None
        place = f"the default; budgets are set in {one_line(config)}"
        lines.append(f"budget: {place if default else _place(result, config)}")
        lines.append(f"the budget says: {one_line(result.note)}" if result.note else "")
    first, *rest = [line for line in lines if line] or [""]
    head = f"{result.metric}: {first}{' (advisory)' if advisory else ''}"
    return [head, *(f"    {line}" for line in rest)] if first else []


def _allowance(result: MetricResult) -> str:
    """Return how much growth was allowed; empty where nothing grew."""
    delta = result.delta
    if result.allowed is None or result.new is None or delta is None or delta <= 0:
        return ""
    if result.allowed == result.old:
        return "allowed growth: none"
    most = amounts_apart(result.metric, result.new, result.allowed)[1]
    return f"allowed growth: {allowed_share(result.max_increase)}, up to {most}"


def _place(result: MetricResult, config: str) -> str:
    return one_line(config) + (f":{result.budget_line}" if result.budget_line else "")


def _what_to_do(entry: EntryResult, config: str, accept: str) -> list[str]:
    """Say what to do: the command that accepts the change, or why accepting does not help."""
    if entry.state == "not measured":
        return ["Until this is fixed its cost is not guarded."]
    failed = [result for result in entry.metrics if result.failed]
    lines = []
    if entry.state == "not comparable":
        lines.append(f"Check with the setup that made the baseline, or accept again: {accept}")
    elif entry.state == "gone":
        lines.append(f"Put it back (a new name is a new entry), or remove it: {accept}")
    elif entry.state == "better":
        lines.append(f"Lock it in: {accept}")
    elif any(one.gate != "paired" and (grown(one) or not one.over_limit) for one in failed):
        lines.append(f"If this growth is intended, accept it: {accept}")
    places = dict.fromkeys(_place(one, config) for one in failed if one.over_limit)
    if places:
        lines.append(
            "Accepting does not raise a limit: reduce the cost, or raise the limit in "
            f"{', '.join(places)}"
        )
    return lines


def summary_line(report: Report) -> str:
    """Return how much was checked: ``3 entries checked, 1 budget matched nothing``.

    What is as it should be is not said.
    """
    entries = len(report.entries) or len({d.entry for d in report.drill})
    unmatched = len(report.unmatched)
    checked = f"{entries} {plural(entries, 'entry', 'entries')} checked"
    if not unmatched:
        return checked
    return f"{checked}, {unmatched} {plural(unmatched, 'budget')} matched nothing"


def unmatched_lines(report: Report) -> list[str]:
    """Return the budgets that match no entry, each with its place."""
    return [f"no entry matches {one_line(text)}" for text in report.unmatched]


def verdict(report: Report) -> str:
    """Return the verdict of a check: ``passed``, ``failed: 1 of 3``, ``not measured: 1 of 3``."""
    if report.drill:
        return _self_test_verdict(report)
    if report.exit_status == EXIT_OK:
        return "passed"
    whole = len(report.entries)
    lost = [entry.state for entry in report.entries if not entry.failed]
    said = [
        f"{state}: {lost.count(state)} of {whole}" for state in reversed(UNKNOWN) if state in lost
    ]
    if report.exit_status == EXIT_CHECK_FAILED:
        said.insert(0, f"failed: {len(report.failures)} of {whole}")
    return "; ".join(said) or ("not measured" if report.exit_status == EXIT_MEASURE else "")


def _self_test_verdict(report: Report) -> str:
    whole = len(report.drill)
    missed = sum(not one.caught for one in report.drill)
    of = f"of {whole} {plural(whole, 'injected growth')}"
    said = f"failed: {missed} {of} not caught" if missed else f"passed: {whole} {of} caught"
    failed = len(report.failures)
    rest = f"; the check itself fails for {failed}: run it without --self-test" if failed else ""
    return f"self-test {said}{rest}"


def self_test_line(report: Report) -> str:
    """Return how much growth the self-test injects."""
    share = allowed_share(report.drill_share or Fraction(0))
    return f"self-test: {share} more injected into every entry and metric; each must fail the check"


def closing(report: Report) -> list[tuple[str, str]]:
    """Return what became cheaper and what is new: a sentence and a command for each."""
    shown = []
    cheaper = [entry for level, entry in explained(report) if level == "notice"]
    if cheaper:
        listed = ", ".join(_gain(entry) for entry in cheaper)
        shown.append((f"Cheaper: {listed}. Lock it in:", LOCK_IN))
    names = [entry.name for entry in report.entries if entry.state == "new"]
    if names:
        listed = ", ".join(one_line(name) for name in names)
        record = command_to_accept(*names) if report.baseline else ACCEPT_ALL
        shown.append((f"New, nothing to compare with yet: {listed}. Record:", record))
    return shown


def _gain(entry: EntryResult) -> str:
    gains = [
        f"{r.metric} {share_of_change(r.old, r.new) or growth(r.metric, r.old, r.new)}"
        for r in entry.metrics
        if r.state == "better" and r.old is not None and r.new is not None
    ]
    return one_line(entry.name) + (f" ({', '.join(gains)})" if gains else "")


def describe_moves(moves: Sequence[Move], path: str) -> list[str]:
    """Return lines that say what became of each entry, and what to do with the baseline's file."""
    if not moves:
        return ["nothing to accept"]
    lines = []
    for move in moves:
        moved = move.acceptance
        if moved is None:
            lines.append(f"{move.name}: unchanged since it was accepted")
        elif not moved.new:
            lines.append(f"{move.name}: removed")
        else:
            lines.append(f"{move.name}: {'accepted' if moved.old else 'new'}")
            lines += [
                f"  {_moved(name, moved.old.get(name), moved.new[name])}" for name in moved.new
            ]
    if any(move.acceptance for move in moves):
        lines.append(f"{path} written: commit it with the change that it belongs to")
    return lines


def _moved(name: str, old: Fraction | None, new: Fraction) -> str:
    metric = cast("Metric", name)
    if old is None or old == new:
        return f"{name}: {amount(metric, new)}" + (", as before" if old == new else "")
    return f"{name}: {arrow(metric, old, new)} ({growth(metric, old, new)})"
