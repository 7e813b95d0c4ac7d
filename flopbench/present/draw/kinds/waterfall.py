"""Bars from the uniform baseline via theory to the measured time, one block per mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from flopbench.core.units import milliseconds, ms
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.labels import extent, fitted, lay_out
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.draw.text import plain_text
from flopbench.present.figures.waterfall import (
    BASELINE,
    MEASURED,
    PARTS,
    THEORY,
    Chain,
    Step,
    WaterfallFigure,
)

THICK = 0.74
"""Share of the distance between two rows for a bar."""
HEADING, BELOW = 1.0, 1.2
"""Rows for a block's name, and below its last bar, for the interval."""
ROWS_A_LINE = 1.25
"""Lines of small text that a row takes."""
TEXT_GAP_PT = 3.0
"""Distance between a bar and the text next to it."""
LAYOUTS = 3
"""The axis limit moves the last tick, which moves the axes: it is computed this many times."""
WIDEST = 0.75
"""Largest share of the axes' width for the text next to a bar."""

LOOKS: dict[str, Look] = {
    "uniform baseline": look(7),
    "theory": look(4),
    # Dark and light, since these bars are often too thin for a hatch.
    "costs time": look(5),
    "saves time": replace(look(2), color=look(6).color),
    "measured": look(0),
}
"""Kind of bar -> its look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _BarRow:
    """One bar and its place."""

    y: float
    step: Step
    chain: Chain


def waterfall_drawing(waterfall: WaterfallFigure) -> Drawing:
    """Return the steps, ready to be drawn."""
    return Drawing(
        data=waterfall,
        draw=lambda ax: draw_waterfall(waterfall, ax),
        height_in=lambda style: waterfall_height_in(waterfall, style),
    )


def waterfall_height_in(waterfall: WaterfallFigure, style: Style) -> float:
    """Return the height that all rows need, inches."""
    rows = sum(len(chain.steps) for chain in waterfall.chains)
    blocks = len(waterfall.chains)
    lines = rows + blocks * (HEADING + BELOW)
    return style.inches(ROWS_A_LINE * lines + 5.2)


def draw_waterfall(waterfall: WaterfallFigure, ax: Axes) -> None:
    """Draw the blocks, the first on top."""
    style = chosen_style(ax)
    rows, headings, bottom = _rows(waterfall)
    for row in rows:
        own = LOOKS[_sort(row.step)]
        ax.barh(
            row.y,
            ms(row.step.end_s - row.step.start_s),
            left=ms(row.step.start_s),
            height=THICK,
            color=own.color,
            hatch=own.hatch,
            edgecolor=INK,
        )
    _connect(rows, ax)
    ax.set_yticks([row.y for row in rows], [_tick(row.step) for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(bottom, -0.15)
    ax.set_xlim(0, ms(max(row.step.end_s for row in rows)) * 1.5)
    ax.set_xlabel("time (ms/video)")
    ax.set_ylabel("step")
    ax.grid(visible=True, axis="x")
    used = dict.fromkeys(_sort(row.step) for row in rows)
    steps = [name for name in LOOKS if name in used and name not in {BASELINE, THEORY, MEASURED}]
    ax.legend(
        handles=[
            Patch(facecolor=LOOKS[n].color, hatch=LOOKS[n].hatch, edgecolor=INK, label=n)
            for n in steps
        ],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
    )
    _write(rows, headings, ax, style)


def _rows(waterfall: WaterfallFigure) -> tuple[list[_BarRow], list[tuple[float, str]], float]:
    """Return the bars, the blocks' names with their rows, and where the axes end."""
    rows: list[_BarRow] = []
    headings: list[tuple[float, str]] = []
    y = 0.0
    for chain in waterfall.chains:
        headings.append((y + HEADING / 2, chain.name))
        y += HEADING
        for step in chain.steps:
            rows.append(_BarRow(y=y + 0.5, step=step, chain=chain))
            y += 1
        y += BELOW
    return rows, headings, y


def _sort(step: Step) -> str:
    if step.is_whole:
        return step.name
    return "costs time" if step.end_s >= step.start_s else "saves time"


def _tick(step: Step) -> str:
    return f"+ {step.name}" if step.name in PARTS else step.name


def _connect(rows: list[_BarRow], ax: Axes) -> None:
    """Draw from the end of a bar to where the next one begins, or ends; not from the baseline."""
    for above, below in pairwise(rows):
        if above.chain is not below.chain or above.step.name == BASELINE:
            continue
        x = ms(above.step.end_s)
        ends = [above.y + THICK / 2, below.y - THICK / 2]
        ax.plot([x, x], ends, color=INK, linewidth=0.6, zorder=3)


def _write(rows: list[_BarRow], headings: list[tuple[float, str]], ax: Axes, style: Style) -> None:
    """Write names of blocks and texts of bars; extend the axis so that every text has room."""
    lay_out(ax)
    figure: Any = ax.get_figure(root=True)
    px = figure.dpi / 72
    width = ax.get_window_extent().width
    for y, name in headings:
        ax.annotate(
            plain_text(fitted(ax, name, style.text_pt, 0.8 * width)),
            (0, y),
            xytext=(2, 0),
            textcoords="offset points",
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=style.text_pt,
            fontweight="bold",
        ).set_in_layout(False)
    texts = []
    for row in rows:
        for at, said in ((row.y, _bar_text(row)), (row.y + 0.85, _interval(row))):
            if said:
                text = ax.annotate(
                    said,
                    (ms(max(row.step.end_s, row.step.start_s)), at),
                    xytext=(TEXT_GAP_PT, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=style.small_pt,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the grid
                )
                text.set_in_layout(False)
                texts.append(text)
    for _ in range(LAYOUTS):
        width = ax.get_window_extent().width
        taken = [min((extent(text).width + 2 * TEXT_GAP_PT * px) / width, WIDEST) for text in texts]
        reach = [text.xy[0] / (1 - part) for text, part in zip(texts, taken, strict=True)]
        ax.set_xlim(0, max(reach) or 1)
        lay_out(ax)


def _bar_text(row: _BarRow) -> str:
    """Return the text next to a bar: its time, and the speed-up."""
    step = row.step
    if step.factor is not None:
        change = step.end_s - step.start_s
        sign = "−" if change < 0 else "+"
        return f"{sign}{milliseconds(abs(change))} ms (× {step.factor:.3f})"
    return f"{milliseconds(step.end_s)} ms, {step.speedup:.2f}×"


def _interval(row: _BarRow) -> str:
    """Return the text below the last bar."""
    if row.step.name != MEASURED:
        return ""
    ends = row.chain.interval
    return "no interval" if ends is None else f"95 %: {ends[0]:.2f} to {ends[1]:.2f}×"
