"""Bins of histograms that runs share.

Lives here: that rule. Does not live here: what is counted in them (``cost``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MOST_BINS = 60
"""More bins than this are narrower than a line in a column."""
NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Widths of bins are one of these, times a power of ten."""


def shared_bins(costs: Sequence[Any]) -> tuple[list[float], float, str]:
    """Return shared edges, their distance, and the rule that gave it.

    Freedman and Diaconis (1981): twice the interquartile range over the cube root of the number
    of values; the narrowest of all runs', rounded to a number that reads well.

    Args:
        costs: (n,) ascending numbers of each run, 0 or more.
    """
    import numpy as np

    least = min(float(own[0]) for own in costs)
    most = max(float(own[-1]) for own in costs)
    if most == least:
        width = nice(most / 10) if most else 1.0
        low = max(most - width / 2, 0.0)
        return [low, low + width], width, "all videos cost the same"
    widths = []
    for own in costs:
        low, high = np.quantile(own, [0.25, 0.75])
        if high > low:
            widths.append(2 * float(high - low) / len(own) ** (1 / 3))
    rule = "Freedman and Diaconis's rule, rounded"
    if not widths:
        widths = [(most - least) / 20]
        rule = "a twentieth of the range, rounded, as half of the videos cost the same"
    elif len(costs) > 1:
        rule = f"{rule}; the narrowest of the runs' widths"
    width = nice(min(widths))
    if (most - least) / width > MOST_BINS - 1:
        width = nice((most - least) / (MOST_BINS - 1), up=True)
        rule = f"as narrow as {MOST_BINS} bins over the range allow; {rule} asks for narrower ones"
    return *_edges(least, most, width), rule


def _edges(least: float, most: float, width: float) -> tuple[list[float], float]:
    """Return edges at whole multiples of the width; the last is above all costs."""
    first = math.floor(least / width)
    count = math.floor(most / width) - first + 1
    # Twelve digits: 0.3, not 0.30000000000000004; so an edge may move past a cost that lies on it.
    edges = [float(f"{(first + i) * width:.12g}") for i in range(-1, count + 2)]
    start = 0 if edges[1] > least else 1
    stop = len(edges) if edges[-2] <= most else len(edges) - 1
    return edges[start:stop], width


def nice(width: float, *, up: bool = False) -> float:
    """Return a width that reads well: the nearest of ``NICE`` times a power of ten.

    Args:
        width: above 0.
        up: the least that is no narrower, instead of the nearest.
    """
    power = 10.0 ** math.floor(math.log10(width))
    if up:
        step = next((n for n in NICE if n * power >= width * (1 - 1e-9)), NICE[-1])
    else:
        step = min(NICE, key=lambda n: abs(math.log(n * power / width)))
    return float(f"{step * power:.12g}")
