"""What holds for figures of every kind."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from flopbench.present.draw.style import paper_style


def assert_nothing_clipped(ax: Axes) -> None:
    """Assert that all text and marks lie inside the figure, to a fiftieth of an inch."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    with paper_style():
        figure.dpi = 300
        figure.draw_without_rendering()
        tight = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert tight.x0 >= -0.02
    assert tight.y0 >= -0.02
    assert tight.x1 <= width + 0.02
    assert tight.y1 <= height + 0.02


def box_of(text: Any) -> Any:
    """Return the box around a text without its line to a point, pixels."""
    return Text.get_window_extent(text)


def assert_names_apart(ax: Axes) -> None:
    """Assert that no two texts of axes overlap, and that all are inside the figure, as drawn."""
    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()
    boxes = [box_of(text) for text in ax.texts]
    for box, other in combinations(boxes, 2):
        assert box.y1 <= other.y0 + 1 or other.y1 <= box.y0 + 1
    assert all(box.x0 >= ax.get_window_extent().x1 for box in boxes)
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
