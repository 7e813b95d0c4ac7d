"""Names of points in a column to the right of the axes.

However close the points, their names keep their distance: they are in the order of the points from
top to bottom, move apart only as far as necessary, and a thin line leads to each point.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from flopbench.core.units import plain_number
from flopbench.present.draw.legend import legend_lines
from flopbench.present.draw.style import Style
from flopbench.present.draw.text import fitting_names, plain_text

LINE = 1.15
"""Distance of two names, in sizes of their text."""
LEAST_LINES = 17
"""Minimum height of the axes, in lines of small text."""
WIDEST = 0.5
"""Largest share of the figure's width for the column; longer names are shortened."""
ON_GRID = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Background of text that is drawn over the grid."""

LEADER = {
    "arrowstyle": "-",
    "color": "#777777",
    "linewidth": 0.6,
    "linestyle": (0, (1, 1.5)),
    "shrinkA": 1,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}
"""The line from a name to its point: dotted, to distinguish it from the grid."""


def height_in(names: int, legend: Sequence[str], style: Style) -> float:
    """Return the height that axes need next to a column of this many names, inches.

    Args:
        names: one a point.
        legend: the sentences above the axes.
        style: how large text is.
    """
    lines = max(LEAST_LINES, names * LINE / 1.25 + 1)
    return style.inches(lines + 3.5 + legend_lines(legend, style, sentences=True))


def write_label_column(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    style: Style,
    endings: Sequence[str] = (),
) -> None:
    """Write a name next to the axes for every point; lay the figure out with them.

    Args:
        ax: with its final limits and legend.
        points: where the lines lead, in data coordinates.
        names: one a point.
        style: in force.
        endings: what follows each name and is never shortened.
    """
    if not points:
        return
    laid_out(ax)
    ends = list(endings) or [""] * len(names)
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [float(to_axes.transform(point)[1]) for point in points]
    order = sorted(range(len(points)), key=lambda n: (heights[n], n))
    gap = min(LINE * style.small_pt / 72 / max(height_of(ax), 0.1), 1 / len(points))
    places = spread([heights[n] for n in order], gap)
    short = fitting_names(names, WIDEST * style.width_in, style.small_pt, ends)
    for n, place in zip(order, places, strict=True):
        ax.annotate(
            plain_text(short[n] + ends[n]),
            points[n],
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=style.small_pt,
            annotation_clip=False,
            arrowprops=LEADER,
            zorder=1.5,
        )
    laid_out(ax)


def laid_out(ax: Axes) -> None:
    """Move the axes to about where they will be drawn: only the layout runs."""
    figure: Any = ax.get_figure(root=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing letters are reported on saving
            engine.execute(figure)


def height_of(ax: Axes) -> float:
    """Return the height of axes as laid out, inches."""
    figure: Any = ax.get_figure(root=True)
    return float(ax.get_window_extent().height / figure.dpi)


def width_of(ax: Axes) -> float:
    """Return the width of axes as laid out, inches."""
    figure: Any = ax.get_figure(root=True)
    return float(ax.get_window_extent().width / figure.dpi)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights at least ``gap`` apart, within 0 and 1, by least squares.

    Args:
        heights: ascending.
        gap: smallest distance; at most 1 / the number of heights.
    """
    blocks: list[list[float]] = []  # [mean of (height - own offset in the block), count]
    for height in heights:
        blocks.append([height, 1])
        while len(blocks) > 1 and blocks[-2][0] + gap * blocks[-2][1] > blocks[-1][0]:
            start, count = blocks.pop()
            before, many = blocks[-1]
            total = many + count
            blocks[-1] = [(before * many + (start - gap * many) * count) / total, total]
    places = [start + gap * n for start, count in blocks for n in range(int(count))]
    low, high = gap / 2, 1 - gap / 2
    for n in range(len(places)):
        places[n] = max(places[n], low + gap * n)
    for n in reversed(range(len(places))):
        places[n] = min(places[n], high - gap * (len(places) - 1 - n))
    return places


STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Ticks within a decade, from many to few."""
INCHES_A_TICK = {"x": 0.28, "y": 0.25}
"""The least room for a tick."""


def plain_log_ticks(ax: Axes) -> None:
    """Put a few plain numbers on two logarithmic axes: as many as fit their current size."""
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
    """Return ticks of an axis that spans less than a step: rounded values inside it."""
    digits = 1 - math.floor(math.log10(high - low))
    inner = [low + (high - low) * share for share in (0.15, 0.5, 0.85)]
    return sorted({round(value, digits) for value in inner if low <= round(value, digits) <= high})
