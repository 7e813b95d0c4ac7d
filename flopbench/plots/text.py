"""Text that comes from a log, made safe to draw.

Lives here: that; no matplotlib. Does not live here: fonts and sizes (``style``), what fits into a
width (``widths``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from flopbench.figures.words import printable

ELLIPSIS = "…"


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: no mathtext, no control characters."""
    return printable(text).replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """Return text of at most ``most`` characters, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    kept = max(most - len(ELLIPSIS), 2)
    head = (kept + 1) // 2
    return text[:head].rstrip() + ELLIPSIS + text[len(text) - (kept - head) :].lstrip()


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names of at most ``most`` characters; different ones stay different.

    The middle of a long name is left out; where that leaves two alike, what all begin with is
    left out instead; where that does not help either, they are numbered.
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
