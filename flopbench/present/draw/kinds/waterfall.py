"""Bars from the uniform baseline via theory to the measured time, one block per mode."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.units import ms
from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.parts import bar_key, bars, laid_out, name_rows, note
from flopbench.present.draw.style import INK, Look, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names, unwarned
from flopbench.present.figures.waterfall import (
    BASELINE,
    MEASURED,
    PREDICTED,
    THEORY,
    Chain,
    Step,
    WaterfallFigure,
)

THICK = 0.74
"""Share of the distance between two rows for a bar."""
HEADING, BELOW = 1.0, 1.2
"""Rows for a block's name, and below a measured or predicted bar, for the interval."""
ROWS_A_LINE = 1.25
"""Lines of small text that a row takes."""
TEXT_GAP_PT = 3.0
"""Distance between a bar and the text next to it."""
LONGER = 1.03
"""Length of the axis, in lengths of the longest bar."""
WIDEST_HEADING = 0.8
"""Largest share of the axes' width for a block's name."""
COSTS, SAVES = "costs time", "saves time"

LOOKS: dict[str, Look] = {
    BASELINE: look(7),
    THEORY: look(4),
    # Light and dark also without colour, since these bars are often too thin for a hatch.
    COSTS: look(1),
    SAVES: look(2),
    MEASURED: look(0),
    PREDICTED: replace(look(0), color="white"),
}
"""Kind of bar -> its look."""


class _BarRow(Struct, frozen=True, kw_only=True):
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
    kinds = {row.kind for row in rows}
    legend = [(bar_key(LOOKS[name]), name) for name in (COSTS, SAVES) if name in kinds]

    def draw(ax: Axes) -> None:
        style = chosen_style(ax)
        for row in rows:
            start = ms(row.step.start_s)
            length = ms(row.step.end_s - row.step.start_s)
            bars(ax, [row.y], [length], LOOKS[row.kind], thick=THICK, left=[start])
        _connect(rows, ax)
        name_rows(ax, [row.y for row in rows], [r.step.name for r in rows], "", ends=(bottom, 0))
        ax.set_xlim(0, LONGER * ms(max(row.step.end_s for row in rows)) or 1)
        ax.set_xlabel("time (ms/video)")
        ax.grid(visible=True, axis="x")
        legend_above(ax, legend, style)
        _write(rows, headings, ax, style)

    def height_in(style: Style) -> float:
        return style.inches(ROWS_A_LINE * bottom + 3.6 + legend_lines(legend, style))

    return Drawing(data=waterfall, draw=draw, height_in=height_in)


def _rows(waterfall: WaterfallFigure) -> tuple[list[_BarRow], list[tuple[float, str]], float]:
    """Return the bars, the blocks' names with their rows, and where the axes end."""
    rows: list[_BarRow] = []
    headings: list[tuple[float, str]] = []
    y = 0.0
    for chain in waterfall.chains:
        headings.append((y + HEADING / 2, chain.name))
        y += HEADING
        for step in chain.bars:
            rows.append(_BarRow(y=y + 0.5, step=step, chain=chain))
            y += 1 + (BELOW if step.name in (MEASURED, PREDICTED) else 0)
    return rows, headings, y


def _connect(rows: list[_BarRow], ax: Axes) -> None:
    """Draw from the end of a bar to where the next one begins, or ends; not from the baseline."""
    for above, below in pairwise(rows):
        if above.chain is not below.chain or above.step.name in (BASELINE, MEASURED):
            continue
        x = ms(above.step.end_s)
        ends = [above.y + THICK / 2, below.y - THICK / 2]
        ax.plot([x, x], ends, color=INK, linewidth=0.6, zorder=3)


def _write(rows: list[_BarRow], headings: list[tuple[float, str]], ax: Axes, style: Style) -> None:
    """Write names of blocks and texts of bars."""
    width, _ = laid_out(ax)
    names = fitting_names([name for _, name in headings], WIDEST_HEADING * width, style.text_pt)
    for (y, _), short in zip(headings, names, strict=True):
        heading: dict[str, Any] = {"fontsize": style.text_pt, "fontweight": "bold"}
        at = ("axes fraction", "data")
        note(ax, short, (0, y), style, xycoords=at, **heading).set_in_layout(False)
    for row in rows:
        for at_y, said in ((row.y, _bar_text(row)), (row.y + 0.85, _interval(row))):
            if said:
                _write_beside(row, said, at_y, ax, style)


def _write_beside(row: _BarRow, said: str, y: float, ax: Axes, style: Style) -> None:
    """Write text to the right of a bar, or inside it at its end where it has no room there."""
    x = ms(max(row.step.end_s, row.step.start_s))
    box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over the grid
    text = note(ax, said, (x, y), style, gap_pt=TEXT_GAP_PT, bbox=box)
    text.set_in_layout(False)
    with unwarned():
        over = text.get_window_extent().x1 > ax.get_window_extent().x1
    if over:
        text.xyann = (-TEXT_GAP_PT, 0)
        text.set_horizontalalignment("right")


def _bar_text(row: _BarRow) -> str:
    """Return the text of a bar: its time, and the speed-up or what the step does to it."""
    step, chain = row.step, row.chain
    change = step.end_s - step.start_s
    if step.factor is not None:
        sign = "−" if change < 0 else "+"
        return f"{sign}{chain.ms_text(abs(change))} ms (×{step.factor:.{chain.decimals(1)}f})"
    if step.name == BASELINE:
        return f"{chain.ms_text(change)} ms"
    return f"{chain.ms_text(change)} ms, {chain.speedup_text(step.speedup)}×"


def _interval(row: _BarRow) -> str:
    """Return the text below a measured or predicted bar."""
    step, chain = row.step, row.chain
    if step.name == PREDICTED and chain.predicted is not None:
        off = f"{100 * chain.predicted.difference:+.1f} %".replace("-", "−")
        times = chain.predicted.interval_s
        said = "no interval" if times is None else f"95 %: {_to(map(chain.ms_text, times))} ms"
        return f"{off}; {said}"
    if step.name != MEASURED:
        return ""
    ends = chain.interval
    return "no interval" if ends is None else f"95 %: {_to(map(chain.speedup_text, ends))}×"


def _to(ends: Iterable[str]) -> str:
    return " to ".join(ends)
