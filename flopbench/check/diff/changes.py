"""What changed between two forms of a model: by module, and how much each cause added."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod

from flopbench.check.baseline.text import natural
from flopbench.check.diff.causes import Change, attribute, cause_shares
from flopbench.check.diff.layers import differences, keeps_positions
from flopbench.check.diff.pairing import pair_modules
from flopbench.check.records import ModelCost, ModuleCost
from flopbench.check.report import Cause, CauseShare, ModuleChange


def compare_models(
    old: ModelCost, new: ModelCost
) -> tuple[tuple[ModuleChange, ...], tuple[CauseShare, ...]]:
    """Say which modules changed, why, and how much each cause added.

    Args:
        old: the accepted cost.
        new: the cost now; it may hold modules without cost, only for their source.

    Returns:
        Every module that changed: original changes first, each group by the MACs added (saved,
        where the whole became cheaper); and the causes, the largest first. Both add up to the
        change of the whole.
    """
    pairs, gone, added = pair_modules(
        [module for module in old.modules if _counts(module)],
        [module for module in new.modules if _counts(module)],
    )
    known = _Known(
        types={module.type for module in old.modules},
        ops={op for module in old.modules for op in module.ops},
        new_input=f"input {old.input} -> {new.input}" if old.input != new.input else "",
    )
    changes = [change for pair in pairs if (change := _of_pair(*pair, known)) is not None]
    changes += [_added(module, known) for module in added if _is_reported(module)]
    changes += [_gone(module) for module in gone if _is_reported(module)]
    changes = attribute(changes, known.new_input)
    staying = {
        "added": _heads(now.path for _, now in pairs if _is_reported(now)),
        "gone": _heads(was.path for was, _ in pairs if _is_reported(was)),
    }
    place = _source_finder(new.modules)
    modules = [replace(one.module, source=place(one.module.path)) for one in changes]
    sign = 1 if (new.dense_macs - old.dense_macs, new.params - old.params) < (0, 0) else -1
    modules.sort(
        key=lambda m: (m.follows, sign * m.added_macs, sign * m.added_params, natural(m.path))
    )
    return tuple(modules), cause_shares(changes, known.new_input, staying)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Types and operators of the old model, and how the input changed (empty where it did not)."""

    types: set[str]
    ops: set[str]
    new_input: str

    def novelty(self, module: ModuleCost) -> str:
        """Return what the old model had nowhere in a module, else an empty text."""
        if module.type not in self.types:
            return f"{module.type} is new"
        novel = sorted(set(module.ops) - self.ops)
        return f"operator {novel[0]} is new" if novel else ""


def _counts(module: ModuleCost) -> bool:
    costs = module.dense_macs or module.params or module.activations or module.calls
    return bool(costs or module.shape)


def _is_reported(module: ModuleCost) -> bool:
    """Whether an added or removed module is reported: it costs something, or is a pooling layer."""
    costs = module.dense_macs or module.params or module.activations
    return bool(costs or "kernel_size" in module.shape)


def _heads(paths: Iterable[str]) -> set[str]:
    """Return paths and all paths above them."""
    split = [path.split(".") for path in paths]
    return {".".join(parts[:n]) for parts in split for n in range(1, len(parts) + 1)}


def _of_one(
    old: ModuleCost | None, new: ModuleCost | None, cause: Cause = "other", detail: str = ""
) -> ModuleChange:
    """Return the change of a module; None where one of the models does not have it."""
    here = new or old
    assert here is not None
    macs, params, activations = (
        getattr(new, name, 0) - getattr(old, name, 0)
        for name in ("dense_macs", "params", "activations")
    )
    return ModuleChange(
        path=here.path,
        old_path=old.path if old is not None and old.path != here.path else "",
        type=here.type,
        added_macs=macs,
        added_params=params,
        added_activations=activations,
        cause=cause,
        detail=detail,
    )


def _added(module: ModuleCost, known: _Known) -> Change:
    novelty = known.novelty(module)
    cause: Cause = "new operator" if novelty else "depth"
    return Change(
        module=_of_one(None, module, cause, f"added, {novelty}" if novelty else "added"),
        structural="added",
        moving=not keeps_positions(module),
    )


