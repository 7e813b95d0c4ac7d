"""What each component of a policy costs, under each counter: components -> MACs.

A component is a specification (``resnet50@224,classes=200``), a constant with its source
(``value:3276800 "..."``), or one of several named variants of either. Prices come from a saved
cost table, else from the cache or from measuring. Beside the counters stands ``published``: the
figures as a publication printed them, misprints corrected and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flopbench.core.errors import InputError, MeasureError, near_match
from flopbench.core.units import GIGA
from flopbench.core.workers import Progress
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.cost_row import CostRow
from flopbench.counting.registry import DEFAULT_COUNTERS, find_counters, is_installed
from flopbench.counting.rows import measured_rows
from flopbench.counting.run import measure
from flopbench.counting.table import CostTable
from flopbench.models.presets import find_published, load_preset
from flopbench.models.spec import ModelSpec, parse_spec
from flopbench.policy.header import Component, Header

PUBLISHED = "published"
"""Name of the price list that quotes a publication's own printed figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one run of a component costs.

    Attributes:
        component: its name in the log.
        spec: what it is.
        macs: multiply-accumulates under the list's counter, exact.
        variant: the variant that was chosen, empty where the component has only one.
        note: what a reader must know of this figure.
        doubtful: whether the counter left part of the component out, or all of it.
    """

    component: str
    spec: str
    macs: int
    variant: str = ""
    note: str = ""
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Prices of all components under one counter.

    Attributes:
        counter: the counter, or ``published``.
        version: version of the library that counted.
        source: where the figures come from, for people.
        prices: component -> price.
    """

    counter: str
    version: str
    source: str
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """The lists of one log.

    Attributes:
        lists: counter -> list, in the order to show them.
        primary: the counter whose list leads.
        gaps: counter -> why it has no list.
    """

    lists: Mapping[str, PriceList]
    primary: str
    gaps: Mapping[str, str]


def price_book(
    header: Header,
    *,
    counter: str | None = None,
    table: CostTable | None = None,
    table_source: str = "",
    variants: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    alone: bool = False,
    may_measure: bool = True,
) -> PriceBook:
    """Find the price of every component under every counter.

    Args:
        header: a resolved header.
        counter: the counter that leads; None means the one that the preset's publication used,
            else the reference counter.
        table: a saved cost table; what it lacks is measured and cached.
        table_source: its name, for people.
        variants: component -> name of the variant to charge.
        overrides: component -> specification in place of the log's own.
        refresh: measure again.
        progress: told before each measurement.
        alone: only the leading counter's list.
        may_measure: whether what neither the table nor the cache has is measured.

    Raises:
        InputError: an unknown variant, component or counter; a log that names the user's own
            code; a price that would have to be measured and may not be.
        MeasureError: the leading counter could not count a component.
    """
    chosen = _chosen_specs(header, variants or {}, overrides or {}, table)
    names = _counters(header, counter, table)
    primary = names[0]
    names = names[:1] if alone else names
    measured = [name for name in names if name != PUBLISHED]
    rows, added = _rows(chosen, measured, table, refresh, progress, may_measure)
    lists: dict[str, PriceList] = {}
    gaps: dict[str, str] = {}
    for name in names:
        if name == PUBLISHED:
            found = _published_list(chosen)
        else:
            found = _measured_list(chosen, name, rows, table_source, added)
        if isinstance(found, PriceList):
            lists[name] = found
        else:
            gaps[name] = found
    if primary not in lists and not may_measure and primary != PUBLISHED:
        raise InputError(
            f"no price under {primary} for {gaps[primary]}",
            "'flopbench estimate --policy-log LOG' measures prices once and keeps them; or take "
            "them from a saved table: 'flopbench table ... -o table.json', then --table table.json",
        )
    if primary not in lists:
        raise MeasureError(f"no prices under {primary}: {gaps[primary]}", _counter_hint(lists))
    return PriceBook(lists=lists, primary=primary, gaps=gaps)


