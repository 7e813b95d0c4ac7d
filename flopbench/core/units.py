"""Quantities: the MAC/FLOP convention, and the only place that divides by 1e9.

One MAC is one multiply-accumulate. One MAC is two FLOPs (a multiplication and an addition) when
FLOPs are really counted; many papers print MACs and write "FLOPs" or "GFLOPS". Counts are exact
integers everywhere; they are rounded here, when printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from flopbench.core.errors import InputError

GIGA = 10**9
LARGEST_COST = 10**24
FLOPS_PER_MAC = 2

SMALLEST_AT_FOUR_DECIMALS = 1_000_000
"""Below this many, four decimals of a unit of 1e9 show fewer than two digits."""

CONVENTION = (
    "1 GMAC = 1e9 multiply-accumulates (MACs). 1 MAC = 2 FLOPs; what papers on efficient "
    "networks print as GFLOPS is GMACs."
)

_PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_QUANTITY = re.compile(
    r"\s*(?P<number>[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(?P<prefix>[kKMGT]?)(?P<unit>[A-Za-z]*)\s*"
)


def giga(count: int, digits: int = 4) -> str:
    """Print a count in units of 1e9, correctly rounded (half to even) to ``digits`` decimals."""
    step = Decimal(1).scaleb(-digits)
    return str((Decimal(count) / GIGA).quantize(step, rounding=ROUND_HALF_EVEN))


def small_giga(count: int) -> str:
    """Print a small count in units of 1e9 with three significant digits (``8.96e-06``)."""
    return f"{Decimal(count) / GIGA:.2e}".replace("e-", "e-0").replace("e-00", "e-0")


def readable_giga(count: int) -> str:
    """Print a count in units of 1e9: four decimals, or three digits where those show too few."""
    plain = count == 0 or count >= SMALLEST_AT_FOUR_DECIMALS
    return giga(count) if plain else small_giga(count)


def millions(count: int, digits: int = 3) -> str:
    """Print a count in units of 1e6, correctly rounded to ``digits`` decimals."""
    step = Decimal(1).scaleb(-digits)
    return str((Decimal(count) / 10**6).quantize(step, rounding=ROUND_HALF_EVEN))


def percent(part: int, whole: int, digits: int = 1) -> str:
    """Print a share as a percentage; ``-`` where the whole is 0."""
    return f"{100 * part / whole:.{digits}f} %" if whole else "-"


def parse_macs(text: str) -> int:
    """Read an exact number of MACs: ``1.8e9``, ``1.8 GMACs``, ``3.6 GFLOPs`` (2 per MAC).

    Raises:
        InputError: not a number, a unit other than MACs or FLOPs, or not a whole number of MACs.
    """
    wanted = "expected a number of MACs such as 1.8e9, '1.8 GMACs' or '3.6 GFLOPs'"
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InputError(f"cannot read {text.strip()!r} as a cost: {wanted}")
    try:
        value = Decimal(match["number"]) * _PREFIXES[match["prefix"]]
    except ArithmeticError:
        raise InputError(f"cannot read {text.strip()!r} as a cost: {wanted}") from None
    unit = match["unit"].lower()
    if unit in {"flop", "flops"}:
        value /= FLOPS_PER_MAC
    elif unit not in {"", "mac", "macs"}:
        raise InputError(f"{text.strip()!r} has the unit {match['unit']!r}: {wanted}")
    if value > LARGEST_COST:
        raise InputError(f"{text.strip()!r} is beyond any model: at most {LARGEST_COST:.0e} MACs")
    if value != int(value):
        raise InputError(f"{text.strip()!r} is not a whole number of MACs")
    return int(value)


def gflops(macs: int | float | Fraction) -> float:
    """Return MACs in units of 1e9, which papers on efficient networks print as GFLOPS."""
    return float(macs / GIGA)


def plural(count: int, one: str, many: str = "") -> str:
    """Return the noun for so many things: ``plural(3, "view")`` is ``views``.

    Args:
        count: how many.
        one: the noun for one of them.
        many: for any other number, where it is not ``one`` with an s.
    """
    return one if count == 1 else many or f"{one}s"


def milliseconds(seconds: float) -> str:
    """Print a time in milliseconds with four significant digits, at most four decimals."""
    value = seconds * 1e3
    decimals = (
        4 if value < 1 else 3 if value < 10 else 2 if value < 100 else 1 if value < 1000 else 0
    )
    return f"{value:.{decimals}f}"


def percentage(share: float) -> str:
    """Print a share as a whole percentage, with one decimal below ten."""
    return f"{share * 100:.1f} %" if abs(share) < 0.1 else f"{share * 100:.0f} %"


def gigabytes(count: int) -> str:
    """Print bytes in units of 1e9, two decimals."""
    return f"{count / GIGA:.2f}"


def ms(seconds: float) -> float:
    """Return seconds in milliseconds."""
    return seconds * 1e3


def plain_number(value: float) -> str:
    """Print a number without an exponent, to three significant digits (``0.05``, ``1,450``)."""
    return f"{Decimal(f'{value:.3g}'):,f}"


def rate(per_second: float, unit: str) -> str:
    """Print an amount a second: ``35.8 GFLOP/s``, ``1.45 TFLOP/s``.

    Args:
        per_second: FLOPs or bytes a second.
        unit: ``FLOP`` or ``B``.
    """
    billions = per_second / GIGA
    if billions < 1000:
        return f"{plain_number(billions)} G{unit}/s"
    return f"{plain_number(billions / 1000)} T{unit}/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """In what unit an axis counts.

    Attributes:
        divisor: counts a unit.
        prefix: of the unit: empty, ``k``, ``M`` or ``G``.
    """

    divisor: int
    prefix: str

    def of(self, count: int) -> float:
        """Return a count in the unit."""
        return count / self.divisor


SCALES = (
    Scale(divisor=10**9, prefix="G"),
    Scale(divisor=10**6, prefix="M"),
    Scale(divisor=10**3, prefix="k"),
    Scale(divisor=1, prefix=""),
)


def scale_of(largest: int) -> Scale:
    """Return the largest unit that the longest bar reaches."""
    return next((scale for scale in SCALES if largest >= scale.divisor), SCALES[-1])
