"""Which classes a figure draws, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

from flopbench.core.errors import InputError, near_match
from flopbench.core.units import plural
from flopbench.policy.counts import LogCounts

Sort = Literal["high", "usage", "name", "n"]

SHOWN = 40
"""More classes than this are drawn only on request."""
MOST = 200
"""The most rows that a figure can show."""
HIGH = "relative high-resolution usage"
USAGE = "resolution usage"


def members_of(counts: LogCounts) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    """Return each class with the indices of its videos, and notes; refuse a log without labels."""
    import numpy as np

    found = []
    for value, records in counts.by_label().items():
        videos = records if counts.video is None else np.unique(counts.video[records])
        found.append((counts.label_name(value), videos))
    if not found:
        raise InputError(
            f"{counts.source} has no labels: there are no classes to draw",
            "each record of the log needs 'labels': docs/policy-log.md",
        )
    notes = []
    if counts.label_lengths.max() > 1:
        notes.append("A video with several labels counts in each of its classes.")
    unlabelled = int((counts.label_lengths == 0).sum())
    if unlabelled:
        records = f"{unlabelled:,} {plural(unlabelled, 'record')}"
        notes.append(f"In no class, since without a label: {records}.")
    return found, tuple(notes)


def sorted_by(members: list[tuple[str, Any]], sums: Any, sort: Sort) -> list[tuple[str, Any]]:
    """Sort classes: largest ratio or number first, or by name; ties by name.

    ``members`` has the name of each class and the indices of its videos, ``sums`` is (3, videos).
    """

    def key(item: tuple[str, Any]) -> tuple[float, int, str]:
        name, videos = item
        number = int(name) if name.isdecimal() else -1
        if sort == "name":
            return (0.0, number, name)
        if sort == "n":
            return (-len(videos), number, name)
        row = {"high": 0, "usage": 1}[sort]
        above, below = (int(n) for n in sums[row : row + 2, videos].sum(axis=1))
        # Undefined ratios come last.
        return (-above / below if below else 1.0, number, name)

    return sorted(members, key=key)


def chosen_of(
    ordered: list[tuple[str, Any]], classes: int | Sequence[str] | None, sort: Sort
) -> tuple[list[tuple[str, Any]], str]:
    """Return the classes to draw, in their order, and a sentence on how they were chosen.

    Raises:
        InputError: an unknown class.
    """
    if classes is not None and not isinstance(classes, int):
        check_classes(classes, {name for name, _ in ordered})
        chosen = [item for item in ordered if item[0] in set(classes)]
        how = "chosen by name"
    else:
        most = SHOWN if classes is None else classes
        chosen = [ordered[i] for i in evenly_spaced(len(ordered), most)]
        how = "evenly spaced in that order"
    by = {"high": HIGH, "usage": USAGE, "name": "name", "n": "number of videos"}[sort]
    if len(ordered) == 1:
        return chosen, "The log has this class only: there is nothing to compare it with."
    if len(chosen) < len(ordered):
        return chosen, f"{classes_text(len(chosen))} of {len(ordered)}, sorted by {by}, {how}."
    return chosen, f"Sorted by {by}."


def check_classes(wanted: Iterable[str], names: Collection[str]) -> None:
    """Refuse a class that no video has."""
    for name in wanted:
        if name not in names:
            raise InputError(
                f"no video has the class {name!r}", near_match(name, sorted(names), "classes")
            )


def evenly_spaced(of: int, most: int) -> list[int]:
    """Return at most ``most`` indices below ``of``, the first and the last among them."""
    if most >= of:
        return list(range(of))
    if most == 1:
        return [(of - 1) // 2]
    return [(2 * i * (of - 1) + most - 1) // (2 * (most - 1)) for i in range(most)]


def classes_text(count: int) -> str:
    """Return ``3 classes``."""
    return f"{count:,} {plural(count, 'class', 'classes')}"
