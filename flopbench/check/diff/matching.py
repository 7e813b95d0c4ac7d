"""What changed between two forms of a model: by module, and how much each cause added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import prod

from flopbench.check.baseline.text import natural
from flopbench.check.diff.alignment import align
from flopbench.check.diff.causes import ShapeChange, shape_changes
from flopbench.check.diff.derived import Inferred, Known, resolved
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
    modules_before, modules_now = (
        list(filter(_counts, old.modules)),
        list(filter(_counts, new.modules)),
    )
    pairs, gone, added = align(modules_before, modules_now)
    known = Known(
        frozenset(module.type for module in old.modules),
        frozenset(op for module in old.modules for op in module.ops),
        f"input {old.input} -> {new.input}" if old.input != new.input else "",
    )
    found = [change for pair in pairs for change in _of_pair(*pair, known)]
    found += [_added(module, known) for module in added if _is_reported(module)]
    found += [_gone(module) for module in gone if _is_reported(module)]
    found = resolved(found, known)
    place = _source_finder(new.modules)
    downwards = (new.dense_macs - old.dense_macs, new.params - old.params) < (0, 0)
    changes = tuple(
        replace(item.change, follows=item.own is False, source=place(item.change.path))
        for item in sorted(found, key=_order(downwards=downwards))
    )
    blocks = {
        **_blocks([m.path for m in gone if _is_reported(m)], modules_before, "gone"),
        **_blocks([m.path for m in added if _is_reported(m)], modules_now, "added"),
    }
    return changes, _shares(found, known, blocks)


def _counts(module: ModuleCost) -> bool:
    costs = module.dense_macs or module.params or module.activations or module.calls
    return bool(costs or module.shape)


def _is_reported(module: ModuleCost) -> bool:
    """Whether an added or removed module is reported: it costs something, or is a pooling layer."""
    costs = module.dense_macs or module.params or module.activations
    return bool(costs or "kernel_size" in module.shape)


def _of_pair(old: ModuleCost, new: ModuleCost, known: Known) -> list[Inferred]:
    """Return what changed in one module: one change, or none."""
    if old.shape == new.shape and _amounts(old) == _amounts(new):
        return []
    change = ModuleChange(
        path=new.path,
        old_path=old.path if old.path != new.path else "",
        type=new.type,
        added_macs=new.dense_macs - old.dense_macs,
        added_params=new.params - old.params,
        added_activations=new.activations - old.activations,
        cause="other",
    )
    if old.type != new.type:
        cause: Cause = "other" if _novelty(new, known) == "" else "new operator"
        detail = f"{old.type} -> {new.type}"
        return [_with(change, cause, detail, structural=True)]
    differing = shape_changes(old, new) if old.shape != new.shape else ()
    if differing:
        own = [d for d in differing if d.own] or list(differing)
        return [
            Inferred(
                change=replace(change, cause=own[0].cause, detail=", ".join(d.detail for d in own)),
                own=own[0].own,
                attributed=own[0].cause,
                moves=tuple(move for d in own for move in d.moves),
                widens=next((d.widens for d in differing if d.widens), None),
                of_input=_of_input(old, new, differing) if known.new_input else 0,
            )
        ]
    if _amounts(old) == _amounts(new):
        return []
    novel = sorted(set(new.ops) - known.ops)
    if novel and new.dense_macs != old.dense_macs:
        detail = f"operator {novel[0]} is new"
        return [_with(change, "new operator", detail, structural=True)]
    return [_of_equal_shape(change, old, new, known)]


def _of_input(old: ModuleCost, new: ModuleCost, differing: Sequence[ShapeChange]) -> int:
    """Return the MACs that the new number of positions adds to the unchanged module.

    The MACs of a convolution or a linear layer are its weight's elements times its positions; 0
    where that does not hold, or where the module itself changed its positions.
    """
    weights = [prod(module.shape.get("weight", ())) for module in (old, new)]
    if any(d.cause == "kernel" for d in differing) or not all(weights):
        return 0
    before, rest_before = divmod(old.dense_macs, weights[0])
    now, rest_now = divmod(new.dense_macs, weights[1])
    return 0 if rest_before or rest_now else weights[0] * (now - before)


def _amounts(module: ModuleCost) -> tuple[int, int, int]:
    return module.dense_macs, module.params, module.activations


def _of_equal_shape(
    change: ModuleChange, old: ModuleCost, new: ModuleCost, known: Known
) -> Inferred:
    """Say why a module's cost changed although its parameters did not."""
    if (old.dense_macs, old.activations) == (new.dense_macs, new.activations):
        detail = "parameters shared" if new.params < old.params else "parameters no longer shared"
        return _with(change, "other", detail)
    if not new.params and old.dense_macs == new.dense_macs and not known.new_input:
        detail = f"output elements {old.activations} -> {new.activations}"
        return _with(change, "other", detail)
    if known.new_input:
        often = f", calls {old.calls} -> {new.calls}" if old.calls != new.calls else ""
        return _with(change, "resolution", known.new_input + often)
    same_each_time = (
        old.dense_macs * new.calls == new.dense_macs * old.calls
        and old.activations * new.calls == new.activations * old.calls
    )
    if old.calls != new.calls and same_each_time:
        return _with(change, "calls", f"calls {old.calls} -> {new.calls}")
    if old.ops != new.ops and not new.params:
        return _with(change, "other", f"operators {_listed(old.ops)} -> {_listed(new.ops)}")
    detail = f"output elements {old.activations} -> {new.activations}"
    if old.activations == new.activations:
        detail = "more per position" if new.dense_macs > old.dense_macs else "less per position"
    found = _with(change, "resolution", detail)
    return replace(found, own=None, positions=True, weightless=not new.params)


