"""Moving the baseline: nothing else does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from flopbench.check.records import (
    Acceptance,
    Baseline,
    Config,
    Cost,
    Kept,
    LogCost,
    amounts,
    says_something,
)
from flopbench.core.errors import InputError, MeasureError, near_match


def runs_in_ci() -> bool:
    """Whether this is a CI job, where no baseline is moved: the variable ``CI`` says so."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What became of one entry.

    Attributes:
        name: the entry.
        acceptance: old and new amounts and the reason; None where nothing had changed.
    """

    name: str
    acceptance: Acceptance | None


def names_to_accept(config: Config, baseline: Baseline | None, given: Iterable[str]) -> list[str]:
    """Check names of entries; an entry that only the baseline has may be accepted as gone.

    Raises:
        InputError: no such entry.
    """
    kept = list(baseline.entries) if baseline is not None else []
    known = list(dict.fromkeys([*(entry.name for entry in config.entries), *kept]))
    for name in given:
        if name not in known:
            raise InputError(
                f"there is no entry {name!r} in {config.path} or its baseline",
                near_match(name, known, "entries"),
            )
    return list(dict.fromkeys(given))


def accept(
    baseline: Baseline | None, costs: Mapping[str, Cost | str], names: Sequence[str], reason: str
) -> tuple[Baseline, list[Move]]:
    """Return the baseline with the current costs of some entries.

    Args:
        baseline: the current one; None where there is none yet.
        costs: entry -> its cost now, or why it could not be measured; an entry that is not in it
            is gone.
        names: entries to accept.
        reason: why, kept with old and new.

    Raises:
        InputError: the reason says nothing.
        MeasureError: an entry could not be measured; nothing is accepted then.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise InputError(
            "--reason is empty: expected why the cost may change",
            "it is kept in the baseline for later readers",
        )
    before = baseline or Baseline()
    entries, removed = dict(before.entries), dict(before.removed)
    moves = []
    for name in names:
        old = entries.get(name)
        cost = costs.get(name)
        if isinstance(cost, str):
            raise MeasureError(f"cannot accept {name!r}, which could not be measured: {cost}")
        if cost is None:
            if old is None:
                raise InputError(f"cannot accept {name!r}: it is not in the baseline")
            removed[name] = Acceptance(old=_by_metric(old.cost), new={}, reason=reason)
            moves.append(Move(name=name, acceptance=removed[name]))
            del entries[name]
            continue
        if old is not None and _is_same(old.cost, cost):
            moves.append(Move(name=name, acceptance=None))
            continue
        accepted = Acceptance(
            old=_by_metric(old.cost) if old is not None else {}, new=_by_metric(cost), reason=reason
        )
        history = old.accepted if old is not None else ()
        entries[name] = Kept(cost=_without_places(cost), accepted=(*history, accepted))
        removed.pop(name, None)
        moves.append(Move(name=name, acceptance=accepted))
    return replace(before, entries=entries, removed=removed), moves


def _by_metric(cost: Cost) -> dict[str, Fraction]:
    return {str(metric): amount for metric, amount in amounts(cost).items()}


def _is_same(old: Cost, new: Cost) -> bool:
    """Whether two costs differ only in versions, places of code and order."""
    return _core(old) == _core(new)


def _core(cost: Cost) -> tuple[Cost, object]:
    cost = replace(_without_places(cost), versions={})
    if isinstance(cost, LogCost):
        return replace(cost, events=()), {event.name: event for event in cost.events}
    return replace(cost, modules=()), {module.path: module for module in cost.modules}


def _without_places(cost: Cost) -> Cost:
    """Leave out the places of classes, and modules that are kept only for those."""
    if isinstance(cost, LogCost):
        return cost
    modules = tuple(replace(module, source="") for module in cost.modules if says_something(module))
    return replace(cost, modules=modules)
