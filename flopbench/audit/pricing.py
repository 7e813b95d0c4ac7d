"""What one run of a claim's component costs, and the origin of that figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from flopbench.audit.records import ClaimComponent, NotDerived, exact_text, half_unit
from flopbench.core.errors import DataError, near_match
from flopbench.core.units import GIGA
from flopbench.counting.profile import CostProfile
from flopbench.estimate.prices import PUBLISHED
from flopbench.models.presets import find_published, load_preset, preset_names
from flopbench.models.spec import ModelSpec

Measured = Mapping[tuple[ModelSpec, str], CostProfile | str]
"""(specification, counter) -> a profile, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrice:
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
