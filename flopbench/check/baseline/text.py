"""The text of a baseline.

One module, event, component or acceptance per line, keys sorted, modules in natural order, nothing
that depends on the day or the machine: the same baseline is the same bytes, and its git diff says
which module changed. What changes in an entry is between lines that never do (``accepted`` above,
``what`` below), and each entry has a digest, so that git merges two branches that moved different
entries, even adjacent ones. Two branches that each add an entry at the same place do conflict, as
any two insertions at one line do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flopbench.check.baseline.content import check_sums, entry_content, removed_content
from flopbench.check.records import Baseline

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
