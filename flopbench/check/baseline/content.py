"""What a baseline file holds of each entry, and the records of the check that it stands for.

The structures name every key of the file. ``macs`` and ``gflops_per_video`` are the earlier names
of metrics: digests are taken over them, so files keep them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

import msgspec
from msgspec import Struct

from flopbench.check.records import (
    EARLIER_NAMES,
    MODEL_METRICS,
    NAMES_ON_FILE,
    Acceptance,
    Baseline,
    Cost,
    Kept,
    LogCost,
    ModelCost,
    ModuleCost,
    PricedComponent,
    says_something,
)
from flopbench.check.report import amount_from, plain_amount
from flopbench.core.errors import DataError
from flopbench.core.records import Count, Record, decode
from flopbench.estimate.charges import ChargeItem

LARGEST_AMOUNT = 10**100
"""Far beyond any cost, yet still practical for arithmetic and messages."""

_FRACTION = re.compile("[0-9]{1,2000}/[0-9]{1,2000}")
"""A fraction as text. No exponent: ``1e999999999`` is short, but too large to compute."""

_Amounts = dict[Literal["macs", "params", "activations", "gflops_per_video", "latency"], Fraction]


class _Move(Record, frozen=True, kw_only=True):
    new: _Amounts
    old: _Amounts
    reason: str


class _Module(Record, frozen=True, kw_only=True, omit_defaults=True, rename={"dense_macs": "macs"}):
    type: str
    dense_macs: Count = 0
    params: Count = 0
    activations: Count = 0
    calls: Count = 0
    ops: tuple[str, ...] = ()
    shape: Mapping[str, bool | int | float | str | list[Any] | None] = {}


class _Component(Record, frozen=True, kw_only=True, rename={"total_macs": "macs"}):
    spec: str
    total_macs: Count


class _Entry(Record, frozen=True, kw_only=True, tag_field="what"):
    accepted: list[_Move]
    counter: str
    counter_version: str
    digest: str = ""
    versions: dict[str, str]


class _Model(_Entry, frozen=True, kw_only=True, tag="model", rename={"dense_macs": "macs"}):
    spec: str
    input: str
    convention: str
    dense_macs: Count
    total: Count
    params: Count
    activations: Count
    modules: dict[str, _Module]
    gaps: tuple[str, ...]


class _Log(_Entry, frozen=True, kw_only=True, tag="policy log", rename={"macs_per_video": "macs"}):
    policy_log: str
    rule: str
    macs_per_video: Fraction
    videos: Count | None
    components: dict[str, _Component]
    events: tuple[ChargeItem[Fraction], ...]


class _Removed(Record, frozen=True, kw_only=True, tag_field="what", tag="removed"):
    digest: str = ""
    move: _Move


class _File(Record, frozen=True, kw_only=True):
    kind: str
    schema: int
    entries: dict[str, _Model | _Log]
    removed: dict[str, _Removed]


def baseline_from(data: Mapping[str, Any], source: str) -> Baseline:
    """Rebuild a baseline from what JSON gave, kind and schema already checked."""
    file = decode(data, _File, source, dec_hook=_amount, hint="restore it with git")
    for name, content in data["removed"].items():
        _check_digest(name, content, f"{source}: removed entry {name!r}")
    entries = {}
    for name, entry in file.entries.items():
        where = f"{source}: entry {name!r}"
        _check_digest(name, data["entries"][name], where)
        entries[name] = Kept(cost=_cost(entry), accepted=tuple(map(_acceptance, entry.accepted)))
        check_sums(entries[name].cost, where)
    removed = {name: _acceptance(entry.move) for name, entry in file.removed.items()}
    return Baseline(entries=entries, removed=removed, source=source)


def entry_content(name: str, kept: Kept) -> dict[str, Any]:
    """Return an entry as JSON values; the order of keys does not matter.

    Modules that neither cost nor hold anything are left out, and so is the source of a module,
    which is found again each time.
    """
    cost = kept.cost
    moves = list(map(_move, kept.accepted))
    if isinstance(cost, LogCost):
        components = {part: _of(_Component, price) for part, price in cost.components.items()}
        return _signed(name, _of(_Log, cost, accepted=moves, components=components))
    modules = {one.path: _of(_Module, one) for one in cost.modules if says_something(one)}
    return _signed(name, _of(_Model, cost, accepted=moves, modules=modules))


def removed_content(name: str, move: Acceptance) -> dict[str, Any]:
    """Return a removed entry as JSON values."""
    return _signed(name, _Removed(move=_move(move)))


def digest_of(name: str, content: Mapping[str, Any]) -> str:
    """Return the digest of an entry: over its name and its content, without the digest itself.

    It detects that a file was edited by hand; it cannot prevent a deliberate edit.
    """
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps([name, rest], sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def check_sums(cost: Cost, where: str) -> None:
    """Check that a cost is the sum of its parts; ``where`` names file and entry in messages."""
    if isinstance(cost, LogCost):
        _check_log_sum(cost, where)
        return
    paths = [module.path for module in cost.modules]
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise DataError(f"{where}: module {twice!r} is there twice")
    for metric in MODEL_METRICS:
        parts, whole = sum(getattr(m, metric) for m in cost.modules), getattr(cost, metric)
        if parts != whole:
            raise DataError(f"{where}: {metric} is {whole}, but its modules add up to {parts}")


def _check_log_sum(cost: LogCost, where: str) -> None:
    total = Fraction(0)
    for event in cost.events:
        for name, runs in event.costs.items():
            if name not in cost.components:
                raise DataError(
                    f"{where}: event {event.name!r} costs runs of {name!r}, "
                    "which is not a component"
                )
            total += event.times * runs * cost.components[name].total_macs
    if total != cost.macs_per_video:
        raise DataError(f"{where}: macs is not what its events add up to")


def _of(kind: type[Struct], record: Any, **given: Any) -> Struct:
    """Return the structure that a record has on file; both name their fields alike."""
    names = [name for name in kind.__struct_fields__ if name not in given and name != "digest"]
    return kind(**{name: getattr(record, name) for name in names}, **given)


def _signed(name: str, entry: Struct) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(entry, enc_hook=plain_amount)
    return {**content, "digest": digest_of(name, content)}


def _move(move: Acceptance) -> _Move:
    new, old = (_renamed(side, NAMES_ON_FILE) for side in (move.new, move.old))
    return _Move(new=new, old=old, reason=move.reason)


def _acceptance(move: _Move) -> Acceptance:
    new, old = (_renamed(side, EARLIER_NAMES) for side in (move.new, move.old))
    return Acceptance(new=new, old=old, reason=move.reason)


def _renamed(amounts: Mapping[Any, Fraction], names: Mapping[str, str]) -> dict[Any, Fraction]:
    return {names.get(name, name): amount for name, amount in amounts.items()}


def _cost(entry: _Model | _Log) -> Cost:
    fields = msgspec.structs.asdict(entry)
    del fields["accepted"], fields["digest"]
    if isinstance(entry, _Model):
        modules = (
            ModuleCost(path=path, **msgspec.structs.asdict(module))
            for path, module in entry.modules.items()
        )
        return ModelCost(**{**fields, "modules": tuple(modules)})
    components = {
        name: PricedComponent(spec=component.spec, total_macs=component.total_macs)
        for name, component in entry.components.items()
    }
    return LogCost(**{**fields, "components": components})


def _check_digest(name: str, content: Mapping[str, Any], where: str) -> None:
    if content.get("digest") != digest_of(name, content):
        raise DataError(
            f"{where} is not as flopbench wrote it: its digest does not fit, so it was edited by "
            "hand or merged wrongly",
            "restore the file with git (git checkout -- FILE): only flopbench accept may change it",
        )


def _amount(_kind: type, value: Any) -> Fraction:
    """Read an amount in exactly the form that ``plain_amount`` gives it."""
    if type(value) in {int, float} or (isinstance(value, str) and _FRACTION.fullmatch(value)):
        amount = amount_from(value)
        plain = plain_amount(amount) if 0 <= amount <= LARGEST_AMOUNT else None
        if type(plain) is type(value) and plain == value:
            return amount
    raise ValueError("an amount of at least 0")
