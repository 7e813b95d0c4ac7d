"""What changed between two forms of a model: by module, and how much each cause added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod

from msgspec.structs import replace

from flopbench.check.baseline.text import natural
from flopbench.check.diff.causes import Change, attribute, cause_shares
from flopbench.check.diff.layers import Difference, differences, keeps_positions
from flopbench.check.diff.pairing import pair_modules
from flopbench.check.records import ModelCost, ModuleCost
from flopbench.check.report import Cause, CauseShare, ModuleChange


def compare_models(
    old: ModelCost, new: ModelCost
) -> tuple[tuple[ModuleChange, ...], tuple[CauseShare, ...]]:
    """Say which modules changed, why, and how much each cause added.

    Modules without cost help to find the source. Original changes come first, each group by the
    MACs added (saved, where the whole became cheaper); the largest cause comes first. Both add up
    to the change of the whole.
    """
    pairs, gone, added = pair_modules(
        [module for module in old.modules if _counts(module)],
        [module for module in new.modules if _counts(module)],
    )
    known = _Known(old, new)
    changes = [change for pair in pairs if (change := _of_pair(*pair, known)) is not None]
    changes += [_added(module, known) for module in added if _is_reported(module)]
    changes += [_gone(module) for module in gone if _is_reported(module)]
    changes = attribute(changes, known.new_input)
    source_of = _source_finder(new.modules)
    modules = [replace(one.module, source=source_of(one.module.path)) for one in changes]
    sign = 1 if (new.dense_macs - old.dense_macs, new.params - old.params) < (0, 0) else -1
    modules.sort(
        key=lambda m: (m.follows, sign * m.added_macs, sign * m.added_params, natural(m.path))
    )
    staying = {"added": _heads(now for _, now in pairs), "gone": _heads(was for was, _ in pairs)}
    return tuple(modules), cause_shares(changes, known.new_input, staying)


class _Known:
    """Types and operators of the old model, and how the input changed (empty where it did not)."""

    def __init__(self, old: ModelCost, new: ModelCost) -> None:
        self.types = {module.type for module in old.modules}
        self.ops = {op for module in old.modules for op in module.ops}
        same = old.input == new.input
        self.new_input = "" if same else f"input {old.input} -> {new.input}"

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


def _heads(modules: Iterable[ModuleCost]) -> set[str]:
    """Return the paths of modules that may be reported, and all paths above them."""
    split = [module.path.split(".") for module in modules if _is_reported(module)]
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
    if not moved and old.shape == new.shape:
        return None
    if old.type != new.type:
        cause: Cause = "new operator" if known.novelty(new) else "other"
        return Change(
            module=replace(change, cause=cause, detail=f"{old.type} -> {new.type}"),
            structural="retyped",
            moving=True,
        )
    found = differences(old, new) if old.shape != new.shape else []
    if found:
        return _of_shape(change, found, _of_input(old, new) if known.new_input else 0)
    return _of_cost(change, old, new, known) if moved else None


def _of_shape(change: ModuleChange, found: Sequence[Difference], of_input: int) -> Change:
    own = [one for one in found if one.role in ("own", "output")]
    shown = own or found
    moving = any(one.cause == "kernel" for one in own)
    detail = ", ".join(one.detail for one in shown)
    return Change(
        module=replace(change, cause=shown[0].cause, detail=detail),
        role="own" if own else shown[0].role,
        moves=tuple(move for one in found if one.role != "output" for move in one.moves),
        outputs=tuple(move for one in found if one.role == "output" for move in one.moves),
        moving=moving,
        of_input=0 if moving else of_input,
    )


def _of_input(old: ModuleCost, new: ModuleCost) -> int:
    """Return the MACs that new positions add where each multiplies the whole weight; else 0."""
    was, now = (prod(module.shape.get("weight", [0])) for module in (old, new))
    if not was or not now or old.dense_macs % was or new.dense_macs % now:
        return 0
    return int(was * (new.dense_macs // now - old.dense_macs // was))


def _of_cost(change: ModuleChange, old: ModuleCost, new: ModuleCost, known: _Known) -> Change:
    """Say why a module's cost changed although the shapes of its parameters did not."""
    novelty = known.novelty(new)
    if novelty and change.added_macs:
        change = replace(change, cause="new operator", detail=novelty)
        return Change(module=change, structural="retyped", moving=True)
    cause, detail = _cause_of_cost(change, old, new, known.new_input)
    change = replace(change, cause=cause, detail=detail)
    if cause != "resolution" or known.new_input:
        return Change(module=change)
    # A module without parameters may also see other widths: the products of attention.
    return Change(module=change, role="positions" if new.params else "any")


def _cause_of_cost(
    change: ModuleChange, old: ModuleCost, new: ModuleCost, new_input: str
) -> tuple[Cause, str]:
    elements = f"output elements {old.activations} -> {new.activations}"
    calls = f"calls {old.calls} -> {new.calls}"
    if not (change.added_macs or change.added_activations):
        return "other", f"parameters {'' if change.added_params < 0 else 'no longer '}shared"
    if new_input:
        return "resolution", new_input if old.calls == new.calls else f"{new_input}, {calls}"
    if not (new.params or change.added_macs):
        return "other", elements
    each_time = (
        old.dense_macs * new.calls == new.dense_macs * old.calls
        and old.activations * new.calls == new.activations * old.calls
    )
    if old.calls != new.calls and each_time:
        return "calls", calls
    if old.ops != new.ops and not new.params:
        return "other", f"operators {_listed(old.ops)} -> {_listed(new.ops)}"
    per_position = f"{'more' if change.added_macs > 0 else 'less'} per position"
    return "resolution", elements if change.added_activations else per_position


def _listed(ops: Sequence[str]) -> str:
    return " ".join(ops) or "none"


def _source_finder(modules: Iterable[ModuleCost]) -> Callable[[str], str]:
    """Return a function from a path to its source, or that of the nearest parent that has one."""
    sources = {module.path: module.source for module in modules if module.source}

    def find(path: str) -> str:
        while path and path not in sources:
            path = path.rpartition(".")[0]
        return sources.get(path, "")

    return find
