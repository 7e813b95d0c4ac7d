"""What each component of a policy costs, under each counter: components -> MACs.

Prices come from a saved cost table, else from the cache, else from measuring. One more list,
``published``, quotes the figures that a publication printed, with misprints corrected and noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.core.errors import InputError, MeasureError
from flopbench.core.units import GIGA, percent
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.agreement import REFERENCE, doubt_text
from flopbench.counting.cost_row import CostRow, trusted_row
from flopbench.counting.profile import unread_notes
from flopbench.counting.registry import WITNESS, find_counters
from flopbench.counting.table import CostTable
from flopbench.estimate.components import Chosen, resolve_components, used_components
from flopbench.estimate.price_rows import refuse_unpriced, rows_of
from flopbench.models.presets import find_published, load_preset
from flopbench.policy.header import Header

if TYPE_CHECKING:
    from flopbench.core.workers import Progress

PUBLISHED = "published"
"""Name of the price list that quotes a publication's printed figures."""

WITH_THE_LOG = "counted when the log was written"
MEASURED = "measured by flopbench"
"""Where prices come from that the log itself has."""


class Price(Struct, frozen=True, kw_only=True):
    """What one run of a component costs.

    Attributes:
        component: its name in the log.
        spec: what it is, for display; the specification where it has one.
        total_macs: multiply-accumulates under the list's counter, exact.
        variant: the variant that was chosen; empty where the component has only one.
        is_default: whether this is what the log charges by default.
        params: parameter elements; None where they are not known.
        note: what qualifies the figure: its source, a correction, a flag.
        flagged: whether the figure is doubtful, or stands in for one that was.
        stand_in: the counter whose dense MACs are charged in place of the list's own figure.
    """

    component: str
    spec: str
    total_macs: int
    variant: str = ""
    is_default: bool = True
    params: int | None = None
    note: str = ""
    flagged: bool = False
    stand_in: str = ""


class PriceList(Struct, frozen=True, kw_only=True):
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

    @property
    def counted_by(self) -> str:
        """The counter with its version."""
        return f"{self.counter} {self.version}".strip()

    @property
    def origin(self) -> str:
        """Where the prices come from, for a sentence: ``prices from table.json``."""
        made = self.source.startswith((WITH_THE_LOG, MEASURED))
        return f"prices {self.source}" if made else f"prices from {self.source}"


class PriceBook(Struct, frozen=True, kw_only=True):
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
    fresh_code: bool = False,
    make_table: str = "flopbench table --for LOG -o table.json",
    log: str = "",
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
        alone: return the primary counter's list only; the reference counter still judges it.
        may_measure: whether to measure what neither the table nor the cache has; never code that
            the log names.
        fresh_code: take no price of the user's code from the cache.
        make_table: the command that makes a table with all prices, for messages.
        log: the header's file, for messages.

    Raises:
        InputError: an unknown variant, component or counter.
        UnpricedError: prices that would have to be measured and must not be.
        MeasureError: the primary counter could not count a component.
    """
    names = used_components(header)
    chosen = resolve_components(header, variants or {}, overrides or {}, names)
    _refuse_uncounted(chosen, counter)
    names = _counters(header, counter, table)
    primary = names[0]
    if primary != PUBLISHED and any(one.counted for one in chosen.values()):
        names.remove(PUBLISHED)  # nobody prints a network of the user's own
    names = names[:1] if alone else names
    measured = [name for name in names if name != PUBLISHED]
    if alone and measured:
        measured = list(dict.fromkeys([*measured, REFERENCE]))  # a second opinion on the first
    terms = {"refresh": refresh, "progress": progress, "fresh_code": fresh_code}
    rows, added = rows_of(chosen, measured, table, may_measure, terms, log)
    if primary != PUBLISHED:
        refuse_unpriced(chosen, primary, rows, may_measure, table_source, make_table)
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
    if primary not in lists:
        hint = f"--counter NAME chooses another: {', '.join(lists)}" if lists else ""
        raise MeasureError(f"no prices under {primary}: {gaps[primary]}", hint)
    return PriceBook(lists=lists, primary=primary, gaps=gaps)


def _counters(header: Header, counter: str | None, table: CostTable | None) -> list[str]:
    available = [*DEFAULT_COUNTERS]
    if table is not None:
        in_table = table.counters()  # a witness joins some rows only: no price list
        available = [name for name in in_table if name != WITNESS] or in_table or available
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


def _refuse_uncounted(chosen: Mapping[str, Chosen], counter: str | None) -> None:
    """Refuse a counter under which the log's own counts have nothing; its networks are not here."""
    lacking = {
        name: one.counted
        for name, one in chosen.items()
        if one.counted and counter not in (None, *(row.counter for row in one.counted))
    }
    if lacking:
        first, rows = next(iter(lacking.items()))
        counters = ", ".join(f"{row.counter} {row.counter_version}".strip() for row in rows)
        raise InputError(
            f"no price under {counter} for {', '.join(lacking)}: {WITH_THE_LOG}, by {counters}",
            f"--counter chooses one of these; --component {first}=MODEL counts another model",
        )


