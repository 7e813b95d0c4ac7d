"""How wide text will be drawn, and what of it fits.

Lives here: measuring without a figure, and shortening to a width. Does not live here: shortening to
a number of letters (``text``), widths on axes that are laid out already (``labels``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from flopbench.plots.text import plain, short_names, shortened

FEWEST_LETTERS = 3
"""No name is shortened further."""


def drawn_width_in(text: str, size_pt: float) -> float:
    """Return how wide a text will be drawn in the font in force, inches."""
    shown = plain(text).replace(r"\$", "$")
    with warnings.catch_warnings():
        # Letters that no font has are warned of when the figure is drawn.
        warnings.simplefilter("ignore")
        size = FontProperties(size=size_pt)
        width, _, _ = text_to_path.get_text_width_height_descent(shown, size, ismath=False)
    return float(width) / 72


def fitting_names(
    names: Sequence[str], width_in: float, size_pt: float, endings: Sequence[str] = ()
) -> list[str]:
    """Return names that fit, the middles of long ones left out; different ones stay different.

    Args:
        names: as in a log; the answer is not yet ``plain``.
        width_in: what each may take with its ending, inches.
        size_pt: of the font.
        endings: what stands behind each name and is never shortened.
    """
    ends = endings or [""] * len(names)
    alone = [
        text
        for name, end in zip(names, ends, strict=True)
        for text in shortest_cut(partial(_one, name), [name], width_in, size_pt, [end])
    ]
    if len(set(alone)) == len(set(names)):
        return alone
    return shortest_cut(partial(short_names, names), names, width_in, size_pt, ends)


def _one(name: str, most: int) -> list[str]:
    return [shortened(name, most)]


def shortest_cut(
    short: Callable[[int], list[str]],
    texts: Sequence[str],
    width_in: float,
    size_pt: float,
    endings: Sequence[str] = (),
) -> list[str]:
    """Return what ``short`` makes of texts for the most letters with which all of them fit.

    Args:
        short: most letters -> the texts.
        texts: whole.
        width_in: what each may take with its ending, inches.
        size_pt: of the font.
        endings: as for ``fitting_names``.
    """
    ends = endings or [""] * len(texts)

    def fit(shown: Sequence[str]) -> bool:
        pairs = zip(shown, ends, strict=True)
        return all(drawn_width_in(text + end, size_pt) <= width_in for text, end in pairs)

    if fit(texts):
        return list(texts)
    low, high = FEWEST_LETTERS, max(map(len, texts))
    while high - low > 1:
        middle = (low + high) // 2
        if fit(short(middle)):
            low = middle
        else:
            high = middle
    return short(low)
