"""Claims: numbers as a publication printed them, each with a way to recompute it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from flopbench.core.units import Count, cost_readings
from flopbench.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimComponent:
    """Where the price of one run comes from.

    Attributes:
        spec: the network and its input, or a constant.
        counter: the counter whose rules price it, or ``published`` for a publication's printed
            figure; empty for a constant.
    """

    spec: ModelSpec
    counter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Components × counts: the sum of n × price.

    Attributes:
        counts: component -> how often it runs.
        components: component -> where its price comes from.
    """

    counts: Mapping[str, Fraction]
    components: Mapping[str, ClaimComponent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """A distribution × table: shares of frames, priced by the published rule.

    Attributes:
        shares: action -> its share with its digits as printed; a whole number is exact.
        preset: what the actions mean and cost.
        steps: sampled frames per video; 1 gives the cost of one frame.
        counter: as ``ClaimComponent.counter``.
        variants: component -> name of the variant to charge.
    """

    shares: Mapping[str, Decimal]
    preset: str
    steps: int
    counter: str
    variants: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divide:
    """A printed figure divided by a number of frames.

    Attributes:
        numerator: in the claim's unit, with its digits as printed.
        by: the stated number.
    """

    numerator: Decimal
    by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One network at one input, counted.

    Attributes:
        spec: what to count.
        counter: the counter whose rules apply.
    """

    spec: ModelSpec
    counter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A printed figure of another input × (to_px / input_px)²: scaled by area, not profiled.

    Attributes:
        gflops: the figure that was scaled, with its digits as printed.
        input_px: the input size that the scaling assumed for the figure.
        figure_input_px: the figure's actual input size.
        to_px: the input size that it was scaled to.
    """

    gflops: Decimal
    input_px: int
    figure_input_px: int
    to_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDerivable:
    """A number that cannot be recomputed.

    Attributes:
        why: what would be needed.
    """

    why: str


Derivation = Counts | Shares | Divide | Profile | Scaled | NotDerivable


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One printed number.

    Attributes:
        id: unique within its file.
        what: what the number is.
        printed: the number with its digits as printed.
        unit: as printed (``GFLOPS/video``).
        derivation: how to recompute it.
        read_as: what a unit with two readings counts here, if known.
        reason: why it is off, if known.
        note: always shown.
        where: file and claim, for messages.
    """

    id: str
    what: str
    printed: Decimal
    unit: str
    derivation: Derivation
    read_as: Count | None = None
    reason: str = ""
    note: str = ""
    where: str = ""

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
        priced = isinstance(self.derivation, (Counts, Shares, Profile))
        return priced and len(self.readings) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFile:
    """The claims of one publication.

    Attributes:
        name: a shipped file's name without its suffix, or the path of another file.
        title: one line, for display.
        source: the publication.
        claims: in the file's order; at least one.
    """

    name: str
    title: str
    source: str
    claims: tuple[Claim, ...]


def unit_readings(unit: str) -> dict[Count, Fraction]:
    """Return how many MACs one printed unit is, by what it may count (``cost_readings``).

    A denominator may follow the unit: ``GFLOPS/video``.
    """
    return cost_readings(re.sub("/[a-z]+$", "", unit))


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


def as_printed(number: Decimal) -> str:
    """Return a number as text, with the digits that it was printed with."""
    return f"{number:f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A whole number that a derivation takes from the publication, and that may be wrong.

    Attributes:
        what: what it is, to follow the number in a text: ``as T``.
        number: as stated.
        at: the result with another number in its place.
    """

    what: str
    number: int
    at: Callable[[int], Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A number, recomputed.

    Attributes:
        value: in the claim's unit, exact.
        low: the lowest value that the rounding of the printed inputs allows; ``value`` if exact.
        high: the highest value.
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