def _measured_list(
    chosen: Mapping[str, Chosen],
    counter: str,
    rows: Mapping[str, Mapping[str, CostRow]],
    table_source: str,
    added: set[str],
) -> PriceList:
    prices: dict[str, Price] = {}
    versions: list[str] = []
    sources: list[str] = []
    for name, one in chosen.items():
        spec = one.spec
        if spec.source == "value" and not one.counted:
            prices[name] = _constant(name, one)
            continue
        of_spec = {row.counter: row for row in one.counted} or rows.get(str(spec), {})
        row = of_spec.get(counter)
        if row is None or row.total_macs is None:
            said = () if row is None else row.notes
            why = said[0] if said else f"it is not counted by {counter}"
            raise _NoPrice(f"{name} ({one.text}): {why}")
        versions.append(row.counter_version)
        macs, stand_in, notes = _charged(row, trusted_row(of_spec.values()))
        notes += unread_notes(note for of in of_spec.values() for note in of.notes)
        flagged = bool(notes)
        sources.append(WITH_THE_LOG if one.counted else table_source or MEASURED)
        if str(spec) in added:
            notes.append(f"{MEASURED}: {table_source or 'the table'} lacks it")
        prices[name] = _price(
            *(name, one, macs),
            params=row.params,
            note="; ".join(notes),
            flagged=flagged,
            stand_in=stand_in,
        )
    return PriceList(
        counter=counter,
        version=", ".join(dict.fromkeys(v for v in versions if v)),
        source=", ".join(dict.fromkeys(sources)) or "constants of the log",
        prices=prices,
    )


def _charged(row: CostRow, best: CostRow | None) -> tuple[int, str, list[str]]:
    """Return the MACs of a run, the counter that stands in for a doubted one, and remarks."""
    assert row.total_macs is not None
    most = 0 if best is None else best.dense_macs or 0
    enough = row.dense_macs or 0 if best is not None and best.is_doubted else 0
    if best is None or most <= enough or (row.total_macs and not row.is_doubted):
        return row.total_macs, "", _doubts(row)
    gives = "does not count it"
    if row.dense_macs:
        share = percent(row.dense_macs, most)
        gives = f"gives {share} of its dense MACs ({row.status})"
    said = f"{row.counter} {gives}: charged as {best.counter} counts it"
    return most, best.counter, [said, *_doubts(best)]


def _doubts(row: CostRow) -> list[str]:
    """Return what a verdict doubts; in a row with a printed figure, the first note is on that."""
    reason = next(iter(row.notes[row.published_gflops is not None :]), "")
    doubt = doubt_text(row.counter, row.status, reason)
    return [doubt] if doubt else []


def _published_list(chosen: Mapping[str, Chosen]) -> PriceList:
    prices: dict[str, Price] = {}
    sources: list[str] = []
    for name, one in chosen.items():
        spec = one.spec
        if spec.source == "value" and not one.counted:
            prices[name] = _constant(name, one)
            continue
        quoted = find_published(spec)
        if quoted is None:
            raise _NoPrice(f"{name} ({one.text}): no publication that flopbench knows prints it")
        figure = quoted.gflops if quoted.corrected is None else quoted.corrected
        note = f"printed {quoted.gflops}"
        if quoted.corrected is not None:
            note += f", taken as {quoted.corrected}: {quoted.correction}"
        if spec.classes != quoted.spec.classes:
            note += f", for a head of {quoted.spec.classes} classes"
        prices[name] = _price(name, one, int(figure * GIGA), note=note)
        sources.append(quoted.source)
    if not sources:
        raise _NoPrice("every component is a constant already")
    return PriceList(
        counter=PUBLISHED, version="", source="; ".join(dict.fromkeys(sources)), prices=prices
    )


def _constant(name: str, one: Chosen) -> Price:
    quote = one.spec.quote
    note = f"quoted: {quote}" if quote else "a constant without a source"
    return _price(name, one, int(one.spec.name), note=note)


def _price(name: str, one: Chosen, macs: int, **more: Any) -> Price:
    return Price(
        component=name,
        spec=one.text,
        total_macs=macs,
        variant=one.variant,
        is_default=one.is_default,
        **more,
    )
