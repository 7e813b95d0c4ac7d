"""From a claim to a number: its derivation, carried out exactly.

Figures are fractions of the digits as printed, so nothing is rounded before the comparison. Each
number carries the lowest and highest value that the rounding of its printed inputs allows. A
distribution is priced by ``estimate``, so an audit and ``flopbench estimate`` cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from flopbench.audit.records import (
    Claim,
    ClaimComponent,
    Counts,
    Derived,
    Divide,
    NotDerivable,
    NotDerived,
    Profile,
    Scaled,
    Shares,
    Stated,
    exact_text,
    half_unit,
    size_unit,
)
from flopbench.core.errors import DataError, near_match
from flopbench.core.units import FLOPS_PER_MAC, GIGA, Count
from flopbench.counting.profile import CostProfile
from flopbench.estimate.estimator import estimate
from flopbench.estimate.prices import PUBLISHED, Price, PriceList
from flopbench.models.presets import find_published, load_preset, preset_names
from flopbench.models.spec import ModelSpec
from flopbench.policy.counts import Totals
from flopbench.policy.plan import Plan


def derive(claim: Claim, measured: Measured, read_as: Count | None = None) -> Derived:
    """Carry out a claim's derivation, by what counting each of its components gave.

    ``read_as`` is which of ``claim.readings`` to take; by default the first. Where there is no
    number, ``NotDerived`` says why.
    """
    derivation = claim.derivation
    if isinstance(derivation, NotDerivable):
        raise NotDerived(derivation.why)
    if isinstance(derivation, Divide):
        return _divided(derivation)
    size = size_unit(claim.unit)
    if isinstance(derivation, Profile) and size is not None:
        return _sized(derivation, claim.components["model"].counter, measured, *size)
    readings = claim.readings  # not empty: reading refuses such a claim unless it is of a cost
    count = next(iter(readings)) if read_as is None else read_as
    per_unit = readings[count]
    if isinstance(derivation, Scaled):  # its figure counts MACs or FLOPs as the claim does
        return _scaled(derivation, per_unit * (FLOPS_PER_MAC if count == "FLOPs" else 1))
    prices = {
        name: price_of(component, measured, f"{claim.where}: component {name!r}")
        for name, component in claim.components.items()
    }
    if isinstance(derivation, Counts):
        return _counted(derivation, prices, per_unit)
    if isinstance(derivation, Profile):
        return _profiled(derivation, prices["model"], per_unit)
    return _shared(derivation, prices, per_unit, claim.where)


def _sized(
    derivation: Profile, counter: str, measured: Measured, what: str, factor: int
) -> Derived:
    """Return a model's parameters or activations."""
    profile = counted_profile(derivation.spec, counter, measured)
    value = Fraction(getattr(profile, what), factor)
    return Derived(
        value=value,
        low=value,
        high=value,
        text=f"{getattr(profile, what):,} {what} ({counter} {derivation.spec})",
    )


