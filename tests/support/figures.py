"""What holds for figures of every kind."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
