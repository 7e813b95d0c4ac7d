"""Which points of a trade-off form a series, and which are our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from flopbench.core.errors import InputError, near_match
from flopbench.estimate.runs import parse_pairs
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.tradeoff_points import TradeoffPoint

Series = Mapping[str, Sequence[str]] | Sequence[str]
"""Name -> the points of a series; or texts such as ``AR-Net=a.jsonl,b.jsonl``."""
MOST_SERIES = 8
"""The style has this many looks; the points without a series take one."""


def named_points(points: Sequence[TradeoffPoint], text: str, flag: str) -> list[int]:
    """Return the places of the points that a name, series or file selects, or a pattern of them."""
    names = [(point.name, point.series, point.file) for point in points]
    same = [n for n, own in enumerate(names) if text in own]
    found = same or [n for n, own in enumerate(names) if any(fnmatchcase(o, text) for o in own)]
    if not text or not found:
        known = dict.fromkeys(name for own in names for name in (own[1], own[0]) if name)
        raise InputError(f"{flag}: no point is {text!r}", near_match(text, known, "points"))
    return found


def with_series(points: Sequence[TradeoffPoint], series: Series) -> list[TradeoffPoint]:
    """Put points into series, beside those that rows of tables name."""
    if not isinstance(series, Mapping):
        given = [series] if isinstance(series, str) else series
        series = {name: text.split(",") for name, text in parse_pairs(given, "--series").items()}
    chosen: dict[int, str] = {}
    for name, members in series.items():
        for member in [members] if isinstance(members, str) else members:
            for n in named_points(points, member.strip(), f"--series {name}"):
                if chosen.setdefault(n, name) != name:
                    raise InputError(f"{points[n].name} is in the series {chosen[n]} and {name}")
    found = [replace(p, series=chosen.get(n, p.series)) for n, p in enumerate(points)]
    looks = len({point.series for point in found})
    if looks > MOST_SERIES:
        raise CallerError(
            f": {looks} series; at most {MOST_SERIES} can be distinguished", "draw several figures"
        )
    return found


def with_own(points: Sequence[TradeoffPoint], own: Sequence[str]) -> list[TradeoffPoint]:
    """Say which points are our own: those that are named, else logs."""
    named = {n for text in own for n in named_points(points, text, "--own")}
    return [
        replace(point, own=n in named if own else not point.published)
        for n, point in enumerate(points)
    ]
