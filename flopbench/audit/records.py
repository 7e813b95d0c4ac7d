"""Claims: numbers as a publication printed them, each with a way to recompute it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from msgspec import Meta, Struct

from flopbench.core.limits import LARGEST_AMOUNT
from flopbench.core.records import Record
from flopbench.core.units import FLOPS_PER_MAC, Count, cost_readings
from flopbench.models.spec import ModelSpec
from flopbench.policy.plan import Plan

MOST_DIGITS = 30
"""Exact arithmetic takes any number of digits; this keeps it quick."""

Whole = Annotated[int, Meta(ge=1, le=LARGEST_AMOUNT)]
_OF_MODEL = re.compile(r"(?:(?P<prefix>[KMGB]) ?)?(?P<what>params|parameters|activations)")
_FIGURE = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}(\.[0-9]{{1,{MOST_DIGITS}}})?")


class Text(str):
    """One line of printable text, its white space collapsed."""

    __slots__ = ()


class Figure(Decimal):
    """A printed number with its digits: ``1.8000`` keeps its zeros."""

    __slots__ = ()


class Amount(Decimal):
    """A number from 0 upward, with its digits as written."""

    __slots__ = ()


_EXPECTED: Mapping[type, str] = {
    Text: "text in quotes",
    Figure: 'a number in quotes, with its digits as printed, such as "41.95",',
    Amount: "a number from 0 upward",
}


def value_of(kind: type, value: Any) -> Any:
    """Turn a value of a TOML file into one of the three types above (msgspec's ``dec_hook``).

    Raises:
        ValueError: it is something else; says what was expected.
    """
    if kind is Text and isinstance(value, str):
        text = " ".join(value.split())
        if text and text.isprintable():
            return Text(text)
    elif kind is Figure and isinstance(value, str) and _FIGURE.fullmatch(value):
        return Figure(value)
    elif kind is Amount and (type(value) is int or isinstance(value, Decimal)) and _fits(value):
        return Amount(value)
    raise ValueError(_EXPECTED[kind])


def _fits(value: int | Decimal) -> bool:
    """Whether a number is within the limits of amounts and digits."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return False
        digits = value.as_tuple()
        if len(digits.digits) > MOST_DIGITS or not -MOST_DIGITS <= int(digits.exponent) <= 12:
            return False
    return 0 <= value <= LARGEST_AMOUNT


class ClaimComponent(Record, frozen=True, kw_only=True):
    """What runs, and which counter prices it: ``published`` quotes; empty for a constant."""

    spec: ModelSpec
    counter: str


class Counts(Record, frozen=True, kw_only=True):
    """Components × counts: the sum of n × price."""

    counts: Mapping[str, Fraction]


class Shares(Record, frozen=True, kw_only=True):
    """A distribution × table: shares of frames, priced by the published rule.

    Attributes:
        shares: of each action of the plan, with digits as printed; a whole number is exact.
        preset: what the actions mean and cost.
        plan: of that preset.
        steps: sampled frames per video; 1 gives the cost of one frame.
    """

    shares: tuple[Decimal, ...]
    preset: str
    plan: Plan
    steps: int


class Divide(Record, frozen=True, kw_only=True):
    """A printed figure, in the claim's unit, divided by a number of frames."""

    numerator: Figure
    by: Whole


class Profile(Record, frozen=True, kw_only=True):
    """One network at one input, counted."""

    spec: ModelSpec


class Scaled(Record, frozen=True, kw_only=True):
    """A printed figure of another input × (to_px / input_px)²: scaled by area, not profiled.

    Attributes:
        gflops: the figure that was scaled.
        input_px: the input size that the scaling assumed for the figure.
        figure_input_px: the figure's actual input size.
        to_px: the input size that it was scaled to.
    """

    gflops: Figure
    input_px: Whole
    figure_input_px: Whole
    to_px: Whole


class NotDerivable(Record, frozen=True, kw_only=True):
    """A number that cannot be recomputed, and what would be needed."""

    why: str


Derivation = Counts | Shares | Divide | Profile | Scaled | NotDerivable


class ClaimHead(Record, frozen=True, kw_only=True):
    """What a claims file says of every number.

    Attributes:
        id: unique within its file.
        printed: the number with its digits as printed.
        read_as: what a unit with two readings counts here, if known.
        reason: why it is off, if known.
    """

    id: Text
    what: Text
    printed: Figure
    unit: Text
    read_as: Count | None = None
    reason: Text = Text()
    note: Text = Text()


class Claim(ClaimHead, frozen=True, kw_only=True):
    """One printed number.

    Attributes:
        where: file and claim, for messages.
    """

    derivation: Derivation
    components: Mapping[str, ClaimComponent]
    where: str

    @property
    def readings(self) -> dict[Count, Fraction]:
        """What the unit may count -> MACs in one unit; empty unless it is a unit of cost."""
        known = unit_readings(self.unit)
        if self.read_as is not None and self.read_as in known:
            return {self.read_as: known[self.read_as]}
        return known

    @property
    def has_two_readings(self) -> bool:
        """Whether the recomputed number depends on what the unit counts, and that is not known."""
        return bool(self.components) and len(self.readings) > 1


class ClaimFile(Struct, frozen=True, kw_only=True):
    """The claims of one publication, at least one; ``name`` as ``read_claims`` takes it."""

    name: str
    title: str
    source: str
    claims: tuple[Claim, ...]


def unit_readings(unit: str) -> dict[Count, Fraction]:
    """Return how many MACs one printed unit is, by what it may count, the likeliest first.

    As ``cost_readings``, but ``GFLOPs`` may count MACs, too: many a paper prints them so. A
    denominator may follow the unit: ``GFLOPS/video``.
    """
    found = cost_readings(re.sub("/[a-z]+$", "", unit))
    if list(found) == ["FLOPs"]:
        found["MACs"] = found["FLOPs"] * FLOPS_PER_MAC
    return found


def size_unit(unit: str) -> tuple[str, int] | None:
    """Return ``params`` or ``activations``, and how many one unit (``M params``) is; else None."""
    match = _OF_MODEL.fullmatch(unit)
    if match is None:
        return None
    factor = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}[match["prefix"] or ""]
    return match["what"].replace("parameters", "params"), factor


