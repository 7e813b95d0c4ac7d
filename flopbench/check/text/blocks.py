"""What a check says about one entry, as plain lines, and the sentences that sum up a check."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import cast

from flopbench.check.accepting import Move
from flopbench.check.records import Metric
from flopbench.check.report import EntryResult, MetricResult, Report
from flopbench.check.text.amounts import (
    allowed_share,
    amount,
    amounts_apart,
    arrow,
    growth,
    limit_and_actual,
    share_of_change,
)
from flopbench.check.text.causes import why_lines
from flopbench.core.errors import EXIT_CHECK_FAILED, EXIT_MEASURE, EXIT_OK
from flopbench.core.escaping import one_line
from flopbench.core.units import plural

LOCK_IN = 'flopbench accept --improvements --reason "why"'
ACCEPT_ALL = 'flopbench accept --all --reason "why"'
UNKNOWN = ("not comparable", "not measured")
"""States in which nothing is known about a change: no amounts are compared."""


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

    Args:
        entry: what to explain.
        config: the file, or the test, that sets its budgets.
        accept_command: the command that accepts the change, where it is not ``flopbench accept``.

    Returns:
        Lines without line ends; all but the first are indented.
    """
    lines = [headline(entry)]
    if entry.what:
        lines.append(f"  what: {one_line(entry.what)}")
    if entry.reason:
        lines.append(f"  why: {one_line(entry.reason)}")
    for result in entry.metrics if entry.state != "gone" else ():
        lines += [f"  {line}" for line in _metric_lines(result, config, entry.reason)]
    if entry.state not in UNKNOWN:
        lines += [f"  {line}" for line in why_lines(entry)]
    lines += [f"  note: {one_line(note)}" for note in entry.notes]
    lines += [f"  {line}" for line in _what_to_do(entry, config, accept_command)]
    return lines


def headline(entry: EntryResult) -> str:
    """Return one line that says what happened to an entry, its name first."""
    return f"{one_line(entry.name)} {status_phrase(entry)}"


def status_phrase(entry: EntryResult) -> str:
    """Return what happened to an entry, without its name: ``costs more than allowed``."""
    over = any(r.over_limit and r.failed for r in entry.metrics)
    if entry.state == "gone":
        return "is gone"
    if entry.failed and over:
        grew = any(r.failed and grown(r) for r in entry.metrics)
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
    """Print actual, limit and excess: ``4.4200 GMACs, limit 4.2 GMACs: 220,000,000 MACs over``."""
    assert result.limit is not None
    assert result.new is not None
    limit, actual = limit_and_actual(result)
    excess = growth(result.metric, result.limit, result.new).removeprefix("+")
    return f"{actual}, limit {limit}: {excess} over"


def growth_line(result: MetricResult) -> str:
    """Print baseline, actual amount and the change between them.

    Empty for a metric that is not comparable or lacks one of the two amounts.
    """
    if result.delta is None or result.state in UNKNOWN:
        return ""
    metric, old, new = result.metric, result.old, result.new
    assert old is not None
    assert new is not None
    share = share_of_change(old, new, result.max_increase)
    change = f"{growth(metric, old, new)}{f' ({share})' if share else ''}"
    # A paired latency of the other revision was measured just now; no baseline holds it.
    origin = "the other revision" if result.gate == "paired" else "baseline"
    return f"{origin} {arrow(metric, old, new)}: {change}"


def allowance_line(result: MetricResult) -> str:
    """Return how much growth was allowed; empty where nothing grew."""
    delta = result.delta
    if result.allowed is None or result.new is None or delta is None or delta <= 0:
        return ""
    if result.allowed == result.old:
        return "allowed growth: none"
    most = amounts_apart(result.metric, result.new, result.allowed)[1]
    return f"allowed growth: {allowed_share(result.max_increase)}, up to {most}"


def summary_line(report: Report) -> str:
    """Return how much was checked: ``3 entries checked, 1 budget matched nothing``."""
    entries = len(report.entries) or len({d.entry for d in report.drill})
    unmatched = len(report.unmatched)
    return (
        f"{entries} {plural(entries, 'entry', 'entries')} checked, "
        f"{unmatched} {plural(unmatched, 'budget')} matched nothing"
    )


def unmatched_lines(report: Report) -> list[str]:
    """Return the budgets that match no entry, each with its place."""
    return [f"no entry matches {one_line(text)}" for text in report.unmatched]


