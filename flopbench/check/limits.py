"""Limits as people write them: ``4.2 GMACs``, ``25.6 M params``, ``3 ms``, ``2%``, read exactly.

A unit is required, and it must belong to the metric: a bare number would leave open whether MACs
or FLOPs were meant. Units are case-sensitive. ``GFLOPS`` with a capital S is refused: papers print
MACs under that name, others mean operations, or operations a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from flopbench.check.records import Metric
from flopbench.core.errors import InputError, cut
from flopbench.core.units import FLOPS_PER_MAC, LARGEST_COST

LONGEST_NUMBER = 60
"""Characters; it leaves room for the largest cost in the smallest unit with many decimals."""
LARGEST_EXPONENT = 99
"""10 to a power beyond this is a slip of the pen, and slow to write out."""

_PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_FLOP = Fraction(1, FLOPS_PER_MAC)
_COST_UNITS = {"MAC": Fraction(1), "MACs": Fraction(1), "FLOP": _FLOP, "FLOPs": _FLOP}
_TIME_UNITS = {
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # the micro sign
    "μs": Fraction(1, 10**6),  # the Greek letter, which looks the same
}
_ELEMENT_UNITS: Mapping[str, tuple[str, ...]] = {
    "params": ("params", "param", "parameters", "parameter"),
    "activations": ("activations", "activation", "elements", "element"),
}
_EXAMPLES: Mapping[Metric, str] = {
    "macs": "'4.2 GMACs' or '8.4 GFLOPs' (1 MAC = 2 FLOPs)",
    "params": "'25.6 M params' or '11689512 params'",
    "activations": "'11.1 M activations' or '11.1 M elements'",
    "gflops_per_video": "'13.8 GMACs/video' or '27.6 GFLOPs/video' (1 MAC = 2 FLOPs)",
    "latency": "'3 ms', '250 us' or '0.1 s'",
}
_WHOLE: Mapping[Metric, str] = {
    "macs": "MACs",
    "params": "parameters",
    "activations": "activations",
}
"""Metrics that are whole numbers, and of what."""

_NUMBER = r"(?P<digits>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]+))?"
_QUANTITY = re.compile(rf"(?P<sign>[+-]?)\s*{_NUMBER}\s*(?P<unit>[^0-9.\s].*)?", re.DOTALL)


def parse_limit(text: str, metric: Metric) -> Fraction:
    """Read the most that a cost may be.

    Args:
        text: a number and its unit (``4.2 GMACs``, ``8.4 GFLOPs``, ``25.6 M params``).
        metric: decides about the units that are allowed.

    Returns:
        MACs, elements, MACs a video or seconds; whole except for MACs a video and seconds.

    Raises:
        InputError: no number, no unit, a unit of something else, zero, negative, no whole number,
            or beyond any model.
    """
    value = parse_amount(text, metric)
    if value == 0:
        raise InputError(
            f"{_shown(text)} allows nothing at all", f"expected such as {_EXAMPLES[metric]}"
        )
    return value


def parse_amount(text: str, metric: Metric) -> Fraction:
    """Read an amount such as a smallest difference: as ``parse_limit``, and zero is allowed.

    Raises:
        InputError: as ``parse_limit``.
    """
    expected = f"expected such as {_EXAMPLES[metric]}"
    number, unit = _number_and_unit(text, expected)
    value = number * _factor(unit, metric, text, expected)
    if value > LARGEST_COST:
        raise InputError(f"{_shown(text)} is beyond any model", expected)
    if metric in _WHOLE and value.denominator != 1:
        raise InputError(f"{_shown(text)} is not a whole number of {_WHOLE[metric]}", expected)
    return value


def parse_share(text: str) -> Fraction:
    """Read a percentage of at least zero as a share: ``2%`` is 1/50.

    Raises:
        InputError: no number, negative, or without the sign ``%``.
    """
    expected = "expected a percentage such as '2%' or '0.5 %'"
    number, unit = _number_and_unit(text, expected)
    if unit != "%":
        wrong = f"has the unit {_shown(unit)}" if unit else "has no % sign"
        raise InputError(f"{_shown(text)} {wrong}", expected)
    return number / 100


def _number_and_unit(text: str, expected: str) -> tuple[Fraction, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{_shown(text)} is not a number with a unit", expected)
    digits, exponent = match["digits"], match["exponent"] or "0"
    if len(digits) > LONGEST_NUMBER or len(exponent) > LONGEST_NUMBER:
        raise InputError(f"{_shown(text)} has more digits than anybody means", expected)
    if abs(int(exponent)) > LARGEST_EXPONENT:
        raise InputError(f"{_shown(text)} has an exponent beyond {LARGEST_EXPONENT}", expected)
    if match["sign"] == "-":
        raise InputError(f"{_shown(text)} is negative", expected)
    whole, _, decimals = digits.partition(".")
    number = Fraction(int(whole + decimals), 10 ** len(decimals)) * Fraction(10) ** int(exponent)
    return number, match["unit"] or ""


def _factor(unit: str, metric: Metric, text: str, expected: str) -> Fraction:
    """Return how many MACs, elements or seconds one unit is."""
    if not unit:
        raise InputError(f"{_shown(text)} has no unit", expected)
    factor = _known_factor(unit, metric)
    if factor is not None:
        return factor
    if metric in {"macs", "gflops_per_video"} and unit.removesuffix("/video").endswith("FLOPS"):
        raise InputError(
            f"{_shown(text)}: FLOPS with a capital S is ambiguous; papers print MACs under that "
            "name, others mean operations or operations per second",
            "write GMACs or GFLOPs (1 MAC = 2 FLOPs)",
        )
    raise InputError(
        f"{_shown(text)} has the unit {_shown(unit)}, which is none of {metric}", expected
    )


def _known_factor(unit: str, metric: Metric) -> Fraction | None:
    if metric == "latency":
        return _TIME_UNITS.get(unit)
    if metric in _ELEMENT_UNITS:
        for name in _ELEMENT_UNITS[metric]:
            prefix = unit.removesuffix(name).rstrip()
            if unit.endswith(name) and prefix in _PREFIXES:
                return Fraction(_PREFIXES[prefix])
        return None
    if metric == "gflops_per_video":
        unit = re.sub(r"\s*/\s*video$", "", unit)
    for name, macs in _COST_UNITS.items():
        prefix = unit.removesuffix(name)
        if unit.endswith(name) and prefix in _PREFIXES:
            return macs * _PREFIXES[prefix]
    return None


def _shown(text: str) -> str:
    """Show what was written, cut where it is long."""
    return cut(repr(text.strip()))
