"""Bars of how often each action was chosen: one group per action, one bar per run."""

from __future__ import annotations

from matplotlib.axes import Axes

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.draw.text import fitting_names, plain_text
from flopbench.present.figures.usage import Usage

GROUP = 0.82
"""Share of the distance between two actions for their bars."""
ROOM_FOR_VALUE = 1.25
"""The axis extends to this multiple of the longest bar, to fit the value at its end."""
FEWEST_LINES = 3.0
"""Minimum height of the axes, for their label, in lines."""
NAMES_TAKE = 0.45
"""Largest share of a figure's width for names next to its axes."""


def usage_drawing(usage: Usage) -> Drawing:
    """Return usage, ready to be drawn."""
    return Drawing(
        data=usage,
        draw=lambda ax: draw_usage(usage, ax),
        height_in=lambda style: usage_height_in(usage, style),
    )


def usage_height_in(usage: Usage, style: Style) -> float:
    """Return the height that all bars need, inches."""
    lines = len(usage.actions) * max(1.3, len(usage.runs) * 0.95 + 0.3)
    return style.inches(max(lines, FEWEST_LINES) + 3.2 + legend_lines(_names(usage), style))


def _names(usage: Usage) -> list[str]:
    """Return the legend's texts; a single run needs none."""
    return [run.name for run in usage.runs] if len(usage.runs) > 1 else []


def draw_usage(usage: Usage, ax: Axes) -> None:
    """Draw the bars, the first action on top."""
    style = chosen_style(ax)
    thick = GROUP / len(usage.runs)
    longest = 0.0
    handles = []
    for n, run in enumerate(usage.runs):
        shares = [usage.bar(run, action) for action in usage.actions]
        places = [i + (n - (len(usage.runs) - 1) / 2) * thick for i in range(len(shares))]
        bars = [(p, 100 * s) for p, s in zip(places, shares, strict=True) if s is not None]
        own = look(n)
        handles.append(
            ax.barh(
                [place for place, _ in bars],
                [length for _, length in bars],
                height=thick * 0.92,
                color=own.color,
                hatch=own.hatch,
                edgecolor=INK,
            )
        )
        for place, share in zip(places, shares, strict=True):
            _value(ax, style, place, share)
        longest = max([longest, *(length for _, length in bars)])
    names = fitting_names(usage.actions, NAMES_TAKE * style.width_in, style.small_pt)
    ax.set_yticks(range(len(names)), [plain_text(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(usage.actions) - 0.45, -0.55)
    ax.set_xlim(0, (longest or 1) * ROOM_FOR_VALUE)
    if longest * ROOM_FOR_VALUE > 100:
        # The axis extends beyond 100 %, but no share does.
        ax.set_xticks(range(0, 101, 20))
    ax.set_xlabel(plain_text(usage.label))
    ax.set_ylabel("action")
    for i, (above, below) in enumerate(zip(usage.wholes, usage.wholes[1:], strict=False)):
        if above != below:
            ax.axhline(i + 0.5, color=INK, linewidth=0.6)
    if len(usage.runs) > 1:
        legend_above(ax, handles, _names(usage), style)


def _value(ax: Axes, style: Style, place: float, share: float | None) -> None:
    """Write a bar's length at its end; a dash where there is no bar."""
    ax.annotate(
        "–" if share is None else percent_text(share),
        (100 * (share or 0.0), place),
        xytext=(2, 0),
        textcoords="offset points",
        va="center" if share is None else "center_baseline",
        fontsize=style.small_pt,
    )


def percent_text(share: float) -> str:
    """Return a share in percent, one decimal; nothing rounds to 0 or 100."""
    if 0 < share < 0.0005:
        return "< 0.1"
    if 0.9995 <= share < 1:
        return "> 99.9"
    return f"{100 * share:.1f}" if share else "0"
