"""Dots of both ratios, one row per class, with 95 % intervals."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.parts import NAMES_TAKE, name_rows
from flopbench.present.draw.style import FAINT, INK, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names
from flopbench.present.figures.classes import Classes, ratio_in

NAMELESS = "(empty name)"
APART = 0.16
"""Half the distance between the two dots of a row, in rows."""
FEWEST_LINES = 6.0
"""Minimum height of the axes, for their label, in lines."""


def classes_drawing(classes: Classes) -> Drawing:
    """Return classes, ready to be drawn."""
    rows = len(classes.classes)

    def draw(ax: Axes) -> None:
        style = chosen_style(ax)
        for n in range(len(classes.series)):
            _draw_series(ax, classes, n)
        ax.hlines(range(rows), 0, 100, color=FAINT, linewidth=0.4, zorder=0)
        many = [f" ({one.videos:,})" for one in classes.classes]
        names = [one.name or NAMELESS for one in classes.classes]
        short = fitting_names(names, NAMES_TAKE * style.width_in, style.small_pt, many)
        labels = [name + count for name, count in zip(short, many, strict=True)]
        name_rows(ax, range(rows), labels, "class (number of videos)", ends=(rows - 0.45, -0.75))
        ax.set_xlim(0, 100)
        ax.set_xlabel("share of frames (%)")
        legend_above(ax, _legend(classes), style)

    def height_in(style: Style) -> float:
        lines = max(1.35 * rows, FEWEST_LINES)
        return style.inches(lines + 3.6 + legend_lines(_legend(classes), style))

    return Drawing(data=classes, draw=draw, height_in=height_in)


def _legend(classes: Classes) -> list[tuple[Artist, str]]:
    dots = [(_dots(n, [], []), series) for n, series in enumerate(classes.series)]
    return [*dots, (Line2D([], [], color=INK, linestyle="--", linewidth=0.9), "the whole run")]


def _dots(n: int, x: list[float], y: list[float]) -> Line2D:
    own = look(n)
    return Line2D(
        x,
        y,
        linestyle="none",
        marker=own.marker,
        color=own.color,
        markeredgecolor=INK,
        markeredgewidth=0.4,
        clip_on=False,
        zorder=3,
    )


def _draw_series(ax: Axes, classes: Classes, n: int) -> None:
    """Draw one ratio: dots with their intervals, and a dashed line for the whole run."""
    series, own = classes.series[n], look(n)
    shift = (2 * n - 1) * APART if len(classes.series) > 1 else 0.0
    known = [(i + shift, r) for i, c in enumerate(classes.classes) if (r := ratio_in(c, series))]
    for y, ratio in known:
        if ratio.low is not None and ratio.high is not None:
            ends = [100 * ratio.low, 100 * ratio.high]
            ax.plot(ends, [y, y], color=own.color, clip_on=False, linewidth=1.0)
    ax.add_line(_dots(n, [100 * ratio.share for _, ratio in known], [y for y, _ in known]))
    whole = ratio_in(classes.whole, series)
    if whole is not None:
        at = 100 * whole.share
        ax.axvline(at, color=own.color, linestyle="--", linewidth=0.9, zorder=1)
        # The marker on top of the line distinguishes the two without colour.
        ax.plot([at], [-0.75], color=own.color, marker=own.marker, clip_on=False, zorder=3)
