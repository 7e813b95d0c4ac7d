"""Headlines of repeats over their median: a row of points for each timer in each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from flopbench.core.statistics import median
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.style import INK, Style, look
from flopbench.present.figures.caption import Caption, FigureTable

Cases = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Case -> timer -> headlines over their median."""

    cases: Cases

    @property
    def caption(self) -> Caption:
        """What is written with the figure."""
        said = "Headline of each repeat over the median of the repeats"
        return Caption(title="Spread of a latency", sentences=(said,), alt=said)

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        rows = [
            (case, timer, value)
            for case, timers in self.cases.items()
            for timer, values in timers.items()
            for value in values
        ]
        return FigureTable(header=("case", "timer", "headline_over_median"), rows=tuple(rows))


def headlines_of_repeats(cases: Cases) -> Drawing:
    """Return the plot."""
    shares = {
        case: {timer: [v / median(own) for v in own] for timer, own in timers.items()}
        for case, timers in cases.items()
    }

    def draw(ax: Axes) -> None:
        labels: list[str] = []
        for case, timers in shares.items():
            labels.append(case)
            for n, (timer, values) in enumerate(timers.items()):
                one = look(n)
                y = [len(labels)] * len(values)
                ax.plot(values, y, color=one.color, marker=one.marker, linestyle="", alpha=0.7)
                labels.append(timer)
        ax.axvline(1, color=INK, linewidth=0.6, zorder=0)
        ax.set_yticks(range(len(labels)), labels)
        for label, name in zip(ax.get_yticklabels(), labels, strict=True):
            label.set_fontweight("bold" if name in shares else "normal")
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.set_xlabel("headline / median of the repeats")
        ax.grid(visible=True, axis="x")

    def height_in(style: Style) -> float:
        return style.inches(4.0 + sum(1 + len(timers) for timers in shares.values()))

    return Drawing(data=Repeats(cases=shares), draw=draw, height_in=height_in)
