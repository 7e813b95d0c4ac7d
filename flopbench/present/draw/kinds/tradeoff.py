"""Points of accuracy against cost, the Pareto front as a step line."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.labels import fitted, label_points, lay_out, width_px
from flopbench.present.draw.placing import LabelledPoints
from flopbench.present.draw.style import FAINT, INK, Style, chosen_style, look
from flopbench.present.draw.text import plain_text
from flopbench.present.figures.tradeoff import Tradeoff
from flopbench.present.figures.tradeoff_points import TradeoffPoint

ASPECT, HIGHEST_IN = 0.74, 3.4
"""Height over width, and the greatest height, inches."""
HIGHER = (1.0, 1.3, 1.7)
"""A figure whose labels do not fit is tried at these heights before numbers replace the labels."""
MARGIN = 0.1
"""Free space at each end, as a share of the points' range."""
LEAST_PERCENT, LEAST_FACTOR = 1.0, 1.15
"""The axes extend at least this far from a single point: percent, and a factor of cost."""
KEY_SHARE = 1.25
"""Largest share of the axes' width for a key in several columns."""
LEGEND_EM = 22.0
"""Width of a legend in one line, in sizes of small text; on narrower axes it has three lines."""
FRONT_PT = 3.2
"""Width of the front: a band, to be visible on both sides of intervals drawn along it."""
NARROW, WIDE = 6.0, 900.0
"""Ratio of the axis's ends: below the first, ticks at round numbers; above the second, only at
powers of ten."""


def tradeoff_drawing(tradeoff: Tradeoff) -> Drawing:
    """Return points, ready to be drawn."""
    return Drawing(
        data=tradeoff,
        draw=lambda ax: draw_tradeoff(tradeoff, ax),
        height_in=lambda style: tradeoff_height_in(tradeoff, style),
    )


def tradeoff_height_in(tradeoff: Tradeoff, style: Style) -> float:
    """Return the height at which labels, or numbers and their key, have room, inches."""
    return _planned(tradeoff, style)[0]


def _lowest_in(style: Style) -> float:
    return min(ASPECT * style.width_in, HIGHEST_IN)


def _planned(tradeoff: Tradeoff, style: Style) -> tuple[float, bool]:
    """Return a figure's height, and whether numbers replace the names."""
    low = _lowest_in(style)
    for times in HIGHER:
        ax = Figure(figsize=(style.width_in, times * low)).subplots()
        if _whole(tradeoff, ax):
            return times * low, False
    rows = math.ceil(len(tradeoff.points) / _key(tradeoff, ax))
    return HIGHER[1] * low + style.inches(rows + 0.5), True


def draw_tradeoff(tradeoff: Tradeoff, ax: Axes) -> None:
    """Draw the points, the front and the labels; if these have no room, numbers and a key."""
    if _has_key(tradeoff, ax):
        _draw_marks(tradeoff, ax)  # the extra height is for the key
    elif _whole(tradeoff, ax):
        return
    _key(tradeoff, ax)
    at: dict[tuple[float, float], list[str]] = {}  # points in one place share a label
    for n, point in enumerate(tradeoff.points, 1):
        at.setdefault((point.cost, point.percent), []).append(str(n))
    around = replace(_around(tradeoff, ax), xy=np.array(list(at), float))
    label_points(ax, around, [", ".join(numbers) for numbers in at.values()], must=True)


def _has_key(tradeoff: Tradeoff, ax: Axes) -> bool:
    """Return whether a figure's height includes a key below the axes."""
    figure: Any = ax.get_figure(root=True)
    style = chosen_style(ax)
    height = figure.get_size_inches()[1]
    if len(figure.axes) > 1 or height <= HIGHER[-1] * _lowest_in(style):
        return False
    planned, numbered = _planned(tradeoff, style)
    return numbered and math.isclose(height, planned)


def _whole(tradeoff: Tradeoff, ax: Axes) -> bool:
    """Draw everything, but not the labels if they have no room; return whether they had."""
    _draw_marks(tradeoff, ax)
    return label_points(ax, _around(tradeoff, ax), [point.name for point in tradeoff.points])


def _draw_marks(tradeoff: Tradeoff, ax: Axes) -> None:
    if tradeoff.log_scale:
        ax.set_xscale("log")
    _set_limits(tradeoff, ax)
    right = ax.get_xlim()[1]
    front = [(point.cost, point.percent) for point in tradeoff.front]
    ax.step(
        [x for x, _ in front] + [right],
        [y for _, y in front] + [front[-1][1]],
        where="post",
        color=FAINT,
        linewidth=FRONT_PT,
        solid_capstyle="butt",
        solid_joinstyle="miter",
        zorder=1.5,
        label="Pareto front",
    )
    for published in (False, True):
        own = [point for point in tradeoff.points if point.published is published]
        for point in own:
            _draw_intervals(point, ax)
        if own:
            ax.plot(
                [point.cost for point in own],
                [point.percent for point in own],
                linestyle="none",
                marker="s" if published else look(0).marker,
                markerfacecolor="white" if published else look(0).color,
                markeredgecolor=INK,
                markeredgewidth=0.6,
                clip_on=False,
                zorder=3,
                label="as published" if published else "from a log",
            )
    ax.set_xlabel(_cost_label(tradeoff))
    ax.set_ylabel("mAP (%)" if tradeoff.metric == "mAP" else "top-1 accuracy (%)")
    ax.grid(visible=True)
    _add_legend(ax)


