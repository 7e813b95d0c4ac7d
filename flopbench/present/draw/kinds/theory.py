"""MACs against milliseconds on two logarithmic axes, the fitted line, residuals as thin lines."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.core.units import GIGA, gflops, ms
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.label_column import height_in, plain_log_ticks, write_label_column
from flopbench.present.draw.legend import HOLLOW, NO_BREAK, hollow, legend_above
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.figures.caption import listed
from flopbench.present.figures.theory import Theory, TheoryGroup, TheoryPoint
from flopbench.timing.records import PRIMARY_COLUMNS

ROOM = 1.5
"""The axes extend by this factor beyond the outermost point."""
STEPS = 60
"""Points of a curved line."""


def theory_drawing(theory: Theory) -> Drawing:
    """Return MACs against time, ready to be drawn."""
    return Drawing(
        data=theory,
        draw=lambda ax: draw_theory(theory, ax),
        height_in=lambda style: theory_height_in(theory, style),
    )


def theory_height_in(theory: Theory, style: Style) -> float:
    """Return the height that all names need, inches."""
    names = sum(len(group.points) for group in theory.groups)
    return height_in(names, [text for _, text in _legend(theory)], style)


def draw_theory(theory: Theory, ax: Axes) -> None:
    """Draw points, lines and residuals."""
    style = chosen_style(ax)
    points = [point for group in theory.groups for point in group.points]
    ax.set_xscale("log")
    ax.set_yscale("log")
    macs = [gflops(point.one.dense_macs) for point in points]
    times = [ms(second) for point in points for second in _reach(point)]
    ax.set_xlim(min(macs) / ROOM, max(macs) * ROOM)
    ax.set_ylim(min(times) / ROOM, max(times) * ROOM)
    for n, group in enumerate(theory.groups):
        _draw_group(ax, group, look(n), several=len(theory.groups) > 1)
    one_image = all(point.one.row.what.batch == 1 for point in points)
    ax.set_xlabel("dense GMACs an image" if one_image else "dense GMACs a call (batch × image)")
    leads = list(dict.fromkeys(PRIMARY_COLUMNS.get(p.one.row.lead, p.one.row.lead) for p in points))
    ax.set_ylabel(f"measured ms a call ({listed(leads, 'or')})")
    ax.grid(visible=True)
    entries = _legend(theory)
    plain_log_ticks(ax)  # about as wide as the final ones, for the layout
    legend_above(
        ax, [handle for handle, _ in entries], [text for _, text in entries], style, sentences=True
    )
    write_label_column(
        ax,
        [(gflops(point.one.dense_macs), ms(point.one.seconds)) for point in points],
        [point.name for point in points],
        style,
        ["" if point.factor is None else f"  {_factor(point.factor)}×" for point in points],
    )
    plain_log_ticks(ax)


def _legend(theory: Theory) -> list[tuple[Any, str]]:
    """Return (handle, text): each group with its line, and the meaning of a hollow mark."""
    entries: list[tuple[Any, str]] = []
    several = len(theory.groups) > 1
    for n, group in enumerate(theory.groups):
        own, line = look(n), group.line
        if line is None and not several:
            continue
        name = group.name if several else "line"
        entries.append(
            (
                Line2D(
                    [],
                    [],
                    color=own.color if several else INK,
                    marker=own.marker if several else "none",
                    linestyle="none" if line is None else own.dash,
                    linewidth=0.9,
                ),
                name if line is None else f"{name}: {_unbroken(line.text)}",
            )
        )
    if theory.flagged:
        entries.append((hollow(), HOLLOW))
    return entries


def _unbroken(text: str) -> str:
    """Keep numbers with their units; a line may break before a bracket."""
    return text.replace(" ", NO_BREAK).replace(NO_BREAK + "(", " (")


def _reach(point: TheoryPoint) -> tuple[float, ...]:
    """Return what the axis must include of a point: time, interval, place on the line."""
    own = point.one.seconds
    line = () if point.factor is None else (own / point.factor,)
    return (own, *(point.one.summary.interval_s or ()), *line)


def _factor(factor: float) -> str:
    return f"{factor:.2f}" if factor < 10 else f"{factor:.0f}"


def _draw_group(ax: Axes, group: TheoryGroup, own: Look, *, several: bool) -> None:
    line = group.line
    if line is not None:
        low, high = ax.get_xlim()
        xs = [low * (high / low) ** (n / STEPS) for n in range(STEPS + 1)]
        pairs = [(x, ms(line.at(x * GIGA))) for x in xs]
        above = [(x, y) for x, y in pairs if y > 0]
        ax.plot(
            [x for x, _ in above],
            [y for _, y in above],
            color=own.color if several else INK,
            linestyle=own.dash,
            linewidth=0.9,
            zorder=2,
        )
    for point in group.points:
        _draw_point(ax, point, own)


def _draw_point(ax: Axes, point: TheoryPoint, own: Look) -> None:
    """Draw a point with its error bar and the thin line to the fitted line."""
    x, y = gflops(point.one.dense_macs), ms(point.one.seconds)
    if point.factor is not None:
        ax.plot([x, x], [y, y / point.factor], color=own.color, linewidth=0.6, zorder=2.5)
    interval = point.one.summary.interval_s
    if interval is not None:
        ax.errorbar(
            [x],
            [y],
            yerr=[[max(y - ms(interval[0]), 0.0)], [max(ms(interval[1]) - y, 0.0)]],
            fmt="none",
            ecolor=INK,
            elinewidth=0.8,
            capsize=2,
            capthick=0.8,
            zorder=3,
        )
    ax.plot(
        [x],
        [y],
        linestyle="none",
        marker=own.marker,
        markerfacecolor=own.color if point.one.stable else "white",
        markeredgecolor=own.color,
        zorder=4,
    )
