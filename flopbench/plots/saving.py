"""Saving a figure as PDF, SVG or PNG so that the same figure gives the same bytes.

No date goes into a file, and what matplotlib draws at random (identifiers inside an SVG) is drawn
from a fixed salt. Other versions of matplotlib draw other bytes; the file names the version.

Lives here: that. Does not live here: drawing.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from flopbench.errors import InputError
from flopbench.figures.words import Words, printable
from flopbench.version import VERSION

TOLERATED_IN = 0.03
"""So far over the edge lies nothing that is read: the outer half of a line, the air of a letter."""
FORMATS = {".pdf": "pdf", ".svg": "svg", ".png": "png"}


def format_of(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises:
        InputError: another suffix, or none.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        has = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise InputError(
            f"cannot draw into {path}: {has}",
            f"expected one of {', '.join(FORMATS)}: PDF and SVG for papers and pages, PNG to look",
        )
    return found


def rendered(figure: Figure, format: str, words: Words) -> tuple[bytes, tuple[str, ...]]:
    """Return a figure as the bytes of a file; to be called inside ``paper``.

    Args:
        figure: what to render.
        format: ``pdf``, ``svg`` or ``png``.
        words: title and caption, which go into the file's own metadata.

    Returns:
        The bytes, and warnings: letters that no installed font has, what is cut off.
    """
    stream = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(stream, format=format, metadata=_metadata(format, words))
        cut = _cut(figure)
    doubts = sorted({str(w.message) for w in caught if "missing from" in str(w.message)})
    return stream.getvalue(), (*doubts, *cut)


def _cut(figure: Figure) -> tuple[str, ...]:
    """Say whether something reaches over the figure's edge, where a file ends."""
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    over = max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)
    if over <= TOLERATED_IN:
        return ()
    return (
        f"something reaches {over:.2f} in over the figure's edge and is cut off: a larger --width "
        "or a smaller --font-size gives it room",
    )


def _metadata(format: str, words: Words) -> dict[str, Any]:
    made_by = f"flopbench {VERSION}, matplotlib {mpl.__version__}"
    title, caption = printable(words.title), printable(" ".join(words.caption))
    if format == "pdf":
        return {
            "Title": title,
            "Subject": caption,
            "Creator": made_by,
            "CreationDate": None,
        }
    if format == "svg":
        return {"Title": title, "Description": caption, "Creator": made_by, "Date": None}
    return {"Title": title, "Description": caption, "Software": made_by}
