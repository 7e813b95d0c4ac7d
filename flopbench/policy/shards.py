"""Which files a log is: globs, and the numbered shards of one run."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from flopbench.core.errors import DataError, InputError
from flopbench.policy.forms import FORMS
from flopbench.policy.forms.raw import PACKINGS

SHARD_HINT = "all shards of one run are needed, and none of any other: find the missing file"
_NUMBERED = re.compile(r"^(?P<stem>.*?)(?P<number>\d+)(?:-of-(?P<of>\d+))?(?P<rest>\D*)$")
_SUFFIXES = {*PACKINGS, *(suffix for form in FORMS for suffix in form.suffixes)}


def find_files(patterns: str | Path | Sequence[str | Path], *, complete: bool = True) -> list[Path]:
    """Expand one pattern or several: globs and sets of shards, each file once, shards in order.

    ``run.jsonl`` means ``run.rank0-of-4.jsonl`` and its sibling shards if it does not exist
    itself; ``s3://bucket/run*.parquet`` is read by DuckDB.

    ``complete``: refuse a set of shards that lacks one.
    """
    found: list[Path] = []
    given = [patterns] if isinstance(patterns, (str, Path)) else patterns
    for pattern in map(str, given):
        if "://" in pattern:
            from flopbench.policy.forms.parquet_form import remote_files

            own = remote_files(pattern)
            if not own:
                raise InputError(f"no policy log matches {pattern!r}", "check the name")
            found += sorted(own, key=shard_key)
            continue
        path = Path(pattern)
        exists = os.path.exists(path)
        if exists or not glob.has_magic(pattern):
            own = [path] if exists else _shards_of(path)
        else:
            own = [Path(name) for name in glob.glob(pattern, recursive=True)]
        own = [p for p in own if p.is_file()] if len(own) > 1 else own
        if not own:
            raise InputError(f"no policy log matches {pattern!r}", "check the name")
        if own[0].is_dir():
            raise InputError(f"cannot read {own[0]}: it is a directory", "name files or a glob")
        found += sorted(own, key=shard_key)
    found = list(dict.fromkeys(found))
    if complete:
        check_complete(found)
    return found


def _shards_of(path: Path) -> list[Path]:
    stem = _without_suffixes(path)
    pattern = f"{glob.escape(stem)}.rank*-of-*{glob.escape(path.name.removeprefix(stem))}"
    return list(path.parent.glob(pattern)) if path.parent.is_dir() else []


def shard_key(path: str | Path) -> Any:
    """Return what sorts files by the numbers in their names."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def check_complete(paths: Sequence[Path]) -> None:
    """Refuse numbered sets with a gap, and shards of one name from sets of different sizes."""
    sets: dict[tuple[Path, str, str], dict[str | None, list[int]]] = {}
    for path in paths:
        match = _NUMBERED.match(_without_suffixes(path))
        if match is not None:
            key = path.parent, match["stem"], match["rest"]
            sets.setdefault(key, {}).setdefault(match["of"], []).append(int(match["number"]))
    for (parent, stem, _), sizes in sets.items():
        where = f"{parent / stem}*"
        if len(sizes) > 1:
            mixed = " and ".join(str(size) for size in sizes)
            raise DataError(f"{where}: shards from sets of {mixed} files are mixed", SHARD_HINT)
        ((of, numbers),) = sizes.items()
        if of is None and len(numbers) < 2:
            continue  # a number in a name does not make a set
        first = 0 if of else min(numbers)
        wanted = range(first, int(of) if of else max(numbers) + 1)
        there = set(numbers)
        missing = list(islice((number for number in wanted if number not in there), 8))
        if missing:
            listed = ", ".join(map(str, missing))
            files = "1 shard" if len(numbers) == 1 else f"{len(numbers)} shards"
            raise DataError(f"{where}: the set of {files} is missing number {listed}", SHARD_HINT)


def _without_suffixes(path: Path) -> str:
    name = path.name
    for suffix in reversed(path.suffixes):
        if suffix.lower() in _SUFFIXES:
            name = name[: -len(suffix)]
    return name
