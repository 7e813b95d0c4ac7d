"""Names next to points."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import IdentityTransform

from flopbench.present.draw.placing import LabelledPoints, found_places
from flopbench.present.draw.style import INK, chosen_style
from flopbench.present.draw.text import FEWEST_LETTERS, fitting_names, plain_text, shortened

GAP_PT, PAD_PT = 2.0, 0.8
"""Between a marker and its label, and between two labels, points."""
MOST_LAYOUTS, SAME_PX = 6, 0.05
"""Layouts until one that has not settled is accepted; a move of fewer pixels counts as settled.
"""
RIM_PT = 1.4
"""Width of the line around letters whose outer half is a label's white rim, points."""
LARGEST_SHARE = 0.5
"""Share of the axes' width that a label may take before its middle is left out."""


class Haloed(Annotation):
    """Text with a white rim, legible over lines; it stays text in a vector file."""

    def draw(self, renderer: Any) -> None:
        """Draw the rim as outlines, then the text itself."""
        self.set_path_effects([withStroke(linewidth=RIM_PT, foreground="white")])
        super().draw(renderer)
        self.set_path_effects([])
        super().draw(renderer)


def label_points(
    ax: Axes, points: LabelledPoints, names: Sequence[str], *, must: bool = False
) -> bool:
    """Write each name next to its point, for the current layout.

    Args:
        ax: the axes; their limits are final.
        points: in data coordinates.
        names: one a point, as in the log.
        must: write labels even if some overlap; else none is written in that case.

    Returns:
        Whether every label found a free place.
    """
    figure: Any = ax.get_figure(root=True)
    lay_out(ax)
    px = figure.dpi / 72
    texts = _written(ax, points, names)
    extents = [extent(text) for text in texts]
    sizes = np.array([(box.width, box.height) for box in extents]).reshape(-1, 2)
    shown = LabelledPoints(
        xy=ax.transData.transform(points.xy),
        lines=_in_pixels(ax, points.lines),
        radius=points.radius * px,
    )
    bounds = ax.get_window_extent().extents
    found = found_places(shown, sizes, bounds, gap=GAP_PT * px, pad=PAD_PT * px)
    if any(one is None for one in found) and not must:
        for text in texts:
            text.remove()
        return False
    for i, text in enumerate(texts):
        place = found[i]
        box, far = (extents[i].extents, False) if place is None else place
        dx = ((box[0] + box[2]) - (extents[i].x0 + extents[i].x1)) / 2 / px
        dy = ((box[1] + box[3]) - (extents[i].y0 + extents[i].y1)) / 2 / px
        text.set_position((dx, dy))
        if far:
            _draw_leader(ax, points.xy[i], shown.xy[i], box, px, points.radius)
    return all(one is not None for one in found)


def lay_out(ax: Axes) -> None:
    """Move the axes to where they will be drawn.

    A layout depends on its starting point; it is repeated until it no longer changes.
    """
    figure: Any = ax.get_figure(root=True)
    before = np.full(4, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing letters are reported on saving
        for _ in range(MOST_LAYOUTS):
            figure.draw_without_rendering()
            now = np.array(ax.get_window_extent().extents)
            if np.abs(now - before).max() < SAME_PX:
                return
            before = now


def extent(text: Any) -> Any:
    """Return the bounding box of a text, pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in ``lay_out``
        return text.get_window_extent(text.get_figure(root=True)._get_renderer())


def width_px(ax: Axes, text: str, size_pt: float) -> float:
    """Return the width of text as drawn, pixels."""
    figure: Any = ax.get_figure(root=True)
    probe = figure.text(0, 0, plain_text(text), fontsize=size_pt)
    width = float(extent(probe).width)
    probe.remove()
    return width


def fitted(ax: Axes, text: str, size_pt: float, most_px: float) -> str:
    """Return text, its middle left out if it is wider than ``most_px`` pixels."""
    shown = text
    width = width_px(ax, shown, size_pt)
    while width > most_px and len(shown) > FEWEST_LETTERS:
        most = min(len(shown) - 1, int(len(shown) * most_px / width))
        shown = shortened(text, max(FEWEST_LETTERS, most))
        width = width_px(ax, shown, size_pt)
    return shown


def _in_pixels(ax: Axes, lines: Any) -> Any:
    ends = np.asarray(lines, float).reshape(-1, 2)
    return ax.transData.transform(ends).reshape(-1, 4) if len(ends) else np.empty((0, 4))


def _written(ax: Axes, points: LabelledPoints, names: Sequence[str]) -> list[Any]:
    small = chosen_style(ax).small_pt
    most = LARGEST_SHARE * ax.get_window_extent().width
    texts = []
    figure: Any = ax.get_figure(root=True)
    short = fitting_names(names, most / figure.dpi, small)
    for (x, y), name in zip(points.xy, short, strict=True):
        text = Haloed(
            plain_text(name),
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=small,
            annotation_clip=False,
            zorder=5,
        )
        text.set_transform(IdentityTransform())
        ax.add_artist(text)
        text.set_in_layout(False)  # the axes stay as they are
        texts.append(text)
    return texts


def _draw_leader(ax: Axes, xy: Any, shown: Any, box: Any, px: float, radius_pt: float) -> None:
    """Draw a line from a point to its label."""
    end = (np.clip(shown, box[:2], box[2:]) - shown) / px
    line = ax.annotate(
        "",
        xy,
        xytext=tuple(end),
        textcoords="offset points",
        arrowprops={
            "arrowstyle": "-",
            "color": INK,
            "linewidth": 0.4,
            "shrinkA": 1,
            "shrinkB": radius_pt,
        },
        annotation_clip=False,
        zorder=4,
    )
    line.set_in_layout(False)