def _add_legend(ax: Axes) -> None:
    """Say what the marks are, above the axes, where no point is.

    It ends where the axes end: one that reached further right would push them away at each layout.
    """
    figure: Any = ax.get_figure(root=True)
    room_em = ax.get_window_extent().width / figure.dpi * 72 / chosen_style(ax).small_pt
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3 if room_em > LEGEND_EM else 1,
        handletextpad=0.4,
    )


def _cost_label(tradeoff: Tradeoff) -> str:
    if tradeoff.cost == "gflops":
        return "cost (GFLOPS/video = GMACs/video)"
    return "time (ms/video, measured)"


def _draw_intervals(point: TradeoffPoint, ax: Axes) -> None:
    color = INK if point.published else look(0).color
    for ends in _interval_lines(point, ax):
        ax.plot(
            ends[::2],
            ends[1::2],
            color=color,
            linewidth=0.8,
            solid_capstyle="butt",
            marker="|" if ends[1] == ends[3] else "_",
            markersize=3,
            markeredgewidth=0.8,
            zorder=2.5,
        )


def _interval_lines(point: TradeoffPoint, ax: Axes) -> list[tuple[float, float, float, float]]:
    """Return the bars of a point as segments; one that reaches 0 ends at a log axis's edge."""
    lines = []
    if point.cost_ends is not None:
        low, high = point.cost_ends
        lines.append((max(low, ax.get_xlim()[0]), point.percent, high, point.percent))
    if point.percent_ends is not None:
        lines.append((point.cost, point.percent_ends[0], point.cost, point.percent_ends[1]))
    return lines


def _set_limits(tradeoff: Tradeoff, ax: Axes) -> None:
    costs = [point.cost for point in tradeoff.points]
    costs += [end for s in tradeoff.points for end in s.cost_ends or () if end > 0]
    percents = [point.percent for point in tradeoff.points]
    percents += [end for s in tradeoff.points for end in s.percent_ends or ()]
    low, high = min(percents), max(percents)
    room = max(MARGIN * (high - low), LEAST_PERCENT)
    ax.set_ylim(max(low - room, 0), min(high + room, 100))
    low, high = min(costs), max(costs)
    if not tradeoff.log_scale:
        room = max(MARGIN * (high - low), (LEAST_FACTOR - 1) * high) or 1.0
        ax.set_xlim(max(low - room, 0), high + room)
        ax.xaxis.set_major_locator(MaxNLocator(6))
    else:
        factor = max((high / low) ** MARGIN, LEAST_FACTOR)
        ax.set_xlim(low / factor, high * factor)
        ax.xaxis.set_major_locator(_log_ticks(high * factor / (low / factor)))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.yaxis.set_major_locator(MaxNLocator(6))


def _log_ticks(ratio: float) -> Any:
    if ratio < NARROW:
        return MaxNLocator(5)
    return LogLocator(subs=(1.0,) if ratio > WIDE else (1.0, 2.0, 5.0), numticks=9)


def number(value: float) -> str:
    """Print a tick as a plain number, at most 10 digits; otherwise with an exponent."""
    return f"{value:,.10g}" if value == 0 or 1e-4 <= abs(value) < 1e10 else f"{value:g}"


def _around(tradeoff: Tradeoff, ax: Axes) -> LabelledPoints:
    """Return the points, and what their labels should not cover."""
    lines = [line for point in tradeoff.points for line in _interval_lines(point, ax)]
    # An end is the worst part of an interval to cover: it counts separately.
    lines += [end * 2 for line in lines for end in (line[:2], line[2:])]
    front = [(point.cost, point.percent) for point in tradeoff.front]
    front.append((ax.get_xlim()[1], front[-1][1]))
    for (x0, y0), (x1, y1) in pairwise(front):
        lines += [(x0, y0, x1, y0), (x1, y0, x1, y1)]
    xy = [(point.cost, point.percent) for point in tradeoff.points]
    return LabelledPoints(
        xy=np.array(xy, float),
        lines=np.array(lines, float).reshape(-1, 4),
        radius=mpl.rcParams["lines.markersize"] / 2,
    )


def _key(tradeoff: Tradeoff, ax: Axes) -> int:
    """Write what the numbers mean below the axes; return the number of columns."""
    style = chosen_style(ax)
    figure: Any = ax.get_figure(root=True)
    lay_out(ax)
    around = ax.get_window_extent()
    width = min(around.x1, KEY_SHARE * around.width)  # also below the ticks of the other axis
    em = style.small_pt * figure.dpi / 72
    entries = [
        fitted(ax, f"{n}  {point.name}", style.small_pt, width - em)
        for n, point in enumerate(tradeoff.points, 1)
    ]
    widest = max(width_px(ax, text, style.small_pt) for text in entries)
    columns = max(1, min(len(entries), int(width / (widest + 1.2 * em))))
    above = ax.get_legend()
    below = -(3.2 * style.small_pt + 0.6 * style.text_pt) / 72
    place = ax.transAxes + ScaledTranslation(0, below, figure.dpi_scale_trans)
    ax.legend(
        [Line2D([], [], linestyle="none", color=FAINT) for _ in entries],
        [plain_text(text) for text in entries],
        loc="upper left" if columns == 1 else "upper right",
        bbox_to_anchor=(0, 0) if columns == 1 else (1, 0),
        bbox_transform=place,
        ncols=columns,
        handlelength=0,
        handletextpad=0,
        borderpad=0,
    )
    if above is not None:
        ax.add_artist(above)
        above.set_clip_on(False)
    return columns
