"""From a figure's data to axes and to files.

Lives here: what all kinds of figures share. Does not live here: any one kind, the style
(``style``), bytes (``saving``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flopbench.errors import InputError
from flopbench.figures.words import FigureData, Words
from flopbench.files import check_writable, write_atomic
from flopbench.plots.saving import format_of, rendered
from flopbench.plots.style import Style, in_style


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure's data, and how it is drawn.

    Attributes:
        data: what is drawn.
        draw: draws it on axes: labels, ticks and legend included.
        height_in: style -> the height that a figure of its width needs, inches.
    """

    data: FigureData
    draw: Callable[[Axes], None]
    height_in: Callable[[Style], float]


_WORDS: WeakKeyDictionary[Figure, Words] = WeakKeyDictionary()


def on_axes(drawing: Drawing, ax: Axes | None = None) -> Axes:
    """Draw on the caller's axes, or on those of a new figure in the style that is in force.

    On axes of the caller's own, the caller's settings of matplotlib rule, and none of them
    changes. A new figure belongs to no window: ``save`` writes it.
    """
    if ax is not None:
        drawing.draw(ax)
        figure = ax.get_figure(root=True)
    else:
        with in_style() as style:
            figure = Figure(figsize=(style.width_in, drawing.height_in(style)))
            ax = figure.subplots()
            drawing.draw(ax)
    if isinstance(figure, Figure):
        _WORDS.setdefault(figure, drawing.data.words)
    return ax


def save(target: Axes | Figure, path: str | Path) -> tuple[str, ...]:
    """Write a figure as PDF, SVG or PNG, whole or not at all; the same figure, the same bytes.

    Args:
        target: a figure, or axes of one.
        path: the suffix says which format.

    Returns:
        Warnings: letters that no installed font has.

    Raises:
        InputError: an unknown suffix, or a path that cannot be written.
    """
    where = Path(path)
    format = format_of(where)
    check_writable(where)
    figure: Any = target.get_figure(root=True) if isinstance(target, Axes) else target
    if not isinstance(figure, Figure):
        raise InputError("only a whole figure can be saved")
    with in_style():
        content, warnings = rendered(figure, format, _WORDS.get(figure, _wordless()))
    write_atomic(where, content)
    return warnings


def bytes_of(drawing: Drawing, format: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a new figure as the bytes of a file, and warnings, in the style in force."""
    with in_style():
        figure: Any = on_axes(drawing).get_figure(root=True)
        return rendered(figure, format, drawing.data.words)


def _wordless() -> Words:
    return Words(title="", caption=(), alt="")
