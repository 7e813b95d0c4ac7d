"""Measured roofs of a device, and where they are cached: the fastest matmul, the fastest copy.

A roof is a maximum: the best of many calls, what the device can do when nothing disturbs it. It is
an upper bound for a model, not a typical value.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flopbench.core.errors import DataError, FlopbenchError
from flopbench.core.files import write_atomic
from flopbench.counting import cache
from flopbench.timing.devices import DEVICES, DTYPES, MUST_MATCH, DeviceFacts

SCHEMA = 1
"""1: first form. A changed measurement needs a new number, so that no old roof is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """The best square matrix product in one number format.

    Attributes:
        dtype: one of ``devices.DTYPES``.
        n: rows and columns of both matrices.
        flops_per_s: 2·n³ / time of the best call.
        seconds: spent on all timed calls.
        repeats: timed calls.
        clock: the clock used: ``process CPU time``, ``wall`` or ``CUDA events``.
    """

    dtype: str
    n: int
    flops_per_s: float
    seconds: float
    repeats: int
    clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRoof:
    """The best copy of one large buffer to another.

    Attributes:
        buffer_bytes: size of each buffer.
        bytes_per_s: (bytes read + bytes written) / time of the best call.
        seconds: spent on all timed calls.
        repeats: timed calls.
        clock: as in ``Roof``.
    """

    buffer_bytes: int
    bytes_per_s: float
    seconds: float
    repeats: int
    clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofs:
    """All roofs measured on one device with one number of threads.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        threads: of torch on the CPU.
        matmul: one per number format.
        copy: memory bandwidth.
    """

    device: str
    threads: int
    matmul: tuple[Roof, ...]
    copy: CopyRoof

    def flops_per_s(self, dtype: str) -> float | None:
        """Return the roof of one format in FLOP/s; None if it was not measured."""
        return next((roof.flops_per_s for roof in self.matmul if roof.dtype == dtype), None)

    @property
    def bytes_per_s(self) -> float:
        """Memory roof: bytes read and written per second."""
        return self.copy.bytes_per_s

    def lacks(self, dtypes: Iterable[str]) -> tuple[str, ...]:
        """Return the formats that were not measured."""
        return tuple(dtype for dtype in dtypes if self.flops_per_s(dtype) is None)

    def merged(self, other: Roofs) -> Roofs:
        """Combine two measurements of one device: the higher value of each roof."""
        best = {roof.dtype: roof for roof in self.matmul}
        for roof in other.matmul:
            best[roof.dtype] = max(best.get(roof.dtype, roof), roof, key=lambda r: r.flops_per_s)
        return Roofs(
            device=self.device,
            threads=self.threads,
            matmul=tuple(best[dtype] for dtype in DTYPES if dtype in best),
            copy=max(self.copy, other.copy, key=lambda c: c.bytes_per_s),
        )

    def completed_by(self, older: Roofs) -> Roofs:
        """Return these roofs, with formats that they lack from an older measurement."""
        best = {roof.dtype: roof for roof in (*older.matmul, *self.matmul)}
        return Roofs(
            device=self.device,
            threads=self.threads,
            matmul=tuple(best[dtype] for dtype in DTYPES if dtype in best),
            copy=self.copy,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts, strings and numbers."""
        return {
            "device": self.device,
            "threads": self.threads,
            "matmul": [_fields(roof) for roof in self.matmul],
            "copy": _fields(self.copy),
        }

    @classmethod
    def from_json(cls, data: Any) -> Roofs:
        """Rebuild what ``to_json`` returned.

        Raises:
            DataError: a field is missing, unknown, of the wrong type, or not a positive number.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise DataError(f"not roofs: expected an object with the fields {sorted(names)}")
        if data["device"] not in DEVICES or not isinstance(data["matmul"], list):
            raise DataError("not roofs: an unknown device, or matmul is not a list")
        matmul = tuple(_record(Roof, roof) for roof in data["matmul"])
        if not {roof.dtype for roof in matmul} <= set(DTYPES):
            raise DataError(f"not roofs: a format that is not one of {DTYPES}")
        _positive(data["threads"], "threads", int)
        copy = _record(CopyRoof, data["copy"])
        return cls(device=data["device"], threads=data["threads"], matmul=matmul, copy=copy)


def roofs_folder() -> Path:
    """Return the folder that roofs are cached in, next to the cached profiles."""
    profiles = cache.cache_folder()
    # A folder that the user chose holds both: profiles directly, roofs in a subfolder.
    chosen = bool(os.environ.get(cache.ENVIRONMENT_VARIABLE))
    return (profiles if chosen else profiles.parent) / "roofs"


def load_roofs(facts: DeviceFacts, threads: int) -> Roofs | None:
    """Read the roofs of a device; None if there are none, with a warning if they are damaged."""
    key, path = _entry(facts, threads)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["key"] != key:
            raise DataError("it belongs to another device")
        roofs = Roofs.from_json(data["roofs"])
        if (roofs.device, roofs.threads) != (facts.device, threads):
            raise DataError("its content belongs to another device")
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(f"cannot read {path}: {error}")
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError) as error:
        _warn(f"{path} is damaged; roofs are measured again ({error})")
        return None
    return roofs


def store_roofs(facts: DeviceFacts, roofs: Roofs) -> None:
    """Cache roofs for the next run; a folder that cannot be written causes only a warning."""
    key, path = _entry(facts, roofs.threads)
    text = json.dumps({"key": key, "roofs": roofs.to_json()}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text + "\n")
    except (OSError, FlopbenchError) as error:
        _warn(f"cannot cache roofs in {path.parent}: {error}")


def _entry(facts: DeviceFacts, threads: int) -> tuple[str, Path]:
    """Return key and file: whatever makes two timings incomparable gives different entries."""
    key = json.dumps(
        {
            "schema": SCHEMA,
            "device": facts.device,
            "name": facts.name,
            "threads": threads,
            "facts": {name: facts.facts.get(name) for name in MUST_MATCH},
        },
        sort_keys=True,
    )
    name = hashlib.sha256(key.encode()).hexdigest()[:40]
    return key, roofs_folder() / f"{name}.json"


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _record(kind: Any, data: Any) -> Any:
    names = {f.name: f.type for f in fields(kind)}
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise DataError(f"not a {kind.__name__}: expected the fields {sorted(names)}")
    for name, wanted in names.items():
        if wanted == "str":
            if not isinstance(data[name], str):
                raise DataError(f"not a {kind.__name__}: {name} is {data[name]!r}, not a string")
        else:
            _positive(data[name], name, int if wanted == "int" else (int, float))
    return kind(**data)


def _positive(value: Any, name: str, kind: Any) -> None:
    good = isinstance(value, kind) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value <= 0:
        raise DataError(f"not roofs: {name} is {value!r}, not a positive number")


def _warn(message: str) -> None:
    sys.stderr.write(f"flopbench: warning: {message}\n")
