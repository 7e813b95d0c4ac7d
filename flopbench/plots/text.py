"""Text that comes from a log, made safe to draw.

Lives here: that. Does not live here: fonts and sizes (``style``).
"""

from __future__ import annotations

ELLIPSIS = "…"


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: no mathtext, no control characters."""
    return "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """Return text of at most ``most`` characters, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    kept = max(most - len(ELLIPSIS), 2)
    head = (kept + 1) // 2
    return text[:head].rstrip() + ELLIPSIS + text[len(text) - (kept - head) :].lstrip()
