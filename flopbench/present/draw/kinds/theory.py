"""MACs against milliseconds on two logarithmic axes, the fitted line, residuals as thin lines."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.core.units import GIGA, gflops, ms
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import NO_BREAK, height_in, hollow_entries, name_points
from flopbench.present.draw.parts import mark
from flopbench.present.draw.style import INK, Look, chosen_style, look
from flopbench.present.figures.caption import listed
from flopbench.present.figures.theory import Theory, TheoryGroup, TheoryPoint
from flopbench.timing.records import PRIMARY_COLUMNS

ROOM = 1.5
"""The axes extend by this factor beyond the outermost point."""
STEPS = 60
"""Points of a curved line."""


def theory_drawing(theory: Theory) -> Drawing:
    """Return MACs against time, ready to be drawn."""
    points = [point for group in theory.groups for point in group.points]

    def draw(ax: Axes) -> None:
        ax.set_xscale("log")
        ax.set_yscale("log")
        macs = [gflops(point.one.dense_macs) for point in points]
        times = [ms(second) for point in points for second in _reach(point)]
        ax.set_xlim(min(macs) / ROOM, max(macs) * ROOM)
        ax.set_ylim(min(times) / ROOM, max(times) * ROOM)
        for n, group in enumerate(theory.groups):
            _draw_group(ax, theory, group, look(n))
        one_image = all(point.one.row.what.batch == 1 for point in points)
        ax.set_xlabel("dense GMACs an image" if one_image else "dense GMACs a call (batch × image)")
        leads = dict.fromkeys(PRIMARY_COLUMNS.get(p.one.row.lead, p.one.row.lead) for p in points)
        ax.set_ylabel(f"{listed(list(leads), 'or')} (ms a call)")
        ax.grid(visible=True)
        name_points(
            ax,
            [(gflops(point.one.dense_macs), ms(point.one.seconds)) for point in points],
            [point.name for point in points],
            chosen_style(ax),
            legend=_legend(theory),
            # Two digits: a repeat would seldom agree in more.
            endings=[f"  {float(f'{p.factor:.2g}'):.12g}×" if p.factor else "" for p in points],
        )

    return Drawing(
        data=theory,
        draw=draw,
        height_in=lambda style: height_in(len(points), _legend(theory), style),
    )


def _legend(theory: Theory) -> list[tuple[Artist, str]]:
    """Return each group with its line, and the meaning of a hollow mark."""
    entries: list[tuple[Artist, str]] = []
    several = len(theory.groups) > 1
    for n, group in enumerate(theory.groups):
        own, line = look(n), group.line
        if line is None and not several:
            continue
        key = Line2D(
            [],
            [],
            color=own.color if several else INK,
            marker=own.marker if several else "none",
            linestyle="none" if line is None else own.dash,
            linewidth=0.9,
        )
        name = group.name if several else "fit"
        entries.append((key, name if line is None else f"{name}: {_unbroken(line.text)}"))
    return [*entries, *hollow_entries(theory.hollow)]


def _unbroken(text: str) -> str:
    """Keep numbers with their units; a line may break before a bracket."""
    return text.replace(" ", NO_BREAK).replace(NO_BREAK + "(", " (")


def _reach(point: TheoryPoint) -> tuple[float, ...]:
    """Return what the axis must include of a point: time, interval, place on the line."""
    own = point.one.seconds
    line = () if point.factor is None else (own / point.factor,)
    return (own, *(point.one.summary.interval_s or ()), *line)


def _draw_group(ax: Axes, theory: Theory, group: TheoryGroup, own: Look) -> None:
    line = group.line
    if line is not None:
        low, high = ax.get_xlim()
        xs = [low * (high / low) ** (n / STEPS) for n in range(STEPS + 1)]
        above = [(x, ms(y)) for x in xs if (y := line.at(x * GIGA)) > 0]
        ax.plot(
            [x for x, _ in above],
            [y for _, y in above],
            color=own.color if len(theory.groups) > 1 else INK,
            linestyle=own.dash,
            linewidth=0.9,
            zorder=2,
        )
    for point in group.points:
        _draw_point(ax, point, own, filled=point.one.stable or not theory.hollow)


def _draw_point(ax: Axes, point: TheoryPoint, own: Look, *, filled: bool) -> None:
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
    mark(ax, x, y, own, filled=filled)