def used_components(header: Header) -> list[str]:
    """List the components that some action, exit or charge costs, and all others after them."""
    charges = header.charges
    costs = [a.costs for a in header.actions or []] + [e.costs for e in header.exits or []]
    if charges is not None:
        costs += [charges.per_decision, charges.per_step, charges.per_view, charges.per_sample]
    used = dict.fromkeys(name for cost in costs for name in cost)
    return [*used, *(name for name in header.components or {} if name not in used)]


def _chosen_specs(
    header: Header,
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
    table: CostTable | None,
) -> dict[str, tuple[ModelSpec, str]]:
    components = header.components or {}
    for given, flag in ((variants, "--variant"), (overrides, "--component")):
        for name in given:
            if name not in components:
                hint = near_match(name, components, "components")
                raise InputError(f"{flag} names {name!r}, which is no component of this log", hint)
    known = {row.spec for row in table} if table is not None else set()
    chosen = {}
    for name in used_components(header):
        text, variant = _spec_text(name, components[name], variants.get(name))
        if name in overrides and name in variants:
            raise InputError(
                f"--variant {name}={variants[name]} and --component {name}={overrides[name]} "
                "exclude each other"
            )
        if name in overrides:
            text, variant = overrides[name], ""
        spec = parse_spec(text)
        if spec.is_user_code and name not in overrides and str(spec) not in known:
            raise InputError(
                f"the component {name!r} is {text!r}, code that a log may not start by itself",
                f"if you trust it: --component {name}={text}",
            )
        chosen[name] = (spec, variant)
    return chosen


def _spec_text(name: str, component: str | Component, variant: str | None) -> tuple[str, str]:
    if isinstance(component, str):
        if variant is not None:
            raise InputError(f"--variant {name}={variant}: the component {name!r} has no variants")
        return component, ""
    variant = component.default if variant is None else variant
    if variant not in component.variants:
        hint = near_match(variant, component.variants, "variants")
        raise InputError(f"the component {name!r} has no variant {variant!r}", hint)
    return component.variants[variant], variant


def _counters(header: Header, counter: str | None, table: CostTable | None) -> list[str]:
    available = [*DEFAULT_COUNTERS]
    if table is not None:
        available = table.counters() or available
    wanted = counter
    if counter is not None and counter not in (*available, PUBLISHED):
        find_counters([counter])
    if wanted is None and header.preset is not None:
        wanted = load_preset(header.preset).counted_by or None
        if wanted not in available:
            wanted = None
    if wanted is None:
        wanted = REFERENCE if REFERENCE in available else available[0]
    return list(dict.fromkeys([wanted, *available, PUBLISHED]))


def _rows(
    chosen: Mapping[str, tuple[ModelSpec, str]],
    counters: Sequence[str],
    table: CostTable | None,
    refresh: bool,
    progress: Progress | None,
    may_measure: bool,
) -> tuple[dict[tuple[str, str], CostRow], set[str]]:
    """Return (specification, counter) -> row, and the specifications that the table lacked.

    A table that has a model under other counters than the leading one lacks it: what it says is
    kept, and the rest is measured.
    """
    rows: dict[tuple[str, str], CostRow] = {}
    lead = counters[0] if counters else None
    missing: list[ModelSpec] = []
    for spec, _ in chosen.values():
        if spec.source == "value":
            continue
        found = _in_table(spec, table) if table is not None else {}
        rows |= {(str(spec), name): row for name, row in found.items()}
        if not found or (lead is not None and lead not in found):
            missing.append(spec)
    # Without a counter's library its profiles in the cache cannot be told from older ones.
    asked = [name for name in counters if may_measure or is_installed(name)]
    if not missing or not asked:
        return rows, set()
    found_now = measure(
        missing, asked, refresh=refresh, progress=progress, cached_only=not may_measure
    )
    for one in found_now:
        for row in measured_rows(one, asked, None):
            rows.setdefault((str(one.spec), row.counter), row)
    return rows, {str(spec) for spec in missing} if table is not None else set()


