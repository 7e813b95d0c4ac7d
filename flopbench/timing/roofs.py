"""Measured roofs of a device, and where they are cached: fastest matmul, copy and operators.

A roof is a maximum: the best of many calls, what the device can do when nothing disturbs it. It is
an upper bound for a model, not a typical value.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from flopbench.core.records import NonNegative, Positive, Record
from flopbench.counting import cache
from flopbench.timing.devices import DTYPES, MUST_MATCH, DeviceFacts
from flopbench.timing.verdicts import WAITING

SCHEMA = 3
"""1: first form. 2: with the machine's pace. 3: that of products, not of Python. A changed
measurement needs a new number, so that no old roof is used."""

Rate = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]


class _Best(Record, frozen=True, kw_only=True):
    """The best of many calls.

    Attributes:
        seconds: of all of them.
        repeats: their number.
        clock: the clock's name.
        spread: by which share the median call took longer than the best.
        measured_unix_s: when.
        load: the system's load average of the minute before; None where it has none.
        others: share of the wall time in which others had the processor; None where unknown.
    """

    seconds: Rate
    repeats: Positive
    clock: str
    spread: NonNegative | None = None
    measured_unix_s: NonNegative | None = None
    load: NonNegative | None = None
    others: NonNegative | None = None

    @property
    def busy(self) -> bool:
        """Whether the machine was too busy for a bound."""
        return (self.others or 0.0) > WAITING


CONDITIONS = ("measured_unix_s", "load", "others", "spread")
"""The fields that say under which conditions a roof was measured."""
AnyRoof = TypeVar("AnyRoof", bound=_Best)


class Roof(_Best, frozen=True, kw_only=True):
    """The best product of two n × n matrices in one number format: 2·n³ FLOPs."""

    dtype: str
    n: Positive
    flops_per_s: Rate

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r} where one of {DTYPES} was expected")


class CopyRoof(_Best, frozen=True, kw_only=True):
    """The best copy of one large buffer to another; bytes read and bytes written both count."""

    buffer_bytes: Positive
    bytes_per_s: Rate


class FamilyRoof(Record, frozen=True, kw_only=True):
    """The highest rates that operators of one family reached in one number format.

    Attributes:
        family: as ``Operator.family``.
        flops_per_s: the fastest of several shapes; None for a family without dense work.
        streams: bytes on the larger side of a call, reading or writing, all of them as high in
            the caches as they fit, and bytes of both sides a second.
        call_s: seconds of a call with next to nothing to do; 0 where that is not known.
    """

    dtype: str
    family: str
    flops_per_s: Rate | None = None
    streams: tuple[tuple[Positive, Rate], ...] = ()
    call_s: NonNegative = 0.0


class Roofs(Record, frozen=True, kw_only=True):
    """All roofs measured on one device with one number of threads (of torch on the CPU).

    ``pace_s`` is the best time of ``CpuClock.pace``; None where it is not read.
    """

    device: str
    threads: Positive
    matmul: tuple[Roof, ...]
    copy: CopyRoof
    families: tuple[FamilyRoof, ...] = ()
    pace_s: Rate | None = None

    def flops_per_s(self, dtype: str) -> float | None:
        """Return the roof of one format in FLOP/s; None if it was not measured."""
        return next((roof.flops_per_s for roof in self.matmul if roof.dtype == dtype), None)

    @property
    def bytes_per_s(self) -> float:
        """Memory roof: bytes read and written per second."""
        return self.copy.bytes_per_s

    def of(self, dtype: str) -> dict[str, float | None]:
        """Return what a row in a format keeps: both roofs, and how its own was measured."""
        own = next((roof for roof in self.matmul if roof.dtype == dtype), None)
        return {
            "flops_per_s": self.flops_per_s(dtype),
            "bytes_per_s": self.bytes_per_s,
            **({name: getattr(own, name) for name in CONDITIONS} if own is not None else {}),
        }

    def lacks(self, dtypes: Iterable[str]) -> tuple[str, ...]:
        """Return the formats that were not measured, or only while the machine was busy."""
        quiet = {roof.dtype for roof in self.matmul if not roof.busy}
        known = quiet & {roof.dtype for roof in self.families}
        return tuple(dtype for dtype in dtypes if dtype not in known)

    def merged(self, other: Roofs) -> Roofs:
        """Combine two measurements of one device: the higher value of each roof.

        It was measured on a quiet machine if one of the two was.
        """
        both = (*self.matmul, *other.matmul)
        best = sorted(both, key=lambda roof: roof.flops_per_s)
        matmul = [_quietest(one, [o for o in both if o.dtype == one.dtype]) for one in best]
        copies = (self.copy, other.copy)
        copy = max(copies, key=lambda copy: copy.bytes_per_s)
        families = {(one.dtype, one.family): one for one in self.families}
        for one in other.families:
            key = one.dtype, one.family
            families[key] = _higher(families[key], one) if key in families else one
        pace_s = min(filter(None, (self.pace_s, other.pace_s)), default=None)
        merged = self._with(matmul, _quietest(copy, copies), families.values())
        return msgspec.structs.replace(merged, pace_s=pace_s)

    def completed_by(self, older: Roofs) -> Roofs:
        """Return these roofs, with formats that they lack from an older measurement."""
        own = {roof.dtype for roof in self.families}
        families = [one for one in older.families if one.dtype not in own]
        return self._with((*older.matmul, *self.matmul), self.copy, (*families, *self.families))

    def _with(
        self, matmul: Iterable[Roof], copy: CopyRoof, families: Iterable[FamilyRoof]
    ) -> Roofs:
        """Return roofs with the last one of each format."""
        last = {roof.dtype: roof for roof in matmul}
        kept = tuple(last[dtype] for dtype in DTYPES if dtype in last)
        return msgspec.structs.replace(self, matmul=kept, copy=copy, families=tuple(families))


def _higher(one: FamilyRoof, other: FamilyRoof) -> FamilyRoof:
    """Return the higher of two measurements of every rate of a family."""
    streams = dict(one.streams)
    for size, rate in other.streams:
        streams[size] = max(rate, streams.get(size, 0.0))
    rates = [rate for rate in (one.flops_per_s, other.flops_per_s) if rate is not None]
    flops_per_s = max(rates, default=None)
    return msgspec.structs.replace(
        one,
        flops_per_s=flops_per_s,
        streams=tuple(sorted(streams.items())),
        call_s=min(filter(None, (one.call_s, other.call_s)), default=0.0),
    )


def _quietest(best: AnyRoof, measured: Sequence[AnyRoof]) -> AnyRoof:
    """Return the best roof, with the conditions of the quietest measurement where it was busy."""
    quiet = min(measured, key=lambda roof: roof.others or 0.0)
    if not best.busy or quiet.busy:
        return best
    return msgspec.structs.replace(best, **{name: getattr(quiet, name) for name in CONDITIONS})


class _Cached(Record, frozen=True, kw_only=True):
    """A cached file: ``key`` tells the devices apart whose file names would be equal."""

    key: str
    roofs: Roofs


def roofs_folder() -> Path:
    """Return the folder that roofs are cached in, next to the cached profiles."""
    profiles = cache.cache_folder()
    # A folder that the user chose holds both: profiles directly, roofs in a subfolder.
    chosen = bool(os.environ.get(cache.ENVIRONMENT_VARIABLE))
    return (profiles if chosen else profiles.parent) / "roofs"


def load_roofs(facts: DeviceFacts, threads: int) -> Roofs | None:
    """Read the roofs of a device; None if there are none, with a warning if they are damaged."""
    key, path = _entry(facts, threads)
    expected = (key, facts.device, threads)
    cached = cache.read_stored(
        path, _Cached, lambda one: (one.key, one.roofs.device, one.roofs.threads) == expected
    )
    return None if cached is None else cached.roofs


def store_roofs(facts: DeviceFacts, roofs: Roofs) -> None:
    """Cache roofs for the next run; a folder that cannot be written causes only a warning."""
    key, path = _entry(facts, roofs.threads)
    text = json.dumps(msgspec.to_builtins(_Cached(key=key, roofs=roofs)), indent=1)
    cache.write_stored(path, f"{text}\n".encode())


def _entry(facts: DeviceFacts, threads: int) -> tuple[str, Path]:
    """Return key and file: whatever makes two timings incomparable gives different entries."""
    key = json.dumps(
        {
            "schema": SCHEMA,
            "device": facts.device,
            "name": facts.name,
            "threads": threads,
            "python": facts.facts.get("python.version"),
            "facts": {name: facts.facts.get(name) for name in MUST_MATCH},
        },
        sort_keys=True,
    )
    name = hashlib.sha256(key.encode()).hexdigest()[:40]
    return key, roofs_folder() / f"{name}.json"
