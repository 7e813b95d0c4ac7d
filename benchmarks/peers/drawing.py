"""CPU time of building and counting a network against its size, both on logarithmic axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.core.statistics import median
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.figures.caption import Caption, FigureTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Tool -> points of GMACs and CPU seconds; ``floor`` is building alone."""

    tools: dict[str, tuple[tuple[float, float], ...]]
    floor: tuple[tuple[float, float], ...]

    @property
    def caption(self) -> Caption:
        """What is written with the figure."""
        said = f"CPU time of building and counting each network of Table 2, {len(self.tools)} tools"
        return Caption(title="Cost of counting against MACs", sentences=(said,), alt=said)

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        rows = [(name, *point) for name, points in self.tools.items() for point in points]
        return FigureTable(header=("tool", "gmacs", "cpu_s"), rows=tuple(rows))


def cost_against_macs(data: dict[str, Any]) -> Drawing:
    """Return the plot of the part ``counters``."""
    dense = {network: one["macs"] / 1e9 for network, one in data["table2"]["flopbench"].items()}

    def points(name: str) -> tuple[tuple[float, float], ...]:
        own = data["table2"][name]
        return tuple(sorted((dense[n], median(one["cpu_s"])) for n, one in own.items()))

    names = ["flopbench", *(n for n in data["table2"] if n not in ("models", "flopbench"))]
    costs = Costs(tools={name: points(name) for name in names}, floor=points("models"))
    legend = _legend(costs)

    def draw(ax: Axes) -> None:
        style = chosen_style(ax)
        ax.plot(*zip(*costs.floor, strict=True), color=INK, linewidth=0.8, linestyle=":")
        for n, own in enumerate(costs.tools.values()):
            one = look(n)
            ax.plot(*zip(*own, strict=True), color=one.color, marker=one.marker, linestyle=one.dash)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("dense GMACs of the network")
        ax.set_ylabel("CPU s: build and count")
        ax.grid(visible=True)
        legend_above(ax, legend, style)

    def height_in(style: Style) -> float:
        return 2.2 * style.text_pt / 9 + style.inches(3.0 + legend_lines(legend, style))

    return Drawing(data=costs, draw=draw, height_in=height_in)


def _legend(costs: Costs) -> list[tuple[Artist, str]]:
    looks = [look(n) for n in range(len(costs.tools))]
    lines = [Line2D([], [], color=o.color, marker=o.marker, linestyle=o.dash) for o in looks]
    floor = Line2D([], [], color=INK, linewidth=0.8, linestyle=":")
    return [*zip(lines, costs.tools, strict=True), (floor, "building alone")]
