"""What drawings of several kinds consist of: rows with names, bars, marks, notes, plain ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import BarContainer
from matplotlib.patches import Patch
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from flopbench.present.draw.style import INK, Look, Style, look
from flopbench.present.draw.text import plain_text, unwarned

NAMES_TAKE = 0.45
"""Largest share of a figure's width for names next to its axes."""
ON_GRID = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Background of text that is drawn over the grid."""

MARK_PT = 3.6
"""Size of a point that stands on bars and lines, which it must not hide."""
STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
"""Ticks within a decade, from many to few."""
INCHES_A_TICK = {"x": 0.28, "y": 0.25}
"""The least room for a tick."""
LEAST_TICKS, FEW_TICKS = 3, 5
"""Where a decade gives fewer than the first, rounded numbers, about as many as the second."""


def name_rows(
    ax: Axes,
    places: Sequence[float],
    names: Sequence[str],
    label: str,
    *,
    ends: tuple[float, float],
) -> None:
    """Name the rows of horizontal bars or dots; the axis goes from the one end to the other."""
    ax.set_yticks(places, [plain_text(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(*ends)
    ax.set_ylabel(label)


def bars(
    ax: Axes,
    places: Sequence[float],
    lengths: Sequence[float],
    own: Look,
    *,
    thick: float,
    left: Sequence[float] | float = 0.0,
) -> BarContainer:
    """Draw horizontal bars of one look."""
    return ax.barh(
        places, lengths, left=left, height=thick, color=own.color, hatch=own.hatch, edgecolor=INK
    )


def stacked_bar(
    ax: Axes, place: float, segments: Iterable[tuple[Look, float]], *, thick: float
) -> None:
    """Draw one horizontal bar of segments, (look, length) each, from 0 on."""
    start = 0.0
    for own, length in segments:
        if length:
            bars(ax, [place], [length], own, thick=thick, left=[start])
            start += length


def bar_key(own: Look) -> Patch:
    """Return a legend's key for bars."""
    return Patch(facecolor=own.color, hatch=own.hatch, edgecolor=INK)


def bar_keys(names: Iterable[str]) -> list[tuple[Artist, str]]:
    """Return a legend of bars, the looks in their order."""
    return [(bar_key(look(n)), name) for n, name in enumerate(names)]


def mark(ax: Axes, x: float, y: float, own: Look, *, filled: bool) -> None:
    """Draw one point, hollow where it is not ``filled``."""
    ax.plot(
        [x],
        [y],
        linestyle="none",
        marker=own.marker,
        markersize=MARK_PT,
        markerfacecolor=own.color if filled else "white",
        markeredgecolor=own.color,
        zorder=4,
    )


def note(
    ax: Axes,
    text: str,
    at: tuple[float, float],
    style: Style,
    *,
    gap_pt: float = 2.0,
    **options: Any,
) -> Annotation:
    """Write text to the right of a place, such as the end of a bar."""
    return ax.annotate(
        plain_text(text),
        at,
        xytext=(gap_pt, 0),
        textcoords="offset points",
        **{"va": "center", "fontsize": style.small_pt, **options},
    )


def laid_out(ax: Axes) -> tuple[float, float]:
    """Move axes to about where they will be drawn; return their width and height, inches."""
    figure: Any = ax.get_figure(root=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        with unwarned():
            engine.execute(figure)
    box = ax.get_window_extent()
    return float(box.width / figure.dpi), float(box.height / figure.dpi)


def plain_log_ticks(ax: Axes) -> None:
    """Put a few plain numbers on logarithmic axes: as many as fit their current size."""
    figure: Any = ax.get_figure(root=True)
    box = ax.get_window_extent()
    for axis, px in ((ax.xaxis, box.width), (ax.yaxis, box.height)):
        if axis.get_scale() == "log":
            most = int(float(px / figure.dpi) / INCHES_A_TICK[axis.axis_name])
            _put_ticks(axis, max(most, 2))


def _put_ticks(axis: Axis, most: int) -> None:
    low, high = sorted(axis.get_view_interval())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in STEPS:
        ticks = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(ticks) <= most:
            break
    if len(ticks) > most:
        ticks = ticks[:: math.ceil(len(ticks) / most)]
    if len(ticks) < LEAST_TICKS and high < 10 * low:
        rounded = MaxNLocator(min(most, FEW_TICKS)).tick_values(low, high)
        ticks = [float(value) for value in rounded if low <= value <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def tick_text(value: float) -> str:
    """Return a plain number of at most 10 digits, with an exponent where it has more."""
    return f"{value:,.10g}" if value == 0 or 1e-4 <= abs(value) < 1e10 else f"{value:g}"
