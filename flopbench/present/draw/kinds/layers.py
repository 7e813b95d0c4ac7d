"""Bars of a model's MACs: one per module, stacked by operator family."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.label_column import ON_GRID
from flopbench.present.draw.legend import legend_above, legend_lines
from flopbench.present.draw.style import INK, Style, chosen_style, look
from flopbench.present.draw.text import ELLIPSIS, plain_text, short_names, shortened, shortest_cut
from flopbench.present.figures.inputs.profiles import PLAIN_NAMES
from flopbench.present.figures.layers import Layers

ROOM_FOR_SHARE = 1.3
"""The axis extends to this multiple of the longest bar, to fit the share at its end."""
LEAST_LINES = 4
"""Minimum height of the axes, for their label, in lines of small text."""
WIDEST = 0.45
"""Largest share of the figure's width for names."""


def layers_drawing(layers: Layers) -> Drawing:
    """Return where a model's MACs are, ready to be drawn."""
    return Drawing(
        data=layers,
        draw=lambda ax: draw_layers(layers, ax),
        height_in=lambda style: layers_height_in(layers, style),
    )


def layers_height_in(layers: Layers, style: Style) -> float:
    """Return the height that all bars need, inches."""
    legend = legend_lines(_families(layers), style)
    return style.inches(max(1.25 * len(layers.bars), LEAST_LINES) + 3.4 + legend)


def _families(layers: Layers) -> list[str]:
    """Return the legend's texts; a single family needs none."""
    names = [PLAIN_NAMES[family] for family in layers.families]
    return names if len(names) > 1 else []


def draw_layers(layers: Layers, ax: Axes) -> None:
    """Draw the bars, the first module on top."""
    style = chosen_style(ax)
    bars, scale = layers.bars, layers.scale
    ends = [0.0] * len(bars)
    for n, family in enumerate(layers.families):
        lengths = [scale.of(bar.by_family.get(family, 0)) for bar in bars]
        there = [i for i, length in enumerate(lengths) if length]
        own = look(n)
        ax.barh(
            there,
            [lengths[i] for i in there],
            left=[ends[i] for i in there],
            height=0.76,
            color=own.color,
            hatch=own.hatch,
            edgecolor=INK,
            label=PLAIN_NAMES[family],
        )
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for place, (end, bar) in enumerate(zip(ends, bars, strict=True)):
        ax.annotate(
            _share(bar.share),
            (end, place),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.small_pt,
            bbox=ON_GRID,
        )
    names = shortest_cut(
        lambda most: short_paths(layers, most),
        [bar.name for bar in bars],
        WIDEST * style.width_in,
        style.small_pt,
    )
    ax.set_yticks(range(len(bars)), [plain_text(name) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(0, max(ends) * ROOM_FOR_SHARE)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(f"dense {scale.prefix}MACs a sample")
    ax.set_ylabel("module")
    ax.grid(visible=True, axis="x")
    if len(layers.families) > 1:
        handles, _ = ax.get_legend_handles_labels()
        legend_above(ax, handles, _families(layers), style)


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
    for first in range(1, len(parts)):
        tail = ELLIPSIS + ".".join(parts[first:])
        if len(tail) <= most:
            return tail
    return shortened(name, most)