def _counted(derivation: Counts, prices: Mapping[str, UnitPrice], per_unit: Fraction) -> Derived:
    def total(pick: Callable[[UnitPrice], int]) -> Fraction:
        terms = (n * pick(prices[name]) for name, n in derivation.counts.items())
        return sum(terms, Fraction(0)) / per_unit

    terms = (
        f"{exact_text(n)} × {prices[name].text(per_unit)} ({prices[name].origin})"
        for name, n in derivation.counts.items()
    )
    stated = None
    if len(derivation.counts) == 1:
        ((name, count),) = derivation.counts.items()
        one = prices[name].total_macs / per_unit
        if count.denominator == 1 and count > 1:
            stated = Stated(what=f"× {name}", number=int(count), at=lambda n: n * one)
    return Derived(
        value=total(lambda price: price.total_macs),
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


def _profiled(derivation: Profile, price: UnitPrice, per_unit: Fraction) -> Derived:
    value = price.total_macs / per_unit
    readings: tuple[tuple[Fraction, str], ...] = ()
    row = find_published(derivation.spec)
    if row is not None and row.scaled_from is not None and row.spec.size:
        figure, gflops = row.scaled_from, Decimal(row.scaled_from.gflops)
        value_there, rule = _area(gflops, row.spec.size[0], figure.input_px, per_unit)
        why = f"{rule} gives it: scaled by area, not profiled"
        if figure.figure_input_px != figure.input_px:
            why += f", and {_belongs(gflops, figure.figure_input_px, figure.input_px)}"
        readings = ((value_there, why),)
    return Derived(
        value=value,
        low=value,
        high=value,
        text=f"{price.text(per_unit)} ({price.origin})",
        notes=price_notes([price]),
        readings=readings,
    )


def _scaled(derivation: Scaled, per_unit: Fraction) -> Derived:
    gflops, to_px = derivation.gflops, derivation.to_px
    input_px, figure_px = derivation.input_px, derivation.figure_input_px
    value, rule = _area(gflops, to_px, input_px, per_unit)
    room = value / Fraction(gflops) * half_unit(gflops) if value else value
    notes = ["scaled by area, not profiled"]
    readings: tuple[tuple[Fraction, str], ...] = ()
    if figure_px != input_px:
        rightly, right_rule = _area(gflops, to_px, figure_px, per_unit)
        notes.append(
            f"{_belongs(gflops, figure_px, input_px)}: {right_rule} = {exact_text(rightly, 4)}"
        )
        readings = ((rightly, f"{right_rule} gives it"),)
    return Derived(
        value=value,
        low=value - room,
        high=value + room,
        text=rule,
        notes=tuple(notes),
        readings=readings,
    )


def _area(gflops: Decimal, to_px: int, from_px: int, per_unit: Fraction) -> tuple[Fraction, str]:
    """Return a figure scaled by area, in units of ``per_unit`` MACs, and the rule as text."""
    value = Fraction(gflops) * Fraction(to_px, from_px) ** 2 * GIGA / per_unit
    return value, f"{gflops:f} × ({to_px}/{from_px})²"


def _belongs(gflops: Decimal, figure_px: int, input_px: int) -> str:
    return f"{gflops:f} belongs to {figure_px} px, not to {input_px} px"


def _shared(
    derivation: Shares, prices: Mapping[str, UnitPrice], per_unit: Fraction, where: str
) -> Derived:
    """Price a distribution; raise DataError where shares cannot add up to 1."""
    plan, steps, given = derivation.plan, derivation.steps, derivation.shares
    bounds = [_bounds(share) for share in given]
    if not sum(low for low, _ in bounds) <= 1 <= sum(high for _, high in bounds):
        raise DataError(
            f"{where}: the shares add up to {sum(given):f} where 1 was expected",
            "shares are of all sampled frames, including skipped ones",
        )

    def cost(shares: Sequence[Fraction], pick: Callable[[UnitPrice], int], n: int) -> Fraction:
        macs = {name: pick(price) for name, price in prices.items()}
        return _cost(plan, shares, macs, n) / per_unit

    def extreme(pick: Callable[[UnitPrice], int], highest: bool) -> Fraction:
        none = [Fraction(0)] * len(bounds)
        units = [[Fraction(i == j) for j in range(len(bounds))] for i in range(len(bounds))]
        weights = [cost(unit, pick, steps) - cost(none, pick, steps) for unit in units]
        return cost(_filled(bounds, weights, highest), pick, steps)

    exact_shares = [Fraction(share) for share in given]

    def at(n: int) -> Fraction:
        return cost(exact_shares, lambda price: price.total_macs, n)

    terms = (f"{share:f} {a.name}" for share, a in zip(given, plan.actions, strict=True) if share)
    spelled = ", ".join(f"{k} {p.text(per_unit)} ({p.origin})" for k, p in prices.items())
    return Derived(
        value=at(steps),
        low=extreme(lambda price: price.low, False),
        high=extreme(lambda price: price.high, True),
        text=f"{steps} × ({' + '.join(terms)}) by the published rule of {derivation.preset}; "
        f"{spelled}",
        notes=price_notes(prices.values()),
        stated=Stated(what="as T", number=steps, at=at),
    )


def _cost(plan: Plan, shares: Sequence[Fraction], macs: Mapping[str, int], steps: int) -> Fraction:
    """Return the MACs of one video, computed over enough videos to make every number whole."""
    videos = math.lcm(*(share.denominator for share in shares))
    totals = Totals(
        videos=videos,
        views=videos,
        steps=steps * videos,
        frames=[int(share * steps * videos) for share in shares],
        decisions=None,
    )
    # An action without a share may use a component that has no price here: it adds nothing.
    names = plan.header.components or {}
    prices = {name: Price(component=name, spec="", total_macs=macs.get(name, 0)) for name in names}
    listed = PriceList(counter="", version="", source="", prices=prices)
    return estimate(totals, plan, listed, "published").macs_per_video


def _bounds(share: Decimal) -> tuple[Fraction, Fraction]:
    """Return the range of a share before it was rounded for print; a whole number is exact."""
    value = Fraction(share)
    room = half_unit(share) if share.as_tuple().exponent else Fraction(0)
    return max(Fraction(0), value - room), min(Fraction(1), value + room)


def _filled(
    bounds: Sequence[tuple[Fraction, Fraction]], weights: Sequence[Fraction], highest: bool
) -> list[Fraction]:
    """Return the shares within bounds that add up to 1 and have the highest or lowest cost."""
    shares = [low for low, _ in bounds]
    left = 1 - sum(shares, Fraction(0))
    for i in sorted(range(len(bounds)), key=lambda i: weights[i], reverse=highest):
        added = min(left, bounds[i][1] - bounds[i][0])
        shares[i] += added
        left -= added
    return shares


Measured = Mapping[tuple[ModelSpec, str], CostProfile | str]
"""(specification, counter) -> a profile, or why there is none."""


class UnitPrice(Struct, frozen=True, kw_only=True):
    """What one run costs; ``low`` and ``high`` are what a printed figure's rounding allows.

    ``origin`` is a few words (``published resnet50@224``), ``notes`` its source and misprints.
    """

    total_macs: int
    low: int
    high: int
    origin: str
    notes: tuple[str, ...] = ()

    def text(self, per_unit: Fraction) -> str:
        """Return it in units of ``per_unit`` MACs, with all digits."""
        return exact_text(self.total_macs / per_unit)


def price_of(component: ClaimComponent, measured: Measured, where: str) -> UnitPrice:
    """Find the price of one run; ``where`` names file, claim and component in messages.

    Raises:
        NotDerived: it could not be counted.
        DataError: a published figure that no preset has.
    """
    spec = component.spec
    if spec.source == "value":
        macs = int(spec.name)
        origin = f"constant, {spec.quote}" if spec.quote else "a constant without a source"
        return UnitPrice(total_macs=macs, low=macs, high=macs, origin=origin)
    if component.counter == PUBLISHED:
        return _published(spec, where)
    macs = counted_profile(spec, component.counter, measured).total
    return UnitPrice(total_macs=macs, low=macs, high=macs, origin=f"{component.counter} {spec}")


def counted_profile(spec: ModelSpec, counter: str, measured: Measured) -> CostProfile:
    """Return what was counted.

    Raises:
        NotDerived: it could not be.
    """
    counted = measured[spec, counter]
    if isinstance(counted, str):
        raise NotDerived(f"{spec} could not be counted by {counter}: {counted}")
    return counted


def _published(spec: ModelSpec, where: str) -> UnitPrice:
    row = find_published(spec)
    if row is None:
        known = [str(r.spec) for name in preset_names() for r in load_preset(name).rows]
        raise DataError(
            f"{where}: no preset quotes a published figure of {str(spec)!r}",
            near_match(str(spec), dict.fromkeys(known), "published figures"),
        )
    figure = row.gflops if row.corrected is None else row.corrected
    notes = [f"published: {row.source}"]
    if row.corrected is not None:
        taken = f"taken as {row.corrected}: {row.correction}"
        notes.insert(0, f"{row.spec} is printed as {row.gflops}, {taken}")
    if row.scaled_from is not None:
        notes.insert(0, f"{row.spec} was scaled by area there, not profiled")
    macs, room = round(Fraction(figure) * GIGA), half_unit(figure) * GIGA
    return UnitPrice(
        total_macs=macs,
        low=math.floor(macs - room),
        high=math.ceil(macs + room),
        origin=f"published {row.spec}",
        notes=tuple(notes),
    )


def price_notes(prices: Iterable[UnitPrice]) -> tuple[str, ...]:
    """List the notes on some prices, each once."""
    return tuple(dict.fromkeys(note for price in prices for note in price.notes))
