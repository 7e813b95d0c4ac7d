"""Amounts of a check as text: rounded where they then differ visibly, exact where they would not.

An amount is shown with five significant digits (a latency with four), a difference exactly. Where
two compared amounts would print equal although they differ, both are printed exactly.
"""

from __future__ import annotations

from fractions import Fraction

from flopbench.check.records import Metric
from flopbench.check.report import MetricResult
from flopbench.core.units import PREFIXES, milliseconds

ARROW = " -> "
BAR = 10
"""Characters in a headroom bar: a tenth of the limit each."""

_PREFIXES = tuple(PREFIXES)
_SMALL = 10_000
"""Whole numbers below this are printed in full: five digits suffice for them."""
_DECIMALS = 12
"""Most decimals of an exact amount; beyond that a fraction is easier to read."""
_NOUNS: dict[Metric, tuple[str, str]] = {
    "dense_macs": ("MAC", "MACs"),
    "params": ("param", "params"),
    "activations": ("activation", "activations"),
    "macs_per_video": ("MAC/video", "MACs/video"),
}


def amount(metric: Metric, value: Fraction) -> str:
    """Return an amount as short text: ``4.1095 GMACs``, ``25.557 M params``, ``12.31 ms``."""
    if metric == "latency":
        return f"{_sign(value)}{milliseconds(float(abs(value)))} ms"
    number, prefix = _scaled(value)
    noun = _NOUNS[metric][abs(value) != 1]
    apart = " " if prefix and not noun.startswith("MAC") else ""
    return f"{number} {prefix}{apart}{noun}"


def exact_amount(metric: Metric, value: Fraction, *, signed: bool = False) -> str:
    """Return an amount with every digit, an increase with a plus sign where it is to be signed."""
    plus = "+" if signed and value > 0 else ""
    if metric == "latency":
        return f"{plus}{_exact(value * 1000)} ms"
    return f"{plus}{_exact(value)} {_NOUNS[metric][abs(value) != 1]}"


def amounts_apart(metric: Metric, *values: Fraction) -> tuple[str, ...]:
    """Return compared amounts as texts, so that different amounts look different."""
    short = tuple(amount(metric, value) for value in values)
    if len(set(short)) == len(set(values)):
        return short
    return tuple(exact_amount(metric, value) for value in values)


def arrow(metric: Metric, old: Fraction, new: Fraction) -> str:
    """Return a change as text: ``4.1095 -> 4.4200 GMACs``, the unit once where both share it."""
    before, after = amounts_apart(metric, old, new)
    number, _, unit = before.partition(" ")
    return (number if after.endswith(f" {unit}") else before) + ARROW + after


def growth(metric: Metric, old: Fraction, new: Fraction) -> str:
    """Return how much an amount grew: the difference, exact except for a latency."""
    if metric == "latency":
        short = amount(metric, new - old)
        return f"+{short}" if new > old else short
    return exact_amount(metric, new - old, signed=True)


def share_of_change(old: Fraction, new: Fraction, other: Fraction | None = None) -> str:
    """Return a change as a signed percentage; empty where the old amount is zero.

    It looks different from another share that is printed next to it, where it differs.
    """
    if not old:
        return ""
    share = (new - old) / old
    text = _percent(share, 1 if abs(share) < 10 else 0)
    if share and text.lstrip("+-") == "0.0 %":
        return f"{'+' if share > 0 else '-'}under 0.1 %"
    digits = 1
    while share and share != other and digits < _DECIMALS and _looks_like(text, other):
        digits += 1
        text = _percent(share, digits)
    return text


def _looks_like(text: str, share: Fraction | None) -> bool:
    return share is not None and Fraction(text.removesuffix(" %")) == share * 100


def difference(result: MetricResult) -> str:
    """Return how much a metric grew, and by which share: ``+5 MACs (+0.5 %)``."""
    assert result.old is not None
    assert result.new is not None
    share = share_of_change(result.old, result.new, result.max_increase)
    return growth(result.metric, result.old, result.new) + (f" ({share})" if share else "")


