"""A histogram or bars of the cost of a video, or its cumulative form; means are above it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory, offset_copy

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.parts import ON_GRID
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.figures.cost import Cost, CostsOfRun, four_digits

BAR = 0.7
"""Width of the bars at one cost, as a share of the least distance of costs."""
THINNEST, WIDEST = 0.012, 0.2
"""And its limits, as a share of the costs' range."""
TICK_TAKES = 0.15
"""Width of a tick's number, as a share of the costs' range."""
ABOVE_BARS = 1.15
"""The axis extends to this multiple of the highest bar, to fit the share above it."""
BODY_IN = 1.5
"""Height of the axes themselves, at 9 pt text."""
LANE = 1.1
"""Height of the lane of one run's mean above the axes, in lines of text."""
MEDIAN: dict[str, Any] = {"marker": "|", "color": INK, "markersize": 9, "markeredgewidth": 1.1}
"""How a median looks: a tick across the lane, visible even on top of the mean."""


def cost_drawing(cost: Cost) -> Drawing:
    """Return cost, ready to be drawn."""
    runs = cost.runs
    form = _draw_bars if cost.values else _draw_histogram if cost.edges else _draw_steps

    def draw(ax: Axes) -> None:
        style = chosen_style(ax)
        for n, run in enumerate(runs):
            form(ax, cost, run, n)
        for n, run in enumerate(runs):
            _draw_centre(ax, run, n, _lane(ax, style, len(runs) - 1 - n))
        ax.set_xlim(*_limits(cost))
        ax.set_ylim(0, 100 if cost.cumulative else None)
        if cost.values:
            _set_bars(ax, cost)
        one, many = cost.words.sample, cost.words.samples
        ax.set_xlabel(f"cost ({cost.unit}/{one} = {cost.scale.prefix}MACs/{one})")
        ax.set_ylabel(f"{many} up to this cost (%)" if cost.cumulative else f"share of {many} (%)")
        ax.grid(visible=True, axis="y")
        ax.set_axisbelow(True)
        lanes_pt = style.small_pt * LANE * 1.25 * (len(runs) + 0.3)
        legend_above(ax, _legend(cost), style, above_pt=lanes_pt)

    def height_in(style: Style) -> float:
        lines = 3.0 + LANE * (len(runs) + 0.5) + legend_lines(_legend(cost), style)
        return BODY_IN * style.text_pt / 9 + style.inches(lines)

    return Drawing(data=cost, draw=draw, height_in=height_in)


def _limits(cost: Cost) -> tuple[float, float]:
    if cost.edges:
        low, high = cost.edges[0], cost.edges[-1]
        reach = cost.width / 2  # bins at the edges are clear of the axis
        return max(low - reach, min(low, 0.0)), high + reach
    if cost.values:
        reach = 0.7 * _bar_width(cost)
        return cost.values[0] - reach, cost.values[-1] + reach
    least, most = min(run.least for run in cost.runs), max(run.most for run in cost.runs)
    reach = (most - least) / 30 or abs(most) / 10 or 1.0
    return max(least - reach, min(least, 0.0)), most + reach


def _bar_width(cost: Cost) -> float:
    """Return the width of the bars at one cost: those of two do not overlap."""
    low, high = cost.values[0], cost.values[-1]
    if low == high:
        return BAR * high or 1.0
    nearest = min(b - a for a, b in pairwise(cost.values))
    return min(max(BAR * nearest, THINNEST * (high - low)), WIDEST * (high - low))


def _set_bars(ax: Axes, cost: Cost) -> None:
    """Put ticks at the costs if there is room; shares above the bars of one run need some, too."""
    near = min((b - a for a, b in pairwise(cost.values)), default=math.inf)
    if near >= TICK_TAKES * (cost.values[-1] - cost.values[0]):
        ax.set_xticks(cost.values, [four_digits(value) for value in cost.values])
    if len(cost.runs) == 1:
        ax.set_ylim(0, ABOVE_BARS * 100 * max(cost.runs[0].shares))


