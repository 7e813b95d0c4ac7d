"""Self-test of the check: growth is injected, and the check must fail.

A comparison that compares nothing passes for years. The self-test grows every exact metric of every
entry by a share of its accepted amount, one at a time, and judges it with the real configuration
and baseline: whatever does not fail then would not fail for a pull request either.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from msgspec.structs import replace

from flopbench.check.judging import Against, judge_entries
from flopbench.check.records import Baseline, Config, Cost, Kept, LogCost, Metric, amounts
from flopbench.check.report import SelfTestResult


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
