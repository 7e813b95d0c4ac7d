"""Costs now × costs accepted × budgets -> a report. Pure.

An amount may be at most the larger of ``old × (1 + max-increase)`` and ``old + min-delta``, and at
most the limit; both are inclusive and exact: there is no tolerance except the configured one. What
is missing does not pass: an entry that the baseline has and the configuration lacks is
``gone`` and fails, so that a renamed model is not silently green. An entry that the baseline lacks
is ``new``, which is a notice.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from msgspec import Struct
from msgspec.structs import replace

from flopbench.check.config import budget_for, unmatched_budgets
from flopbench.check.records import (
    Baseline,
    Budget,
    Config,
    Cost,
    Entry,
    Kept,
    LogCost,
    ModelCost,
    amounts,
)
from flopbench.check.report import ADVISORY, EntryResult, MetricResult, ModuleChange, Report, State
from flopbench.core.units import CONVENTION

SHOWN_MODULES = 5
"""How many modules a failure names."""

_SEVERITY: Sequence[State] = (
    *("not measured", "not comparable", "gone", "worse"),
    *("inconclusive", "new", "better", "same"),
)
"""States, the worst first: an entry has the worst of its metrics' states."""

_ADDED = ("added_macs", "added_params", "added_activations")

NO_BASELINE = "there is no baseline yet, so nothing can have grown; limits still apply"


class Against(Struct, frozen=True, kw_only=True):
    """What costs are compared with.

    Attributes:
        baseline: the accepted costs; None where there are none yet.
        accepted_here: the baseline of the working tree, where ``baseline`` is another revision's:
            growth that it accepts does not fail, and what that revision lacks is compared with it.
    """

    baseline: Baseline | None
    accepted_here: Baseline | None = None


def judge_entries(
    config: Config,
    against: Against,
    costs: Mapping[str, Cost | str],
    latencies: Mapping[str, MetricResult] | None = None,
) -> Report:
    """Compare every entry with its baseline and its budgets.

    ``costs`` is entry -> its cost now, or why it could not be measured.
    """
    there, here = against.baseline or Baseline(), against.accepted_here or Baseline()
    kept = {**here.entries, **there.entries}
    results = []
    for entry in config.entries:
        name, cost = entry.name, costs[entry.name]
        if isinstance(cost, str):
            results.append(replace(_unjudged(entry, config), reason=cost))
            continue
        latency = (latencies or {}).get(name)
        accepted = here.entries.get(name)
        results.append(_entry(entry, config, kept.get(name), accepted, cost, latency))
    ours = {entry.name for entry in config.entries}
    results += [_gone(name, kept[name], here) for name in kept if name not in ours]
    notices = list(config.notes)
    if against.baseline is None and not kept:
        notices.append(NO_BASELINE)
    if lacking := [name for name in kept if name not in there.entries]:
        notices.append(
            f"the revision has no baseline of {', '.join(lacking)}: compared with the current "
            "baseline"
        )
    return Report(
        config=config.path,
        baseline=there.source,
        counter=config.counter,
        convention=CONVENTION,
        entries=tuple(results),
        budgets=len(config.budgets),
        unmatched=unmatched_budgets(config),
        notices=tuple(notices),
    )


def judge_amount(old: Fraction | None, new: Fraction, budget: Budget) -> MetricResult:
    """Compare one exact amount with the accepted one, if there is one, and with its budget."""
    over = budget.limit is not None and new > budget.limit
    state: State = "new"
    if old is not None:
        state = "worse" if new > old else "better" if new < old else "same"
    grown = old is not None and new > budget.allowed_from(old)
    reason = ""
    if (over or grown) and budget.gate == "advisory":
        reason = ADVISORY
    elif state == "worse" and not grown:
        reason = "within what the budget allows"
    return MetricResult.under(
        budget, state, violated=over or grown, old=old, new=new, over_limit=over, reason=reason
    )


def worst(states: Iterable[State]) -> State:
    """Return the worst of some states; ``same`` for none."""
    return min(states, key=_SEVERITY.index, default="same")


def _unjudged(entry: Entry, config: Config) -> EntryResult:
    return EntryResult(
        name=entry.name,
        what=entry.what,
        line=entry.line,
        state="not measured",
        failed=False,
        source=f"{config.path}:{entry.line}" if entry.line else "",
    )


def _entry(
    entry: Entry,
    config: Config,
    kept: Kept | None,
    here: Kept | None,
    cost: Cost,
    latency: MetricResult | None,
) -> EntryResult:
    notes: list[str] = []
    apart = not_comparable(kept.cost, cost) if kept is not None else ""
    if apart and here is not None and not not_comparable(here.cost, cost):
        # Another counter or rule was accepted since that revision: nothing older is comparable.
        notes = [f"compared with the current baseline, since the revision's differs: {apart}"]
        kept, apart = here, ""
    old = amounts(kept.cost) if kept is not None and not apart else {}
    metrics = []
    for metric, new in amounts(cost).items():
        budget = budget_for(config, entry, metric)
        one = judge_amount(old.get(metric), new, budget)
        if apart:
            one = replace(one, state="not comparable")
        metrics.append(_accepted(one, budget, here, cost))
    states = [one.state for one in metrics]
    if latency is not None:
        metrics.append(latency)
        states += _of_latency(latency)
    result = replace(
        _unjudged(entry, config),
        state=worst(states),
        failed=any(one.failed for one in metrics),
        metrics=tuple(metrics),
        notes=(*notes, *_notes(kept, cost)),
        reason=apart,
    )
    if kept is None or apart:
        return result
    return _explained(result, kept.cost, cost, posixpath.dirname(config.path))