def _draw_bars(ax: Axes, cost: Cost, run: CostsOfRun, n: int) -> None:
    """Draw one run's bars at its costs, beside those of the others, with their shares."""
    own, whole = look(n), _bar_width(cost)
    width = whole / len(cost.runs)
    at = [value - whole / 2 + (n + 0.5) * width for value in cost.values]
    shares = [100 * share for share in run.shares]
    ax.bar(at, shares, width=width, color=own.color, hatch=own.hatch, edgecolor=INK)
    if len(cost.runs) > 1:
        return
    for x, share in zip(at, shares, strict=True):
        ax.annotate(
            f"{share:.0f} %" if share >= 1 or not share else "< 1 %",
            (x, share),
            xytext=(0, 1.5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=chosen_style(ax).small_pt,
            bbox=ON_GRID,
        )


def _draw_histogram(ax: Axes, cost: Cost, run: CostsOfRun, n: int) -> None:
    """Draw bars of a single run, an outline of one of several."""
    own = look(n)
    shares = [100 * share for share in run.shares]
    if len(cost.runs) == 1:
        at = cost.edges[:-1]
        ax.bar(at, shares, width=cost.width, align="edge", color=own.color, edgecolor=INK)
    else:
        ax.stairs(
            shares, cost.edges, color=own.color, linestyle=own.dash, linewidth=1.2, clip_on=False
        )


def _draw_steps(ax: Axes, cost: Cost, run: CostsOfRun, n: int) -> None:
    own = look(n)
    low, high = _limits(cost)
    shares = [100 * count / run.videos for _, count in run.steps]
    ax.step(
        [low, *(at for at, _ in run.steps), high],
        [0.0, *shares, shares[-1]],
        where="post",
        color=own.color,
        linestyle=own.dash,
        clip_on=False,
    )


def _lane(ax: Axes, style: Style, lane: int) -> Any:
    """Return the transform for points above the axes: x in data coordinates, y in that lane."""
    across = blended_transform_factory(ax.transData, ax.transAxes)
    points = style.small_pt * LANE * 1.25 * (lane + 0.6)
    figure: Any = ax.get_figure(root=True)
    return offset_copy(across, fig=figure, y=points, units="points")


def _draw_centre(ax: Axes, run: CostsOfRun, n: int, lane: Any) -> None:
    """Draw mean, its interval and the median in a lane above the axes."""
    own = look(n)
    if run.interval is not None:
        ends = [run.interval.low, run.interval.high]
        ax.plot(ends, [1, 1], transform=lane, color=own.color, linewidth=1.4, clip_on=False)
    ax.plot([run.mean], [1], transform=lane, color=own.color, marker=own.marker, clip_on=False)
    ax.plot([run.median], [1], transform=lane, clip_on=False, **MEDIAN)


def _legend(cost: Cost) -> list[tuple[Artist, str]]:
    """Return what mean and median look like: with the numbers of one run, or after the names."""
    several = len(cost.runs) > 1
    color = INK if several else look(0).color
    dot = Line2D([], [], color=color, marker=look(0).marker, linewidth=1.4)
    tick = Line2D([], [], linestyle="none", **MEDIAN)
    if several:
        single = all(run.interval is None for run in cost.runs)
        mean = "mean" if single else "mean, 95 % interval"
        runs = [(_key(n), run.name) for n, run in enumerate(cost.runs)]
        return [*runs, (dot, mean), (tick, "median")]
    (run,) = cost.runs
    mean = f"mean {four_digits(run.mean)}"
    if run.interval is not None:
        mean += f" [{four_digits(run.interval.low)}, {four_digits(run.interval.high)}]"
    return [(dot, mean), (tick, f"median {four_digits(run.median)}")]


def _key(n: int) -> Line2D:
    own = look(n)
    return Line2D([], [], color=own.color, linestyle=own.dash, marker=own.marker)
