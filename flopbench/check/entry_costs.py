"""Measuring entries: a configuration -> what each of its entries costs now.

Library models come from the cache where it has them, so that checking them loads no torch; the
user's code is counted again each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from flopbench.check.records import (
    Config,
    Cost,
    Entry,
    LogCost,
    ModelCost,
    ModuleCost,
    PricedComponent,
)
from flopbench.core.errors import FlopbenchError
from flopbench.counting.agreement import REFERENCE, doubt_text, judge_counters
from flopbench.counting.profile import CostProfile, unread_notes
from flopbench.counting.registry import find_counters
from flopbench.counting.rows import table_environment
from flopbench.counting.run import measure
from flopbench.estimate.charges import charge_items
from flopbench.models.spec import ModelSpec, parse_spec

if TYPE_CHECKING:
    from flopbench.core.workers import Progress


def measure_entries(
    config: Config,
    *,
    entries: Sequence[Entry] | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Cost | str]:
    """Count some or all entries; one that fails does not keep the others from being counted.

    Paths and modules are resolved from the working folder, which is the configuration's.
    """
    find_counters([config.counter])
    chosen = config.entries if entries is None else tuple(entries)
    specs = {entry.name: parse_spec(entry.model) for entry in chosen if entry.model}
    models = _models(list(dict.fromkeys(specs.values())), config.counter, refresh, progress)
    return {
        entry.name: models[specs[entry.name]]
        if entry.model
        else _log(entry, config, refresh, progress)
        for entry in chosen
    }


def _models(
    specs: Sequence[ModelSpec], counter: str, refresh: bool, progress: Progress | None
) -> dict[ModelSpec, Cost | str]:
    costs: dict[ModelSpec, Cost | str] = {}
    asked = list(dict.fromkeys([counter, REFERENCE]))
    for found in measure(
        specs, asked, refresh=refresh, progress=progress, keep_going=True, fresh_code=True
    ):
        profile = found.under(counter)
        costs[found.spec] = (
            found.broken or found.failures[counter]
            if profile is None
            else model_cost(profile, found.profiles)
        )
    return costs


def model_cost(profile: CostProfile, beside: Sequence[CostProfile] = ()) -> ModelCost:
    """Return what the check takes from a profile; those ``beside`` it help to judge it."""
    profiles = [p for p in beside if p.counter != profile.counter] + [profile]
    verdict = judge_counters(profiles)[profile.counter]
    notes = [doubt_text(profile.counter, verdict.status, verdict.reason)]
    notes += unread_notes(note for one in profiles for note in one.notes)
    work = profile.by_module()
    ops: dict[str, set[str]] = {}
    for op in profile.operators:
        if op.dense_macs or op.activations:
            ops.setdefault(op.module, set()).add(op.op)
    facts = {module.path: module for module in profile.modules}
    modules = []
    for path in dict.fromkeys((*facts, *work)):
        fact, done = facts.get(path), work.get(path)
        dense = done is not None and path in ops
        if not (dense or (fact and (fact.params or fact.shape or fact.source))):
            continue
        modules.append(
            ModuleCost(
                path=path,
                type=fact.type if fact else done.module_type if done else "",
                dense_macs=done.dense_macs if done else 0,
                params=fact.params if fact else 0,
                activations=done.activations if done else 0,
                calls=done.calls if done and dense else 0,
                ops=tuple(sorted(ops.get(path, ()))),
                shape=dict(fact.shape) if fact else {},
                source=fact.source if fact else "",
            )
        )
    return ModelCost(
        spec=profile.spec,
        input=profile.input,
        counter=profile.counter,
        counter_version=profile.counter_version,
        convention=profile.convention,
        dense_macs=profile.dense_macs,
        total=profile.total,
        params=profile.params,
        activations=profile.activations,
        modules=tuple(modules),
        versions=_libraries(profile.versions),
        gaps=tuple(sorted({gap.name for gap in profile.gaps_that_may_multiply()})),
        notes=tuple(filter(None, notes)),
    )


def _log(entry: Entry, config: Config, refresh: bool, progress: Progress | None) -> LogCost | str:
    from flopbench.estimate.price_rows import UnpricedError
    from flopbench.estimate.runs import Choices, run_of_log

    choices = Choices(
        preset=entry.preset or None,
        rule=entry.rule or None,  # type: ignore[arg-type]
        counter=config.counter,
        refresh=refresh,
        components=entry.components,
        variants=entry.variants,
        alone=True,
        fresh_code=True,
        resamples=0,  # no interval is shown
    )
    try:
        run = run_of_log([entry.policy_log], choices, progress=progress)
    except UnpricedError as error:
        listed = ", ".join(f'{name} = "{spec}"' for name, spec in error.components.items())
        return f"{error.message}: if you trust it, components = {{ {listed} }} in the configuration"
    except FlopbenchError as error:
        return error.line
    totals, plan = run.counts.totals(), run.counts.plan
    videos = 1 if totals.videos is None else totals.videos
    events = tuple(
        replace(item, times=item.times / videos)
        for item in charge_items(totals, plan, run.primary.rule)
        if item.times
    )
    specs = [parse_spec(price.spec) for price in run.prices.prices.values()]
    used = {name for event in events for name in event.costs}
    return LogCost(
        policy_log=entry.policy_log,
        counter=run.prices.counter,
        counter_version=run.prices.version,
        rule=run.primary.rule,
        macs_per_video=run.primary.macs_per_video,
        videos=totals.videos,
        components={
            name: PricedComponent(spec=price.spec, total_macs=price.total_macs)
            for name, price in run.prices.prices.items()
            if name in used
        },
        events=events,
        versions=_libraries(table_environment(specs, [run.prices.counter])),
        notes=tuple(
            f"{name}: {price.note}"
            for name, price in run.prices.prices.items()
            if price.flagged and name in used
        ),
    )


def _libraries(versions: Mapping[str, str]) -> dict[str, str]:
    """Leave out versions that no count depends on."""
    return {k: v for k, v in versions.items() if k not in {"python", "platform", "machine"}}
