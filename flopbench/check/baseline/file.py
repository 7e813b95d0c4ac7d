"""The baseline file: accepted costs, committed together with the code that they belong to.

JSON (``.flopbench/baseline.json``), kind ``flopbench.baseline``, schema 1 (the first): ``entries``
maps a name to its cost, its digest and every acceptance, ``removed`` names the removed entries. Its
text is canonical: see ``baseline.text``.
"""

from __future__ import annotations

import json
import math
import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

from flopbench.check.baseline.reading import baseline_from
from flopbench.check.baseline.text import KIND, SCHEMA, render_baseline
from flopbench.check.records import Baseline
from flopbench.core.errors import DataError, cut
from flopbench.core.files import check_schema, not_json, read_if_there

__all__ = [
    "KIND",
    "SCHEMA",
    "load_baseline",
    "parse_baseline",
    "render_baseline",
    "verify_baseline",
]

REMAKE = "flopbench init"
WHAT = "a baseline of flopbench check"

_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?:[ \r].*)?$", re.MULTILINE)
"""A line that git writes between two sides of a merge. No line of a baseline begins like it."""


def load_baseline(path: Path) -> Baseline | None:
    """Read a baseline file; None where there is no such file.

    Raises:
        InputError: it cannot be read.
        DataError: it is not UTF-8, or not a sound baseline.
    """
    text = read_if_there(path, WHAT)
    return None if text is None else parse_baseline(text, str(path))


def parse_baseline(text: str, source: str) -> Baseline:
    """Read a baseline.

    Args:
        text: the content of the file.
        source: the name of the file in messages, and the baseline's ``source``.

    Raises:
        DataError: not a baseline, a newer schema, marks of an unfinished merge, anything missing,
            unknown or wrong, or an entry that flopbench did not write.
    """
    data = _json(text, source)
    check_schema(data, source, kind=KIND, schema=SCHEMA, what=WHAT, remake=REMAKE)
    return baseline_from(data, source)


def verify_baseline(text: str, source: str) -> Baseline:
    """Read a baseline and require that it is byte for byte what flopbench writes.

    Args:
        text: the content of the file.
        source: the name of the file in messages.

    Raises:
        DataError: not a sound baseline, or another text for the same content: names the first line
            that differs.
    """
    baseline = parse_baseline(text, source)
    wanted = render_baseline(baseline)
    if text == wanted:
        return baseline
    pairs = zip_longest(text.split("\n"), wanted.split("\n"))
    line, (has, wants) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    raise DataError(
        f"{source}:{line} is not as flopbench writes it: {_shown(has)} where {_shown(wants)} was "
        "expected",
        "the content is sound, its form is not: restore the file with git, or rewrite it with "
        "flopbench accept",
    )


def _shown(line: str | None) -> str:
    """Return a line for a message, shortened where it is long."""
    if line is None:
        return "the end of the file"
    return repr(cut(line))


def _json(text: str, source: str) -> Any:
    conflict = _CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        raise DataError(
            f"{source}:{line} is in the middle of a merge: {conflict[0].strip()!r}",
            "take the file of one side (git checkout --ours or --theirs), "
            "then run flopbench accept for the entries of the other",
        )
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except _RepeatedKey as error:
        raise _repeated(text, source, error.args[0]) from None
    except json.JSONDecodeError as error:
        raise not_json(error, source, f"expected {WHAT}; restore it with git") from None
    except RecursionError:
        raise DataError(f"{source} is not {WHAT}: nested too deeply") from None
    except ValueError as error:  # not a finite number, or one of thousands of digits
        raise DataError(f"{source} is not {WHAT}: {error}", "restore it with git") from None


class _RepeatedKey(Exception):
    """A key that occurs twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        raise _RepeatedKey(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return made


def _repeated(text: str, source: str, key: str) -> DataError:
    """Return the error for a repeated key, with its two lines where they are known."""
    opening = json.dumps(key, ensure_ascii=False) + ":"
    lines = [
        str(number)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.lstrip().startswith(opening)
    ]
    # A key that every entry has is on many lines; a list of them would not help.
    place = f" (lines {' and '.join(lines)})" if len(lines) == 2 else ""
    return DataError(
        f"{source} has the key {key!r} twice in one object{place}",
        "a merge may have kept both sides: restore the file with git, or remove one of them",
    )


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not an amount")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond any amount")
    return value
