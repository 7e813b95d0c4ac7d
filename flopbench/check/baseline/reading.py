"""From the JSON values of a baseline to its records; messages name entry, module and key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from flopbench.check.baseline.text import (
    MODEL,
    POLICY_LOG,
    REMOVED,
    check_sums,
    digest_of,
    natural,
)
from flopbench.check.records import (
    EARLIER_NAMES,
    METRICS,
    NAMES_ON_FILE,
    Acceptance,
    Baseline,
    Cost,
    Kept,
    LogCost,
    ModelCost,
    ModuleCost,
    PricedComponent,
)
from flopbench.check.report import amount_from, plain_amount
from flopbench.core.errors import DataError, cut
from flopbench.core.units import LARGEST_COST
from flopbench.estimate.charges import ChargeItem

_FRACTION = re.compile("[0-9]{1,2000}/[0-9]{1,2000}")
"""A fraction as text. No exponent: ``1e999999999`` is short, but too large to compute."""

LARGEST_AMOUNT = 10**100
"""Far beyond any cost, yet still practical for arithmetic and messages."""

DEEPEST = 8
"""Depth of nested lists in a module's shape: real ones have one or two."""

_TOP = {"entries", "kind", "removed", "schema"}
_SHARED = {"accepted", "counter", "counter_version", "digest", "macs", "versions", "what"}
_KEYS = {
    MODEL: _SHARED
    | {"activations", "convention", "gaps", "input", "modules", "params", "spec", "total"},
    POLICY_LOG: _SHARED | {"components", "events", "policy_log", "rule", "videos"},
    REMOVED: {"digest", "move", "what"},
}
_COUNTS = ("macs", "params", "activations", "calls")
_MODULE_KEYS = {*_COUNTS, "ops", "shape", "type"}

_A_COUNT = f"a whole number from 0 to {LARGEST_COST:.0e}"


def baseline_from(data: Mapping[str, Any], source: str) -> Baseline:
    """Rebuild a baseline from what JSON gave.

    Args:
        data: the file's content, with kind and schema already checked.
        source: the name of the file in messages, and the baseline's ``source``.

    Raises:
        DataError: anything missing, unknown or wrong, or an entry that flopbench did not write.
    """
    _keys(data, _TOP, source)
    entries = {
        name: _entry(name, content, f"{source}: entry {name!r}")
        for name, content in _object(data["entries"], f"{source}: 'entries'").items()
    }
    removed = {
        name: _removed(name, content, f"{source}: removed entry {name!r}")
        for name, content in _object(data["removed"], f"{source}: 'removed'").items()
    }
    return Baseline(entries=entries, removed=removed, source=source)


def _entry(name: str, data: Any, where: str) -> Kept:
    content = _object(data, where)
    what = content.get("what")
    if what not in (MODEL, POLICY_LOG):
        raise DataError(
            f"{where}: 'what' is {what!r} where {MODEL!r} or {POLICY_LOG!r} is expected"
        )
    _keys(content, _KEYS[what], where)
    read: Callable[..., Cost] = _model if what == MODEL else _log
    cost = read(content, where)
    accepted = tuple(
        _acceptance(move, f"{where}, accepted[{number}]")
        for number, move in enumerate(_list(content["accepted"], f"{where}: 'accepted'"))
    )
    _check_digest(name, content, where)
    check_sums(cost, where)
    return Kept(cost=cost, accepted=accepted)


def _removed(name: str, data: Any, where: str) -> Acceptance:
    content = _object(data, where)
    _keys(content, _KEYS[REMOVED], where)
    if content["what"] != REMOVED:
        raise DataError(f"{where}: 'what' is {content['what']!r} where {REMOVED!r} is expected")
    move = _acceptance(content["move"], where)
    _check_digest(name, content, where)
    return move


def _check_digest(name: str, content: Mapping[str, Any], where: str) -> None:
    if content["digest"] != digest_of(name, content):
        raise DataError(
            f"{where} is not as flopbench wrote it: its digest does not fit, so it was edited by "
            "hand or merged wrongly",
            "restore the file with git (git checkout -- FILE): only flopbench accept may change it",
        )


def _model(content: Mapping[str, Any], where: str) -> ModelCost:
    modules = _object(content["modules"], f"{where}: 'modules'")
    return ModelCost(
        spec=_text(content, "spec", where),
        input=_text(content, "input", where),
        convention=_text(content, "convention", where),
        dense_macs=_count(content, "macs", where),
        total=_count(content, "total", where),
        params=_count(content, "params", where),
        activations=_count(content, "activations", where),
        modules=tuple(_module(path, modules[path], where) for path in sorted(modules, key=natural)),
        gaps=_texts(content["gaps"], f"{where}: 'gaps'"),
        **_provenance(content, where),
    )


