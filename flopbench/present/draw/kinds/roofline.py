"""The roofline on two logarithmic axes: roofs as lines, models as marks with their bounds."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.core.units import gflops, rate
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import NO_BREAK, height_in, hollow_entries, name_points
from flopbench.present.draw.parts import mark
from flopbench.present.draw.style import INK, Look, chosen_style, look
from flopbench.present.figures.roofline import RoofGroup, Roofline, RoofPoint

ROOM = 1.6
"""The axes extend by this factor beyond the outermost point, and to the left of the ridge."""
ABOVE = 1.3
"""And by this factor above the highest roof."""
FAR = 1e-6
"""A sloped roof begins at this share of its ridge: to the left of any axes."""


def roofline_drawing(roofline: Roofline) -> Drawing:
    """Return a roofline, ready to be drawn."""
    points = [point for group in roofline.groups for point in group.points]

    def draw(ax: Axes) -> None:
        ax.set_xscale("log")
        ax.set_yscale("log")
        _set_limits(ax, roofline.groups, points)
        for n, group in enumerate(roofline.groups):
            _draw_roofs(ax, group, look(n), several=len(roofline.groups) > 1)
        for n, group in enumerate(roofline.groups):
            for point in group.points:
                _draw_point(ax, point, look(n), filled=point.one.stable or not roofline.hollow)
        ax.set_xlabel("arithmetic intensity (FLOP/byte)")
        ax.set_ylabel("GFLOP/s (1 MAC = 2 FLOPs)")
        ax.grid(visible=True)
        name_points(
            ax,
            [(point.high, gflops(point.flops_per_s)) for point in points],
            [point.name for point in points],
            chosen_style(ax),
            legend=_legend(roofline),
        )

    return Drawing(
        data=roofline,
        draw=draw,
        height_in=lambda style: height_in(len(points), _legend(roofline), style),
    )


def _set_limits(ax: Axes, groups: tuple[RoofGroup, ...], points: list[RoofPoint]) -> None:
    """Include every point, every ridge, and part of every sloped roof."""
    left = min(*(p.low for p in points), *(g.ridge / ROOM for g in groups)) / ROOM
    right = max(*(p.high for p in points), *(2 * g.ridge for g in groups)) * ROOM
    rates = [rate for p in points for rate in (p.flops_per_s, p.ceiling_flops_per_s) if rate]
    roofs = [roof for g in groups for roof in (g.flops_per_s, g.peak_flops_per_s) if roof]
    bottom = min(gflops(min(rates)) / ROOM, *(gflops(g.flops_per_s) / 4 for g in groups))
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, ABOVE * gflops(max(*rates, *roofs)))


def _legend(roofline: Roofline) -> list[tuple[Artist, str]]:
    """Return the roofs of each group, and the meaning of a hollow mark."""
    entries: list[tuple[Artist, str]] = []
    several = len(roofline.groups) > 1
    for n, group in enumerate(roofline.groups):
        own = look(n)
        color = own.color if several else INK
        key = Line2D([], [], color=color, linewidth=1.1, marker=own.marker if several else "none")
        name = group.name if several else "measured roofs"
        entries.append((key, f"{name}: {_pair(group.flops_per_s, group.bytes_per_s)}"))
        if group.peak_bytes_per_s is not None:
            key = Line2D([], [], color=color, linestyle="--", linewidth=0.8)
            sheet = _pair(group.peak_flops_per_s, group.peak_bytes_per_s)
            entries.append((key, f"data sheet: {sheet}"))
    if roofline.ceilings:
        key = Line2D([], [], color=look(0).color, linewidth=0.6, marker="_", markersize=5)
        entries.append((key, "up to what its operators allow"))
    return [*entries, *hollow_entries(roofline.hollow)]


def _pair(flops_per_s: float | None, bytes_per_s: float) -> str:
    rates = [rate(flops_per_s, "FLOP")] if flops_per_s else []
    return ", ".join(text.replace(" ", NO_BREAK) for text in [*rates, rate(bytes_per_s, "B")])


def _draw_roofs(ax: Axes, group: RoofGroup, own: Look, *, several: bool) -> None:
    """Draw measured roofs solid, those of the data sheet dashed."""
    color = own.color if several else INK
    right = ax.get_xlim()[1]

    def roof(flops: float, bytes_per_s: float, dash: str, width: float, *, flat: bool) -> None:
        ridge, top = flops / bytes_per_s, gflops(flops)
        ends = [max(right, ridge) * ROOM] if flat else []
        ax.plot(
            [ridge * FAR, ridge, *ends],
            [top * FAR, top, *[top] * len(ends)],
            color=color,
            linestyle=dash,
            linewidth=width,
            zorder=2,
        )

    roof(group.flops_per_s, group.bytes_per_s, "-", 1.1, flat=True)
    if group.peak_bytes_per_s:
        # Where the sheet gives no rate, its bandwidth is drawn up to the measured one.
        top = group.peak_flops_per_s or group.flops_per_s
        roof(top, group.peak_bytes_per_s, "--", 0.8, flat=bool(group.peak_flops_per_s))


def _draw_point(ax: Axes, point: RoofPoint, own: Look, *, filled: bool) -> None:
    """Draw one model: a line between its bounds, the marker at the lower one, a stem to its top."""
    height = gflops(point.flops_per_s)
    ax.plot([point.low, point.high], [height] * 2, color=own.color, linewidth=1.4, zorder=3)
    ax.plot([point.high], [height], color=own.color, marker="|", markersize=5, zorder=3)
    if point.ceiling_flops_per_s:
        top = gflops(point.ceiling_flops_per_s)
        ax.plot([point.low] * 2, [height, top], color=own.color, linewidth=0.6, zorder=3)
        ax.plot([point.low], [top], color=own.color, marker="_", markersize=5, zorder=3)
    mark(ax, point.low, height, own, filled=filled)
