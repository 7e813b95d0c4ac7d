"""A histogram of the cost of a video, or its cumulative form; means and medians are above it."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory, offset_copy

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.figures.cost import Cost, CostsOfRun, four_digits

BODY_IN = 1.5
"""Height of the axes themselves, at 9 pt text."""
LANE = 1.1
"""Height of the lane of one run's mean above the axes, in lines of text."""
MEDIAN: dict[str, Any] = {"marker": "|", "color": INK, "markersize": 9, "markeredgewidth": 1.1}
"""How a median looks: a tick across the lane, visible even on top of the mean."""


def cost_drawing(cost: Cost) -> Drawing:
    """Return cost, ready to be drawn."""
    return Drawing(
        data=cost,
        draw=lambda ax: draw_cost(cost, ax),
        height_in=lambda style: cost_height_in(cost, style),
    )


def cost_height_in(cost: Cost, style: Style) -> float:
    """Return the height, inches: the axes, a lane for each run, the legend."""
    lines = 3.0 + LANE * (len(cost.runs) + 0.5) + legend_lines(_texts(cost), style)
    return BODY_IN * style.text_pt / 9 + style.inches(lines)


def draw_cost(cost: Cost, ax: Axes) -> None:
    """Draw the distributions, and each run's mean and median above them."""
    style = chosen_style(ax)
    handles = []
    for n, run in enumerate(cost.runs):
        if cost.cumulative:
            handles.append(_steps(ax, cost, run, n))
        else:
            handles.append(_histogram(ax, cost, run, n))
    lanes = [_lane(ax, style, len(cost.runs) - 1 - n) for n in range(len(cost.runs))]
    for n, (run, lane) in enumerate(zip(cost.runs, lanes, strict=True)):
        _centre(ax, run, n, lane)
    ax.set_xlim(*_limits(cost))
    ax.set_ylim(0, 100 if cost.cumulative else None)
    ax.set_xlabel("cost (GFLOPS/video = GMACs/video)")
    ax.set_ylabel("videos up to this cost (%)" if cost.cumulative else "share of videos (%)")
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    _legend(cost, ax, handles, style)


def _limits(cost: Cost) -> tuple[float, float]:
    if not cost.cumulative:
        low, high = cost.edges[0], cost.edges[-1]
        # Bins at the edges are clear of the axis; a single bin has room around it.
        reach = cost.width * (0.5 if len(cost.edges) > 2 else 4)
        return max(low - reach, min(low, 0.0)), high + reach
    least, most = min(run.least for run in cost.runs), max(run.most for run in cost.runs)
    reach = (most - least) / 30 or abs(most) / 10 or 1.0
    return max(least - reach, min(least, 0.0)), most + reach


def _histogram(ax: Axes, cost: Cost, run: CostsOfRun, n: int) -> Any:
    own = look(n)
    shares = [100 * share for share in run.shares]
    if len(cost.runs) == 1:
        ax.bar(
            cost.edges[:-1],
            shares,
            width=cost.width,
            align="edge",
            color=own.color,
            edgecolor=INK,
        )
    else:
        ax.stairs(
            shares,
            cost.edges,
            color=own.color,
            linestyle=own.dash,
            linewidth=1.2,
            clip_on=False,
        )
    return _key(n)


def _steps(ax: Axes, cost: Cost, run: CostsOfRun, n: int) -> Any:
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
    return _key(n)


def _key(n: int) -> Line2D:
    own = look(n)
    return Line2D([], [], color=own.color, linestyle=own.dash, marker=own.marker)


def _lane(ax: Axes, style: Style, lane: int) -> Any:
    """Return the transform for points above the axes: x in data coordinates, y in that lane."""
    across = blended_transform_factory(ax.transData, ax.transAxes)
    points = style.small_pt * LANE * 1.25 * (lane + 0.6)
    figure: Any = ax.get_figure(root=True)
    return offset_copy(across, fig=figure, y=points, units="points")


def _centre(ax: Axes, run: CostsOfRun, n: int, lane: Any) -> None:
    """Draw mean, its interval and the median in a lane above the axes."""
    own = look(n)
    if run.interval is not None:
        ends = [run.interval.low, run.interval.high]
        ax.plot(ends, [1, 1], transform=lane, color=own.color, linewidth=1.4, clip_on=False)
    ax.plot([run.mean], [1], transform=lane, color=own.color, marker=own.marker, clip_on=False)
    ax.plot(
        [run.median],
        [1],
        transform=lane,
        clip_on=False,
        **MEDIAN,
    )


def _legend(cost: Cost, ax: Axes, handles: list[Any], style: Style) -> None:
    alone = len(cost.runs) == 1
    color = look(0).color if alone else INK
    dot = Line2D([], [], color=color, marker=look(0).marker, linewidth=1.4)
    tick = Line2D([], [], linestyle="none", **MEDIAN)
    keys = [dot, tick] if alone else [*handles, dot, tick]
    lanes = style.small_pt * LANE * 1.25 * (len(cost.runs) + 0.3)
    legend_above(ax, keys, _texts(cost), style, above_pt=lanes)


def _texts(cost: Cost) -> list[str]:
    """Return the legend's texts: the numbers of one run, the names of several."""
    if len(cost.runs) > 1:
        single = all(run.interval is None for run in cost.runs)
        mean = "mean" if single else "mean, 95 % interval"
        return [*(run.name for run in cost.runs), mean, "median"]
    (run,) = cost.runs
    mean = f"mean {four_digits(run.mean)}"
    if run.interval is not None:
        mean += f" [{four_digits(run.interval.low)}, {four_digits(run.interval.high)}]"
    return [mean, f"median {four_digits(run.median)}"]
