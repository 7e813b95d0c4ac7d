"""CPU time of counting a log against its size, both on logarithmic axes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.figures.caption import Caption, FigureTable

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCosts:
    """Counter -> points of decisions and CPU seconds."""

    lines: Mapping[str, Points]
    form: str

    @property
    def caption(self) -> Caption:
        """What is written with the figure."""
        said = f"CPU time of whole processes that count a log in {self.form}, median of the rounds"
        return Caption(title="Cost of counting a log", sentences=(said,), alt=said)

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        rows = [(name, *point) for name, points in self.lines.items() for point in points]
        return FigureTable(header=("counter", "decisions", "cpu_s"), rows=tuple(rows))


def cost_against_size(lines: Mapping[str, Points], form: str, floors: Collection[str]) -> Drawing:
    """Return the plot of one form; floors are thin lines."""
    styles = dict(zip(floors, (":", "--"), strict=False))
    legend: list[tuple[Artist, str]] = []
    made = []
    for name, points in lines.items():
        one = look(sum(other not in styles for other, _ in made))
        kind = (
            {"color": INK, "linewidth": 0.8, "linestyle": styles[name]}
            if name in styles
            else {"color": one.color, "marker": one.marker, "linestyle": one.dash}
        )
        made.append((name, (points, kind)))
        legend.append((Line2D([], [], **kind), name))

    def draw(ax: Axes) -> None:
        for _, (points, kind) in made:
            ax.plot(*zip(*points, strict=True), **kind)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(f"decisions of the log ({form})")
        ax.set_ylabel("CPU s of the process")
        ax.grid(visible=True)
        legend_above(ax, legend, chosen_style(ax))

    def height_in(style: Style) -> float:
        return 2.2 * style.text_pt / 9 + style.inches(3.0 + legend_lines(legend, style))

    return Drawing(data=SizeCosts(lines=lines, form=form), draw=draw, height_in=height_in)
