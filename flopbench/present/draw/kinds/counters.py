"""Bars of one model under each counter, stacked by operator family, totals written above."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import below_legend
from flopbench.present.draw.parts import (
    FEW_TICKS,
    ON_GRID,
    bar_keys,
    name_rows,
    note,
    stacked_bar,
)
from flopbench.present.draw.style import INK, Style, look
from flopbench.present.draw.text import fitting_names, shortened
from flopbench.present.figures.counters import Counters, ModelBars, total_text

BAR = 0.42
"""Height of a bar; the rest of its row is the line of text above it."""
BAR_AT, TEXT_AT = 0.2, -0.22
"""Middle of a bar, and of the text above it, in a row."""
HEADING = 0.85
"""Height of a model's heading, in rows."""
HEADING_TAKES = 0.65
"""Share of a figure's width for a model's name."""
ROOM = 1.06
LONGEST_NAME = 24
LINES_A_ROW = 2.15
LEAST_ROWS = 2
"""The label next to the axes needs this many."""


def counters_drawing(counters: Counters) -> Drawing:
    """Return models under each counter, ready to be drawn."""
    heading = HEADING if len(counters.models) > 1 else 0.0
    rows = sum(heading + len(one.bars) + len(one.failures) for one in counters.models)

    def draw(ax: Axes, style: Style) -> None:
        y, longest = 0.0, 0.0
        names: dict[float, str] = {}
        room = HEADING_TAKES * style.width_in
        headings = fitting_names([one.name for one in counters.models], room, style.small_pt)
        for model, name in zip(counters.models, headings, strict=True):
            unit = model.dense_macs / 100 if counters.relative else counters.scale.divisor
            if heading:
                _write(ax, name, y, style, weight="bold")
            y += heading
            totals = [bar.total for bar in model.bars]
            for bar in model.bars:
                lengths = (
                    (look(n), sum(bar.by_family.get(name, 0) for name in families) / unit)
                    for n, (_, families) in enumerate(counters.stacked)
                )
                stacked_bar(ax, y + BAR_AT, lengths, thick=BAR)
                _draw_dense(ax, model, y + BAR_AT, unit)
                disputed = "" if bar.status in {"", "verified"} else f", {bar.status}"
                _write(ax, total_text(model, bar) + disputed, y + TEXT_AT, style)
                names[y + BAR_AT] = bar.counter
                y += 1
            for failed in model.failures:
                _write(ax, "could not count it", y + BAR_AT, style)
                names[y + BAR_AT] = failed
                y += 1
            longest = max(longest, *(n / unit for n in (model.dense_macs, *totals)))
        short = [shortened(name, LONGEST_NAME) for name in names.values()]
        name_rows(ax, list(names), short, "counter", ends=(y - 0.4, -0.6))
        ax.set_xlim(0, (longest or 1) * ROOM)
        ax.xaxis.set_major_locator(MaxNLocator(FEW_TICKS))
        ax.set_xlabel(
            "total a sample (% of the dense MACs)"
            if counters.relative
            else f"{counters.scale.prefix}MACs a sample (by each counter's rules)"
        )
        ax.grid(visible=True, axis="x")

    lines = LINES_A_ROW * max(rows, LEAST_ROWS) + 3.4
    return below_legend(counters, draw, lambda: _legend(counters), lines=lines)


def _legend(counters: Counters) -> list[tuple[Artist, str]]:
    """Return the families, and the line of the dense MACs."""
    references = dict.fromkeys(model.reference for model in counters.models)
    line = Line2D([], [], color=INK, linewidth=0.9)
    families = bar_keys(label for label, _ in counters.stacked)
    return [*families, (line, f"dense MACs ({', '.join(references)})")]


def _draw_dense(ax: Axes, model: ModelBars, place: float, unit: float) -> None:
    """Mark the dense MACs, across one bar only: the text above stays clear."""
    if model.dense_macs:
        reach = BAR / 2 + 0.06
        ax.plot(
            [model.dense_macs / unit] * 2, [place - reach, place + reach], color=INK, linewidth=0.9
        )


def _write(ax: Axes, text: str, place: float, style: Style, weight: str = "normal") -> None:
    note(ax, text, (0, place), style, fontweight=weight, bbox=ON_GRID, zorder=0.9)
