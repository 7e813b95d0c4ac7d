"""The baseline file: accepted costs, committed together with the code that they belong to.

JSON (``.flopbench/baseline.json``), kind ``flopbench.baseline``, schema 1 (the first): ``entries``
maps a name to its cost, its digest and every acceptance, ``removed`` names the removed entries.

Its text is canonical. One module, event, component or acceptance per line, keys sorted, modules in
natural order, nothing that depends on the day or the machine: the same baseline is the same bytes,
and its git diff says which module changed. What changes in an entry is between lines that never do
(``accepted`` above, ``what`` below), and each entry has a digest, so that git merges two branches
that moved different entries, even adjacent ones. Two branches that each add an entry at the same
place do conflict, as any two insertions at one line do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from flopbench.check.baseline.content import (
    baseline_from,
    check_sums,
    entry_content,
    removed_content,
)
from flopbench.check.records import Baseline
from flopbench.core.errors import DataError, cut
from flopbench.core.files import check_schema, parse_json, read_if_there

KIND = "flopbench.baseline"
SCHEMA = 1
"""Schema history: 1, the first."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)

_UNSAFE = "[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
"""What JSON allows and a reader cannot see: controls, line and paragraph separators, marks that
change the writing direction, lone surrogates."""


def render_baseline(baseline: Baseline) -> str:
    """Return the canonical text of a baseline."""
    for name, kept in sorted(baseline.entries.items()):
        check_sums(kept.cost, f"entry {name!r}")
    entries = {name: entry_content(name, kept) for name, kept in baseline.entries.items()}
    removed = {name: removed_content(name, move) for name, move in baseline.removed.items()}
    lines = [
        "{",
        *_section("entries", entries),
        f'  "kind": "{KIND}",',
        *_section("removed", removed),
        f'  "schema": {SCHEMA}',
        "}",
    ]
    return "\n".join(lines) + "\n"


def natural(path: str) -> tuple[Any, ...]:
    """Return the sort key that puts ``features.2`` before ``features.10``, and parents first."""
    parts = []
    for part in path.split("."):
        pieces: list[Any] = re.split("([0-9]+)", part)
        # A number sorts by its length without leading zeros, then by its digits.
        for place in range(1, len(pieces), 2):
            digits = pieces[place].lstrip("0")
            pieces[place] = (len(digits), digits)
        parts.append(tuple(pieces))
    return (tuple(parts) if path else (), path)


def _section(name: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not entries:
        return [f'  "{name}": {{}},']
    blocks = ("\n".join(_block(entry, content)) for entry, content in sorted(entries.items()))
    return [f'  "{name}": {{', ",\n".join(blocks), "  },"]


def _block(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one entry: one item per line in lists and maps, else one key per line."""
    yield f"    {_one_line(name)}: {{"
    for number, (key, value) in enumerate(sorted(content.items()), start=1):
        comma = "," if number < len(content) else ""
        # A removed entry has one move, which stays on one line.
        if not isinstance(value, (dict, list, tuple)) or not value or key == "move":
            yield f'      "{key}": {_one_line(value)}{comma}'
            continue
        opened, closed = ("{", "}") if isinstance(value, dict) else ("[", "]")
        yield f'      "{key}": {opened}'
        if isinstance(value, dict):
            names = sorted(value, key=natural if key == "modules" else None)
            items = [f"{_one_line(item)}: {_one_line(value[item])}" for item in names]
        else:
            items = list(map(_one_line, value))
        yield ",\n".join(f"        {item}" for item in items)
        yield f"      {closed}{comma}"
    yield "    }"


def _one_line(value: Any) -> str:
    text = _ENCODER.encode(value)
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(_UNSAFE, lambda sign: f"\\u{ord(sign[0]):04x}", text)


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
