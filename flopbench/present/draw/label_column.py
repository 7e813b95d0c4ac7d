"""Names of points in a column to the right of the axes, some with a second line below.

However close the points, their names keep their distance: they are in the order of the points from
top to bottom, move apart only as far as necessary, and a thin line leads to each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes

from flopbench.present.draw.legend import Entries, legend_above, legend_lines
from flopbench.present.draw.parts import laid_out, plain_log_ticks
from flopbench.present.draw.style import Style
from flopbench.present.draw.text import drawn_width_in, fitting_names, plain_text

LINE = 1.15
"""Distance of two names, in sizes of their text."""
LEAST_LINES = 17
"""Minimum height of the axes, in lines of small text."""
WIDEST = 0.5
"""Largest share of the figure's width for the column; longer names are shortened."""
BESIDE = 1.04
"""Where the column begins, in widths of the axes."""
NARROWEST = 0.3
"""Axes keep this share of their width where they make room for the column."""

LEADER = {
    "arrowstyle": "-",
    "color": "#777777",
    "linewidth": 0.6,
    "linestyle": (0, (1, 1.5)),
    "shrinkA": 1,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}
"""The line from a name to its point: dotted, to distinguish it from the grid."""


def height_in(lines_of_names: int, entries: Entries, style: Style) -> float:
    """Return the height that axes need next to a column of this many lines, inches."""
    lines = max(LEAST_LINES, lines_of_names * LINE / 1.25 + 1)
    return style.inches(lines + 3.5 + legend_lines(entries, style, sentences=True))


def name_points(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    style: Style,
    *,
    legend: Entries,
    endings: Sequence[str] = (),
    below: Sequence[str] = (),
) -> None:
    """Draw the legend above the axes, and write a name next to them for every point.

    The axes have their final limits, and the points are in data coordinates. ``endings`` follow
    names and are never shortened; ``below`` are lines below names, empty for none.
    """
    plain_log_ticks(ax)  # about as wide as the final ones, for the layout
    legend_above(ax, legend, style, sentences=True)
    _, height = laid_out(ax)
    ends = list(endings) or [""] * len(names)
    short = fitting_names(names, WIDEST * style.width_in, style.small_pt, ends)
    texts = [plain_text(name + end) for name, end in zip(short, ends, strict=True)]
    more = list(below) or [""] * len(names)
    texts = [f"{text}\n{one}" if one else text for text, one in zip(texts, more, strict=True)]
    _make_room(ax, texts, style)
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [float(to_axes.transform(point)[1]) for point in points]
    order = sorted(range(len(points)), key=lambda n: (heights[n], n))
    lines = [1 + texts[n].count("\n") for n in order]
    line = min(LINE * style.small_pt / 72 / max(height, 0.1), 1 / sum(lines))
    sizes = [line * many for many in lines]
    for n, place in zip(order, spread([heights[n] for n in order], sizes), strict=True):
        ax.annotate(
            texts[n],
            points[n],
            xytext=(BESIDE, place),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=style.small_pt,
            linespacing=LINE,
            annotation_clip=False,
            arrowprops=LEADER,
            zorder=1.5,
        )
    laid_out(ax)
    plain_log_ticks(ax)


def _make_room(ax: Axes, texts: Sequence[str], style: Style) -> None:
    """Narrow axes that no layout moves, as a colour bar does: the names take their right part."""
    figure: Any = ax.get_figure(root=True)
    if figure.get_layout_engine() is not None:
        return
    width, _ = laid_out(ax)
    lines = [line for text in texts for line in text.split("\n")]
    column = max(drawn_width_in(line, style.small_pt) for line in lines)
    place = ax.get_position()
    kept = max((1 - column / width) / BESIDE, NARROWEST)
    ax.set_position((place.x0, place.y0, place.width * kept, place.height))


def spread(heights: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Move the middles of texts, ascending, apart until none overlap, within 0 and 1.

    By least squares; the ``sizes`` are together at most 1.
    """
    below = list(accumulate(sizes, initial=0.0))
    # Where the middles are if all texts touch: without these, places need only be ascending.
    touching = [start + size / 2 for start, size in zip(below, sizes, strict=False)]
    blocks: list[tuple[float, int]] = []  # (mean of what is left of the heights, how many)
    for height, own in zip(heights, touching, strict=True):
        mean, many = height - own, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, many = (before * count + mean * many) / (count + many), count + many
        blocks.append((mean, many))
    starts = [min(max(mean, 0.0), 1 - below[-1]) for mean, many in blocks for _ in range(many)]
    return [start + own for start, own in zip(starts, touching, strict=True)]
