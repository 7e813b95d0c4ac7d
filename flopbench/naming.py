"""Names that are almost right: the hint below a message about an unknown one.

Lives here: that hint. Does not live here: any list of names.
"""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 16
"""More known names than this are not listed whole."""


def near_match(name: str, known: Iterable[str], what: str) -> str:
    """Return a hint such as ``did you mean 'skip 4'? actions: skip 1, skip 2, skip 4``.

    Args:
        name: what was given.
        known: the names that exist, in the order to list them.
        what: what they are called, in the plural.
    """
    import difflib

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
    return (f"did you mean {near[0]!r}? " if near else "") + f"{what}: {listed or 'none'}"
