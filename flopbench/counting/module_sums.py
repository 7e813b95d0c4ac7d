"""The module tree of a profile with the cost of each module, its children included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct

from flopbench.counting.profile import CostProfile

ITSELF = "(itself)"
"""Follows the name of a module whose children are counted separately."""
MODEL = "(model)"
"""The model itself, which has no path."""


class ModuleSum(Struct, frozen=True, kw_only=True):
    """One module, its children included; the level of the model is 0."""

    path: str
    type: str
    level: int
    dense_macs: int
    params: int


class ModelPart(Struct, frozen=True, kw_only=True):
    """One part of a model that was split at some depth of its tree.

    Attributes:
        path: dotted path, ``""`` for the model itself.
        name: the path; with ``ITSELF`` where children of the module are parts of their own.
        by_family: dense operator family -> MACs, including those of deeper children.
    """

    path: str
    name: str
    by_family: Mapping[str, int]

    @property
    def dense_macs(self) -> int:
        """Of all families."""
        return sum(self.by_family.values())


def ancestors(path: str) -> list[str]:
    """Return the paths of a module's ancestors and its own, the model's ``""`` first."""
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[: n + 1]) for n in range(len(parts)))]


def level_of(path: str) -> int:
    """Return how deep a module lies: 0 for the model itself."""
    return path.count(".") + 1 if path else 0


def module_sums(profile: CostProfile) -> tuple[ModuleSum, ...]:
    """Return every module in order of registration, children included."""
    dense: dict[str, int] = defaultdict(int)
    params: dict[str, int] = defaultdict(int)
    for path, op in profile.by_module().items():
        for ancestor in ancestors(path):
            dense[ancestor] += op.dense_macs
    for module in profile.modules:
        for ancestor in ancestors(module.path):
            params[ancestor] += module.params
    return tuple(
        ModuleSum(
            path=module.path,
            type=module.type,
            level=level_of(module.path),
            dense_macs=dense[module.path],
            params=params[module.path],
        )
        for module in profile.modules
    )


def parts_at(profile: CostProfile, depth: int) -> tuple[ModelPart, ...]:
    """Split a model at a depth, 0 leaving it whole; every dense MAC is in exactly one part.

    Parts without dense MACs are left out. They are in order of registration; parts missing from
    the tree follow, in order of first execution.
    """
    sums: dict[str, dict[str, int]] = {}
    for op in profile.operators:
        if op.dense_macs:
            line = ancestors(op.module)
            own = sums.setdefault(line[min(depth, len(line) - 1)], {})
            own[op.family] = own.get(op.family, 0) + op.dense_macs
    places = {module.path: n for n, module in enumerate(profile.modules)}
    ordered = sorted(sums, key=lambda path: places.get(path, len(places)))
    parents = {above for path in sums for above in ancestors(path)[:-1]}
    return tuple(
        ModelPart(
            path=path,
            name=f"{path or MODEL} {ITSELF}" if path in parents else path or MODEL,
            by_family=sums[path],
        )
        for path in ordered
    )


def deepest_cut(profile: CostProfile) -> int:
    """Return the depth beyond which nothing is split any further."""
    return max((level_of(op.module) for op in profile.operators if op.dense_macs), default=0)
