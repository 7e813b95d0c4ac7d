"""Ticks of logarithmic axes as plain numbers: 0.05, 0.1, 0.2, not powers of ten.

Lives here: that. Does not live here: labels of axes.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from flopbench.plots.aside import height_of, width_of
from flopbench.units import plain_number

STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Ticks within a decade, from many to few."""
INCHES_A_TICK = {"x": 0.28, "y": 0.25}
"""So much room does a tick get at least."""


def plain_log_ticks(ax: Axes) -> None:
    """Put a few plain numbers on two logarithmic axes: as many as fit into their size as it is."""
    for axis, inches in (("x", width_of(ax)), ("y", height_of(ax))):
        _put(ax.xaxis if axis == "x" else ax.yaxis, max(int(inches / INCHES_A_TICK[axis]), 2))


def _put(axis: Axis, most: int) -> None:
    low, high = sorted(axis.get_view_interval())
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    ticks: list[float] = []
    for steps in STEPS:
        ticks = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(ticks) <= most:
            break
    if len(ticks) > most:
        ticks = ticks[:: math.ceil(len(ticks) / most)]
    if len(ticks) < 2:
        ticks = _few(low, high)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(lambda value, _: plain_number(value))


def _few(low: float, high: float) -> list[float]:
    """Return ticks of an axis that spans less than a step: both digits that lie inside, rounded."""
    digits = 1 - math.floor(math.log10(high - low))
    inner = [low + (high - low) * share for share in (0.15, 0.5, 0.85)]
    return sorted({round(value, digits) for value in inner if low <= round(value, digits) <= high})
