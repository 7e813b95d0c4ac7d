"""Quantities and the MAC/FLOP convention: the only place that reads amounts or divides by 1e9.

One MAC is one multiply-accumulate. One MAC is two FLOPs (a multiplication and an addition) where
FLOPs are really counted; many papers print MACs and write "FLOPs" or "GFLOPS". So ``GFLOPs`` is
2 per MAC, and ``GFLOPS`` has two readings: it is refused in an amount, and accepted only in a
quotation. Counts are exact integers everywhere; they are rounded here, when printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from flopbench.core.errors import InputError, cut
from flopbench.core.limits import LARGEST_COST, LARGEST_EXPONENT, LONGEST_NUMBER

GIGA = 10**9
FLOPS_PER_MAC = 2
EXACT_FLOATS = 2**53
"""Whole numbers below it are exact as float64."""

CONVENTION = (
    "1 GMAC = 1e9 multiply-accumulates (MACs). 1 MAC = 2 FLOPs; what papers on efficient "
    "networks print as GFLOPS is GMACs."
)

Count = Literal["MACs", "FLOPs"]

PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": GIGA, "T": 10**12}
_IN_WORDS = {"": "", "k": "thousand ", "M": "million ", "G": "billion ", "T": "trillion "}
_COST_UNIT = r"(?P<prefix>[A-Za-z]?)(?P<noun>(?i:MACs?|FLOPs?))"

_NUMBER = r"(?P<digits>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]+))?"
_QUANTITY = rf"(?P<sign>[+-]?)\s*{_NUMBER}\s*(?P<unit>[^0-9.\s].*)?"


def giga(count: int, digits: int = 4) -> str:
    """Print a count in units of 1e9, correctly rounded (half to even) to ``digits`` decimals."""
    return _rounded(count, GIGA, digits)


def readable_giga(count: int) -> str:
    """Print a count in units of 1e9: four decimals, or three digits where those show too few."""
    return SCALES[0].text(count)


def macs_text(count: int) -> str:
    """Print multiply-accumulates in a unit of their size: ``1.8141 GMACs``, ``0.606 MMACs``."""
    scale = table_scale(count)
    return f"{scale.text(count)} {scale.prefix}MACs"


def millions(count: int, digits: int = 3) -> str:
    """Print a count in units of 1e6, correctly rounded to ``digits`` decimals."""
    return _rounded(count, 10**6, digits)


def _rounded(count: int, divisor: int, digits: int) -> str:
    step = Decimal(1).scaleb(-digits)
    return str((Decimal(count) / divisor).quantize(step, rounding=ROUND_HALF_EVEN))


def percent(part: int, whole: int, digits: int = 1) -> str:
    """Print a share as a percentage; ``-`` where the whole is 0."""
    return f"{100 * part / whole:.{digits}f} %" if whole else "-"


def parse_number(text: str, expected: str) -> tuple[Fraction, str]:
    """Read a number, exactly, and the unit after it, which may be missing (``4.2 GMACs``, ``2%``).

    Raises:
        InputError: not a number, negative, or with too many digits; the hint is ``expected``.
    """
    if len(text) > 4 * LONGEST_NUMBER:
        raise InputError(f"{shown_amount(text)} has too many digits or letters", expected)
    match = re.fullmatch(_QUANTITY, text.strip(), re.DOTALL)
    if match is None:
        raise InputError(f"{shown_amount(text)} is not a number with a unit", expected)
    if (match["unit"] or "").startswith(","):
        raise InputError(
            f"{shown_amount(text)} has a comma: a point stands before decimals, and nothing "
            "between thousands",
            expected,
        )
    digits, exponent = match["digits"], match["exponent"] or "0"
    if len(digits) > LONGEST_NUMBER or len(exponent) > LONGEST_NUMBER:
        raise InputError(f"{shown_amount(text)} has too many digits", expected)
    if abs(int(exponent)) > LARGEST_EXPONENT:
        raise InputError(
            f"{shown_amount(text)} has an exponent beyond {LARGEST_EXPONENT}, beyond any model",
            expected,
        )
    if match["sign"] == "-":
        raise InputError(f"{shown_amount(text)} is negative", expected)
    whole, _, decimals = digits.partition(".")
    number = Fraction(int(whole + decimals), 10 ** len(decimals)) * Fraction(10) ** int(exponent)
    return number, match["unit"] or ""


def prefix_factor(prefix: str) -> int | None:
    """Return the factor of ``k`` (or ``K``), ``M``, ``G``, ``T`` or no prefix; else None."""
    return PREFIXES.get("k" if prefix == "K" else prefix)


def cost_readings(unit: str) -> dict[Count, Fraction]:
    """Return how many MACs one unit of cost is, under each reading of it.

    ``GMACs`` counts MACs, ``GFLOPs`` FLOPs. ``GFLOPS`` and any other spelling of it (``gflops``)
    may count either, since papers on efficient networks print MACs under that name.

    Returns:
        count -> MACs in one unit; MACs first; empty if it is not a unit of cost.
    """
    match = re.fullmatch(_COST_UNIT, unit)
    if match is None:
        return {}
    prefix, noun = match["prefix"], match["noun"]
    counts: tuple[Count, ...] = ("MACs", "FLOPs")
    if noun.upper().startswith("MAC"):
        counts = ("MACs",)
    elif noun in {"FLOP", "FLOPs"}:
        counts = ("FLOPs",)
    else:
        prefix = prefix.upper()
    factor = prefix_factor(prefix)
    if factor is None:
        return {}
    return {count: Fraction(factor, FLOPS_PER_MAC if count == "FLOPs" else 1) for count in counts}


def macs_per_unit(text: str, number: Fraction, unit: str, per: str = "") -> Fraction | None:
    """Return how many MACs one unit of an amount is; None if it is not a unit of cost.

    Args:
        text: the amount as it was written, for the message.
        number: of the amount.
        unit: of the amount, without ``per``.
        per: what follows the unit: ``/video``.

    Raises:
        InputError: the unit has two readings (``GFLOPS``); the message names both.
    """
    readings = cost_readings(unit)
    if len(readings) < 2:
        return next(iter(readings.values()), None)
    prefix = next(name for name, factor in PREFIXES.items() if factor == readings["MACs"])
    n, half = f"{float(number):.12g}", f"{float(number / FLOPS_PER_MAC):.12g}"
    macs, flops = f"{prefix}MACs{per}", f"{prefix}FLOPs{per}"
    raise InputError(
        f"{shown_amount(text)} can mean {n} {macs} (as papers on efficient networks print it) or "
        f"{n} {_IN_WORDS[prefix]}FLOPs{per} = {half} {macs}",
        f"write '{n} {macs}' or '{n} {flops}'",
    )


def parse_macs(text: str) -> int:
    """Read an exact number of MACs: ``1.8e9``, ``1.8 GMACs``, ``3.6 GFLOPs`` (2 per MAC).

    Raises:
        InputError: not a number, a unit other than MACs or FLOPs, ``GFLOPS`` with its two
            readings, or a fraction of a MAC.
    """
    expected = "expected a number of MACs such as 1.8e9, '1.8 GMACs' or '3.6 GFLOPs'"
    number, unit = parse_number(text, expected)
    per_unit = prefix_factor(unit) or macs_per_unit(text, number, unit)
    if per_unit is None:
        raise InputError(
            f"{shown_amount(text)} has the unit {shown_amount(unit)}, which is not a unit of MACs",
            expected,
        )
    macs = number * per_unit
    if macs > LARGEST_COST:
        raise InputError(
            f"{shown_amount(text)} is beyond any model", f"at most {LARGEST_COST:.0e} MACs"
        )
    if macs.denominator != 1:
        raise InputError(f"{shown_amount(text)} is not a whole number of MACs", expected)
    return macs.numerator


def shown_amount(text: str) -> str:
    """Show an amount as it was written, cut where it is long."""
    return cut(repr(text.strip()))


def gflops(count: int | float | Fraction) -> float:
    """Return a count in units of 1e9; for MACs, what efficient-network papers print as GFLOPS."""
    return float(count / GIGA)


def plural(count: float, one: str, many: str = "") -> str:
    """Return a noun for a number: ``plural(3, "view")`` is ``views``; ``many`` may be irregular."""
    if count == 1 or many:
        return one if count == 1 else many
    if re.search("(ss|x|ch|sh)$", one):
        return f"{one}es"
    if one.endswith("s"):
        return one  # series
    return re.sub("(?<=[^aeiou])y$", "ie", one) + "s"


def number_of(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 video``, ``1,450 videos``."""
    return f"{count:,} {plural(count, one, many)}"


