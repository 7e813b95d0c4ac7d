"""What each component of a policy costs, under each counter: components -> MACs.

Prices come from a saved cost table, else from the cache, else from measuring. One more list,
``published``, quotes the figures that a publication printed, with misprints corrected and noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flopbench.core.errors import InputError, MeasureError
from flopbench.core.units import GIGA
from flopbench.core.workers import Progress
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.cost_row import CostRow
from flopbench.counting.registry import DEFAULT_COUNTERS, find_counters, is_installed
from flopbench.counting.rows import measured_rows
from flopbench.counting.run import measure
from flopbench.counting.table import CostTable
from flopbench.estimate.components import Chosen, resolve_components
from flopbench.models.presets import find_published, load_preset
from flopbench.models.spec import ModelSpec
from flopbench.policy.header import Header

PUBLISHED = "published"
"""Name of the price list that quotes a publication's printed figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one run of a component costs.

    Attributes:
        component: its name in the log.
        spec: what it is.
        total_macs: multiply-accumulates under the list's counter, exact.
        variant: the variant that was chosen; empty where the component has only one.
        is_default: whether this is what the log charges by default.
        note: what qualifies the figure: its source, a correction, a flag.
        flagged: whether the counter left part of the component out, or all of it.
    """

    component: str
    spec: str
    total_macs: int
    variant: str = ""
    is_default: bool = True
    note: str = ""
    flagged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Prices of all components under one counter.

    Attributes:
        counter: the counter, or ``published``.
        version: version of the library that counted.
        source: where the figures come from, for display.
        prices: component -> price.
    """

    counter: str
    version: str
    source: str
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """The price lists of one log.

    Attributes:
        lists: counter -> list, in the order to show them.
        primary: the counter whose list prices the primary estimate.
        gaps: counter -> why it has no list.
    """

    lists: Mapping[str, PriceList]
    primary: str
    gaps: Mapping[str, str]


