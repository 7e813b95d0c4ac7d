"""Where the bars of a distribution stand: at each cost if there are few, else in bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

FEW_COSTS = 12
"""At most this many different costs, as of early exits, are bars instead of a histogram's bins."""
MOST_BARS = 24
"""More bars side by side, of all runs, would be narrower than a line in a column."""
MANY = 1000
"""Costs that differ at all; so many are not few, however they are rounded."""
MOST_BINS = 60
"""More bins would be narrower than a line in a column."""
NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Widths of bins are one of these, times a power of ten."""


def few_costs(costs: Sequence[Any]) -> tuple[float, ...]:
    """Return the different costs of all runs, ascending; empty where there are many.

    Each run has (n,) ascending numbers. They are few if each occurs twice or more on average, so
    that a histogram would only blur them.
    """
    import numpy as np

    found = np.unique(np.concatenate([np.unique(own) for own in costs]))
    if len(found) > MANY:
        return ()
    # Twelve digits: sums of the same prices in another order are the same cost.
    values = tuple(sorted({float(f"{cost:.12g}") for cost in found}))
    enough = len(values) == 1 or 2 * len(values) <= min(len(own) for own in costs)
    most = min(FEW_COSTS, MOST_BARS // len(costs))
    return values if enough and len(values) <= most else ()


def shared_bins(costs: Sequence[Any]) -> tuple[list[float], float, str]:
    """Return shared edges, their spacing, and the rule that gave it, of (n,) ascending costs a run.

    Freedman and Diaconis (1981): twice the interquartile range over the cube root of the number of
    values; the narrowest of all runs', rounded to a number that reads well.
    """
    import numpy as np

    least = min(float(own[0]) for own in costs)
    most = max(float(own[-1]) for own in costs)
    widths = []
    for own in costs:
        low, high = np.quantile(own, [0.25, 0.75])
        if high > low:
            widths.append(2 * float(high - low) / len(own) ** (1 / 3))
    rule = "Freedman and Diaconis's rule, rounded"
    if not widths:
        widths = [(most - least) / 20]
        rule = "a twentieth of the range, rounded, as half of the costs are the same"
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
    # Twelve digits: 0.3, not 0.30000000000000004; so an edge may move past a cost that equals it.
    edges = [float(f"{(first + i) * width:.12g}") for i in range(-1, count + 2)]
    start = 0 if edges[1] > least else 1
    stop = len(edges) if edges[-2] <= most else len(edges) - 1
    return edges[start:stop], width


def nice(width: float, *, up: bool = False) -> float:
    """Return the nearest of ``NICE`` times a power of ten; ``up``: the least that is as wide."""
    power = 10.0 ** math.floor(math.log10(width))
    if up:
        step = next((n for n in NICE if n * power >= width * (1 - 1e-9)), NICE[-1])
    else:
        step = min(NICE, key=lambda n: abs(math.log(n * power / width)))
    return float(f"{step * power:.12g}")
