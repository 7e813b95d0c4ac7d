"""From a claim to a number: the derivation carried out, exactly.

Figures are fractions from the digits as printed, so nothing is rounded before the comparison. With
each number go the least and the most that the rounding of its printed inputs allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from flopbench.audit.pricing import Measured, UnitPrice, price_notes, price_of
from flopbench.audit.records import (
    Claim,
    Component,
    Counts,
    Derived,
    Divide,
    NotDerivable,
    Profile,
    Scaled,
    Shares,
    Stated,
    exact,
    half_unit,
    macs_per_unit,
)
from flopbench.audit.sharing import share_components, shared
from flopbench.core.units import GIGA
from flopbench.models.presets import find_published


def components_of(claim: Claim) -> Mapping[str, Component]:
    """List what a claim needs the price of, by name.

    Raises:
        DataError: shares that name an unknown preset, action or variant.
    """
    derivation = claim.derivation
    if isinstance(derivation, Counts):
        return derivation.components
    if isinstance(derivation, Profile):
        return {"model": Component(spec=derivation.spec, counter=derivation.counter)}
    if isinstance(derivation, Shares):
        return share_components(derivation, claim.where)
    return {}


def derive(claim: Claim, measured: Measured) -> Derived | str:
    """Carry a claim's derivation out.

    Args:
        claim: what was printed, and how to recompute it.
        measured: (specification, counter) -> what counting gave, for all that
            ``components_of`` asks for.

    Returns:
        The number, or why there is none.

    Raises:
        DataError: a name or a figure that does not exist; the message names file and claim.
    """
    derivation = claim.derivation
    if isinstance(derivation, NotDerivable):
        return derivation.why
    if isinstance(derivation, Divide):
        return _divided(derivation)
    per_unit = macs_per_unit(claim.unit)
    assert per_unit is not None, "reading refuses a claim of cost in another unit"
    if isinstance(derivation, Scaled):
        return _scaled(derivation, per_unit)
    prices = {}
    for name, component in components_of(claim).items():
        price = price_of(component, measured, f"{claim.where}: component {name!r}")
        if isinstance(price, str):
            return price
        prices[name] = price
    if isinstance(derivation, Counts):
        return _counted(derivation, prices, per_unit)
    if isinstance(derivation, Profile):
        return _profiled(derivation, prices["model"], per_unit)
    return shared(derivation, prices, per_unit, claim.where)


def _counted(derivation: Counts, prices: Mapping[str, UnitPrice], per_unit: int) -> Derived:
    def total(pick: Callable[[UnitPrice], int]) -> Fraction:
        terms = (n * pick(prices[name]) for name, n in derivation.counts.items())
        return sum(terms, Fraction(0)) / per_unit

    terms = (
        f"{exact(n)} × {prices[name].text(per_unit)} ({prices[name].origin})"
        for name, n in derivation.counts.items()
    )
    stated = None
    if len(derivation.counts) == 1:
        ((name, count),) = derivation.counts.items()
        one = Fraction(prices[name].macs, per_unit)
        if count.denominator == 1 and count > 1:
            stated = Stated(what=f"× {name}", number=int(count), at=lambda n: n * one)
    return Derived(
        value=total(lambda price: price.macs),
        low=total(lambda price: price.low),
        high=total(lambda price: price.high),
        text=" + ".join(terms),
        notes=price_notes(prices.values()),
        stated=stated,
    )


def _divided(derivation: Divide) -> Derived:
    numerator, room = Fraction(derivation.numerator), half_unit(derivation.numerator)
    return Derived(
        value=numerator / derivation.by,
        low=(numerator - room) / derivation.by,
        high=(numerator + room) / derivation.by,
        text=f"{derivation.numerator:f} / {derivation.by}",
        stated=Stated(what="as T", number=derivation.by, at=lambda n: numerator / n),
    )


def _profiled(derivation: Profile, price: UnitPrice, per_unit: int) -> Derived:
    value = Fraction(price.macs, per_unit)
    readings: tuple[tuple[Fraction, str], ...] = ()
    row = find_published(derivation.spec)
    if row is not None and row.scaled_from is not None and row.spec.size:
        rule = Scaled(
            gflops=row.scaled_from.gflops,
            input_px=row.scaled_from.input_px,
            figure_input_px=row.scaled_from.figure_input_px,
            to_px=row.spec.size[0],
        )
        why = f"{_rule(rule, rule.input_px)} gives it: scaled by area, not profiled"
        if rule.figure_input_px != rule.input_px:
            why += f", and {_belongs(rule)}"
        readings = ((_area(rule, rule.input_px, per_unit), why),)
    return Derived(
        value=value,
        low=value,
        high=value,
        text=f"{price.text(per_unit)} ({price.origin})",
        notes=price_notes([price]),
        readings=readings,
    )


def _scaled(derivation: Scaled, per_unit: int) -> Derived:
    value = _area(derivation, derivation.input_px, per_unit)
    room = value / Fraction(derivation.gflops) * half_unit(derivation.gflops) if value else value
    notes = ["scaled by area, not profiled"]
    readings: tuple[tuple[Fraction, str], ...] = ()
    if derivation.figure_input_px != derivation.input_px:
        rightly = _area(derivation, derivation.figure_input_px, per_unit)
        rule = _rule(derivation, derivation.figure_input_px)
        notes.append(f"{_belongs(derivation)}: {rule} = {exact(rightly, 4)}")
        readings = ((rightly, f"{rule} gives it"),)
    return Derived(
        value=value,
        low=value - room,
        high=value + room,
        text=_rule(derivation, derivation.input_px),
        notes=tuple(notes),
        readings=readings,
    )


def _area(scaled: Scaled, from_px: int, per_unit: int) -> Fraction:
    return Fraction(scaled.gflops) * Fraction(scaled.to_px, from_px) ** 2 * GIGA / per_unit


def _rule(scaled: Scaled, from_px: int) -> str:
    return f"{scaled.gflops:f} × ({scaled.to_px}/{from_px})²"


def _belongs(scaled: Scaled) -> str:
    return f"{scaled.gflops:f} belongs to {scaled.figure_input_px} px, not to {scaled.input_px} px"
