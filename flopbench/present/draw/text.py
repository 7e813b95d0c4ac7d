"""Text from a log, made safe to draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

from flopbench.present.figures.caption import printable

ELLIPSIS = "…"


def plain_text(text: str) -> str:
    """Return text that matplotlib draws literally: no mathtext, no control characters."""
    return printable(text).replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """Return text of at most ``most`` characters, its middle left out if it is longer."""
    if len(text) <= most:
        return text
    kept = max(most - len(ELLIPSIS), 2)
    head = (kept + 1) // 2
    return text[:head].rstrip() + ELLIPSIS + text[len(text) - (kept - head) :].lstrip()


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names of at most ``most`` characters; different ones stay different.

    The middle of a long name is left out; where that makes two equal, the common prefix is left out
    instead; where that does not help either, they are numbered.
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


FEWEST_LETTERS = 3
"""Names are never shorter than this."""


def drawn_width_in(text: str, size_pt: float) -> float:
    """Return the width of a text in the current font, inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    shown = plain_text(text).replace(r"\$", "$")
    with warnings.catch_warnings():
        # Missing letters are reported when the figure is drawn.
        warnings.simplefilter("ignore")
        size = FontProperties(size=size_pt)
        width, _, _ = text_to_path.get_text_width_height_descent(shown, size, ismath=False)
    return float(width) / 72


def fitting_names(
    names: Sequence[str], width_in: float, size_pt: float, endings: Sequence[str] = ()
) -> list[str]:
    """Return names that fit, the middles of long ones left out; different ones stay different.

    Args:
        names: as in a log; the result is not yet ``plain_text``.
        width_in: maximum width of each with its ending, inches.
        size_pt: of the font.
        endings: what follows each name and is never shortened.
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
    """Return the result of ``short`` for the most letters with which all texts fit.

    Args:
        short: most letters -> the texts.
        texts: whole.
        width_in: maximum width of each with its ending, inches.
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
