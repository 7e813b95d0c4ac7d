"""Which classes a figure draws, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from flopbench.core.errors import InputError, near_match
from flopbench.core.units import number_of
from flopbench.policy.counts import LogCounts, WithoutRecords

Sort = Literal["high", "usage", "name", "n"]

SHOWN = 40
"""More classes than this are drawn only on request."""
MOST = 200
"""The most rows that a figure can show."""
Members: TypeAlias = "list[tuple[str, Any]]"
"""The name of each class, and the indices of its videos."""
HIGH = "relative high-resolution usage"
USAGE = "resolution usage"


def log_of_videos(counts: LogCounts | WithoutRecords) -> LogCounts:
    """Refuse what has no records."""
    if isinstance(counts, WithoutRecords):
        raise InputError(f"{counts.source} is {counts.what}: it has no samples")
    return counts


def of_videos(counts: LogCounts, amounts: Any) -> Any:
    """Add up (records,) amounts over the views of each video: (videos,)."""
    import numpy as np

    if counts.video is None:
        return amounts
    return np.bincount(counts.video, weights=amounts, minlength=counts.videos)


def aligned(logs: Sequence[Members]) -> list[Members]:
    """Give several logs the same classes; one that a log lacks has no videos there."""
    import numpy as np

    none: Any = np.zeros(0, np.int64)
    names = dict.fromkeys(name for members in logs for name, _ in members)
    known = [dict(members) for members in logs]
    return [[(name, own.get(name, none)) for name in names] for own in known]


def members_of(counts: LogCounts) -> tuple[Members, tuple[str, ...]]:
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
        many = counts.plan.words.samples.capitalize()
        notes.append(f"{many} with several labels count in each of their classes.")
    unlabelled = int((counts.label_lengths == 0).sum())
    if unlabelled:
        records = number_of(unlabelled, "record")
        notes.append(f"In no class, since without a label: {records}.")
    return found, tuple(notes)


ORDERS: Mapping[str, str] = {
    "high": HIGH,
    "usage": USAGE,
    "name": "name",
    "n": "number of {words.samples}",
}
"""``Sort`` -> what the classes are ordered by, but for the words of the log."""


def sorted_by(members: Members, sort: str | None, weight: Callable[[Any], float]) -> Members:
    """Sort classes: largest number (``n``) or weight of videos first, or by ``name``; ties so."""

    def key(item: tuple[str, Any]) -> tuple[float, int, str]:
        name, videos = item
        first = {"name": 0, "n": len(videos)}[sort] if sort in ("name", "n") else weight(videos)
        return -first, int(name) if name.isdecimal() else -1, name

    return sorted(members, key=key)


def chosen_of(
    ordered: Members, classes: int | Sequence[str] | None, by: str
) -> tuple[Members, str]:
    """Return the classes to draw, in their order, and a sentence on how they were chosen.

    ``by`` says what they are ordered by.
    """
    if classes is not None and not isinstance(classes, int):
        check_classes(classes, {name for name, _ in ordered})
        chosen = [item for item in ordered if item[0] in set(classes)]
        how = "chosen by name"
    else:
        most = SHOWN if classes is None else classes
        chosen = [ordered[i] for i in evenly_spaced(len(ordered), most)]
        how = "evenly spaced in that order"
    if len(ordered) == 1:
        return chosen, "The log has this class only: there is nothing to compare it with."
    if len(chosen) < len(ordered):
        many = number_of(len(chosen), "class")
        return chosen, f"{many} of {len(ordered)}, sorted by {by}, {how}."
    return chosen, f"Sorted by {by}."


def check_classes(wanted: Iterable[str], names: Collection[str]) -> None:
    """Refuse a class that no video has."""
    for name in wanted:
        if name not in names:
            raise InputError(
                f"no sample has the class {name!r}", near_match(name, sorted(names), "classes")
            )


def evenly_spaced(of: int, most: int) -> list[int]:
    """Return at most ``most`` indices below ``of``, the first and the last among them."""
    if most >= of:
        return list(range(of))
    if most == 1:
        return [(of - 1) // 2]
    return [(2 * i * (of - 1) + most - 1) // (2 * (most - 1)) for i in range(most)]