class _NoPrice(Exception):
    """A list that lacks the price of a component; the text says which, and why."""


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
        counter: the primary counter; None means the one that the preset's publication used, else
            the reference counter.
        table: a saved cost table, named ``table_source``; what it lacks is measured and cached.
        variants: component -> name of the variant to charge.
        overrides: component -> specification in place of the log's own.
        refresh: measure again.
        alone: return the primary counter's list only.
        may_measure: whether to measure what neither the table nor the cache has.

    Raises:
        InputError: an unknown variant, component or counter; a log that names user code; a price
            that would have to be measured and must not be.
        MeasureError: the primary counter could not count a component.
    """
    chosen = resolve_components(
        header,
        variants or {},
        overrides or {},
        used_components(header),
        trusted=() if table is None else {row.spec for row in table},
    )
    names = _counters(header, counter, table)
    primary = names[0]
    names = names[:1] if alone else names
    measured = [name for name in names if name != PUBLISHED]
    rows, added = _rows(chosen, measured, table, refresh, progress, may_measure)
    lists: dict[str, PriceList] = {}
    gaps: dict[str, str] = {}
    for name in names:
        try:
            if name == PUBLISHED:
                lists[name] = _published_list(chosen)
            else:
                lists[name] = _measured_list(chosen, name, rows, table_source, added)
        except _NoPrice as why:
            gaps[name] = str(why)
    if primary not in lists and not may_measure and primary != PUBLISHED:
        raise InputError(
            f"no price under {primary} for {gaps[primary]}",
            "'flopbench estimate --policy-log LOG' measures prices once and keeps them; or take "
            "them from a saved table: 'flopbench table ... -o table.json', then --table table.json",
        )
    if primary not in lists:
        hint = f"--counter NAME chooses another: {', '.join(lists)}" if lists else ""
        raise MeasureError(f"no prices under {primary}: {gaps[primary]}", hint)
    return PriceBook(lists=lists, primary=primary, gaps=gaps)


def used_components(header: Header) -> list[str]:
    """List the components that an action, exit or charge uses, then all others."""
    charges = header.charges
    costs = [a.costs for a in header.actions or []] + [e.costs for e in header.exits or []]
    if charges is not None:
        costs += [charges.per_decision, charges.per_step, charges.per_view, charges.per_sample]
    used = dict.fromkeys(name for cost in costs for name in cost)
    return [*used, *(name for name in header.components or {} if name not in used)]


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
    chosen: Mapping[str, Chosen],
    counters: Sequence[str],
    table: CostTable | None,
    refresh: bool,
    progress: Progress | None,
    may_measure: bool,
) -> tuple[dict[tuple[str, str], CostRow], set[str]]:
    """Return (specification, counter) -> row, and the specifications that the table lacked.

    A table that has a model only under counters other than the primary one lacks it: its rows are
    kept, and the rest is measured.
    """
    rows: dict[tuple[str, str], CostRow] = {}
    primary = counters[0] if counters else None
    missing: list[ModelSpec] = []
    for spec in (one.spec for one in chosen.values()):
        if spec.source == "value":
            continue
        found = _in_table(spec, table) if table is not None else {}
        rows |= {(str(spec), name): row for name, row in found.items()}
        if not found or (primary is not None and primary not in found):
            missing.append(spec)
    # Without a counter's library, its cached profiles may be of another version.
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
    chosen: Mapping[str, Chosen],
    counter: str,
    rows: Mapping[tuple[str, str], CostRow],
    table_source: str,
    added: set[str],
) -> PriceList:
    prices: dict[str, Price] = {}
    versions: list[str] = []
    for name, one in chosen.items():
        spec = one.spec
        if spec.source == "value":
            prices[name] = _constant(name, one)
            continue
        row = rows.get((str(spec), counter))
        if row is None or row.total_macs is None:
            said = () if row is None else row.notes
            why = said[0] if said else f"it is not counted by {counter}"
            raise _NoPrice(f"{name} ({spec}): {why}")
        versions.append(row.counter_version)
        macs, notes = _seen(row, rows.get((str(spec), REFERENCE)))
        flagged = bool(notes)
        if str(spec) in added:
            notes.append(f"measured by flopbench: {table_source or 'the table'} lacks it")
        prices[name] = _price(name, one, macs, "; ".join(notes), flagged)
    return PriceList(
        counter=counter,
        version=", ".join(dict.fromkeys(v for v in versions if v)),
        source=(table_source or "measured by flopbench") if versions else "constants of the log",
        prices=prices,
    )


def _seen(row: CostRow, reference: CostRow | None) -> tuple[int, list[str]]:
    """Return what a counter charges, and the notes on it.

    A counter that counts nothing of a component would make it free: the reference counter's dense
    MACs are charged instead.
    """
    assert row.total_macs is not None
    if not row.total_macs and reference is not None and reference.dense_macs:
        return reference.dense_macs, [
            f"{row.counter} does not count it: charged as {reference.counter} counts it"
        ]
    if row.status in {"verified", "unverified"}:
        return row.total_macs, []
    return row.total_macs, [": ".join((f"{row.status} under {row.counter}", *row.notes[:1]))]


def _published_list(chosen: Mapping[str, Chosen]) -> PriceList:
    prices: dict[str, Price] = {}
    sources: list[str] = []
    for name, one in chosen.items():
        spec = one.spec
        if spec.source == "value":
            prices[name] = _constant(name, one)
            continue
        quoted = find_published(spec)
        if quoted is None:
            raise _NoPrice(f"{name} ({spec}): no publication that flopbench knows prints it")
        figure = quoted.gflops if quoted.corrected is None else quoted.corrected
        note = f"printed {quoted.gflops}"
        if quoted.corrected is not None:
            note += f", taken as {quoted.corrected}: {quoted.correction}"
        if spec.classes != quoted.spec.classes:
            note += f", for a head of {quoted.spec.classes} classes"
        prices[name] = _price(name, one, int(figure * GIGA), note)
        sources.append(quoted.source)
    if not sources:
        raise _NoPrice("every component is a constant already")
    return PriceList(
        counter=PUBLISHED, version="", source="; ".join(dict.fromkeys(sources)), prices=prices
    )


def _constant(name: str, one: Chosen) -> Price:
    quote = one.spec.quote
    note = f"quoted: {quote}" if quote else "a constant without a source"
    return _price(name, one, int(one.spec.name), note)


def _price(name: str, one: Chosen, macs: int, note: str, flagged: bool = False) -> Price:
    return Price(
        component=name,
        spec=str(one.spec),
        total_macs=macs,
        variant=one.variant,
        is_default=one.is_default,
        note=note,
        flagged=flagged,
    )