def _of_latency(latency: MetricResult) -> list[State]:
    """Return what a latency adds to its entry's state."""
    if latency.failed:
        return ["worse"]
    # Not comparable and inconclusive are to be expected in CI; what never measures guards nothing.
    lost = latency.state == "not measured" and latency.gate != "advisory"
    return ["not measured"] if lost else []


def not_comparable(old: Cost, new: Cost) -> str:
    """Say why two costs cannot be compared; an empty text where they can."""
    if isinstance(old, LogCost) != isinstance(new, LogCost):
        kinds = ["a policy log" if isinstance(one, LogCost) else "a model" for one in (old, new)]
        return f"it was {kinds[0]} in the baseline and is {kinds[1]} now"
    terms = ("counter", "rule" if isinstance(old, LogCost) else "convention")
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in terms]
    apart = [f"{name}: {a!r} in the baseline, {b!r} now" for name, a, b in pairs if a != b]
    if apart or not isinstance(old, ModelCost) or not isinstance(new, ModelCost):
        return "; ".join(apart)
    unseen = sorted(set(new.gaps) - set(old.gaps))
    if not unseen:
        return ""
    # Cost that moved to where nothing counts it would look like a saving.
    return (
        f"{new.counter} leaves out {', '.join(unseen)}, which may multiply and which the baseline "
        "did not have: the true cost is not known"
    )


def _accepted(one: MetricResult, budget: Budget, kept: Kept | None, cost: Cost) -> MetricResult:
    """Let growth over another revision pass where this working tree accepts it."""
    if kept is None or not one.failed or not_comparable(kept.cost, cost):
        return one
    assert one.new is not None
    if judge_amount(amounts(kept.cost).get(one.metric), one.new, budget).failed:
        return one
    reason = kept.accepted[-1].reason if kept.accepted else "the current baseline has it"
    return replace(one, failed=False, accepted=reason)


def _gone(name: str, kept: Kept, here: Baseline) -> EntryResult:
    accepted = here.removed[name].reason if name in here.removed else ""
    gone = MetricResult(
        metric="dense_macs", state="gone", failed=not accepted, gate="exact", accepted=accepted
    )
    return EntryResult(
        name=name,
        what=kept.cost.policy_log if isinstance(kept.cost, LogCost) else kept.cost.spec,
        state="gone",
        failed=not accepted,
        metrics=tuple(
            replace(gone, metric=metric, old=old) for metric, old in amounts(kept.cost).items()
        ),
        reason="the baseline has it, the configuration does not",
    )


def _notes(kept: Kept | None, cost: Cost) -> list[str]:
    notes = list(cost.notes)
    if kept is None:
        return notes
    old = kept.cost
    libraries = [
        f"{name} {version} -> {cost.versions[name]}"
        for name, version in old.versions.items()
        if name != "flopbench" and cost.versions.get(name, version) != version
    ]
    moved = ", ".join(libraries)
    if isinstance(old, ModelCost) and isinstance(cost, ModelCost):
        if old.spec != cost.spec:
            notes.append(f"it was {old.spec} in the baseline and is {cost.spec} now")
        same = (old.dense_macs, old.counter) == (cost.dense_macs, cost.counter)
        if same and old.total != cost.total:
            notes.append(
                f"the total of {cost.counter} moved from {old.total:,} to {cost.total:,} while the "
                f"dense MACs are the same{f' ({moved})' if moved else ''}"
            )
    if moved and amounts(old) != amounts(cost):
        notes.append(f"libraries changed since the baseline: {moved}")
    return notes


def _explained(result: EntryResult, old: Cost, new: Cost, folder: str) -> EntryResult:
    """Add why a cost changed; code was found from the configuration's folder."""
    if amounts(old) == amounts(new):
        return result
    if isinstance(old, LogCost) and isinstance(new, LogCost):
        from flopbench.check.split import split

        return replace(result, split=split(old, new))
    assert isinstance(old, ModelCost)
    assert isinstance(new, ModelCost)
    from flopbench.check.diff.changes import compare_models

    modules, causes = compare_models(old, new)
    shown = [
        replace(one, source=posixpath.normpath(posixpath.join(folder, one.source)))
        if one.source
        else one
        for one in _leading(modules, sign=-1 if result.state == "better" else 1)
    ]
    return replace(
        result,
        causes=causes,
        modules=tuple(shown),
        more_modules=len(modules) - len(shown),
        source=next((module.source for module in shown if module.source), result.source),
    )


def _leading(modules: Sequence[ModuleChange], *, sign: int) -> list[ModuleChange]:
    """Return the modules to show: those that changed in the direction of the whole, else all."""
    totals = {name: sum(getattr(module, name) for module in modules) for name in _ADDED}
    shown = [
        module for module in modules if any(sign * getattr(module, name) > 0 for name in _ADDED)
    ] or list(modules)
    if sign * totals["added_macs"] <= 0:  # the order by MACs is not the order of what changed
        name = next((name for name in _ADDED if sign * totals[name] > 0), "added_macs")
        shown.sort(key=lambda module: (module.follows, -sign * getattr(module, name)))
    return shown[:SHOWN_MODULES]