def _gone(module: ModuleCost) -> Change:
    return Change(
        module=_of_one(module, None, "depth", "gone"),
        structural="gone",
        moving=not keeps_positions(module),
    )


def _of_pair(old: ModuleCost, new: ModuleCost, known: _Known) -> Change | None:
    """Return what changed in one module, None where nothing did."""
    change = _of_one(old, new)
    moved = bool(change.added_macs or change.added_params or change.added_activations)
    if old.shape == new.shape and not moved:
        return None
    novelty = known.novelty(new)
    if old.type != new.type:
        cause: Cause = "new operator" if novelty else "other"
        detail = f"{old.type} -> {new.type}"
        return Change(
            module=replace(change, cause=cause, detail=detail),
            structural="retyped",
            moving=not (keeps_positions(old) and keeps_positions(new)),
        )
    if old.shape != new.shape and (found := differences(old, new)):
        own = [one for one in found if one.role in ("own", "output")]
        first = (own or found)[0]
        moving = any(one.cause == "kernel" for one in own)
        detail = ", ".join(one.detail for one in own or found)
        return Change(
            module=replace(change, cause=first.cause, detail=detail),
            role="own" if own else first.role,  # type: ignore[arg-type]
            moves=tuple(move for one in found if one.role != "output" for move in one.moves),
            outputs=tuple(move for one in found if one.role == "output" for move in one.moves),
            moving=moving,
            of_input=_of_input(old, new) if known.new_input and not moving else 0,
        )
    if not moved:
        return None
    if novelty and change.added_macs:
        change = replace(change, cause="new operator", detail=novelty)
        return Change(module=change, structural="retyped", moving=True)
    cause, detail = _of_equal_shape(old, new, known)
    change = replace(change, cause=cause, detail=detail)
    if cause != "resolution" or known.new_input:
        return Change(module=change)
    # A module without parameters may also see other widths: the products of attention.
    return Change(module=change, role="positions" if new.params else "any")


def _of_input(old: ModuleCost, new: ModuleCost) -> int:
    """Return the MACs that the new number of positions adds to the unchanged module.

    The MACs of a convolution or a linear layer are its weight's elements times its positions; 0
    where that does not hold.
    """
    was, now = (prod(module.shape.get("weight", [0])) for module in (old, new))
    if not was or not now or old.dense_macs % was or new.dense_macs % now:
        return 0
    return int(was * (new.dense_macs // now - old.dense_macs // was))


def _of_equal_shape(old: ModuleCost, new: ModuleCost, known: _Known) -> tuple[Cause, str]:
    """Say why a module's cost changed although its parameters did not."""
    macs, activations = (old.dense_macs, new.dense_macs), (old.activations, new.activations)
    calls = f"calls {old.calls} -> {new.calls}" if old.calls != new.calls else ""
    elements = f"output elements {old.activations} -> {new.activations}"
    if macs[0] == macs[1] and activations[0] == activations[1]:
        shared = "parameters shared" if new.params < old.params else "parameters no longer shared"
        return "other", shared
    if known.new_input:
        return "resolution", f"{known.new_input}, {calls}" if calls else known.new_input
    if not new.params and macs[0] == macs[1]:
        return "other", elements
    if calls and all(was * new.calls == now * old.calls for was, now in (macs, activations)):
        return "calls", calls
    if old.ops != new.ops and not new.params:
        return "other", f"operators {' '.join(old.ops) or 'none'} -> {' '.join(new.ops) or 'none'}"
    if activations[0] != activations[1]:
        return "resolution", elements
    return "resolution", f"{'more' if macs[1] > macs[0] else 'less'} per position"


def _source_finder(modules: Iterable[ModuleCost]) -> Callable[[str], str]:
    """Return a function from a path to its source, or that of the nearest parent that has one."""
    sources = {module.path: module.source for module in modules if module.source}

    def find(path: str) -> str:
        while path and path not in sources:
            path = path.rpartition(".")[0]
        return sources.get(path, "")

    return find
