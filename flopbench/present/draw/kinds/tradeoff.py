"""Points of accuracy against cost, alone or as a line, and the Pareto front as a thin step line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from msgspec.structs import replace

from flopbench.core.units import GIGA
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import height_in, name_points
from flopbench.present.draw.parts import tick_text
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.figures.tradeoff_costs import Cost
from flopbench.present.figures.tradeoff_data import Tradeoff
from flopbench.present.figures.tradeoff_points import TradeoffPoint

ASPECT, HIGHEST_IN = 0.74, 3.4
"""Height over width, and the greatest height that points need, inches; names may need more."""
MARGIN = 0.1
"""Free space at each end, as a share of the points' range."""
LEAST_PERCENT, LEAST_FACTOR = 1.0, 1.15
"""The axes extend at least this far from a single point: percent, and a factor of cost."""
TICKS = 6
"""The most of an axis that is not logarithmic."""
LABELS: dict[Cost, str] = {
    "gflops": "cost ({unit}FLOPS/{words.sample} = {unit}MACs/{words.sample})",
    "ms": "time (ms/{words.sample}, {clocks})",
    "frames": "processed {words.steps} per {words.sample}",
    "params": "parameters (M)",
}
FRONT: dict[str, Any] = {"color": "#777777", "linewidth": 0.8}
REFERENCE: dict[str, Any] = {"color": "#777777", "linewidth": 0.6, "linestyle": (0, (6, 3))}
OWN = Look(color=look(0).color, hatch="", marker=look(0).marker, dash="none")
OTHER = Look(color=INK, hatch="", marker="h", dash="none")
"""Points without a series: filled ones, and hollow ones beside them."""


def tradeoff_drawing(tradeoff: Tradeoff) -> Drawing:
    """Return points, ready to be drawn."""
    data, unit, tradeoff = tradeoff, tradeoff.scale.prefix, _in_unit(tradeoff)
    points = tradeoff.points
    below = [tradeoff.against(point) for point in points]

    def draw(ax: Axes) -> None:
        if tradeoff.log_scale:
            ax.set_xscale("log")
        _set_limits(tradeoff, ax)
        _draw_reference(tradeoff, ax)
        if tradeoff.show_front:
            at = [(point.cost, point.percent) for point in tradeoff.front]
            ax.step([x for x, _ in at], [y for _, y in at], where="post", zorder=1.8, **FRONT)
        for own, members in _groups(tradeoff):
            if own.dash != "none":
                xs, ys = [p.cost for p in members], [p.percent for p in members]
                ax.plot(xs, ys, color=own.color, linestyle=own.dash, linewidth=1.0, zorder=2.2)
            for point in members:
                _draw_point(point, own, tradeoff.mixed, ax)
        label = LABELS[tradeoff.cost]
        ax.set_xlabel(label.format(words=tradeoff.words, unit=unit, clocks=tradeoff.clocks))
        ax.set_ylabel("mAP (%)" if tradeoff.metric == "mAP" else "top-1 accuracy (%)")
        ax.grid(visible=True)
        name_points(
            ax,
            [(point.cost, point.percent) for point in points],
            [tradeoff.label(point) for point in points],
            chosen_style(ax),
            legend=_legend(tradeoff),
            below=below,
        )

    def height(style: Style) -> float:
        lowest = min(ASPECT * style.width_in, HIGHEST_IN)
        lines = len(points) + sum(map(bool, below))
        return max(lowest, height_in(lines, _legend(tradeoff), style))

    return Drawing(data=data, draw=draw, height_in=height)


def _in_unit(tradeoff: Tradeoff) -> Tradeoff:
    """Return points with costs in the unit of the axis."""
    factor = GIGA / tradeoff.scale.divisor

    def scaled(point: TradeoffPoint) -> TradeoffPoint:
        ends = point.cost_ends
        ends = None if ends is None else (factor * ends[0], factor * ends[1])
        return replace(point, cost=factor * point.cost, cost_ends=ends)

    return replace(tradeoff, points=tuple(map(scaled, tradeoff.points)))


def _groups(tradeoff: Tradeoff) -> Iterator[tuple[Look, list[TradeoffPoint]]]:
    """Return how each series looks, and its points; so too for the points without a series."""
    loose = [point for point in tradeoff.points if not point.series]
    hollow = [point for point in loose if tradeoff.mixed and not point.own]
    filled = [point for point in loose if point not in hollow]
    if filled:
        yield OWN, filled
    for n, members in enumerate(tradeoff.series.values(), start=bool(filled)):
        yield look(n), members
    if hollow:
        yield OTHER, hollow


def _legend(tradeoff: Tradeoff) -> list[tuple[Artist, str]]:
    """Return the series, the points without one, the front and the reference."""
    ours, others = ("ours", "others") if tradeoff.own_named else ("our evaluation", "as reported")
    entries: list[tuple[Artist, str]] = []
    for own, members in _groups(tradeoff):
        key = _mark([], [], own, hollow=tradeoff.mixed and not members[0].own)
        if members[0].series:
            key.set(linestyle=own.dash if members[1:] else "none", color=own.color, linewidth=1.0)
            entries.append((key, members[0].series))
        elif tradeoff.mixed:
            entries.append((key, others if own is OTHER else ours))
    if tradeoff.show_front and len(tradeoff.front) > 1:
        entries.append((Line2D([], [], **FRONT), "Pareto front"))
    if tradeoff.reference:
        entries.append((Line2D([], [], **REFERENCE), f"reference: {tradeoff.reference}"))
    return entries


def _mark(x: list[float], y: list[float], own: Look, *, hollow: bool) -> Line2D:
    return Line2D(
        x,
        y,
        linestyle="none",
        marker=own.marker,
        markerfacecolor="white" if hollow else own.color,
        markeredgecolor=own.color if hollow else INK,
        markeredgewidth=0.9 if hollow else 0.6,
        clip_on=False,
        zorder=3,
    )


def _draw_reference(tradeoff: Tradeoff, ax: Axes) -> None:
    for point in tradeoff.points:
        if point.name == tradeoff.reference:
            ax.axvline(point.cost, zorder=1.6, **REFERENCE)
            ax.axhline(point.percent, zorder=1.6, **REFERENCE)


def _draw_point(point: TradeoffPoint, own: Look, mixed: bool, ax: Axes) -> None:
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
            color=own.color,
            linewidth=0.8,
            solid_capstyle="butt",
            marker=end,
            markersize=3,
            markeredgewidth=0.8,
            zorder=2.5,
        )
    ax.add_line(_mark([x], [y], own, hollow=mixed and not point.own))


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
