"""Bars of how often each action was chosen: one group per action, one bar per run."""

from __future__ import annotations

from matplotlib.axes import Axes

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import below_legend
from flopbench.present.draw.parts import NAMES_TAKE, bar_keys, bars, name_rows, note
from flopbench.present.draw.style import INK, Style, look
from flopbench.present.draw.text import fitting_names
from flopbench.present.figures.usage import Usage

GROUP = 0.82
"""Share of the distance between two actions for their bars."""
ROOM_FOR_VALUE = 1.25
"""The axis extends to this multiple of the longest bar, to fit the value at its end."""
FEWEST_LINES = 3.0
"""Minimum height of the axes, for their label, in lines."""


def usage_drawing(usage: Usage) -> Drawing:
    """Return usage, ready to be drawn."""
    runs = usage.runs
    labels = [run.name for run in runs] if len(runs) > 1 else []
    lines = max(len(usage.actions) * max(1.3, len(runs) * 0.95 + 0.3), FEWEST_LINES) + 3.2

    def draw(ax: Axes, style: Style) -> None:
        thick = GROUP / len(runs)
        longest = 0.0
        for n, run in enumerate(runs):
            shares = [usage.bar(run, action) for action in usage.actions]
            places = [i + (n - (len(runs) - 1) / 2) * thick for i in range(len(shares))]
            drawn = [(p, 100 * s) for p, s in zip(places, shares, strict=True) if s is not None]
            lengths = [length for _, length in drawn]
            bars(ax, [place for place, _ in drawn], lengths, look(n), thick=thick * 0.92)
            for place, share in zip(places, shares, strict=True):
                _write(ax, style, place, share)
            longest = max([longest, *lengths])
        names = fitting_names(usage.actions, NAMES_TAKE * style.width_in, style.small_pt)
        name_rows(ax, range(len(names)), names, "action", ends=(len(names) - 0.45, -0.55))
        ax.set_xlim(0, (longest or 1) * ROOM_FOR_VALUE)
        if longest * ROOM_FOR_VALUE > 100:
            # The axis extends beyond 100 %, but no share does.
            ax.set_xticks(range(0, 101, 20))
        ax.set_xlabel(usage.label)
        for i, (above, below) in enumerate(zip(usage.wholes, usage.wholes[1:], strict=False)):
            if above != below:
                ax.axhline(i + 0.5, color=INK, linewidth=0.6)

    return below_legend(usage, draw, lambda: bar_keys(labels), lines=lines)


def _write(ax: Axes, style: Style, place: float, share: float | None) -> None:
    """Write a bar's length at its end; a dash where there is no bar."""
    if share is None:
        note(ax, "–", (0.0, place), style)
    else:
        note(ax, percent_text(share), (100 * share, place), style, va="center_baseline")


def percent_text(share: float) -> str:
    """Return a share in percent, one decimal; nothing rounds to 0 or 100."""
    if 0 < share < 0.0005:
        return "< 0.1"
    if 0.9995 <= share < 1:
        return "> 99.9"
    return f"{100 * share:.1f}" if share else "0"
