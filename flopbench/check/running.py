"""One whole check: read the baseline, measure the entries, judge them; and its self-test.

A comparison that compares nothing passes for years. The self-test grows every exact metric of every
entry by a share of its accepted amount, one at a time, and judges it with the real configuration
and baseline: whatever does not fail then would not fail for a pull request either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.check.baseline.file import load_baseline, parse_baseline
from flopbench.check.entry_costs import measure_entries
from flopbench.check.judging import Against, judge_entries
from flopbench.check.records import Baseline, Config, Cost, Kept, LogCost, Metric, amounts
from flopbench.check.report import Report, SelfTestResult
from flopbench.core.errors import InputError

if TYPE_CHECKING:
    from flopbench.core.workers import Progress


def run_check(
    config: Config,
    *,
    against: str | None = None,
    paired: str | None = None,
    self_test_share: Fraction | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Report:
    """Compare every entry of a configuration with its baseline and its budgets.

    Args:
        config: what is guarded.
        against: a git revision whose baseline to compare with; None for the current one.
        paired: a git revision to time budgets of gate ``paired`` against.
        self_test_share: growth to inject into every entry, as a share; None injects nothing.
        refresh: count again instead of reading the cache.
        progress: called before each measurement.
        say: called before entries are timed, with how long that is expected to take.

    Raises:
        InputError: no such revision, no git repository, or nothing to time against ``paired``.
        DataError: the baseline is damaged.
    """
    if paired is not None and not any(budget.gate == "paired" for budget in config.budgets):
        raise InputError(
            f'--paired {paired} would time nothing: no budget of {config.path} has gate = "paired"',
            'write [[budgets]] with metric = "latency" and gate = "paired"',
        )
    with inside(config):
        held = _against(config, against)
        costs = measure_entries(config, refresh=refresh, progress=progress)
        if self_test_share is not None:
            injected = self_test(config, held.baseline, costs, self_test_share)
            report = judge_entries(config, held, costs)
            return replace(report, drill=injected, drill_share=self_test_share)
        if not any(budget.metric == "latency" for budget in config.budgets):
            return judge_entries(config, held, costs)
        from flopbench.check.latency.gate import check_latency, guarded

        timed = bool(guarded(config))
        latencies = (
            check_latency(config, paired=paired, progress=progress, say=say) if timed else {}
        )
        return judge_entries(config, held, costs, latencies)


@contextlib.contextmanager
def inside(config: Config) -> Iterator[None]:
    """Work in the configuration's folder, from which models and logs are found."""
    before = Path.cwd()
    os.chdir(config.root)
    try:
        yield
    finally:
        os.chdir(before)


def _against(config: Config, revision: str | None) -> Against:
    """Read what costs are compared with: the current baseline, or that of a revision."""
    path = Path(config.baseline)
    here = load_baseline(path)
    if revision is None:
        return Against(baseline=here)
    from flopbench.check.git import show

    text = show(revision, path)
    there = parse_baseline(text, f"{revision}:{config.baseline}") if text is not None else None
    return Against(baseline=there, accepted_here=here)


def self_test(
    config: Config, baseline: Baseline | None, costs: Mapping[str, Cost | str], share: Fraction
) -> tuple[SelfTestResult, ...]:
    """Inject growth into every exact metric of every entry, and see whether the check fails.

    ``share`` is of the accepted or the present amount, whichever is larger.
    """
    entries = baseline.entries if baseline is not None else {}
    results = []
    for entry in config.entries:
        cost = costs[entry.name]
        if isinstance(cost, str):
            reasons: dict[Metric, str] = {"dense_macs": f"it could not be measured: {cost}"}
        else:
            alone = replace(config, entries=(entry,))
            kept = entries.get(entry.name)
            reasons = {
                metric: _missed(alone, kept, cost, metric, share) for metric in amounts(cost)
            }
        results += [
            SelfTestResult(entry=entry.name, metric=metric, caught=not reason, reason=reason)
            for metric, reason in reasons.items()
        ]
    return tuple(results)


def _missed(config: Config, kept: Kept | None, cost: Cost, metric: Metric, share: Fraction) -> str:
    """Say why the growth of one entry goes unnoticed; empty where the check fails, as it must."""
    (entry,) = config.entries
    before = amounts(kept.cost).get(metric, Fraction(0)) if kept is not None else Fraction(0)
    now = amounts(cost)[metric]
    extra = max(before, now) * (1 + share) - now
    alone = Baseline(entries={entry.name: kept} if kept is not None else {})
    costs = {entry.name: grown(cost, metric, extra)}
    report = judge_entries(config, Against(baseline=alone), costs)
    verdict = next(one for one in report.entries[0].metrics if one.metric == metric)
    if verdict.failed:
        return ""
    if verdict.gate == "advisory":
        return "its gate is advisory, which never fails"
    if verdict.state == "new":
        return "it is in no baseline, so nothing can have grown: accept it first"
    if verdict.state == "not comparable":
        return "it is not comparable with its baseline"
    return f"its budget allows more than the {float(share * 100):g} % that were injected"


def grown(cost: Cost, metric: Metric, extra: Fraction) -> Cost:
    """Return a cost with at least ``extra`` more of one metric, its parts adding up.

    The growth goes where most of the cost is: into one module, or into one component's price.
    """
    if isinstance(cost, LogCost):
        return _grown_log(cost, extra)
    more = max(1, ceil(extra))
    changed = {metric: getattr(cost, metric) + more}
    largest = max(cost.modules, key=lambda module: getattr(module, metric), default=None)
    modules = tuple(
        replace(module, **{metric: getattr(module, metric) + more}) if module is largest else module
        for module in cost.modules
    )
    return replace(cost, modules=modules, **changed)


def _grown_log(cost: LogCost, extra: Fraction) -> LogCost:
    runs: dict[str, Fraction] = {}
    for event in cost.events:
        for name, number in event.costs.items():
            runs[name] = runs.get(name, Fraction(0)) + event.times * number
    if not any(runs.values()):
        return replace(cost, macs_per_video=cost.macs_per_video + max(Fraction(1), extra))
    name = max(runs, key=lambda one: runs[one] * cost.components[one].total_macs)
    more = max(1, ceil(extra / runs[name]))
    component = cost.components[name]
    raised = {**cost.components, name: replace(component, total_macs=component.total_macs + more)}
    new = cost.macs_per_video + more * runs[name]
    return replace(cost, components=raised, macs_per_video=new)
