"""Reading limits exactly as they are written: ``4.2 GMACs``, ``25.6 M params``, ``3 ms``, ``2%``.

A unit is required, and it must belong to the metric: a bare number would leave open whether MACs
or FLOPs were meant, as ``GFLOPS`` does, which ``core.units`` refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from flopbench.check.records import Metric
from flopbench.core.errors import InputError
from flopbench.core.limits import LARGEST_COST
from flopbench.core.units import macs_per_unit, parse_number, prefix_factor, shown_amount

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
    "dense_macs": "'4.2 GMACs' or '8.4 GFLOPs' (1 MAC = 2 FLOPs)",
    "params": "'25.6 M params' or '11689512 params'",
    "activations": "'11.1 M activations' or '11.1 M elements'",
    "macs_per_video": "'13.8 GMACs/video' or '27.6 GFLOPs/video' (1 MAC = 2 FLOPs)",
    "latency": "'3 ms', '250 us' or '0.1 s'",
}
_WHOLE: Mapping[Metric, str] = {
    "dense_macs": "MACs",
    "params": "parameters",
    "activations": "activations",
}
"""Metrics that are whole numbers, and the plural of what they count."""


def parse_limit(text: str, metric: Metric) -> Fraction:
    """Read the most that a cost may be: a number and its unit (``4.2 GMACs``).

    Returns MACs, elements, MACs per video or seconds; all but the last two are whole.
    """
    value = parse_amount(text, metric)
    if value == 0:
        raise InputError(
            f"{shown_amount(text)} allows nothing", f"expected such as {_EXAMPLES[metric]}"
        )
    return value


def parse_amount(text: str, metric: Metric) -> Fraction:
    """Read an amount such as a smallest difference: like ``parse_limit``, but zero is allowed."""
    expected = f"expected such as {_EXAMPLES[metric]}"
    number, unit = parse_number(text, expected)
    shown = shown_amount(text)
    if not unit:
        raise InputError(f"{shown} has no unit", expected)
    factor = _factor(text, number, unit, metric)
    if factor is None:
        wrong = f"has the unit {shown_amount(unit)}, not one of {metric}"
        raise InputError(f"{shown} {wrong}", expected)
    value = number * factor
    if value > LARGEST_COST:
        raise InputError(f"{shown} is beyond any model", expected)
    if metric in _WHOLE and value.denominator != 1:
        raise InputError(f"{shown} is not a whole number of {_WHOLE[metric]}", expected)
    return value


def parse_share(text: str) -> Fraction:
    """Read a percentage of at least zero as a share: ``2%`` is 1/50."""
    expected = "expected a percentage such as '2%' or '0.5 %'"
    number, unit = parse_number(text, expected)
    if unit != "%":
        wrong = f"has the unit {shown_amount(unit)}" if unit else "has no % sign"
        raise InputError(f"{shown_amount(text)} {wrong}", expected)
    return number / 100


def _factor(text: str, number: Fraction, unit: str, metric: Metric) -> Fraction | int | None:
    """Return MACs, elements or seconds in one unit; None for a unit of another metric."""
    if metric == "latency":
        return _TIME_UNITS.get(unit)
    if metric in _ELEMENT_UNITS:
        nouns = (noun for noun in _ELEMENT_UNITS[metric] if unit.endswith(noun))
        prefixes = (prefix_factor(unit.removesuffix(noun).rstrip()) for noun in nouns)
        return next((prefix for prefix in prefixes if prefix is not None), None)
    bare = re.sub(r"\s*/\s*video$", "", unit) if metric == "macs_per_video" else unit
    return macs_per_unit(text, number, bare, "/video" if bare != unit else "")
