"""A printed number against the recomputed one: reproduced, rounding only, off by how much, and why.

The comparison is exact, at the printed digits. Where a claim is off, the slips known in this
literature are tried (exchanged digits, FLOPs in place of MACs, another number of frames, scaling by
area), and one is named only if it gives the printed number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from flopbench.audit.records import Derived, decimals, exact_text, half_unit, rounded
from flopbench.core.units import FLOPS_PER_MAC
from flopbench.models.presets import digits_exchanged

Verdict = Literal["reproduced", "rounding only", "off", "not derivable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "rounding only", "off", "not derivable")

MOST_BY_ROUNDING = Fraction(5, 100)
"""A number that is further off misleads, whether or not few digits explain it."""

LARGEST_T = 128
"""Numbers of frames above this are not tried in place of the stated one."""


class ClaimVerdict(Struct, frozen=True, kw_only=True):
    """The verdict, and by how much and why the number is another.

    ``off`` is None where it is reproduced or a 0 was recomputed.
    """

    verdict: Verdict
    off: Fraction | None = None
    reasons: tuple[str, ...] = ()


def judge_claim(
    printed: Decimal, derived: Derived, *, is_cost: bool, reason: str = ""
) -> ClaimVerdict:
    """Compare a printed number with the recomputed one, in one unit.

    ``is_cost``: whether that is a unit of MACs or FLOPs; ``reason`` is the claim's own, which is
    given where it is not reproduced.
    """
    if rounds_to(derived.value, printed):
        return ClaimVerdict(verdict="reproduced")
    own = (reason,) if reason else ()
    rounding = tuple(_rounding(printed, derived))
    off = Fraction(printed) / derived.value - 1 if derived.value else None
    if rounding and off is not None and abs(off) <= MOST_BY_ROUNDING:
        return ClaimVerdict(verdict="rounding only", off=off, reasons=(*own, *rounding))
    found = (*rounding, *_slips(printed, derived, is_cost))
    none = "none of the known slips gives the printed number"
    return ClaimVerdict(verdict="off", off=off, reasons=(*own, *found) or (none,))


def rounds_to(value: Fraction, printed: Decimal) -> bool:
    """Whether a number, rounded to the printed digits (half to even or half up), is as printed."""
    units = value * 10 ** decimals(printed)
    wanted = Fraction(printed) * 10 ** decimals(printed)
    return wanted in {Fraction(round(units)), Fraction(math.floor(units + Fraction(1, 2)))}


def signed_percent(share: Fraction) -> str:
    """Print a share as a signed percentage with two significant digits (``+87 %``)."""
    percent = Decimal((100 * share).numerator) / Decimal((100 * share).denominator)
    return f"{Decimal(f'{percent:.1e}'):+f} %"


def _rounding(printed: Decimal, derived: Derived) -> Iterator[str]:
    """Say how rounding explains the difference, if it does."""
    digits, value, text = decimals(printed), derived.value, f"{printed:f}"
    difference = Fraction(printed) - value
    nearest = rounded(value, digits)
    room = half_unit(printed)
    if abs(difference) == room:
        yield f"{exact_text(value)} is as near to {text} as to {nearest}: the tie was rounded down"
    elif abs(difference) < 2 * room:
        how = "truncated" if difference < 0 else "rounded up"
        yield f"{text} is {how} where {nearest} is the nearest"
    elif abs(difference) == 2 * room:
        yield f"{text} is one unit of its last digit away from {nearest}"
    elif derived.low - room <= Fraction(printed) <= derived.high + room:
        low, high = exact_text(derived.low, digits + 2), exact_text(derived.high, digits + 2)
        yield f"the rounding of the printed inputs allows {low} to {high}"


def _slips(printed: Decimal, derived: Derived, is_cost: bool) -> Iterator[str]:
    """Name every known slip that gives the printed number."""
    value, text = derived.value, f"{printed:f}"
    nearest = rounded(value, decimals(printed))
    if digits_exchanged(text, nearest):
        yield f"{nearest} with two neighbouring digits exchanged in print"
    for other, why in derived.readings:
        if _gives(other, printed):
            yield why
    if is_cost and _gives(value * FLOPS_PER_MAC, printed):
        yield f"it is {FLOPS_PER_MAC} × the recomputed one, as FLOPs in place of MACs would be"
    if is_cost and _gives(value / FLOPS_PER_MAC, printed):
        yield f"it is 1/{FLOPS_PER_MAC} of the recomputed one, as MACs in place of FLOPs would be"
    if derived.stated is not None:
        stated = derived.stated
        others = [n for n in range(1, LARGEST_T + 1) if _gives(stated.at(n), printed)]
        if len(others) == 1:  # with more than one, the digits do not say which
            yield f"{others[0]} {stated.what} in place of {stated.number} gives it"


def _gives(value: Fraction, printed: Decimal) -> bool:
    """Whether a number rounds to the printed one, ties in either direction."""
    return abs(value - Fraction(printed)) <= half_unit(printed)
