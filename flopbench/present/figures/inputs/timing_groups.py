"""Groups of timings that share one line or one roof, and short names for their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flopbench.core.errors import distinct
from flopbench.core.units import plural
from flopbench.present.figures.caption import listed, printable
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.timings import TimedRow

MOST_GROUPS = 8
"""The style has this many looks; more groups could not be distinguished."""

PARTS: Mapping[str, Callable[[TimedRow], str]] = {
    "machine": lambda one: one.machine,
    "threads": lambda one: f"{one.row.what.threads} {plural(one.row.what.threads, 'thread')}",
    "dtype": lambda one: one.row.what.dtype,
    "batch": lambda one: f"batch {one.row.what.batch}",
    "options": lambda one: one.row.what.options,
}
"""What distinguishes timings of one model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingGroup:
    """Rows that share one line, or one roof.

    Attributes:
        name: what distinguishes it from the other groups; its full name where it is the only one.
        whole: its full name.
        rows: in the order of the files.
    """

    name: str
    whole: str
    rows: tuple[TimedRow, ...]


def grouped(rows: Sequence[TimedRow], by: Sequence[str]) -> tuple[TimingGroup, ...]:
    """Put rows into groups.

    Args:
        rows: at least one.
        by: names of ``PARTS``.

    Raises:
        InputError: more groups than can be distinguished.
    """
    found: dict[tuple[str, ...], list[TimedRow]] = {}
    for one in rows:
        found.setdefault(tuple(PARTS[part](one) for part in by), []).append(one)
    if len(found) > MOST_GROUPS:
        raise CallerError(
            f": the rows fall into {len(found)} groups by {listed(list(by))}; "
            f"at most {MOST_GROUPS} can be distinguished",
            "choose with --device, --dtype or --batch",
        )
    varying = [n for n in range(len(by)) if len({key[n] for key in found}) > 1]
    shown = varying or range(len(by))
    groups = []
    for key, members in found.items():
        name = _joined(key[n] for n in shown) or "no options"
        groups.append(TimingGroup(name=name, whole=_joined(key), rows=tuple(members)))
    return tuple(groups)


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def brief_names(groups: Sequence[TimingGroup], by: Sequence[str]) -> tuple[list[list[str]], str]:
    """Name the rows of groups by what differs between them.

    Args:
        groups: as made by ``grouped``.
        by: what they were grouped by, which the groups' names state.

    Returns:
        A name for each row, by group, and what all rows share (``classes=200``), empty for nothing.
    """
    rows = [one for group in groups for one in group.rows]
    specs = [one.row.what.spec.split(",") for one in rows]
    common = [text for text in specs[0][1:] if all(text in spec[1:] for spec in specs)]
    others = [part for part in PARTS if part not in by and len({PARTS[part](o) for o in rows}) > 1]
    one_model = len({",".join(spec) for spec in specs}) == 1 and bool(others)
    shared = ",".join(specs[0]) if one_model else ", ".join(common)
    names = []
    for group in groups:
        own: list[str] = []
        for one in group.rows:
            head, *options = one.row.what.spec.split(",")
            spec = ",".join([head, *(text for text in options if text not in common)])
            more = [PARTS[part](one) for part in others]
            own.append(_joined([*([] if one_model else [spec]), *more]) or spec)
        names.append(distinct([printable(name) for name in own]))
    return names, printable(shared)


def flagged_rows(
    groups: Sequence[TimingGroup], names: Sequence[Sequence[str]]
) -> list[tuple[str, str]]:
    """Return (name, verdict: reasons) of the rows whose verdict is not ``stable``."""
    return [
        (name, ": ".join(filter(None, (one.summary.verdict, "; ".join(one.summary.reasons)))))
        for group, own in zip(groups, names, strict=True)
        for one, name in zip(group.rows, own, strict=True)
        if not one.stable
    ]
