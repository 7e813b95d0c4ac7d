"""Bars of how often each action was chosen: one group an action, one bar a run.

Lives here: the drawing. Does not live here: the shares (``figures.usage``).
"""

from __future__ import annotations

from matplotlib.axes import Axes

from flopbench.figures.usage import Usage
from flopbench.plots.drawing import Drawing
from flopbench.plots.style import INK, Style, chosen_style, look

GROUP = 0.82
"""Of the distance between two actions, what their bars take."""
ROOM_FOR_VALUE = 1.2
"""The axis reaches this many times as far as the longest bar, for the value at its end."""


def usage_drawing(usage: Usage) -> Drawing:
    """Return usage, ready to be drawn."""
    return Drawing(
        data=usage,
        draw=lambda ax: draw_usage(usage, ax),
        height_in=lambda style: usage_height_in(usage, style),
    )


def usage_height_in(usage: Usage, style: Style) -> float:
    """Return the height that all bars need, inches."""
    several = len(usage.runs) > 1
    lines = len(usage.actions) * max(1.3, len(usage.runs) * 0.95 + 0.3)
    return style.inches(lines + 3.2 + (len(usage.runs) if several else 0))


def draw_usage(usage: Usage, ax: Axes) -> None:
    """Draw the bars, the first action on top."""
    style = chosen_style(ax)
    thick = GROUP / len(usage.runs)
    longest = 0.0
    for n, run in enumerate(usage.runs):
        known = [(i, usage.bar(run, action)) for i, action in enumerate(usage.actions)]
        bars = [(i, 100 * share) for i, share in known if share is not None]
        own = look(n)
        places = [i + (n - (len(usage.runs) - 1) / 2) * thick for i, _ in bars]
        lengths = [length for _, length in bars]
        ax.barh(
            places,
            lengths,
            height=thick * 0.92,
            color=own.color,
            hatch=own.hatch,
            edgecolor=INK,
            label=run.name,
        )
        for place, length in zip(places, lengths, strict=True):
            ax.annotate(
                f"{length:.1f}",
                (length, place),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.small_pt,
            )
        longest = max([longest, *lengths])
    ax.set_yticks(range(len(usage.actions)), usage.actions)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(usage.actions) - 0.45, -0.55)
    ax.set_xlim(0, (longest or 1) * ROOM_FOR_VALUE)
    ax.set_xlabel(f"share of {usage.of} (%)")
    ax.set_ylabel("action")
    ax.grid(visible=True, axis="x")
    if len(usage.runs) > 1:
        # Above the axes, a run a line: names may be long.
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1)
