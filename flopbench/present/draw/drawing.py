"""From a figure's data to axes and to files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import Struct

from flopbench.core.errors import InputError
from flopbench.core.files import check_writable, write_atomic
from flopbench.core.version import VERSION
from flopbench.present.draw.style import Style, in_style
from flopbench.present.figures.caption import Caption, FigureData, printable


class Drawing(Struct, frozen=True, kw_only=True):
    """A figure's data, and how it is drawn.

    Attributes:
        draw: draws it on axes: labels, ticks and legend included.
        height_in: style -> the height that a figure of that width needs, inches.
    """

    data: FigureData
    draw: Callable[[Axes], None]
    height_in: Callable[[Style], float]


_CAPTIONS: WeakKeyDictionary[Figure, Caption] = WeakKeyDictionary()


def on_axes(drawing: Drawing, ax: Axes | None = None) -> Axes:
    """Draw on the caller's axes, or on those of a new figure in the style that is in force.

    On the caller's axes, the caller's settings of matplotlib apply, and none of them changes. A new
    figure belongs to no window: ``save`` writes it.
    """
    if ax is not None:
        drawing.draw(ax)
    else:
        with in_style() as style:
            ax = Figure(figsize=(style.width_in, drawing.height_in(style))).subplots()
            drawing.draw(ax)
    figure: Any = ax.get_figure(root=True)
    _CAPTIONS.setdefault(figure, drawing.data.caption)
    return ax


def save_figure(target: Axes | Figure, path: str | Path) -> tuple[str, ...]:
    """Write a figure as PDF, SVG or PNG, atomically; the same figure gives the same bytes.

    Args:
        target: a figure, or axes of one.
        path: its suffix selects the format.

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
        caption = _CAPTIONS.get(figure, Caption(title="", sentences=(), alt=""))
        content, warnings = _rendered(figure, format, caption)
    write_atomic(where, content)
    return warnings


def bytes_of(drawing: Drawing, format: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a new figure as the bytes of a file, and warnings, in the style in force."""
    with in_style():
        figure: Any = on_axes(drawing).get_figure(root=True)
        return _rendered(figure, format, drawing.data.caption)


TOLERATED_IN = 0.03
"""An overhang of this much is harmless: the outer half of a line, the padding of a letter."""
FORMATS = {".pdf": "pdf", ".svg": "svg", ".png": "png"}


def format_of(path: Path) -> str:
    """Return the format given by a file's suffix."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        has = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise InputError(
            f"cannot draw into {path}: {has}",
            f"expected one of {', '.join(FORMATS)}: PDF for papers, SVG for pages, PNG for viewing",
        )
    return found


def _rendered(figure: Figure, format: str, caption: Caption) -> tuple[bytes, tuple[str, ...]]:
    """Return a figure as bytes, and warnings: letters that no font has, what is cut off."""
    stream = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(stream, format=format, metadata=_metadata(format, caption))
        cut = _cut(figure)
    doubts = sorted({str(w.message) for w in caught if "missing from" in str(w.message)})
    return stream.getvalue(), (*doubts, *cut)


def _cut(figure: Figure) -> tuple[str, ...]:
    """Warn if something extends beyond the figure's edge, where it is cut off."""
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    over = max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)
    if over <= TOLERATED_IN:
        return ()
    return (
        f"something extends {over:.2f} in beyond the figure's edge and is cut off: a larger "
        "--width or a smaller --font-size makes room for it",
    )


def _metadata(format: str, caption: Caption) -> dict[str, Any]:
    made_by = f"flopbench {VERSION}, matplotlib {mpl.__version__}"
    title, sentences = printable(caption.title), printable(" ".join(caption.sentences))
    # A date would make the bytes differ.
    names: dict[str, tuple[str, str, dict[str, None]]] = {
        "pdf": ("Subject", "Creator", {"CreationDate": None}),
        "svg": ("Description", "Creator", {"Date": None}),
        "png": ("Description", "Software", {}),
    }
    said, by, undated = names[format]
    return {"Title": title, said: sentences, by: made_by, **undated}