def allowed_share(share: Fraction) -> str:
    """Return an allowed growth as text: ``2 %``, ``0.5 %``."""
    return f"{_exact(share * 100)} %"


def limit_and_actual(result: MetricResult) -> tuple[str, str]:
    """Return limit and actual amount of a metric that has both; different ones look different."""
    assert result.limit is not None
    assert result.new is not None
    actual, limit = amount(result.metric, result.new), amount(result.metric, result.limit)
    if actual != limit or result.new == result.limit:
        return _limit(result), actual
    exact = exact_amount(result.metric, result.limit)
    return _limit(result, exact), exact_amount(result.metric, result.new)


def head_room(result: MetricResult) -> str:
    """Return how much of its limit a metric uses: ``83 % of 4.2 GMACs``; empty without limit."""
    if result.limit is None or result.new is None:
        return ""
    limit = _limit(result)
    if not result.limit:
        return f"{'over' if result.new > 0 else '100 % of'} {limit}"
    share = result.new / result.limit * 100
    # Rounded away from 100: over the limit must not look like 100, nor under it.
    if share <= 100:
        return f"{int(share)} % of {limit}"
    return f"{'over 100' if round(share) == 100 else round(share)} % of {limit}"


def head_room_bar(result: MetricResult) -> str:
    """Draw the headroom: ``[########--] 83 % of 4.2 GMACs``, ``[##########>]`` over the limit."""
    text = head_room(result)
    if not text or result.limit is None or result.new is None:
        return ""
    if result.new > result.limit:
        return f"[{'#' * BAR}>] {text}"
    full = BAR if not result.limit else int(result.new / result.limit * BAR)
    return f"[{'#' * full}{'-' * (BAR - full)}] {text}"


def _limit(result: MetricResult, exact: str = "") -> str:
    """Return a limit as it was written, or its exact amount, with its MACs if it was in FLOPs."""
    assert result.limit is not None
    written = " ".join(result.limit_text.split())
    number, _, unit = amount(result.metric, result.limit).partition(" ")
    short = f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"
    if "flop" in written.lower():
        return f"{written} = {exact or short}"
    return exact or written or short


def times(value: Fraction | None) -> str:
    """Return how often something happens: up to four decimals, ``-`` where it does not exist."""
    if value is None:
        return "-"
    text = _fixed(value, 4).rstrip("0").rstrip(".")
    return "under 0.0001" if text == "0" and value else text


def _sign(value: Fraction) -> str:
    return "-" if value < 0 else ""


def _scaled(value: Fraction) -> tuple[str, str]:
    """Return five significant digits and the prefix that fits."""
    size = abs(value)
    if size.denominator == 1 and size < _SMALL:
        return f"{value.numerator:,}", ""
    text = ""
    for power, prefix in enumerate(_PREFIXES):
        scaled = size / 1000**power
        decimals = 4 if scaled < 10 else 3 if scaled < 100 else 2
        if decimals > 2 and round(scaled * 10**decimals) >= 10**5:
            decimals -= 1  # 9.99996 is 10.000
        text = _sign(value) + _fixed(scaled, decimals)
        if round(scaled * 100) < 100_000 or prefix == _PREFIXES[-1]:
            return text, prefix
    return text, _PREFIXES[-1]


def _fixed(value: Fraction, decimals: int) -> str:
    """Return a number with fixed decimals, correctly rounded (half to even)."""
    step = 10**decimals
    whole, rest = divmod(abs(round(value * step)), step)
    sign = "-" if value < 0 and (whole or rest) else ""
    return f"{sign}{whole:,}" + (f".{rest:0{decimals}d}" if decimals else "")


def _exact(value: Fraction) -> str:
    """Return every digit: a whole number, a finite decimal number, or ``n/d``."""
    scaled = value * 10**_DECIMALS
    if scaled.denominator != 1:
        return f"{value.numerator:,}/{value.denominator:,}"
    text = _fixed(value, _DECIMALS)
    return text.rstrip("0").rstrip(".")


def _percent(share: Fraction, digits: int) -> str:
    text = _fixed(share * 100, digits).replace(",", "")
    return f"{'+' if share > 0 else ''}{text} %"
