"""Lines fitted to (MACs, seconds), and rank correlation.

The line is ``time = c · MACs``, fitted by least squares on the logarithms: c is the geometric mean
of time / MACs, so that a point's residual is a factor (1.8: takes 1.8 times as long as its MACs
predict) and no large model outweighs a small one. The affine line ``time = a + c · MACs`` minimises
the squares of (line − measured) / measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flopbench.core.units import FLOPS_PER_MAC, GIGA, ms, plain_number, rate

FitKind = Literal["proportional", "affine"]
FITS: tuple[FitKind, ...] = ("proportional", "affine")

FEWEST_FOR_FIT = {"proportional": 2, "affine": 3}
"""With fewer points a line passes through all of them and carries no information."""

FEWEST_FOR_RANKS = 5
"""Four points are in perfect order by chance once in 4! = 24 times, too often to be a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLine:
    """A fitted line: seconds at no MACs (0 for a proportional one), and its slope."""

    kind: FitKind
    base_s: float
    s_per_mac: float
    points: int

    def at(self, macs: float) -> float:
        """Return the line's seconds at this many MACs."""
        return self.base_s + self.s_per_mac * macs

    @property
    def text(self) -> str:
        """The line as a formula, with what its slope means."""
        slope = f"{plain_number(ms(self.s_per_mac * GIGA))} ms/GMAC"
        base = ""
        if self.kind == "affine":
            base = f"{plain_number(ms(self.base_s))} ms + "
        return f"{base}{slope} ({rate(FLOPS_PER_MAC / self.s_per_mac, 'FLOP')})"


def fitted_line(points: Sequence[tuple[int, float]], fit: FitKind) -> FittedLine | None:
    """Fit a line to (MACs, seconds), both positive.

    Returns:
        None for too few points, for points that all have the same MACs where the line has two
        parameters, and where the slope is not above 0.
    """
    count = len(points)
    if count < FEWEST_FOR_FIT[fit]:
        return None
    if fit == "proportional":
        slope = statistics.geometric_mean(seconds / macs for macs, seconds in points)
        return FittedLine(kind=fit, base_s=0.0, s_per_mac=slope, points=count)
    import numpy as np

    # Minimise the sum of ((a + c·m) / t − 1)²; MACs in units of their mean, so that both columns
    # have the same magnitude.
    macs, seconds = np.array(points, float).T
    unit = macs.mean()
    columns = np.stack([1 / seconds, macs / unit / seconds], axis=1)
    (base, slope), _, rank, _ = np.linalg.lstsq(columns, np.ones(count), rcond=1e-6)
    if rank < 2 or slope <= 0:
        return None
    return FittedLine(kind=fit, base_s=float(base), s_per_mac=float(slope / unit), points=count)


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, equal values sharing the mean of their ranks.

    Returns:
        None for fewer than ``FEWEST_FOR_RANKS`` pairs, and where all values of a side are equal.
    """
    if len(a) < FEWEST_FOR_RANKS:
        return None
    x, y = _ranks(a), _ranks(b)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return statistics.correlation(x, y)


def _ranks(values: Sequence[float]) -> list[float]:
    import numpy as np

    _, place, many = np.unique(np.array(values), return_inverse=True, return_counts=True)
    return [float(rank) for rank in (np.cumsum(many) - (many - 1) / 2)[place]]
