"""Points of accuracy against cost, the Pareto front as a step line."""

from __future__ import annotations

from itertools import chain

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.label_column import height_in, name_points
from flopbench.present.draw.parts import tick_text
from flopbench.present.draw.style import FAINT, INK, Style, chosen_style, look
from flopbench.present.figures.tradeoff import Tradeoff
from flopbench.present.figures.tradeoff_points import TradeoffPoint

ASPECT, HIGHEST_IN = 0.74, 3.4
"""Height over width, and the greatest height that points need, inches; names may need more."""
MARGIN = 0.1
"""Free space at each end, as a share of the points' range."""
LEAST_PERCENT, LEAST_FACTOR = 1.0, 1.15
"""The axes extend at least this far from a single point: percent, and a factor of cost."""
FRONT_PT = 3.2
"""Width of the front: a band, to be visible on both sides of intervals drawn along it."""
TICKS = 6
"""The most of an axis that is not logarithmic."""


def tradeoff_drawing(tradeoff: Tradeoff) -> Drawing:
    """Return points, ready to be drawn."""
    points = tradeoff.points

    def draw(ax: Axes) -> None:
        if tradeoff.log_scale:
            ax.set_xscale("log")
        _set_limits(tradeoff, ax)
        _draw_front(tradeoff, ax)
        for point in points:
            _draw_point(point, ax)
        gflops = tradeoff.cost == "gflops"
        ax.set_xlabel(
            "cost (GFLOPS/video = GMACs/video)" if gflops else "time (ms/video, measured)"
        )
        ax.set_ylabel("mAP (%)" if tradeoff.metric == "mAP" else "top-1 accuracy (%)")
        ax.grid(visible=True)
        places = [(point.cost, point.percent) for point in points]
        name_points(
            ax, places, [p.name for p in points], chosen_style(ax), legend=_legend(tradeoff)
        )

    def height(style: Style) -> float:
        lowest = min(ASPECT * style.width_in, HIGHEST_IN)
        return max(lowest, height_in(len(points), _legend(tradeoff), style))

    return Drawing(data=tradeoff, draw=draw, height_in=height)


def _legend(tradeoff: Tradeoff) -> list[tuple[Artist, str]]:
    """Return the front, and the marks that there are."""
    front = Line2D([], [], color=FAINT, linewidth=FRONT_PT, solid_capstyle="butt")
    entries: list[tuple[Artist, str]] = [(front, "Pareto front")]
    for published in sorted({point.published for point in tradeoff.points}):
        text = "as published" if published else "from a log"
        entries.append((_mark([], [], published=published), text))
    return entries


def _mark(x: list[float], y: list[float], *, published: bool) -> Line2D:
    return Line2D(
        x,
        y,
        linestyle="none",
        marker="s" if published else look(0).marker,
        markerfacecolor="white" if published else look(0).color,
        markeredgecolor=INK,
        markeredgewidth=0.6,
        clip_on=False,
        zorder=3,
    )


def _draw_front(tradeoff: Tradeoff, ax: Axes) -> None:
    front = [(point.cost, point.percent) for point in tradeoff.front]
    ax.step(
        [*(x for x, _ in front), ax.get_xlim()[1]],
        [*(y for _, y in front), front[-1][1]],
        where="post",
        color=FAINT,
        linewidth=FRONT_PT,
        solid_capstyle="butt",
        solid_joinstyle="miter",
        zorder=1.5,
    )


def _draw_point(point: TradeoffPoint, ax: Axes) -> None:
    """Draw a point with its intervals; one that reaches 0 ends at a logarithmic axis's edge."""
    x, y = point.cost, point.percent
    bars = []
    if point.cost_ends is not None:
        low, high = point.cost_ends
        bars.append(([max(low, ax.get_xlim()[0]), high], [y, y], "|"))
    if point.percent_ends is not None:
        bars.append(([x, x], list(point.percent_ends), "_"))
    for xs, ys, end in bars:
        ax.plot(
            xs,
            ys,
            color=INK if point.published else look(0).color,
            linewidth=0.8,
            solid_capstyle="butt",
            marker=end,
            markersize=3,
            markeredgewidth=0.8,
            zorder=2.5,
        )
    ax.add_line(_mark([x], [y], published=point.published))


def _set_limits(tradeoff: Tradeoff, ax: Axes) -> None:
    points = tradeoff.points
    percents = list(chain.from_iterable((p.percent, *(p.percent_ends or ())) for p in points))
    low, high = min(percents), max(percents)
    room = max(MARGIN * (high - low), LEAST_PERCENT)
    ax.set_ylim(max(low - room, 0), min(high + room, 100))
    ax.yaxis.set_major_locator(MaxNLocator(TICKS))
    costs = [point.cost for point in points]
    costs += [end for point in points for end in point.cost_ends or () if end > 0]
    low, high = min(costs), max(costs)
    if tradeoff.log_scale:
        factor = max((high / low) ** MARGIN, LEAST_FACTOR)
        ax.set_xlim(low / factor, high * factor)
        return
    room = max(MARGIN * (high - low), (LEAST_FACTOR - 1) * high) or 1.0
    ax.set_xlim(max(low - room, 0), high + room)
    ax.xaxis.set_major_locator(MaxNLocator(TICKS))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
