"""Moving the baseline: nothing else does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct
from msgspec.structs import replace

from flopbench.check.records import (
    Acceptance,
    Baseline,
    Cost,
    Kept,
    LogCost,
    amounts,
    says_something,
)
from flopbench.core.errors import InputError, MeasureError


def runs_in_ci() -> bool:
    """Whether this is a CI job, where no baseline is moved: the variable ``CI`` says so."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


class Move(Struct, frozen=True, kw_only=True):
    """What became of one entry; without an acceptance nothing had changed."""

    name: str
    acceptance: Acceptance | None


def accept(
    baseline: Baseline | None, costs: Mapping[str, Cost | str], names: Sequence[str], reason: str
) -> tuple[Baseline, list[Move]]:
    """Return the baseline with the current costs of some entries; one without a cost is gone.

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
    baseline = baseline or Baseline()
    entries, removed = dict(baseline.entries), dict(baseline.removed)
    moves = []
    for name in names:
        old, cost = entries.get(name), costs.get(name)
        if isinstance(cost, str):
            raise MeasureError(f"cannot accept {name!r}, which could not be measured: {cost}")
        if cost is None and old is None:
            raise InputError(f"cannot accept {name!r}: it is not in the baseline")
        if cost is not None and old is not None and _core(old.cost) == _core(cost):
            moves.append(Move(name=name, acceptance=None))
            continue
        before = _by_metric(old.cost if old is not None else None)
        move = Acceptance(old=before, new=_by_metric(cost), reason=reason)
        moves.append(Move(name=name, acceptance=move))
        if cost is None:
            removed[name] = move
            del entries[name]
            continue
        history = old.accepted if old is not None else ()
        entries[name] = Kept(cost=_without_places(cost), accepted=(*history, move))
        removed.pop(name, None)
    return replace(baseline, entries=entries, removed=removed), moves


def _by_metric(cost: Cost | None) -> dict[str, Fraction]:
    return {str(metric): amount for metric, amount in amounts(cost).items()} if cost else {}


def _core(cost: Cost) -> tuple[Cost, object]:
    """Return what makes a cost another one: not its versions, places of code and order."""
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
