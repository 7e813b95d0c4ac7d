"""Bars from the uniform baseline via theory to the measured time, one block per mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from flopbench.core.units import milliseconds, ms
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.parts import bar_key, bars, laid_out, name_rows, note
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names, unwarned
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
WIDEST, WIDEST_HEADING = 0.75, 0.8
"""Largest share of the axes' width for the text next to a bar, and for a block's name."""
COSTS, SAVES = "costs time", "saves time"

LOOKS: dict[str, Look] = {
    BASELINE: look(7),
    THEORY: look(4),
    # Dark and light, since these bars are often too thin for a hatch.
    COSTS: look(5),
    SAVES: replace(look(2), color=look(6).color),
    MEASURED: look(0),
}
"""Kind of bar -> its look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _BarRow:
    """One bar and its place."""

    y: float
    step: Step
    chain: Chain

    @property
    def kind(self) -> str:
        if self.step.is_whole:
            return self.step.name
        return COSTS if self.step.end_s >= self.step.start_s else SAVES


def waterfall_drawing(waterfall: WaterfallFigure) -> Drawing:
    """Return the steps, ready to be drawn."""
    rows, headings, bottom = _rows(waterfall)

    def draw(ax: Axes) -> None:
        style = chosen_style(ax)
        for row in rows:
            start = ms(row.step.start_s)
            length = ms(row.step.end_s - row.step.start_s)
            bars(ax, [row.y], [length], LOOKS[row.kind], thick=THICK, left=[start])
        _connect(rows, ax)
        names = [f"+ {r.step.name}" if r.step.name in PARTS else r.step.name for r in rows]
        name_rows(ax, [row.y for row in rows], names, "step", ends=(bottom, -0.15))
        ax.set_xlim(0, ms(max(row.step.end_s for row in rows)) * 1.5)
        ax.set_xlabel("time (ms/video)")
        ax.grid(visible=True, axis="x")
        kinds = {row.kind for row in rows}
        shown = [name for name in (COSTS, SAVES) if name in kinds]
        ax.legend(
            [bar_key(LOOKS[name]) for name in shown],
            shown,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=2,
        )
        _write(rows, headings, ax, style)

    return Drawing(
        data=waterfall, draw=draw, height_in=lambda style: style.inches(ROWS_A_LINE * bottom + 5.2)
    )


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
    figure: Any = ax.get_figure(root=True)
    width, _ = laid_out(ax)
    names = fitting_names([name for _, name in headings], WIDEST_HEADING * width, style.text_pt)
    for (y, _), short in zip(headings, names, strict=True):
        heading: dict[str, Any] = {"fontsize": style.text_pt, "fontweight": "bold"}
        at = ("axes fraction", "data")
        note(ax, short, (0, y), style, xycoords=at, **heading).set_in_layout(False)
    texts = []
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over the grid
    for row in rows:
        x = ms(max(row.step.end_s, row.step.start_s))
        for at_y, said in ((row.y, _bar_text(row)), (row.y + 0.85, _interval(row))):
            if said:
                text = note(ax, said, (x, at_y), style, gap_pt=TEXT_GAP_PT, bbox=box)
                text.set_in_layout(False)
                texts.append(text)
    for _ in range(LAYOUTS):
        gaps_px = 2 * TEXT_GAP_PT * figure.dpi / 72
        px = ax.get_window_extent().width
        with unwarned():
            taken = [min((t.get_window_extent().width + gaps_px) / px, WIDEST) for t in texts]
        reach = [text.xy[0] / (1 - part) for text, part in zip(texts, taken, strict=True)]
        ax.set_xlim(0, max(reach) or 1)
        laid_out(ax)


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
