"""The profiles file of ``flopbench explain``: one model at one input under several counters.

File format (JSON): ``{"schema": 1, "kind": "flopbench.profiles", "convention": ..., "profiles":
[...], "verdicts": {...}, "failures": {...}, "published": [...]}``; a profile holds the fields of
``CostProfile``.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from flopbench.core.errors import DataError
from flopbench.core.files import check_schema, read_json
from flopbench.core.records import decode
from flopbench.core.units import CONVENTION
from flopbench.counting.profile import CostProfile
from flopbench.counting.run import Explanation

SCHEMA = 1
KIND = "flopbench.profiles"


def dumps(explanation: Explanation) -> str:
    """Return the file's text; the same explanation gives the same bytes."""
    head = {"schema": SCHEMA, "kind": KIND, "convention": CONVENTION}
    fields: dict[str, Any] = msgspec.to_builtins(explanation)
    return json.dumps({**head, **fields}, indent=1, ensure_ascii=False) + "\n"


def load(path: str | Path) -> Explanation:
    """Read a profiles file.

    Raises:
        InputError: no such file.
        DataError: damaged, of another kind, or of a newer schema.
    """
    data = read_json(Path(path), "a flopbench profiles file")
    check_schema(
        data,
        str(path),
        kind=KIND,
        schema=SCHEMA,
        what="a flopbench profiles file",
        remake="flopbench explain MODEL -o profiles.json",
    )
    explanation = decode(data, Explanation, str(path))
    _check_together(explanation.profiles, str(path))
    for number, profile in enumerate(explanation.profiles):
        for name in ("total", "dense_macs"):
            stated = getattr(profile, name)
            added = sum(getattr(op, name) for op in profile.operators)
            if stated != added:
                raise DataError(
                    f"{path}: profiles[{number}].{name} is {stated:,}, but its operators add up "
                    f"to {added:,}"
                )
    return explanation


def _check_together(profiles: Sequence[CostProfile], where: str) -> None:
    """Refuse profiles of different models or inputs, and two of one counter."""
    if not profiles:
        raise DataError(f"{where}: the file holds no profile")
    counters: set[str] = set()
    for number, profile in enumerate(profiles):
        place = f"{where}: profiles[{number}]"
        if profile.counter in counters:
            raise DataError(f"{place}: the counter {profile.counter!r} appears twice")
        counters.add(profile.counter)
        for name in ("spec", "input", "classes"):
            value, first = getattr(profile, name), getattr(profiles[0], name)
            if value != first:
                raise DataError(
                    f"{place}.{name} is {value!r} where {first!r} was expected, as in profiles[0]"
                )
