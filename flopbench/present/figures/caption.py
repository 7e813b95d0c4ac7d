"""What comes with every figure: its caption, and the table of numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from flopbench.core.remarks import Remark


class Caption(Struct, frozen=True, kw_only=True):
    """The text that comes with a figure.

    Attributes:
        title: one line.
        sentences: what is drawn, from which files, the counter with its version and the convention,
            how intervals were made, and what qualifies the figure.
        short: what is left of the sentences where the figure is printed in a paper, which says the
            rest elsewhere; by default the first one.
        alt: alternative text: what the figure shows, with its main finding in numbers.
        warnings: what makes it questionable, for stderr.
    """

    title: str
    sentences: tuple[str, ...]
    alt: str
    short: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()

    def lines(self, form: str = "full") -> list[str]:
        """Return the title and the sentences, all (``full``) or the ``short`` ones."""
        own = self.sentences if form == "full" else self.short or self.sentences[:1]
        return [f"{self.title}.", *own]


class FigureTable(Struct, frozen=True, kw_only=True):
    """The numbers behind a figure, unrounded: what ``--data`` writes as CSV.

    Attributes:
        header: column names, with units (``share_of_frames``, ``gflops_per_video``).
        rows: one tuple a row; None is an empty field.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]]) -> FigureTable:
        """Make it of rows (column -> value), which all have the same columns; at least one."""
        found = list(rows)
        return cls(header=tuple(found[0]), rows=tuple(tuple(row.values()) for row in found))


class FigureData(Protocol):
    """One figure as data, ready to be drawn: a frozen record with these two properties."""

    @property
    def caption(self) -> Caption:
        """Its title, sentences and alternative text."""
        ...

    @property
    def table(self) -> FigureTable:
        """The numbers behind it."""
        ...


MOST_LOOKS = 8
"""The style has this many colours, hatches and markers; more could not be told apart."""


def with_own_look(sizes: Mapping[str, float]) -> list[str]:
    """Return the parts of a whole that are drawn alone: all, or all but the smallest together."""
    if len(sizes) <= MOST_LOOKS:
        return list(sizes)
    largest = sorted(sizes, key=lambda name: -sizes[name])[: MOST_LOOKS - 1]
    return [name for name in sizes if name in largest]


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def by_key(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return key -> its values, in the order given."""
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def printable(text: str) -> str:
    """Return text with a space for each control character and lone surrogate.

    Labels are a single line, and the XML of an SVG cannot contain such characters.
    """
    return "".join(c if c.isprintable() else " " for c in text)
