"""Lines through (MACs, seconds), and how far one order follows another.

The line is ``time = c · MACs``, fitted by least squares on the logarithms: c is the geometric mean
of time / MACs, so that a point's residual is a factor (1.8: takes 1.8 times as long as its MACs
say) and no large model outweighs a small one. The affine line ``time = a + c · MACs`` minimises
the squares of (line − measured) / measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flopbench.core.units import FLOPS_PER_MAC, GIGA, ms, plain_number, rate

FitKind = Literal["proportional", "affine"]
FITS: tuple[FitKind, ...] = ("proportional", "affine")

FEWEST_FOR_FIT = {"proportional": 2, "affine": 3}
"""With fewer points a line passes through all of them and says nothing."""

FEWEST_FOR_RANKS = 5
"""Four points come into perfect order by accident once in 4! = 24 times, more often than one
would call a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A fitted line.

    Attributes:
        kind: ``proportional`` or ``affine``.
        base_s: seconds at no MACs; 0 for a proportional line.
        s_per_mac: slope, seconds a MAC.
        points: how many it was fitted to.
    """

    kind: FitKind
    base_s: float
    s_per_mac: float
    points: int

    def at(self, macs: float) -> float:
        """Return the line's seconds at so many MACs."""
        return self.base_s + self.s_per_mac * macs

    @property
    def text(self) -> str:
        """The line as a formula, with what its slope means."""
        slope = f"{plain_number(ms(self.s_per_mac * GIGA))} ms/GMAC"
        base = ""
        if self.kind == "affine":
            base = f"{plain_number(ms(self.base_s))} ms + "
        return f"{base}{slope} ({rate(FLOPS_PER_MAC / self.s_per_mac, 'FLOP')})"


def fitted_line(points: Sequence[tuple[int, float]], fit: FitKind) -> Line | None:
    """Fit a line to (MACs, seconds), both positive.

    Returns:
        None for too few points, for points that all have the same MACs where the line has two
        parameters, and where the slope is not above 0.
    """
    count = len(points)
    if count < FEWEST_FOR_FIT[fit]:
        return None
    if fit == "proportional":
        logs = [math.log(seconds / macs) for macs, seconds in points]
        return Line(kind=fit, base_s=0.0, s_per_mac=math.exp(math.fsum(logs) / count), points=count)
    # Minimise the sum of ((a + c·m) / t − 1)²: the normal equations of u = 1/t and v = m/t. MACs
    # in units of their mean, so that the sums are of one size.
    unit = math.fsum(macs for macs, _ in points) / count
    u = [1 / seconds for _, seconds in points]
    v = [macs / unit / seconds for macs, seconds in points]
    uu, vv = math.fsum(x * x for x in u), math.fsum(x * x for x in v)
    uv = math.fsum(x * y for x, y in zip(u, v, strict=True))
    determinant = uu * vv - uv * uv
    if determinant <= 1e-12 * uu * vv:
        return None
    base = (math.fsum(u) * vv - math.fsum(v) * uv) / determinant
    slope = (math.fsum(v) * uu - math.fsum(u) * uv) / determinant / unit
    return Line(kind=fit, base_s=base, s_per_mac=slope, points=count) if slope > 0 else None


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, equal values sharing the mean of their ranks.

    Returns:
        None for fewer than ``FEWEST_FOR_RANKS`` pairs, and where all values of a side are equal.
    """
    if len(a) < FEWEST_FOR_RANKS:
        return None
    x, y = _ranks(a), _ranks(b)
    middle = (len(a) + 1) / 2
    xx = sum((r - middle) ** 2 for r in x)
    yy = sum((r - middle) ** 2 for r in y)
    if not xx or not yy:
        return None
    xy = sum((r - middle) * (s - middle) for r, s in zip(x, y, strict=True))
    return xy / math.sqrt(xx * yy)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first: dict[float, int] = {}
    many: dict[float, int] = {}
    for place, value in enumerate(ordered, start=1):
        first.setdefault(value, place)
        many[value] = many.get(value, 0) + 1
    return [first[value] + (many[value] - 1) / 2 for value in values]