class Words(Struct, frozen=True, kw_only=True):
    """What one sample of a log and one step of it are called, in the singular."""

    sample: str = "video"
    step: str = "frame"

    @property
    def a_sample(self) -> str:
        """One of them, with its article."""
        return f"{'an' if self.sample[:1].lower() in 'aeiou' else 'a'} {self.sample}"

    @property
    def samples(self) -> str:
        """The plural."""
        return plural(2, self.sample)

    @property
    def steps(self) -> str:
        """The plural."""
        return plural(2, self.step)


VIDEOS = Words()
"""Those of logs that do not say."""
ANY_WORDS = Words(sample="sample", step="step")
"""Those of several logs with words of their own."""


def common_words(words: Iterable[Words]) -> Words:
    """Return the words that logs share, the general ones where they differ; of none: ``VIDEOS``."""
    found = list(words) or [VIDEOS]
    samples, steps = {one.sample for one in found}, {one.step for one in found}
    return Words(
        sample=samples.pop() if len(samples) == 1 else ANY_WORDS.sample,
        step=steps.pop() if len(steps) == 1 else ANY_WORDS.step,
    )


def interval_decimals(half_widths: Iterable[float], most: int) -> int:
    """Return how many decimals show two digits of the smallest half-width of some intervals.

    A half-width of 0 says nothing; ``most`` are the decimals without any other.
    """
    known = [half for half in half_widths if half > 0]
    if not known:
        return most
    exponent = int(f"{min(known):.1e}".partition("e")[2])
    return min(most, max(0, 1 - exponent))


