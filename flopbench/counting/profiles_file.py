"""The profiles file of ``flopbench explain``: one model at one input under several counters.

File format (JSON): ``{"schema": 1, "kind": "flopbench.profiles", "convention": ..., "profiles":
[...], "verdicts": {...}, "failures": {...}, "published": [...]}``; a profile holds the fields of
``CostProfile``.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flopbench.core.errors import DataError, describe
from flopbench.core.files import check_schema, read_json
from flopbench.core.units import CONVENTION
from flopbench.counting.agreement import CounterVerdict
from flopbench.counting.profile import CostProfile
from flopbench.counting.run import Explanation

SCHEMA = 1
KIND = "flopbench.profiles"


def dumps(explanation: Explanation) -> str:
    """Return the file's text; the same explanation gives the same bytes."""
    data = {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "profiles": [profile.to_json() for profile in explanation.profiles],
        "verdicts": {name: asdict(v) for name, v in explanation.verdicts.items()},
        "failures": dict(explanation.failures),
        "published": list(explanation.published),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


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
    import msgspec

    try:
        # msgspec checks types, but does not refuse unknown fields.
        for item in data["profiles"]:
            CostProfile.from_json(item)
        for item in data["verdicts"].values():
            CounterVerdict(**item)
        parts = {name: data[name] for name in ("profiles", "verdicts", "failures", "published")}
        explanation = msgspec.convert(parts, Explanation)
        _check_together(explanation.profiles)
        for number, profile in enumerate(explanation.profiles):
            _check_counts(profile, f"profiles[{number}]")
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {describe(error)}") from None
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.hint) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a flopbench profiles file: {error!r}") from None
    return explanation


def _check_together(profiles: Sequence[CostProfile]) -> None:
    """Refuse profiles of different models or inputs, and two of one counter."""
    if not profiles:
        raise DataError("the file holds no profile")
    counters: set[str] = set()
    first = profiles[0]
    for number, profile in enumerate(profiles):
        if profile.counter in counters:
            raise DataError(f"profiles[{number}]: the counter {profile.counter!r} appears twice")
        counters.add(profile.counter)
        for name in ("spec", "input", "classes"):
            value, other = getattr(profile, name), getattr(first, name)
            if value != other:
                raise DataError(
                    f"profiles[{number}].{name} is {value!r} where {other!r} was expected, as in "
                    "profiles[0]"
                )


def _check_counts(profile: CostProfile, place: str) -> None:
    """Refuse sums that differ from those of the operators, and negative counts.

    An operator's total may be a remainder and so be negative.
    """
    records: list[tuple[str, object, tuple[str, ...]]] = [
        (place, profile, ("dense_macs", "params", "activations"))
    ]
    records += [
        (f"{place}.operators[{n}]", op, ("calls", "dense_macs", "activations"))
        for n, op in enumerate(profile.operators)
    ]
    for where, record, names in records:
        for name in names:
            if getattr(record, name) < 0:
                raise DataError(
                    f"{where}.{name} is {getattr(record, name)} where a count was expected"
                )
    for name in ("total", "dense_macs"):
        stated, added = getattr(profile, name), sum(getattr(op, name) for op in profile.operators)
        if stated != added:
            raise DataError(f"{place}.{name} is {stated:,}, but its operators add up to {added:,}")
