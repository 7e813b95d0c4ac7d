"""Text around the axes: names of points in a column beside them, a legend above them.

However close points lie, their names keep their distance: they stand in the order of the points
from top to bottom, move apart only as far as they must, and a thin line leads to each point.

Lives here: that column, that legend. Does not live here: what they say.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea
from matplotlib.textpath import TextPath

from flopbench.plots.style import INK, Style
from flopbench.plots.text import ELLIPSIS, plain, shortened

LINE = 1.15
"""Distance of two names, in sizes of their text."""
CHARACTER = 0.46
"""Width of a typical character, in sizes of its text."""
WIDEST = 0.5
"""Of the figure's width, what the column takes at most; longer names are shortened."""
LEFT_OF_AXES = 10.5
"""What labels of the vertical axis and the handle of the legend take, in sizes of small text."""
ON_GRID = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""What a text that lies over the grid is drawn on."""

NO_BREAK = "\N{NO-BREAK SPACE}"
"""Between a number and its unit in a text of the legend."""

LEADER = {
    "arrowstyle": "-",
    "color": "#777777",
    "linewidth": 0.6,
    "linestyle": (0, (1, 1.5)),
    "shrinkA": 1,
    "shrinkB": 3,
    "relpos": (0, 0.5),
}
"""The line from a name to its point: dotted, so that it is no line of the grid."""

HOLLOW = "hollow: verdict other than stable"
"""What a legend says of hollow marks."""


def hollow() -> Line2D:
    """Return a hollow mark for a legend."""
    return Line2D(
        [], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor=INK
    )


def characters(share: float, style: Style) -> int:
    """Return how many small characters fit into a share of the figure's width."""
    return max(int(share * style.width_in * 72 / (CHARACTER * style.small_pt)), 8)


def wrapped(text: str, style: Style) -> list[str]:
    """Return the lines that a text of the legend above narrow axes takes."""
    most = style.width_in * 72 - LEFT_OF_AXES * style.small_pt
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width_pt(longer, style) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(NO_BREAK, " ") for line in lines]


def _width_pt(text: str, style: Style) -> float:
    font = FontProperties(size=style.small_pt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing letter is told when the figure is saved
        return float(TextPath((0, 0), plain(text), prop=font).get_extents().width)


def legend_lines(texts: Sequence[str], style: Style) -> float:
    """Return the height of ``legend_above`` in one column, in lines of small text."""
    lines = sum(len(wrapped(text, style)) for text in texts)
    return 1.2 * lines + 0.4 if texts else 0.0


def legend_above(
    ax: Axes, handles: Sequence[Any], texts: Sequence[str], style: Style, *, columns: int = 1
) -> None:
    """Draw a legend above the axes: in one column from the left, in two from the right."""
    if not handles:
        return
    labels = ["\n".join(plain(line) for line in wrapped(text, style)) for text in texts]
    right = columns > 1
    legend = ax.legend(
        handles,
        labels,
        loc="lower right" if right else "lower left",
        bbox_to_anchor=(1.0 if right else 0.0, 1.0),
        ncols=columns,
    )
    # A legend that is wider than its axes would press the layout ever narrower: it is left out of
    # it, and an invisible strut of its height keeps its room.
    legend.set_in_layout(False)
    figure: Any = ax.get_figure(root=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing letter is told when the figure is saved
        height = legend.get_window_extent(figure._get_renderer()).height * 72 / figure.dpi
    strut = AnchoredOffsetbox(
        "lower left",
        child=DrawingArea(1, height),
        pad=0,
        borderpad=0,
        frameon=False,
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes,
    )
    ax.add_artist(strut)


def lines_for(count: int) -> float:
    """Return the lines of text that a column of so many names is high."""
    return count * LINE / 1.25


def write_aside(
    ax: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    style: Style,
    endings: Sequence[str] = (),
) -> None:
    """Write a name beside the axes for every point; lay the figure out with them.

    Args:
        ax: with its final limits and legend.
        points: where the lines lead to, in data.
        names: one a point.
        style: in force.
        endings: what stands behind each name and is never shortened.
    """
    if not points:
        return
    laid_out(ax)
    ends = list(endings) or [""] * len(names)
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [float(to_axes.transform(point)[1]) for point in points]
    order = sorted(range(len(points)), key=lambda n: (heights[n], n))
    gap = min(LINE * style.small_pt / 72 / max(height_of(ax), 0.1), 1 / len(points))
    places = spread([heights[n] for n in order], gap)
    short = short_names(names, characters(WIDEST, style) - max(map(len, ends)))
    for n, place in zip(order, places, strict=True):
        ax.annotate(
            plain(short[n] + ends[n]),
            points[n],
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            ha="left",
            fontsize=style.small_pt,
            annotation_clip=False,
            arrowprops=LEADER,
            zorder=1.5,
        )
    laid_out(ax)


def laid_out(ax: Axes) -> None:
    """Give the axes about the place that they will be drawn at: the layout runs, nothing else."""
    figure: Any = ax.get_figure(root=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing letter is told when the figure is saved
            engine.execute(figure)


def height_of(ax: Axes) -> float:
    """Return the height of axes as they are laid out, inches."""
    figure: Any = ax.get_figure(root=True)
    return float(ax.get_window_extent().height / figure.dpi)


def width_of(ax: Axes) -> float:
    """Return the width of axes as they are laid out, inches."""
    figure: Any = ax.get_figure(root=True)
    return float(ax.get_window_extent().width / figure.dpi)


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names of at most ``most`` characters; different ones stay different.

    The middle of a long name is left out; where that leaves two alike, what all begin with is
    left out instead; where that does not help either, they are numbered.
    """
    most = max(most, 8)
    short = [shortened(name, most) for name in names]
    if _apart(short, names):
        return short
    common = _common_start([name for name in names if len(name) > most])
    tails = [
        name if len(name) <= most else shortened(ELLIPSIS + name[common:], most) for name in names
    ]
    if _apart(tails, names):
        return tails
    starts = [
        name if len(name) <= most else (ELLIPSIS + name[common:])[: most - 1] + ELLIPSIS
        for name in names
    ]
    if _apart(starts, names):
        return starts
    return [f"{shortened(name, most - 4)} #{n}" for n, name in enumerate(names, start=1)]


def _common_start(names: Sequence[str]) -> int:
    """Return how many characters all names begin with."""
    alike = (len(set(letters)) == 1 for letters in zip(*names, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def _apart(short: Sequence[str], names: Sequence[str]) -> bool:
    return len(set(short)) == len(set(names))


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights apart to ``gap``, as little as possible in squares, within 0 and 1.

    Args:
        heights: rising.
        gap: smallest distance; at most 1 / the number of heights.
    """
    blocks: list[list[float]] = []  # [mean of (height - own offset in the block), count]
    for height in heights:
        blocks.append([height, 1])
        while len(blocks) > 1 and blocks[-2][0] + gap * blocks[-2][1] > blocks[-1][0]:
            start, count = blocks.pop()
            before, many = blocks[-1]
            total = many + count
            blocks[-1] = [(before * many + (start - gap * many) * count) / total, total]
    places = [start + gap * n for start, count in blocks for n in range(int(count))]
    low, high = gap / 2, 1 - gap / 2
    for n in range(len(places)):
        places[n] = max(places[n], low + gap * n)
    for n in reversed(range(len(places))):
        places[n] = min(places[n], high - gap * (len(places) - 1 - n))
    return places
