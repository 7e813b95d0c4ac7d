"""Exceptions and their exit statuses, and the words that messages share."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count, islice
from typing import Any

from flopbench.core.escaping import one_line

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_INPUT = 2
EXIT_MEASURE = 3
EXIT_NOT_COMPARABLE = 4
EXIT_INTERRUPTED = 130

SHOWN = 16
"""At most this many known names are listed."""
LONGEST_SHOWN = 60
LONGEST_MESSAGE = 8000
MOST_COMPARED, LONGEST_COMPARED = 1000, 100
"""Names and characters: difflib takes the square of a name's length, for each known name."""
MOST_BITS = 200
"""Python refuses to print numbers of thousands of digits, which TOML may hold in base 16."""


class FlopbenchError(Exception):
    """Something that the user can fix: one message and, where there is one, a way out.

    Args:
        message: what was wrong: the file, flag or field, what was expected and what was found.
        hint: what to do about it, or an empty string.
    """

    exit_status = EXIT_INPUT

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = map(_without_middle, (message, hint))
        super().__init__(self.message)

    @property
    def line(self) -> str:
        """Message and hint in one line."""
        return f"{self.message.rstrip('.!')}: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[FlopbenchError], tuple[str, str]]:
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class InputError(FlopbenchError):
    """An argument, a specification or a configuration without a meaning."""


class DataError(FlopbenchError):
    """A file whose content is damaged, of another kind, or of a newer schema."""


class MeasureError(FlopbenchError):
    """A model that was named correctly but could not be measured."""

    exit_status = EXIT_MEASURE


class NotComparableError(FlopbenchError):
    """Two results that are well formed but cannot be compared."""

    exit_status = EXIT_NOT_COMPARABLE


def complain(text: object) -> None:
    """Write a message to stderr; what a file named in it stays text, and steers no terminal."""
    lines = (one_line(line) for line in str(text).split("\n"))
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        sys.stderr.write("flopbench: " + "\n".join(lines) + "\n")


def _without_middle(text: str) -> str:
    """Shorten a message that quotes something without end."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE - 1000]} ... {text[-1000:]}"


def cut(text: str) -> str:
    """Cut text that a message quotes to ``LONGEST_SHOWN`` characters."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def shown_value(value: Any) -> str:
    """Show a value as it was written, cut where it is long."""
    if value is None or isinstance(value, bool):
        return "missing" if value is None else str(value).lower()
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return "a huge number"
    return cut(repr(value) if isinstance(value, str) else str(value))


def distinct(names: Sequence[str]) -> list[str]:
    """Return distinct names: equal ones are numbered, ``a #1`` and ``a #2``."""
    given, found = Counter(names), dict[str, None]()
    numbers = {name: count(1) for name, times in given.items() if times > 1}
    for name in names:
        if name in numbers:
            numbered = (f"{name} #{n}" for n in numbers[name])
            name = next(own for own in numbered if own not in given and own not in found)
        found[name] = None
    return list(found)


def near_match(name: str, known: Iterable[str], what: str) -> str:
    """Return a hint such as ``did you mean 'skip 4'? actions: skip 1, skip 2, skip 4``.

    Args:
        name: what was given.
        known: the names that exist, in the order to list them.
        what: what the names are, in the plural.
    """
    names = list(known)
    near = nearest(name, names)
    listed = ", ".join(map(cut, names[:SHOWN]))
    listed += f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
    return (f"did you mean {near!r}? " if near else "") + f"{what}: {listed or 'none'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is spelt most like a name, an empty one where none is near."""
    import difflib

    short = (one for one in known if len(one) <= LONGEST_COMPARED)
    names = list(islice(short, MOST_COMPARED)) if len(name) <= LONGEST_COMPARED else []
    return next(iter(difflib.get_close_matches(name, names, n=1)), "")
