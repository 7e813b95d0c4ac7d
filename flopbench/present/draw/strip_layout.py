"""The layout of a film strip: cells, lines of cells, lines of text; in inches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from flopbench.present.draw.style import Style
from flopbench.present.draw.text import plain_text, shortened
from flopbench.present.figures.frames.figure import Frames
from flopbench.present.figures.frames.films import Film

SMALLEST_CELL = 3.6
"""Minimum width of a cell, in sizes of small text: ``skip 4`` fits below it."""
LARGEST_CELL_IN = 0.8
PAD_IN = 0.06
"""What constrained layout leaves free, left and right together."""
CHARACTER = 0.45
"""Width of a typical character of a note, in sizes of its text."""
SHORTEST = 3
"""Minimum number of characters of a shortened name."""
RULER_DPI = 300
"""At lower resolutions, rounding to whole pixels distorts the width of small text."""
BETWEEN = 0.9
"""Lines of text between two rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripLayout:
    """The dimensions that all rows share.

    Attributes:
        width_in: of the drawing.
        per_line: cells of a full line.
        cell_in: side of a cell.
        text_in: height of a line of text.
        text_pt: its size.
    """

    width_in: float
    per_line: int
    cell_in: float
    text_in: float
    text_pt: float

    def lines(self, film: Film) -> int:
        """Return how many lines of cells each strip of a row takes."""
        return -(-film.drawn // self.per_line)

    def line_in(self) -> float:
        """Return the height of one line of cells with its labels."""
        return self.cell_in + 1.1 * self.text_in

    def film_in(self, film: Film) -> float:
        """Return the height of one row, the text above it included."""
        texts = 1 + bool(heading_of(film))
        for strip in film.strips:
            texts += bool(strip.stream)
        return texts * self.text_in + len(film.strips) * self.lines(film) * self.line_in()

    def height_in(self, frames: Frames) -> float:
        """Return the height of the whole drawing."""
        rows = sum(self.film_in(film) for film in frames.films)
        between = BETWEEN * self.text_in * len(frames.films)
        return rows + between + len(self.notes(frames)) * self.text_in + 0.02

    def notes(self, frames: Frames) -> list[str]:
        """Return the lines below the rows: the scale, and what hatches mean."""
        notes = []
        if frames.full_px is not None:
            notes.append(f"side of a frame = side of its input; full: {frames.full_px} px")
        if any(film.missing for film in frames.films):
            notes.append("hatched: no image")
        one = "; ".join(notes)
        if len(one) * CHARACTER * self.text_pt / 72 > self.width_in:
            return notes
        return [one] if one else []

    def places(self, start: int, steps: int) -> list[tuple[int, int, int]]:
        """Cut the steps of a decision where lines end: (line, first column, columns)."""
        found, step, end = [], start, start + steps
        while step < end:
            line, column = divmod(step, self.per_line)
            n = min(end - step, self.per_line - column)
            found.append((line, column, n))
            step += n
        return found


def strip_layout_of(frames: Frames, style: Style, inner: float) -> StripLayout:
    """Return the layout of a drawing ``inner`` inches wide.

    Lines hold as many cells of the smallest size as fit, then are evened out.
    """
    most = max(1, int(inner / (SMALLEST_CELL * style.small_pt / 72)))
    longest = max(film.drawn for film in frames.films)
    per_line = -(-longest // -(-longest // most))
    return StripLayout(
        width_in=inner,
        per_line=per_line,
        cell_in=min(inner / per_line, LARGEST_CELL_IN),
        text_in=style.inches(1),
        text_pt=style.small_pt,
    )


def heading_of(film: Film) -> list[tuple[str, str]]:
    """Return the parts of the second line above a row, each a word and a name."""
    parts: list[tuple[str, str]] = []
    if film.prediction and film.label:
        parts.append(("✓ right:" if film.right else "✗ wrong:", film.prediction))
        if film.label != film.prediction:
            parts.append(("label:", film.label))
    elif film.label:
        parts += [("label:", film.label), ("no prediction", "")]
    elif film.prediction:
        parts += [("predicted:", film.prediction), ("no label", "")]
    if film.exit:
        parts.append(("exit:", film.exit))
    if film.drawn < film.steps:
        parts.append((f"first {film.drawn} of {film.steps:,} steps", ""))
    return parts


class Ruler:
    """Measures text as matplotlib will set it.

    Args:
        size_pt: of the text.
    """

    def __init__(self, size_pt: float) -> None:
        self._figure, self._size_pt = Figure(dpi=RULER_DPI), size_pt

    def width_in(self, text: str, **options: Any) -> float:
        """Return the width of a text, inches."""
        own = Text(0, 0, plain_text(text), fontsize=self._size_pt, **options)
        own.set_figure(self._figure)
        with warnings.catch_warnings():  # missing letters are reported on saving
            warnings.simplefilter("ignore")
            return float(own.get_window_extent().width) / RULER_DPI

    def fits(self, text: str, room_in: float, **options: Any) -> bool:
        """Whether a text fits into this many inches."""
        return self.width_in(text, **options) <= room_in

    def fitted(self, text: str, room_in: float, **options: Any) -> str:
        """Return a text that fits, its middle left out if necessary."""
        return self.line_of([("", text)], room_in, **options)

    def line_of(self, parts: Sequence[tuple[str, str]], room_in: float, **options: Any) -> str:
        """Return words and names in a line, the longest names shortened until it fits."""

        def line(most: int) -> str:
            return ", ".join(f"{word} {shortened(name, most)}".strip() for word, name in parts)

        high = max([len(name) for _, name in parts], default=0)
        if self.fits(line(high), room_in, **options):
            return line(high)
        low, high = SHORTEST, max(high - 1, SHORTEST)
        while low < high:  # the most characters that fit, by bisection
            most = (low + high + 1) // 2
            if self.fits(line(most), room_in, **options):
                low = most
            else:
                high = most - 1
        return line(low)