def _in_table(spec: ModelSpec, table: CostTable) -> dict[str, CostRow]:
    def same(row: CostRow) -> bool:
        if row.spec:
            return row.spec == str(spec)
        return row.key == (spec.model, spec.input, spec.classes)

    return {row.counter: row for row in table if same(row)}


def _measured_list(
    chosen: Mapping[str, tuple[ModelSpec, str]],
    counter: str,
    rows: Mapping[tuple[str, str], CostRow],
    table_source: str,
    added: set[str],
) -> PriceList | str:
    prices: dict[str, Price] = {}
    versions: list[str] = []
    for name, (spec, variant) in chosen.items():
        if spec.source == "value":
            prices[name] = _constant(name, spec, variant)
            continue
        row = rows.get((str(spec), counter))
        if row is None or row.total_macs is None:
            why = (
                row.notes[0] if row is not None and row.notes else f"it is not counted by {counter}"
            )
            return f"{name} ({spec}): {why}"
        versions.append(row.counter_version)
        macs, notes = _seen(row, rows.get((str(spec), REFERENCE)))
        doubtful = bool(notes)
        if str(spec) in added:
            notes.append(f"measured by flopbench: {table_source or 'the table'} lacks it")
        prices[name] = Price(
            component=name,
            spec=str(spec),
            macs=macs,
            variant=variant,
            note="; ".join(notes),
            doubtful=doubtful,
        )
    return PriceList(
        counter=counter,
        version=", ".join(dict.fromkeys(v for v in versions if v)),
        source=(table_source or "measured by flopbench") if versions else "constants of the log",
        prices=prices,
    )


def _seen(row: CostRow, reference: CostRow | None) -> tuple[int, list[str]]:
    """Return what a counter charges, and what is to be said of it.

    A counter that sees nothing of a component at all would make it free: then the reference
    counter's dense MACs stand in.
    """
    assert row.total_macs is not None
    if not row.total_macs and reference is not None and reference.dense_macs:
        return reference.dense_macs, [
            f"{row.counter} sees nothing of it: charged as {reference.counter} counts it"
        ]
    if row.status in {"verified", "unverified"}:
        return row.total_macs, []
    return row.total_macs, [": ".join((f"{row.status} under {row.counter}", *row.notes[:1]))]


def _published_list(chosen: Mapping[str, tuple[ModelSpec, str]]) -> PriceList | str:
    prices: dict[str, Price] = {}
    sources: list[str] = []
    for name, (spec, variant) in chosen.items():
        if spec.source == "value":
            prices[name] = _constant(name, spec, variant)
            continue
        quoted = find_published(spec)
        if quoted is None:
            return f"{name} ({spec}): no publication that flopbench knows prints it"
        figure = quoted.gflops if quoted.corrected is None else quoted.corrected
        note = f"printed {quoted.gflops}"
        if quoted.corrected is not None:
            note += f", taken as {quoted.corrected}: {quoted.correction}"
        if spec.classes != quoted.spec.classes:
            note += f", for a head of {quoted.spec.classes} classes"
        prices[name] = Price(
            component=name, spec=str(spec), macs=int(figure * GIGA), variant=variant, note=note
        )
        sources.append(quoted.source)
    if not sources:
        return "every component is a constant already"
    return PriceList(
        counter=PUBLISHED, version="", source="; ".join(dict.fromkeys(sources)), prices=prices
    )


def _constant(name: str, spec: ModelSpec, variant: str) -> Price:
    note = f"quoted: {spec.quote}" if spec.quote else "a constant without a source"
    return Price(component=name, spec=str(spec), macs=int(spec.name), variant=variant, note=note)


def _counter_hint(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"--counter NAME chooses another: {listed}" if listed else ""