def verdict(report: Report) -> str:
    """Return the verdict of a check: ``passed``, ``failed: 1 of 3``, ``not measured: 1 of 3``."""
    if report.drill:
        missed = sum(not d.caught for d in report.drill)
        failed = len(report.failures)
        rest = (
            f"; the check itself fails for {failed}: run it without --self-test" if failed else ""
        )
        of = f"of {len(report.drill)} {plural(len(report.drill), 'injected growth')}"
        if missed:
            return f"self-test failed: {missed} {of} not caught{rest}"
        return f"self-test passed: {len(report.drill)} {of} caught{rest}"
    whole = len(report.entries)
    unknown = [
        f"{state}: {n} of {whole}"
        for state in ("not measured", "not comparable")
        if (n := sum(e.state == state and not e.failed for e in report.entries))
    ]
    if report.exit_status == EXIT_OK:
        return "passed"
    if report.exit_status == EXIT_CHECK_FAILED:
        return "; ".join([f"failed: {len(report.failures)} of {whole}", *unknown])
    return "; ".join(unknown) or ("not measured" if report.exit_status == EXIT_MEASURE else "")


def self_test_line(report: Report) -> str:
    """Return how much growth the self-test injects."""
    share = allowed_share(report.drill_share or Fraction(0))
    return f"self-test: {share} more injected into every entry and metric; each must fail the check"


def closing(report: Report) -> list[tuple[str, str]]:
    """Return what became cheaper and what is new: a sentence and a command for each."""
    shown = []
    cheaper = [entry for entry in report.improvements if not entry.failed]
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


def _metric_lines(result: MetricResult, config: str, shown: str) -> list[str]:
    """Say how a metric changed; nothing where it did not."""
    violates = result.failed or advised(result)
    lines = []
    if result.over_limit and result.new is not None and result.limit is not None:
        lines.append(limit_line(result))
    if result.state != "same" and (line := growth_line(result)):
        lines += [line, *([allowed] if (allowed := allowance_line(result)) else [])]
    if result.reason and result.reason != shown:
        lines.append(one_line(result.reason))
    if result.accepted:
        lines.append(f"accepted: {one_line(result.accepted)}")
    if violates and (result.over_limit or grown(result)):
        lines.append(_where(result, config))
        if result.note:
            lines.append(f"the budget says: {one_line(result.note)}")
    if advised(result) and lines:
        lines[0] += " (advisory)"
    return [(f"{result.metric}: " if not n else "    ") + line for n, line in enumerate(lines)]


def _where(result: MetricResult, config: str) -> str:
    """Say where to change a budget."""
    if result.budget_line:
        return f"budget: {one_line(config)}:{result.budget_line}"
    if result.limit is None:
        return f"budget: the default; budgets are set in {one_line(config)}"
    return f"budget: {one_line(config)}"


def _what_to_do(entry: EntryResult, config: str, command: str | None) -> list[str]:
    """Say what to do: the command that accepts the change, or why accepting does not help."""
    accept = command or command_to_accept(entry.name)
    if entry.state == "not measured":
        return ["Until this is fixed its cost is not guarded."]
    lines = []
    if entry.state == "not comparable":
        lines.append(f"Check with the setup that made the baseline, or accept again: {accept}")
    elif entry.state == "gone":
        lines.append(f"Put it back (a new name is a new entry), or remove it: {accept}")
    elif entry.state == "better":
        lines.append(f"Lock it in: {command or LOCK_IN}")
    elif any(
        r.failed and r.gate != "paired" and (grown(r) or not r.over_limit) for r in entry.metrics
    ):
        lines.append(f"If this growth is intended, accept it: {accept}")
    over = [r for r in entry.metrics if r.failed and r.over_limit]
    if over:
        places = dict.fromkeys(_place(r, config) for r in over)
        lines.append(
            "Accepting does not raise a limit: reduce the cost, or raise the limit in "
            f"{', '.join(places)}"
        )
    return lines


def _place(result: MetricResult, config: str) -> str:
    return one_line(config) + (f":{result.budget_line}" if result.budget_line else "")


def describe_moves(moves: Sequence[Move], path: str) -> list[str]:
    """Return lines that say what became of each entry, and what to do with the file.

    Args:
        moves: what was accepted.
        path: the baseline.
    """
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
            lines += [f"  {line}" for line in _amounts(moved.old, moved.new)]
    if any(move.acceptance for move in moves):
        lines.append(f"{path} written: commit it with the change that it belongs to")
    return lines


def _amounts(old: Mapping[str, Fraction], new: Mapping[str, Fraction]) -> list[str]:
    lines = []
    for name, now in new.items():
        metric = cast("Metric", name)
        before = old.get(name)
        if before is None:
            lines.append(f"{name}: {amount(metric, now)}")
        elif before == now:
            lines.append(f"{name}: {amount(metric, now)}, as before")
        else:
            lines.append(f"{name}: {arrow(metric, before, now)} ({growth(metric, before, now)})")
    return lines