def half_unit(printed: Decimal) -> Fraction:
    """Return half a unit of the last printed digit: the most that rounding moves a number."""
    return Fraction(1, 2 * 10 ** decimals(printed))


def decimals(printed: Decimal) -> int:
    """Return how many digits follow the decimal point."""
    return max(0, -int(printed.as_tuple().exponent))


def rounded(value: Fraction, digits: int) -> str:
    """Return an exact number as text, rounded (half to even) to ``digits`` decimals."""
    units = round(value * 10**digits)
    text = str(abs(units)).rjust(digits + 1, "0")
    whole, part = text[: len(text) - digits], text[len(text) - digits :]
    return ("-" if units < 0 else "") + (f"{whole}.{part}" if digits else whole)


def exact_text(value: Fraction, digits: int = 12) -> str:
    """Return a number as text with no more decimals than it needs, and at most ``digits``."""
    text = rounded(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


class Stated(Struct, frozen=True, kw_only=True):
    """A whole number that a derivation takes from the publication, and that may be wrong."""

    what: str
    """To follow the number in a text: ``as T``."""
    number: int
    at: Callable[[int], Fraction]
    """The result with another number in its place."""


class Derived(Struct, frozen=True, kw_only=True):
    """A number, recomputed.

    Attributes:
        value: in the claim's unit, exact.
        low: the lowest value that the rounding of the printed inputs allows; ``value`` if exact.
        text: the derivation spelled out.
        notes: what qualifies it: sources, misprints, scaling.
        stated: a whole number in it that may be wrong.
        readings: pairs of another result and what it means if that is the printed number.
    """

    value: Fraction
    low: Fraction
    high: Fraction
    text: str
    notes: tuple[str, ...] = ()
    stated: Stated | None = None
    readings: tuple[tuple[Fraction, str], ...] = ()


class NotDerived(Exception):
    """A number that could not be recomputed; the text says why."""
