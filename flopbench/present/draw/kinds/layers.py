"""Bars of a model's MACs: one per module, stacked by operator family."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.legend import below_legend
from flopbench.present.draw.parts import FEW_TICKS, ON_GRID, bar_keys, bars, name_rows, note
from flopbench.present.draw.style import Style, look
from flopbench.present.draw.text import ELLIPSIS, longest_fit, short_names, shortened
from flopbench.present.figures.inputs.profiles import PLAIN_NAMES
from flopbench.present.figures.layers import Layers

PATHS_TAKE = 0.34
"""Largest share of a figure's width for names; the first parts of longer paths are left out."""
ROOM_FOR_SHARE = 1.3
"""The axis extends to this multiple of the longest bar, to fit the share at its end."""
LEAST_LINES = 4
"""Minimum height of the axes, for their label, in lines of small text."""


def layers_drawing(layers: Layers) -> Drawing:
    """Return where a model's MACs are, ready to be drawn."""
    modules, scale, families = layers.bars, layers.scale, layers.families
    labels = [PLAIN_NAMES[one] for one in families] if len(families) > 1 else []

    def draw(ax: Axes, style: Style) -> None:
        ends = [0.0] * len(modules)
        for n, family in enumerate(families):
            lengths = [scale.of(bar.by_family.get(family, 0)) for bar in modules]
            there = [i for i, length in enumerate(lengths) if length]
            starts = [ends[i] for i in there]
            bars(ax, there, [lengths[i] for i in there], look(n), thick=0.76, left=starts)
            ends = [end + length for end, length in zip(ends, lengths, strict=True)]
        for place, (end, bar) in enumerate(zip(ends, modules, strict=True)):
            note(ax, _share(bar.share), (end, place), style, bbox=ON_GRID)
        names = longest_fit(
            lambda most: short_paths(layers, most),
            [bar.name for bar in modules],
            PATHS_TAKE * style.width_in,
            style.small_pt,
        )
        name_rows(ax, range(len(names)), names, "module", ends=(len(names) - 0.4, -0.6))
        ax.set_xlim(0, max(ends) * ROOM_FOR_SHARE)
        ax.xaxis.set_major_locator(MaxNLocator(FEW_TICKS))
        ax.set_xlabel(f"dense {scale.prefix}MACs a sample")
        ax.grid(visible=True, axis="x")

    lines = max(1.25 * len(modules), LEAST_LINES) + 3.4
    return below_legend(layers, draw, lambda: bar_keys(labels), lines=lines)


def _share(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 0.05 else "< 0.1 %"


def short_paths(layers: Layers, most: int) -> list[str]:
    """Return names of at most ``most`` characters: the first parts of long paths are left out."""
    names = [bar.name for bar in layers.bars]
    short = [_without_head(name, most) for name in names]
    return short if len(set(short)) == len(set(names)) else short_names(names, most)


def _without_head(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    parts = name.split(".")
    tails = [ELLIPSIS + ".".join(parts[first:]) for first in range(1, len(parts))]
    return next((tail for tail in tails if len(tail) <= most), shortened(name, most))
