"""Which module of one model corresponds to which of another, also where renamed or shifted.

Modules are paired by path. In a numbered container (``nn.Sequential``) that gained or lost numbers
an index says little, so its children are aligned with difflib: first what costs the same, between
that what has the same shape, then the same type. Modules without a partner at their path, which may
have a new name, are aligned in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher

from msgspec import Struct

from flopbench.check.baseline.text import natural
from flopbench.check.records import ModuleCost

Pair = tuple[ModuleCost, ModuleCost]
Form = Callable[[ModuleCost], Hashable]


def _shape(module: ModuleCost) -> Hashable:
    return module.type, repr(sorted(module.shape.items()))


def _cost(module: ModuleCost) -> Hashable:
    amounts = (module.dense_macs, module.params, module.activations, module.calls)
    return _shape(module), amounts


def _type(module: ModuleCost) -> Hashable:
    return module.type


SAME: tuple[Form, ...] = (_cost, _shape)
SIMILAR: tuple[Form, ...] = (*SAME, _type)
"""What is compared, the strictest first."""


class _Node(Struct):
    """A path: the module there, where there is one, and what is below it, by name."""

    module: ModuleCost | None = None
    below: dict[str, _Node] = {}

    def form(self, of: Form, path: str = "") -> tuple[Hashable, ...]:
        """Return the form of every module from here on, with its relative path."""
        here = () if self.module is None else ((path, of(self.module)),)
        return sum((node.form(of, f"{path}.{name}") for name, node in self.below.items()), here)


def pair_modules(
    old: Sequence[ModuleCost], new: Sequence[ModuleCost]
) -> tuple[list[Pair], list[ModuleCost], list[ModuleCost]]:
    """Return pairs, modules of the old model alone, and those of the new one alone, all by path."""
    old, new = (sorted(side, key=lambda module: natural(module.path)) for side in (old, new))
    pairs = list(_of_nodes(_tree(old), _tree(new)))
    gone, added = _unpaired(old, new, pairs)
    for one, other in _aligned([_Node(m) for m in gone], [_Node(m) for m in added], SAME):
        pairs += _of_nodes(one, other)
    gone, added = _unpaired(old, new, pairs)
    at = {module.path: module for module in added}
    pairs += [(module, at[module.path]) for module in gone if module.path in at]
    return sorted(pairs, key=lambda pair: natural(pair[0].path)), *_unpaired(old, new, pairs)


def _tree(modules: Sequence[ModuleCost]) -> _Node:
    root = _Node()
    for module in modules:
        node = root
        for name in module.path.split(".") if module.path else ():
            node = node.below.setdefault(name, _Node())
        node.module = module
    return root


def _unpaired(
    old: Sequence[ModuleCost], new: Sequence[ModuleCost], pairs: Sequence[Pair]
) -> tuple[list[ModuleCost], list[ModuleCost]]:
    left = {one.path for one, _ in pairs}
    right = {other.path for _, other in pairs}
    return [m for m in old if m.path not in left], [m for m in new if m.path not in right]


def _of_nodes(old: _Node, new: _Node) -> Iterator[Pair]:
    """Yield the pairs at and below two nodes that correspond."""
    if old.module is not None and new.module is not None and old.module.type == new.module.type:
        yield old.module, new.module
    for one, other in _children(old.below, new.below):
        yield from _of_nodes(one, other)


def _children(old: dict[str, _Node], new: dict[str, _Node]) -> list[tuple[_Node, _Node]]:
    by_name = [(old[name], new[name]) for name in old if name in new]
    if old.keys() == new.keys():
        return by_name
    if all(name.isdigit() for name in (*old, *new)):
        shifted = _aligned([*old.values()], [*new.values()], SIMILAR)
        same = [1 for one, other in by_name if one.form(_type) == other.form(_type)]
        # Of a model that is wider, too, a layer has the shape of another one by chance.
        return shifted if len(shifted) >= len(same) else by_name
    left = [node for name, node in old.items() if name not in new]
    right = [node for name, node in new.items() if name not in old]
    return by_name + _aligned(left, right, SIMILAR)


def _aligned(
    old: Sequence[_Node], new: Sequence[_Node], forms: Sequence[Form]
) -> list[tuple[_Node, _Node]]:
    """Pair nodes of equal form in order; between those, the ones of the next, looser form."""
    before, now = ([node.form(forms[0]) for node in side] for side in (old, new))
    pairs: list[tuple[_Node, _Node]] = []
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    for what, i, i_end, j, j_end in matcher.get_opcodes():
        if what == "equal":
            pairs += zip(old[i:i_end], new[j:j_end], strict=True)
        elif what == "replace" and len(forms) > 1:
            pairs += _aligned(old[i:i_end], new[j:j_end], forms[1:])
    return pairs