def _listed(ops: Sequence[str]) -> str:
    return " ".join(ops) or "none"


def _with(
    change: ModuleChange,
    cause: Cause,
    detail: str,
    *,
    structural: bool = False,
) -> Inferred:
    """Return a change that the module itself made."""
    return Inferred(
        change=replace(change, cause=cause, detail=detail),
        own=True,
        attributed=cause,
        structural=structural,
    )


def _added(module: ModuleCost, known: Known) -> Inferred:
    novelty = _novelty(module, known)
    change = ModuleChange(
        path=module.path,
        type=module.type,
        added_macs=module.dense_macs,
        added_params=module.params,
        added_activations=module.activations,
        cause="other",
    )
    cause: Cause = "new operator" if novelty else "depth"
    return _with(change, cause, f"added, {novelty}" if novelty else "added", structural=True)


def _novelty(module: ModuleCost, known: Known) -> str:
    """Return what the old model had nowhere in a module, else an empty text."""
    if module.type not in known.types:
        return f"{module.type} is new"
    novel = sorted(set(module.ops) - known.ops)
    return f"operator {novel[0]} is new" if novel else ""


def _gone(module: ModuleCost) -> Inferred:
    change = ModuleChange(
        path=module.path,
        type=module.type,
        added_macs=-module.dense_macs,
        added_params=-module.params,
        added_activations=-module.activations,
        cause="other",
    )
    return _with(change, "depth", "gone", structural=True)


def _order(*, downwards: bool) -> Callable[[Inferred], tuple[object, ...]]:
    """Return the key that sorts original changes first, then the largest growth (or decrease)."""
    sign = 1 if downwards else -1

    def key(item: Inferred) -> tuple[object, ...]:
        change = item.change
        return (
            item.own is False,
            sign * change.added_macs,
            sign * change.added_params,
            natural(change.path),
        )

    return key


def _shares(
    found: Sequence[Inferred], known: Known, blocks: dict[tuple[str, str], str]
) -> tuple[CauseShare, ...]:
    by_cause: dict[Cause, list[Inferred]] = {}
    for item in found:
        by_cause.setdefault(item.attributed, []).append(item)
    # What the new input adds to a module is not part of its other changes.
    of_input = sum(item.of_input for item in found if item.attributed != "resolution")
    if of_input:
        by_cause.setdefault("resolution", [])
    shares = []
    for cause, items in by_cause.items():
        moved = sum(item.change.added_macs for item in items)
        moved -= sum(item.of_input for item in items if cause != "resolution")
        if cause == "resolution" and of_input:
            shares.append(
                CauseShare(
                    cause=cause,
                    added_macs=moved + of_input,
                    added_params=sum(item.change.added_params for item in items),
                    detail=known.new_input,
                )
            )
            continue
        if not any(item.size != (0, 0) or item.change.added_activations for item in items):
            continue
        own = [item for item in items if item.own] or items
        first = min(own, key=lambda i: (-i.size[0], -i.size[1], natural(i.change.path))).change
        detail = f"{first.path or 'the model'}: {first.detail}"
        if cause == "resolution" and known.new_input:
            detail = known.new_input
        elif cause in {"depth", "new operator"}:
            detail = blocks.get((first.path, first.detail.partition(",")[0]), detail)
        shares.append(
            CauseShare(
                cause=cause,
                added_macs=moved,
                added_params=sum(item.change.added_params for item in items),
                detail=detail,
            )
        )
    return tuple(sorted(shares, key=lambda s: (-abs(s.added_macs), -abs(s.added_params), s.cause)))


def _blocks(
    paths: Sequence[str], modules: Iterable[ModuleCost], word: str
) -> dict[tuple[str, str], str]:
    """Name, for each module added or removed together with others, their common block.

    Args:
        paths: the modules that were added or removed.
        modules: all modules of the model that has them.
        word: ``added`` or ``gone``.
    """
    staying: set[str] = set()
    for path in {module.path for module in modules if _is_reported(module)} - set(paths):
        parts = path.split(".")
        staying.update(".".join(parts[:n]) for n in range(1, len(parts) + 1))
    roots: dict[str, list[str]] = {}
    for path in paths:
        parts = path.split(".")
        heads = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        roots.setdefault(next((head for head in heads if head not in staying), path), []).append(
            path
        )
    return {
        (path, word): f"{root}: {word}, {len(held)} modules"
        for root, held in roots.items()
        if len(held) > 1
        for path in held
    }


def _source_finder(modules: Iterable[ModuleCost]) -> Callable[[str], str]:
    """Return a function from a path to its source, or that of the nearest parent that has one."""
    sources = {module.path: module.source for module in modules if module.source}

    def find(path: str) -> str:
        while path and path not in sources:
            path = path.rpartition(".")[0]
        return sources.get(path, "")

    return find
