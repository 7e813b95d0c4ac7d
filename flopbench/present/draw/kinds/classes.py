"""Dots of both ratios, one row per class, with 95 % intervals."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.kinds.usage import FEWEST_LINES, NAMES_TAKE
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import FAINT, INK, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names, plain_text
from flopbench.present.figures.classes import Classes, ratio_in

NAMELESS = "(empty name)"
APART = 0.16
"""Half the distance between the two dots of a row, in rows."""


def classes_drawing(classes: Classes) -> Drawing:
    """Return classes, ready to be drawn."""
    return Drawing(
        data=classes,
        draw=lambda ax: draw_classes(classes, ax),
        height_in=lambda style: classes_height_in(classes, style),
    )


def classes_height_in(classes: Classes, style: Style) -> float:
    """Return the height that all rows need, inches."""
    rows = len(classes.classes) * 1.35
    legend = legend_lines(_keys(classes), style)
    return style.inches(max(rows, 2 * FEWEST_LINES) + 3.6 + legend)


def _keys(classes: Classes) -> list[str]:
    """Return the legend's texts."""
    return [*classes.series, "the whole run"]


def draw_classes(classes: Classes, ax: Axes) -> None:
    """Draw the dots, the first class on top."""
    style = chosen_style(ax)
    rows = len(classes.classes)
    several = len(classes.series) > 1
    handles = []
    for n, series in enumerate(classes.series):
        own = look(n)
        shift = (2 * n - 1) * APART if several else 0.0
        known = [(i, r) for i, c in enumerate(classes.classes) if (r := ratio_in(c, series))]
        for i, ratio in known:
            if ratio.low is not None and ratio.high is not None:
                ends = [100 * ratio.low, 100 * ratio.high]
                ax.plot(ends, [i + shift] * 2, color=own.color, clip_on=False, linewidth=1.0)
        handles += ax.plot(
            [100 * ratio.share for _, ratio in known],
            [i + shift for i, _ in known],
            linestyle="none",
            marker=own.marker,
            color=own.color,
            markeredgecolor=INK,
            markeredgewidth=0.4,
            clip_on=False,
            zorder=3,
        )
        whole = ratio_in(classes.whole, series)
        if whole is not None:
            at = 100 * whole.share
            ax.axvline(at, color=own.color, linestyle="--", linewidth=0.9, zorder=1)
            # The marker on top of the line distinguishes the two without colour.
            ax.plot([at], [-0.75], color=own.color, marker=own.marker, clip_on=False, zorder=3)
    ax.hlines(range(rows), 0, 100, color=FAINT, linewidth=0.4, zorder=0)
    _axes(classes, ax, style)
    handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=0.9))
    legend_above(ax, handles, _keys(classes), style)


def _axes(classes: Classes, ax: Axes, style: Style) -> None:
    many = [f" ({one.videos:,})" for one in classes.classes]
    short = fitting_names(
        [one.name or NAMELESS for one in classes.classes],
        NAMES_TAKE * style.width_in,
        style.small_pt,
        many,
    )
    names = [plain_text(name + count) for name, count in zip(short, many, strict=True)]
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.45, -0.75)
    ax.set_xlim(0, 100)
    ax.set_xlabel("share of frames (%)")
    ax.set_ylabel("class (number of videos)")
