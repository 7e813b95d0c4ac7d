"""Bars of how often each action was chosen: one group an action, one bar a run.

Lives here: the drawing. Does not live here: the shares (``figures.usage``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from flopbench.figures.usage import Usage
from flopbench.plots.drawing import Drawing
from flopbench.plots.style import INK, Style, chosen_style, look
from flopbench.plots.text import plain, shortened

GROUP = 0.82
"""Of the distance between two actions, what their bars take."""
ROOM_FOR_VALUE = 1.25
"""The axis reaches this many times as far as the longest bar, for the value at its end."""
FEWEST_LINES = 3.0
"""Lines that the axes are high at least: the name of the axis needs them."""
NAMES_TAKE = 0.45
"""Of a figure's width, what names beside its axes may take."""
BESIDE_LEGEND_IN = 0.45
"""What a legend takes beside its text: the key, and space."""


def usage_drawing(usage: Usage) -> Drawing:
    """Return usage, ready to be drawn."""
    return Drawing(
        data=usage,
        draw=lambda ax: draw_usage(usage, ax),
        height_in=lambda style: usage_height_in(usage, style),
    )


def usage_height_in(usage: Usage, style: Style) -> float:
    """Return the height that all bars need, inches."""
    several = len(usage.runs) > 1
    lines = len(usage.actions) * max(1.3, len(usage.runs) * 0.95 + 0.3)
    return style.inches(max(lines, FEWEST_LINES) + 3.2 + (len(usage.runs) if several else 0))


def draw_usage(usage: Usage, ax: Axes) -> None:
    """Draw the bars, the first action on top."""
    style = chosen_style(ax)
    thick = GROUP / len(usage.runs)
    longest = 0.0
    handles = []
    for n, run in enumerate(usage.runs):
        shares = [usage.bar(run, action) for action in usage.actions]
        places = [i + (n - (len(usage.runs) - 1) / 2) * thick for i in range(len(shares))]
        bars = [(p, 100 * s) for p, s in zip(places, shares, strict=True) if s is not None]
        own = look(n)
        handles.append(
            ax.barh(
                [place for place, _ in bars],
                [length for _, length in bars],
                height=thick * 0.92,
                color=own.color,
                hatch=own.hatch,
                edgecolor=INK,
            )
        )
        for place, share in zip(places, shares, strict=True):
            _value(ax, style, place, share)
        longest = max([longest, *(length for _, length in bars)])
    names = [
        fitting(action, NAMES_TAKE * style.width_in, style.small_pt) for action in usage.actions
    ]
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(usage.actions) - 0.45, -0.55)
    ax.set_xlim(0, (longest or 1) * ROOM_FOR_VALUE)
    if longest * ROOM_FOR_VALUE > 100:
        # There is room above 100 %, but no share.
        ax.set_xticks(range(0, 101, 20))
    ax.set_xlabel(plain(usage.label))
    ax.set_ylabel("action")
    for i, (above, below) in enumerate(zip(usage.wholes, usage.wholes[1:], strict=False)):
        if above != below:
            ax.axhline(i + 0.5, color=INK, linewidth=0.6)
    if len(usage.runs) > 1:
        legend_above(ax, handles, [run.name for run in usage.runs], style)


def _value(ax: Axes, style: Style, place: float, share: float | None) -> None:
    """Write a bar's length at its end; a dash where there is no bar."""
    ax.annotate(
        "–" if share is None else percent_text(share),
        (100 * (share or 0.0), place),
        xytext=(2, 0),
        textcoords="offset points",
        va="center" if share is None else "center_baseline",
        fontsize=style.small_pt,
    )


def percent_text(share: float) -> str:
    """Return a share in percent, one decimal; nothing rounds to nought or to all."""
    if 0 < share < 0.0005:
        return "< 0.1"
    if 0.9995 <= share < 1:
        return "> 99.9"
    return f"{100 * share:.1f}" if share else "0"


def fitting(text: str, width_in: float, size_pt: float) -> str:
    """Return text that comes from a log, safe to draw, its middle left out where it is too long.

    Args:
        text: any.
        width_in: what it may take, inches.
        size_pt: of the font.
    """
    length, low = len(text), 3
    if drawn_width_in(text, size_pt) <= width_in:
        return plain(text)
    while length - low > 1:
        middle = (low + length) // 2
        if drawn_width_in(shortened(text, middle), size_pt) <= width_in:
            low = middle
        else:
            length = middle
    return plain(shortened(text, low))


def drawn_width_in(text: str, size_pt: float) -> float:
    """Return how wide a text will be drawn in the font in force, inches."""
    shown = plain(text).replace(r"\$", "$")
    with warnings.catch_warnings():
        # Letters that no font has are warned of when the figure is drawn.
        warnings.simplefilter("ignore")
        size = FontProperties(size=size_pt)
        width, _, _ = text_to_path.get_text_width_height_descent(shown, size, ismath=False)
    return float(width) / 72


def legend_above(ax: Axes, handles: Sequence[Any], names: Sequence[str], style: Style) -> None:
    """Put a legend above the axes, a line each: names may be long, and come from a log.

    Names that are longer than the axes are wide reach to the left of them.
    """
    shown = [fitting(n, style.width_in - BESIDE_LEGEND_IN, style.small_pt) for n in names]
    # matplotlib leaves out what begins with an underscore.
    shown = [f" {name}" if name.startswith("_") else name for name in shown]
    widest = max(drawn_width_in(name, style.small_pt) for name in names)
    short = widest + BESIDE_LEGEND_IN < style.width_in / 2
    ax.legend(
        handles,
        shown,
        loc="lower left" if short else "lower right",
        bbox_to_anchor=(0 if short else 1, 1.0),
        ncols=1,
    )
