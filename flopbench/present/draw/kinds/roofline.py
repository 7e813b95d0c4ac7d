"""The roofline on two logarithmic axes: roofs as lines, models as marks with their bounds."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.core.units import gflops, rate
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.label_column import height_in, plain_log_ticks, write_label_column
from flopbench.present.draw.legend import HOLLOW, NO_BREAK, hollow, legend_above
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.figures.roofline import RoofGroup, Roofline, RoofPoint

ROOM = 1.6
"""The axes extend by this factor beyond the outermost point, and to the left of the ridge."""
ABOVE = 1.3
"""And by this factor above the highest roof."""


def roofline_drawing(roofline: Roofline) -> Drawing:
    """Return a roofline, ready to be drawn."""
    return Drawing(
        data=roofline,
        draw=lambda ax: draw_roofline(roofline, ax),
        height_in=lambda style: roofline_height_in(roofline, style),
    )


def roofline_height_in(roofline: Roofline, style: Style) -> float:
    """Return the height that all names need, inches."""
    names = sum(len(group.points) for group in roofline.groups)
    return height_in(names, [text for _, text in _legend(roofline)], style)


def draw_roofline(roofline: Roofline, ax: Axes) -> None:
    """Draw roofs and models."""
    style = chosen_style(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    points = [point for group in roofline.groups for point in group.points]
    left = min(*(p.low for p in points), *(g.ridge / ROOM for g in roofline.groups)) / ROOM
    right = ROOM * max([*(p.high for p in points), *(2 * group.ridge for group in roofline.groups)])
    tops = [
        gflops(value)
        for group in roofline.groups
        for value in (group.flops_per_s, group.peak_flops_per_s, *_rates(group))
        if value
    ]
    lows = [gflops(p.flops_per_s) for p in points]
    bottom, top = min(lows) / ROOM, ABOVE * max(tops)
    # Part of the sloped roof should be visible too.
    bottom = min(bottom, *(gflops(g.flops_per_s) / 4 for g in roofline.groups))
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    for n, group in enumerate(roofline.groups):
        _draw_roofs(ax, group, look(n), right, several=len(roofline.groups) > 1)
    places = []
    for n, group in enumerate(roofline.groups):
        for point in group.points:
            places.append((point.high, gflops(point.flops_per_s)))
            _draw_point(ax, point, look(n))
    ax.set_xlabel("arithmetic intensity (FLOP/byte)")
    ax.set_ylabel("achieved GFLOP/s (1 MAC = 2 FLOPs)")
    ax.grid(visible=True)
    entries = _legend(roofline)
    plain_log_ticks(ax)  # about as wide as the final ones, for the layout
    legend_above(
        ax, [handle for handle, _ in entries], [text for _, text in entries], style, sentences=True
    )
    write_label_column(ax, places, [point.name for point in points], style)
    plain_log_ticks(ax)


def _legend(roofline: Roofline) -> list[tuple[Any, str]]:
    """Return (handle, text): the roofs of each group, and the meaning of a hollow mark."""
    entries: list[tuple[Any, str]] = []
    several = len(roofline.groups) > 1
    for n, group in enumerate(roofline.groups):
        own = look(n)
        color = own.color if several else INK
        mark = own.marker if several else "none"
        name = f"{group.name}: " if several else "measured roofs: "
        entries.append(
            (
                Line2D([], [], color=color, linewidth=1.1, marker=mark),
                f"{name}{_pair(group.flops_per_s, group.bytes_per_s)}",
            )
        )
        if group.peak_bytes_per_s is not None:
            entries.append(
                (
                    Line2D([], [], color=color, linestyle="--", linewidth=0.8),
                    f"data sheet: {_pair(group.peak_flops_per_s, group.peak_bytes_per_s)}",
                )
            )
    if roofline.flagged:
        entries.append((hollow(), HOLLOW))
    return entries


def _pair(flops_per_s: float | None, bytes_per_s: float) -> str:
    rates = [rate(flops_per_s, "FLOP")] if flops_per_s else []
    return ", ".join(text.replace(" ", NO_BREAK) for text in [*rates, rate(bytes_per_s, "B")])


def _rates(group: RoofGroup) -> list[float]:
    return [point.flops_per_s for point in group.points]


def _draw_roofs(ax: Axes, group: RoofGroup, own: Look, right: float, *, several: bool) -> None:
    """Draw measured roofs solid, those of the data sheet dashed."""
    color = own.color if several else INK
    pairs = [(group.flops_per_s, group.bytes_per_s, "-", 1.1)]
    if group.peak_flops_per_s and group.peak_bytes_per_s:
        pairs.append((group.peak_flops_per_s, group.peak_bytes_per_s, "--", 0.8))
    far = 1e-6
    for flops, copied, dash, width in pairs:
        ridge = flops / copied
        ax.plot(
            [ridge * far, ridge, max(right, ridge) * ROOM],
            [gflops(flops) * far, gflops(flops), gflops(flops)],
            color=color,
            linestyle=dash,
            linewidth=width,
            zorder=2,
        )
    if group.peak_bytes_per_s and not group.peak_flops_per_s:
        high = group.flops_per_s / group.peak_bytes_per_s
        ax.plot(
            [high * far, high],
            [gflops(group.flops_per_s) * far, gflops(group.flops_per_s)],
            color=color,
            linestyle="--",
            linewidth=0.8,
        )


def _draw_point(ax: Axes, point: RoofPoint, own: Look) -> None:
    """Draw one model: a line between its bounds, the marker at the lower one."""
    height = gflops(point.flops_per_s)
    ax.plot([point.low, point.high], [height] * 2, color=own.color, linewidth=1.4, zorder=3)
    ax.plot([point.high], [height], color=own.color, marker="|", markersize=5, zorder=3)
    ax.plot(
        [point.low],
        [height],
        linestyle="none",
        marker=own.marker,
        markerfacecolor=own.color if point.one.stable else "white",
        markeredgecolor=own.color,
        zorder=4,
    )