def _module(path: str, data: Any, entry: str) -> ModuleCost:
    where = f"{entry}, module {path!r}"
    content = _object(data, where)
    if not content.keys() <= _MODULE_KEYS:
        raise DataError(f"{where} has the unknown key {min(content.keys() - _MODULE_KEYS)!r}")
    counts = (_count(content, key, where) if key in content else 0 for key in _COUNTS)
    dense_macs, params, activations, calls = counts
    shape = _object(content.get("shape", {}), f"{where}: 'shape'")
    for key, value in shape.items():
        if not _is_plain(value):
            raise DataError(
                f"{where}: shape {key!r} is {_shown(value)}, not a number, text or list"
            )
    return ModuleCost(
        path=path,
        type=_text(content, "type", where),
        dense_macs=dense_macs,
        params=params,
        activations=activations,
        calls=calls,
        ops=_texts(content.get("ops", []), f"{where}: 'ops'"),
        shape=shape,
    )


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < DEEPEST and all(_is_plain(item, depth + 1) for item in value)
    if type(value) is int:
        return abs(value) <= LARGEST_COST
    return value is None or isinstance(value, (bool, float, str))


def _log(content: Mapping[str, Any], where: str) -> LogCost:
    components = _object(content["components"], f"{where}: 'components'")
    events = _list(content["events"], f"{where}: 'events'")
    return LogCost(
        policy_log=_text(content, "policy_log", where),
        rule=_text(content, "rule", where),
        macs_per_video=_amount(content["macs"], f"{where}: 'macs'"),
        videos=None if content["videos"] is None else _count(content, "videos", where),
        components={name: _component(name, data, where) for name, data in components.items()},
        events=tuple(_event(data, f"{where}, events[{n}]") for n, data in enumerate(events)),
        **_provenance(content, where),
    )


def _component(name: str, data: Any, entry: str) -> PricedComponent:
    where = f"{entry}, component {name!r}"
    content = _object(data, where)
    _keys(content, {"macs", "spec"}, where)
    return PricedComponent(
        spec=_text(content, "spec", where), total_macs=_count(content, "macs", where)
    )


def _event(data: Any, where: str) -> ChargeItem[Fraction]:
    content = _object(data, where)
    _keys(content, {"costs", "name", "times"}, where)
    costs = _object(content["costs"], f"{where}: 'costs'")
    return ChargeItem(
        name=_text(content, "name", where),
        times=_amount(content["times"], f"{where}: 'times'"),
        costs={name: _amount(runs, f"{where}: costs {name!r}") for name, runs in costs.items()},
    )


def _provenance(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Read the counter and the versions, which models and logs have alike."""
    versions = _object(content["versions"], f"{where}: 'versions'")
    return {
        "counter": _text(content, "counter", where),
        "counter_version": _text(content, "counter_version", where),
        "versions": {name: _text(versions, name, f"{where}, versions") for name in versions},
    }


def _acceptance(data: Any, where: str) -> Acceptance:
    content = _object(data, where)
    _keys(content, {"new", "old", "reason"}, where)
    sides: dict[str, dict[str, Fraction]] = {}
    for side in ("old", "new"):
        held = _object(content[side], f"{where}: {side!r}")
        unknown = sorted(held.keys() - {NAMES_ON_FILE.get(metric, metric) for metric in METRICS})
        if unknown:
            raise DataError(f"{where}: {side!r} has the unknown metric {unknown[0]!r}")
        sides[side] = {
            EARLIER_NAMES.get(name, name): _amount(amount, f"{where}: {side} {name!r}")
            for name, amount in held.items()
        }
    return Acceptance(**sides, reason=_text(content, "reason", where))


def _keys(content: Mapping[str, Any], wanted: set[str], where: str) -> None:
    missing, unknown = sorted(wanted - content.keys()), sorted(content.keys() - wanted)
    if unknown:
        raise DataError(f"{where} has the unknown key {unknown[0]!r}", "restore it with git")
    if missing:
        raise DataError(f"{where} lacks the key {missing[0]!r}", "restore it with git")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} is {_shown(value)} where an object was expected")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where} is {_shown(value)} where a list was expected")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    for item in _list(value, where):
        if not isinstance(item, str):
            raise DataError(f"{where} has {_shown(item)} where a text was expected")
    return tuple(value)


def _text(content: Mapping[str, Any], key: str, where: str) -> str:
    value = content.get(key)
    if not isinstance(value, str):
        if key not in content:
            raise DataError(f"{where}: {key!r} is missing")
        raise DataError(f"{where}: {key!r} is {_shown(value)} where a text was expected")
    return value


def _count(content: Mapping[str, Any], key: str, where: str) -> int:
    value = content[key]
    if type(value) is not int or not 0 <= value <= LARGEST_COST:
        raise DataError(f"{where}: {key!r} is {_shown(value)} where {_A_COUNT} was expected")
    return value


def _amount(value: Any, where: str) -> Fraction:
    """Read an amount in exactly the form that ``plain_amount`` gives it."""
    as_text = isinstance(value, str) and _FRACTION.fullmatch(value)
    if as_text or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        try:
            amount = amount_from(value)
        except ValueError:
            amount = Fraction(-1)
        plain = plain_amount(amount) if 0 <= amount <= LARGEST_AMOUNT else None
        if type(plain) is type(value) and plain == value:
            return amount
    raise DataError(f"{where} is {_shown(value)} where an amount of at least 0 was expected")


def _shown(value: Any) -> str:
    """Return a value for a message, shortened where it is long."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return cut(json.dumps(value))
