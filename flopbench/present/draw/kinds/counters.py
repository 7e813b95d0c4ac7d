"""Bars of one model under each counter, stacked by operator family, totals written above."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.label_column import ON_GRID
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names, plain_text, shortened
from flopbench.present.figures.counters import CounterBar, Counters, ModelBars, total_text

BAR = 0.42
"""Height of a bar; the rest of its row is the line of text above it."""
HEADING = 0.85
"""Height of a model's heading, in rows."""
HEADING_TAKES = 0.65
"""Share of a figure's width for a model's name."""
ROOM = 1.06
LINES_A_ROW = 2.15
LEAST_ROWS = 2
"""The label next to the axes needs this many."""


def counters_drawing(counters: Counters) -> Drawing:
    """Return models under each counter, ready to be drawn."""
    return Drawing(
        data=counters,
        draw=lambda ax: draw_counters(counters, ax),
        height_in=lambda style: counters_height_in(counters, style),
    )


def counters_height_in(counters: Counters, style: Style) -> float:
    """Return the height that all bars and headings need, inches."""
    rows = sum(len(model.bars) + len(model.failures) for model in counters.models)
    rows_of_headings = HEADING * len(counters.models) if len(counters.models) > 1 else 0
    return style.inches(
        LINES_A_ROW * max(rows + rows_of_headings, LEAST_ROWS)
        + 3.4
        + legend_lines(_keys(counters), style)
    )


def draw_counters(counters: Counters, ax: Axes) -> None:
    """Draw the bars, the first counter on top."""
    style = chosen_style(ax)
    several = len(counters.models) > 1
    y = 0.0
    ticks: list[tuple[float, str]] = []
    longest = 0.0
    for model in counters.models:
        unit = model.dense_macs / 100 if counters.relative else counters.scale.divisor
        if several:
            _heading(ax, model, y, style)
            y += HEADING
        for bar in model.bars:
            _draw_bar(ax, counters, bar, y + 0.2, unit)
            _draw_dense(ax, model, y + 0.2, unit)
            _write_total(ax, model, bar, y - 0.22, style)
            ticks.append((y + 0.2, bar.counter))
            longest = max(longest, bar.total / unit)
            y += 1
        for name in model.failures:
            _note(ax, "could not count it", y + 0.2, style)
            ticks.append((y + 0.2, name))
            y += 1
        if model.dense_macs:
            longest = max(longest, model.dense_macs / unit)
    ax.set_yticks([place for place, _ in ticks], [plain_text(shortened(n, 24)) for _, n in ticks])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(y - 0.4, -0.6)
    ax.set_xlim(0, (longest or 1) * ROOM)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(_unit(counters))
    ax.set_ylabel("counter")
    ax.grid(visible=True, axis="x")
    _legend(ax, counters, style)


def _unit(counters: Counters) -> str:
    if counters.relative:
        return "total a sample (% of the dense MACs)"
    return f"{counters.scale.prefix}MACs a sample (by each counter's rules)"


def _legend(ax: Axes, counters: Counters, style: Style) -> None:
    handles: list[Artist] = []
    for n in range(len(counters.stacked)):
        own = look(n)
        handles.append(Patch(facecolor=own.color, hatch=own.hatch, edgecolor=INK))
    handles.append(Line2D([], [], color=INK, linewidth=0.9))
    legend_above(ax, handles, _keys(counters), style)


def _keys(counters: Counters) -> list[str]:
    """Return the legend's texts."""
    references = dict.fromkeys(model.reference for model in counters.models)
    return [*(label for label, _ in counters.stacked), f"dense ({', '.join(references)})"]


def _draw_bar(ax: Axes, counters: Counters, bar: CounterBar, place: float, unit: float) -> None:
    start = 0.0
    for n, (_, families) in enumerate(counters.stacked):
        length = sum(bar.by_family.get(name, 0) for name in families) / unit
        if not length:
            continue
        own = look(n)
        ax.barh(
            [place],
            [length],
            left=[start],
            height=BAR,
            color=own.color,
            hatch=own.hatch,
            edgecolor=INK,
        )
        start += length


def _draw_dense(ax: Axes, model: ModelBars, place: float, unit: float) -> None:
    """Mark the dense MACs, across one bar only: the text above stays clear."""
    if model.dense_macs:
        reach = BAR / 2 + 0.06
        ax.plot(
            [model.dense_macs / unit] * 2, [place - reach, place + reach], color=INK, linewidth=0.9
        )


def _write_total(ax: Axes, model: ModelBars, bar: CounterBar, place: float, style: Style) -> None:
    text = total_text(model, bar)
    if bar.status not in {"", "verified"}:
        text += f", {bar.status}"
    _note(ax, text, place, style)


def _heading(ax: Axes, model: ModelBars, place: float, style: Style) -> None:
    (name,) = fitting_names([model.name], HEADING_TAKES * style.width_in, style.small_pt)
    _note(ax, name, place, style, weight="bold")


def _note(ax: Axes, text: str, place: float, style: Style, weight: str = "normal") -> None:
    ax.annotate(
        plain_text(text),
        (0, place),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=style.small_pt,
        fontweight=weight,
        bbox=ON_GRID,
        zorder=0.9,
    )