def about(seconds: float) -> str:
    """Print an estimated duration: ``about 70 s``, ``about 4 min``, ``about 2.5 h``."""
    if seconds < 100:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 1800) / 2:g} h"


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
    """Print FLOPs or bytes (``B``) a second: ``35.8 GFLOP/s``, ``1.45 TB/s``."""
    billions = per_second / GIGA
    if billions < 1000:
        return f"{plain_number(billions)} G{unit}/s"
    return f"{plain_number(billions / 1000)} T{unit}/s"


class Scale(Struct, frozen=True, kw_only=True):
    """The unit of an axis or a table: counts a unit; its prefix is empty, ``k``, ``M`` or ``G``."""

    divisor: int
    prefix: str

    def of(self, count: int) -> float:
        """Return a count in the unit."""
        return count / self.divisor

    @property
    def decimals(self) -> int:
        """Of a count that has no interval."""
        return 4 if self.divisor >= GIGA else 3 if self.divisor > 1 else 0

    def text(self, count: int) -> str:
        """Print a count with ``decimals``, or three digits where those show fewer than two."""
        if not count or 10 ** (self.decimals - 1) * count >= self.divisor:
            return _rounded(count, self.divisor, self.decimals)
        mantissa, _, exponent = f"{Decimal(count) / self.divisor:.2e}".partition("e")
        return f"{mantissa}e{int(exponent):03d}"


SCALES = (
    Scale(divisor=10**9, prefix="G"),
    Scale(divisor=10**6, prefix="M"),
    Scale(divisor=10**3, prefix="k"),
    Scale(divisor=1, prefix=""),
)


def scale_of(largest: float) -> Scale:
    """Return the largest unit that the largest count reaches."""
    return next((scale for scale in SCALES if largest >= scale.divisor), SCALES[-1])


def table_scale(largest: float) -> Scale:
    """Return the unit of a table: papers write 0.3 GMACs, and 50 MMACs."""
    return scale_of(10 * largest) if largest else SCALES[0]
