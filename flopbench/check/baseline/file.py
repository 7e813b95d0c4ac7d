"""The baseline file: accepted costs, committed together with the code that they belong to.

JSON (``.flopbench/baseline.json``), kind ``flopbench.baseline``, schema 1 (the first): ``entries``
maps a name to its cost, its digest and every acceptance, ``removed`` names the removed entries. Its
text is canonical: see ``baseline.text``.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

from flopbench.check.baseline.content import baseline_from
from flopbench.check.baseline.text import KIND, SCHEMA, render_baseline
from flopbench.check.records import Baseline
from flopbench.core.errors import DataError, cut
from flopbench.core.files import check_schema, parse_json, read_if_there

__all__ = ["load_baseline", "parse_baseline", "render_baseline", "verify_baseline"]

REMAKE = "flopbench init"
WHAT = "a baseline of flopbench check"

_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?:[ \r].*)?$", re.MULTILINE)
"""A line that git writes between two sides of a merge. No line of a baseline begins like it."""


def load_baseline(path: Path) -> Baseline | None:
    """Read a baseline file; None where there is no such file."""
    text = read_if_there(path, WHAT)
    return None if text is None else parse_baseline(text, str(path))


def parse_baseline(text: str, source: str) -> Baseline:
    """Read the text of a baseline; messages call it ``source``."""
    conflict = _CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        raise DataError(
            f"{source}:{line} is in the middle of a merge: {conflict[0].strip()!r}",
            "take the file of one side (git checkout --ours or --theirs), "
            "then run flopbench accept for the entries of the other",
        )
    data = parse_json(text, source, WHAT, "restore it with git", plain=False)
    check_schema(data, source, kind=KIND, schema=SCHEMA, what=WHAT, remake=REMAKE)
    return baseline_from(data, source)


def verify_baseline(text: str, source: str) -> Baseline:
    """Read a baseline and require that it is byte for byte what flopbench writes."""
    baseline = parse_baseline(text, source)
    wanted = render_baseline(baseline)
    if text == wanted:
        return baseline
    pairs = zip_longest(text.split("\n"), wanted.split("\n"))
    line, pair = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    has, wants = ("the end of the file" if one is None else repr(cut(one)) for one in pair)
    raise DataError(
        f"{source}:{line} is not as flopbench writes it: {has} where {wants} was expected",
        "the content is sound, its form is not: restore the file with git, or rewrite it with "
        "flopbench accept",
    )
