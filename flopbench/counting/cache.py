"""Keeps profiles on disk, so that a second run measures nothing.

One file per profile, in the user's cache folder (``FLOPBENCH_CACHE_DIR`` overrides it). The key
holds everything the figure depends on: the specification, the counter, the version of every
library involved, a digest of the user's own code (``own_code``), and one of flopbench's measuring
code. Entries are written to a temporary file and renamed, so that two processes may write at once;
a damaged entry is dropped with a warning and measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from flopbench.core.errors import DataError, FlopbenchError, complain
from flopbench.core.files import parse_json, write_atomic
from flopbench.core.records import Record, decode
from flopbench.counting.own_code import code_digest
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import UNKNOWN_VERSION, CounterInfo, installed_version
from flopbench.models.spec import LIBRARY_SOURCES, ModelSpec

_Kind = TypeVar("_Kind")

SCHEMA = 1
ENVIRONMENT_VARIABLE = "FLOPBENCH_CACHE_DIR"
_MEASURING_CODE = (
    "counting/measure",
    "counting/profile.py",
    "models/build",
    "models/spec.py",
)


def cache_folder() -> Path:
    """Return the folder of the cache; it may not exist yet."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("flopbench") / "profiles"


class _Stored(Record, frozen=True, kw_only=True):
    """A file of the cache."""

    key: str
    profile: CostProfile


class CacheEntry(Struct, frozen=True, kw_only=True):
    """Where one profile is stored; ``key`` holds everything that it depends on, as JSON."""

    key: str
    path: Path


def entries(
    specs: Iterable[ModelSpec], infos: Sequence[CounterInfo]
) -> dict[tuple[ModelSpec, str], CacheEntry | None]:
    """Return where profiles are stored, by specification and counter.

    None if one must not be stored, because not everything that it depends on is known.
    """
    return {
        (spec, info.name): None if code is None else _entry(spec, info, code)
        for spec in specs
        for code in [code_digest(spec) if spec.is_user_code else ""]
        for info in infos
    }


def _entry(spec: ModelSpec, info: CounterInfo, code: str) -> CacheEntry | None:
    if info.version == UNKNOWN_VERSION:
        return None
    libraries = ["torch", *([spec.source] if spec.source in LIBRARY_SOURCES else [])]
    versions = {name: installed_version(name) for name in libraries}
    key = json.dumps(
        {
            "schema": SCHEMA,
            "spec": str(spec),
            "counter": info.name,
            "versions": {**versions, info.library: info.version},
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "code": _code_digest(),
            **({"own code": code} if code else {}),
        },
        sort_keys=True,
    )
    name = hashlib.sha256(key.encode()).hexdigest()[:40]
    return CacheEntry(key=key, path=cache_folder() / f"{name}.json")


def load(where: CacheEntry) -> CostProfile | None:
    """Read a profile; None if there is none, or, with a warning on stderr, if it is damaged."""
    stored = read_stored(where.path, _Stored, lambda stored: stored.key == where.key)
    return None if stored is None else stored.profile


def store(where: CacheEntry, profile: CostProfile) -> None:
    """Store a profile; a cache that cannot be written causes a warning, never an error."""
    write_stored(where.path, msgspec.json.encode(_Stored(key=where.key, profile=profile)) + b"\n")


def read_stored(path: Path, kind: type[_Kind], belongs: Callable[[_Kind], bool]) -> _Kind | None:
    """Read a file of a cache; None if there is none, or, with a warning, if it is damaged."""
    try:
        stored = _decoded(path.read_bytes(), kind)
        if belongs(stored):
            return stored
        defect = "it belongs to something else"
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(f"cannot read {path}: {error}")
        return None
    except (DataError, UnicodeError) as error:
        defect = str(error)
    _warn(f"{path} is damaged and will be measured again ({defect})")
    return None


def _decoded(data: bytes, kind: type[_Kind]) -> _Kind:
    """Decode in one step what is byte for byte as it was written; look closely at anything else."""
    with contextlib.suppress(msgspec.MsgspecError, RecursionError, OverflowError):
        stored = msgspec.json.decode(data, type=kind)
        if msgspec.json.encode(stored) + b"\n" == data:
            return stored
    where = "the entry"
    return decode(parse_json(data.decode(), where, "JSON", ""), kind, where)


def write_stored(path: Path, data: bytes) -> None:
    """Write a file of a cache; a folder that cannot be written causes only a warning."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except (OSError, FlopbenchError) as error:
        _warn(f"cannot store results in {path.parent}: {error}")


def files() -> list[Path]:
    """List the files of the cache, one a profile."""
    return list(cache_folder().glob("*.json"))


def clear() -> int:
    """Delete every profile of the cache; return how many there were."""
    found = files()
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """Digest the measuring code, so that no entry outlives a change to it."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for name in _MEASURING_CODE:
        root = package / name
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _warn(message: str) -> None:
    complain(f"warning: {message}")
