"""Text from a log, made safe to draw, and shortened to the room that it has."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from typing import Any

from flopbench.present.figures.caption import printable

ELLIPSIS = "…"
FEWEST_LETTERS = 3
"""Names are never shorter than this."""


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
    letters = zip(*(name for name in names if len(name) > most), strict=False)
    common = sum(1 for _ in takewhile(lambda alike: len(set(alike)) == 1, letters))
    ways: tuple[Callable[[str], str], ...] = (
        lambda name: shortened(name, most),
        lambda name: shortened(ELLIPSIS + name[common:], most),
        lambda name: (ELLIPSIS + name[common:])[: most - 1] + ELLIPSIS,
    )
    for way in ways:
        short = [name if len(name) <= most else way(name) for name in names]
        if len(set(short)) == len(set(names)):
            return short
    return [f"{shortened(name, most - 4)} #{n}" for n, name in enumerate(names, start=1)]


@contextmanager
def unwarned() -> Iterator[None]:
    """Measure text without warnings: letters that no font has are reported on saving."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def drawn_width_in(text: str, size_pt: float, **font: Any) -> float:
    """Return the width of text, plain or as in a log, as drawn, inches; ``font``: weight, style."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    shown = plain_text(text).replace(r"\$", "$")
    with unwarned():
        properties = FontProperties(size=size_pt, **font)
        width, _, _ = text_to_path.get_text_width_height_descent(shown, properties, ismath=False)
    return float(width) / 72


def fitting_names(
    names: Sequence[str], width_in: float, size_pt: float, endings: Sequence[str] = ()
) -> list[str]:
    """Return names that fit, the middles of long ones left out; different ones stay different.

    The width is of each with its ending, which is never shortened; names are not yet
    ``plain_text``.
    """
    ends = endings or [""] * len(names)
    alone = [
        text
        for name, end in zip(names, ends, strict=True)
        for text in longest_fit(partial(_one, name), [name], width_in, size_pt, [end])
    ]
    if len(set(alone)) == len(set(names)):
        return alone
    return longest_fit(partial(short_names, names), names, width_in, size_pt, ends)


def _one(name: str, most: int) -> list[str]:
    return [shortened(name, most)]


def fitting_line(
    parts: Sequence[tuple[str, str]], width_in: float, size_pt: float, **font: Any
) -> str:
    """Return (word, name) pairs in one line, the longest names shortened until it fits."""

    def line(most: int) -> list[str]:
        return [", ".join(f"{word} {shortened(name, most)}".strip() for word, name in parts)]

    whole = line(max((len(name) for _, name in parts), default=0))
    return longest_fit(line, whole, width_in, size_pt, **font)[0]


def longest_fit(
    short: Callable[[int], list[str]],
    texts: Sequence[str],
    width_in: float,
    size_pt: float,
    endings: Sequence[str] = (),
    **font: Any,
) -> list[str]:
    """Return the result of ``short`` for the most letters with which all texts and endings fit."""
    ends = endings or [""] * len(texts)

    def fit(shown: Sequence[str]) -> bool:
        pairs = zip(shown, ends, strict=True)
        return all(drawn_width_in(text + end, size_pt, **font) <= width_in for text, end in pairs)

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
