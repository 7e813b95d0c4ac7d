"""Names around the axes: a legend above them, in as many columns as fit; a column to their right.

Names come from logs and may be long: their middles are left out. Sentences of a legend wrap.
However close points are, their names in the column keep their distance: they are in the order of
the points from top to bottom, move apart only as far as necessary, and a thin line leads to each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea
from matplotlib.transforms import offset_copy

from flopbench.present.draw.drawing import Drawing
from flopbench.present.draw.parts import laid_out, plain_log_ticks
from flopbench.present.draw.style import INK, Style, chosen_style
from flopbench.present.draw.text import drawn_width_in, fitting_names, plain_text, unwarned
from flopbench.present.figures.caption import FigureData

Entries: TypeAlias = "Sequence[tuple[Artist, str]]"
"""Keys with their texts."""

HANDLE, PAD = 1.6, 0.8
"""Width of a key, and of the space after it, in sizes of its text."""
KEY = HANDLE + PAD
BETWEEN = 1.2
"""Width between two columns, in sizes of its text."""
ROW = 1.2
"""Height of a row, in lines of small text."""
AROUND = 0.4
"""Height around the rows, in lines of small text."""
BESIDE_IN = 0.3
"""Width taken by the edges of figure and legend, inches."""
LEFT_OF_AXES = 8.1
"""Width of the vertical axis's labels next to a legend of sentences, in sizes of small text."""

NO_BREAK = "\N{NO-BREAK SPACE}"
"""Between a number and its unit in a sentence."""


def hollow_entries(verdicts: str) -> list[tuple[Artist, str]]:
    """Return the legend's entry for marks that these verdicts leave hollow; none for no verdict."""
    mark = Line2D(
        [], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor=INK
    )
    return [(mark, f"hollow: {verdicts}")] if verdicts else []


def below_legend(
    data: FigureData,
    draw: Callable[[Axes, Style], None],
    legend: Callable[[], Entries],
    *,
    lines: float,
) -> Drawing:
    """Return a drawing with a legend above it, of this height in lines of small text.

    Keys of a legend are made in the style in which it is drawn.
    """

    def whole(ax: Axes) -> None:
        style = chosen_style(ax)
        draw(ax, style)
        legend_above(ax, legend(), style)

    def height_in(style: Style) -> float:
        return style.inches(lines + legend_lines(legend(), style))

    return Drawing(data=data, draw=whole, height_in=height_in)


def legend_lines(entries: Entries, style: Style, *, sentences: bool = False) -> float:
    """Return the height of ``legend_above`` on axes of a figure's width, in lines of small text."""
    if not entries:
        return 0.0
    labels, columns = _laid_out(entries, style, style.width_in, sentences)
    rows = -(-len(labels) // columns) + sum(label.count("\n") for label in labels)
    return ROW * rows + AROUND


def legend_above(
    ax: Axes, entries: Entries, style: Style, *, sentences: bool = False, above_pt: float = 0.0
) -> None:
    """Draw a legend, if it has entries, above axes with labels, at this distance.

    ``sentences`` wrap, and are at the left of axes that have names to their right; else the texts
    are names, which are shortened, and are at the right.
    """
    if not entries:
        return
    labels, columns = _laid_out(entries, style, _room_in(ax, style), sentences)
    figure: Any = ax.get_figure(root=True)
    legend = ax.legend(
        [handle for handle, _ in entries],
        labels,
        loc="lower left" if sentences else "lower right",
        bbox_to_anchor=(0.0 if sentences else 1.0, 1.0),
        bbox_transform=offset_copy(ax.transAxes, fig=figure, y=above_pt, units="points"),
        ncols=columns,
        fontsize=style.small_pt,
        handlelength=HANDLE,
        handletextpad=PAD,
        columnspacing=BETWEEN,
    )
    # A legend wider than its axes would make the layout ever narrower: it is excluded from the
    # layout, and an invisible strut of its height reserves its room.
    legend.set_in_layout(False)
    with unwarned():
        height = legend.get_window_extent(figure._get_renderer()).height * 72 / figure.dpi
    height += legend.borderaxespad * style.small_pt
    strut = AnchoredOffsetbox(
        "lower left",
        child=DrawingArea(1, height + above_pt),
        pad=0,
        borderpad=0,
        frameon=False,
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes,
    )
    ax.add_artist(strut)


def _room_in(ax: Axes, style: Style) -> float:
    """Return the width of the axes' part of the figure, inches."""
    place = ax.get_subplotspec()
    if place is None:
        return style.width_in
    _, columns, first, last = place.get_geometry()
    return style.width_in * (last % columns - first % columns + 1) / columns


def _laid_out(
    entries: Entries, style: Style, width_in: float, sentences: bool
) -> tuple[list[str], int]:
    """Return texts as drawn, and the number of columns: the fewest rows that fit."""
    texts = [text for _, text in entries]
    em = style.small_pt / 72
    room = width_in - (LEFT_OF_AXES * em if sentences else BESIDE_IN)
    if sentences:
        labels = [
            "\n".join(map(plain_text, _wrapped(text, room - KEY * em, style))) for text in texts
        ]
    else:
        labels = list(map(plain_text, fitting_names(texts, room - KEY * em, style.small_pt)))
    # matplotlib omits labels that begin with an underscore.
    labels = [f" {label}" if label.startswith("_") else label for label in labels]
    if any("\n" in label for label in labels):
        return labels, 1
    widths = [drawn_width_in(label, style.small_pt) + KEY * em for label in labels]
    fit = [n for n in range(1, len(widths) + 1) if _width_in(widths, n, em) <= room]
    rows = min((-(-len(widths) // n) for n in fit), default=len(widths))
    return labels, next((n for n in fit if -(-len(widths) // n) == rows), 1)


def _width_in(widths: Sequence[float], columns: int, em: float) -> float:
    """Return the width of a legend, inches; it fills by column, the first ones one row deeper."""
    rows, deeper = divmod(len(widths), columns)
    total, at = (columns - 1) * BETWEEN * em, 0
    for n in range(columns):
        end = at + rows + (n < deeper)
        total += max(widths[at:end])
        at = end
    return total


def _wrapped(text: str, room_in: float, style: Style) -> list[str]:
    """Return the lines of a wrapped sentence; it breaks at spaces other than ``NO_BREAK``."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and drawn_width_in(longer, style.small_pt) > room_in:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(NO_BREAK, " ") for line in lines]


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
