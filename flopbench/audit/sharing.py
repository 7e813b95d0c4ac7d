"""A distribution × table: shares of frames, priced by a preset's policy and the published rule.

The sum itself is ``estimate``'s, so that an audit and ``flopbench estimate`` cannot differ. Apart
from the other derivations because only this one needs the records of policy logs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from flopbench.audit.pricing import UnitPrice, price_notes
from flopbench.audit.reading import read_spec
from flopbench.audit.records import Component, Derived, Shares, Stated, half_unit
from flopbench.core.errors import DataError, InputError, near_match
from flopbench.estimate.estimator import estimate
from flopbench.estimate.prices import Price, PriceList
from flopbench.policy.counts import Totals
from flopbench.policy.header import Component as PolicyComponent
from flopbench.policy.header import preset_header
from flopbench.policy.plan import Plan, plan_of


def share_components(derivation: Shares, where: str) -> dict[str, Component]:
    """List the components that the actions with a share, and the charges, cost.

    Raises:
        DataError: an unknown preset, action or variant; a preset whose actions have no shares.
    """
    plan = _plan(derivation, where)
    known = plan.header.components or {}
    for name in derivation.variants:
        if name not in known:
            hint = near_match(name, known, "components")
            raise DataError(f"{where}: variants.{name}: there is no component {name!r}", hint)
    charges = plan.charges
    costs = [a.costs for a in plan.actions if derivation.shares.get(a.name)]
    costs += [charges.per_decision, charges.per_step, charges.per_view, charges.per_sample]
    components = {}
    for name in dict.fromkeys(name for cost in costs for name, n in cost.items() if n):
        text = _spec_text(known[name], name, derivation.variants.get(name), where)
        spec = read_spec(text, f"{where}: component {name!r}")
        counter = "" if spec.source == "value" else derivation.counter
        components[name] = Component(spec=spec, counter=counter)
    return components


def shared(
    derivation: Shares, prices: Mapping[str, UnitPrice], per_unit: int, where: str
) -> Derived:
    """Put a price on a distribution.

    Args:
        derivation: shares, preset, steps.
        prices: component -> price, for all that ``share_components`` lists.
        per_unit: MACs in one unit of the claim.
        where: names file and claim in messages.

    Raises:
        DataError: shares that cannot add up to 1.
    """
    plan = _plan(derivation, where)
    given = [derivation.shares.get(action.name, Decimal(0)) for action in plan.actions]
    bounds = [_bounds(share) for share in given]
    if not sum(low for low, _ in bounds) <= 1 <= sum(high for _, high in bounds):
        raise DataError(
            f"{where}: the shares add up to {sum(given):f} where 1 was expected",
            "shares are of all sampled frames, skipped ones too",
        )
    steps = derivation.steps

    def cost(shares: Sequence[Fraction], pick: Callable[[UnitPrice], int], n: int) -> Fraction:
        macs = {name: pick(price) for name, price in prices.items()}
        return _cost(plan, shares, macs, n) / per_unit

    def extreme(pick: Callable[[UnitPrice], int], dearest: bool) -> Fraction:
        none = [Fraction(0)] * len(bounds)
        units = [[Fraction(i == j) for j in range(len(bounds))] for i in range(len(bounds))]
        weights = [cost(unit, pick, steps) - cost(none, pick, steps) for unit in units]
        return cost(_filled(bounds, weights, dearest), pick, steps)

    exact_shares = [Fraction(share) for share in given]

    def at(n: int) -> Fraction:
        return cost(exact_shares, lambda price: price.macs, n)

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


def _plan(derivation: Shares, where: str) -> Plan:
    try:
        header = preset_header(derivation.preset)
    except (InputError, DataError) as error:
        raise DataError(f"{where}: preset: {error.message}", error.hint) from None
    plan = plan_of(header)
    if len(plan.streams) > 1 or not plan.actions:
        what = "several streams of actions" if plan.actions else "no actions"
        raise DataError(
            f"{where}: the preset {derivation.preset!r} has {what}, so 'shares' cannot price it",
            "use counts = { component = n }",
        )
    names = [action.name for action in plan.actions]
    for name in derivation.shares:
        if name not in names:
            raise DataError(
                f"{where}: shares.{name!r} is no action of the preset {derivation.preset!r}",
                near_match(name, names, "actions"),
            )
    return plan


def _spec_text(known: str | PolicyComponent, name: str, variant: str | None, where: str) -> str:
    if isinstance(known, str):
        if variant is not None:
            raise DataError(f"{where}: variants.{name}: the component {name!r} has no variants")
        return known
    chosen = known.default if variant is None else variant
    if chosen not in known.variants:
        raise DataError(
            f"{where}: variants.{name}: there is no variant {chosen!r}",
            near_match(chosen, known.variants, "variants"),
        )
    return known.variants[chosen]


def _cost(plan: Plan, shares: Sequence[Fraction], macs: Mapping[str, int], steps: int) -> Fraction:
    """Return the MACs of one video, by way of as many videos as make every number whole."""
    videos = math.lcm(*(share.denominator for share in shares))
    totals = Totals(
        videos=videos,
        views=videos,
        steps=steps * videos,
        frames=[int(share * steps * videos) for share in shares],
        decisions=None,
    )
    # An action without a share may cost a component that was not asked for: it adds nothing.
    names = plan.header.components or {}
    prices = {name: Price(component=name, spec="", macs=macs.get(name, 0)) for name in names}
    listed = PriceList(counter="", version="", source="", prices=prices)
    return estimate(totals, plan, listed, "published").macs_per_video


def _bounds(share: Decimal) -> tuple[Fraction, Fraction]:
    """Return what a share may have been before it was printed; a whole number is exact."""
    value = Fraction(share)
    room = half_unit(share) if share.as_tuple().exponent else Fraction(0)
    return max(Fraction(0), value - room), min(Fraction(1), value + room)


def _filled(
    bounds: Sequence[tuple[Fraction, Fraction]], weights: Sequence[Fraction], dearest: bool
) -> list[Fraction]:
    """Return shares within their bounds that add up to 1 and weigh the most, or the least."""
    shares = [low for low, _ in bounds]
    left = 1 - sum(shares, Fraction(0))
    for i in sorted(range(len(bounds)), key=lambda i: weights[i], reverse=dearest):
        added = min(left, bounds[i][1] - bounds[i][0])
        shares[i] += added
        left -= added
    return shares
