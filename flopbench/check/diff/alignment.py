"""Which module of one model corresponds to which of another, also where renamed or shifted.

Both lists are sorted by path, and almost every edit of a model keeps the order of what both
have. So the pairs are the heaviest order-preserving ones (a weighted longest common
subsequence): a module of equal cost weighs most, then one of the same type and parameters,
then one at the same path. Greedy rules fail here: a block inserted into a ``Sequential`` shifts the
indices after it, and by path alone each later module would seem to have become its neighbour.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from flopbench.check.baseline.text import natural
from flopbench.check.diff.causes import Layer, layer_of
from flopbench.check.records import ModuleCost

SAME_COST = 12_000
SAME_SHAPE = 10_000
OTHER_INPUT = 9_400
SAME_PATH_SAME_TYPE = 9_000
SAME_PATH = 3_000
"""Weights of a pair. Where a block was inserted, both readings pair as many modules, so a shifted
module only has to outweigh a chance match at one path. Where a model was widened throughout, each
layer has the parameters of a later one; reading that as a shift leaves some without a partner, so
modules that only share path and type weigh nearly as much."""
PATH_TOO = 1
"""Breaks ties between otherwise equal pairs, for fewer than 2,000 modules."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One model's modules, with the keys by which they are compared."""

    modules: list[ModuleCost]
    costs: list[Hashable]
    shapes: list[Hashable]
    inputs: list[Hashable]


def align(
    old: Sequence[ModuleCost], new: Sequence[ModuleCost]
) -> tuple[list[tuple[ModuleCost, ModuleCost]], list[ModuleCost], list[ModuleCost]]:
    """Pair modules.

    Args:
        old: one model's modules, in any order.
        new: the other's.

    Returns:
        The pairs, the modules that only the old model has, and those that only the new one has; by
        path.
    """
    a, b = _side(old), _side(new)
    first, last = _same_ends(a, b)
    middle = (range(first, len(a.modules) - last), range(first, len(b.modules) - last))
    partner = dict(_in_order(a, b, *middle))
    _out_of_order(a, b, partner, *middle)
    taken = set(partner.values())
    added = [j for j in middle[1] if j not in taken]
    gone = [i for i in middle[0] if i not in partner]
    # The ends are equal: sliding a gap into them changes names, not costs.
    partner.update({i: i for i in range(first)})
    shift = len(b.modules) - len(a.modules)
    partner.update({i: i + shift for i in range(len(a.modules) - last, len(a.modules))})
    added = _whole_blocks(b, {j: i for i, j in partner.items()}, added, partner, new_side=True)
    gone = _whole_blocks(a, dict(partner), gone, partner, new_side=False)
    pairs = [(a.modules[i], b.modules[j]) for i, j in sorted(partner.items())]
    return pairs, [a.modules[i] for i in gone], [b.modules[j] for j in added]


def _side(modules: Sequence[ModuleCost]) -> _Side:
    ordered = sorted(modules, key=lambda module: natural(module.path))
    shapes = [(m.type, _frozen(m.shape)) for m in ordered]
    return _Side(
        modules=ordered,
        costs=[
            (shape, m.dense_macs, m.params, m.activations, m.calls)
            for shape, m in zip(shapes, ordered, strict=True)
        ],
        shapes=list(shapes),
        inputs=[_without_input(m, layer_of(m)) for m in ordered],
    )


def _frozen(value: object) -> Hashable:
    return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def _without_input(module: ModuleCost, layer: Layer) -> Hashable:
    """Return what identifies a layer except its input width; None where that is too little."""
    if layer.kind not in {"conv", "linear"} or layer.depthwise:
        return None
    return (module.type, layer.out, layer.kernel, layer.groups, module.shape.get("stride") is None)


def _same_ends(a: _Side, b: _Side) -> tuple[int, int]:
    """Return how many modules at the front and at the back are equal in both, including paths."""

    def same(i: int, j: int) -> bool:
        return a.costs[i] == b.costs[j] and a.modules[i].path == b.modules[j].path

    shorter = min(len(a.modules), len(b.modules))
    first = 0
    while first < shorter and same(first, first):
        first += 1
    last = 0
    while last < shorter - first and same(-1 - last, -1 - last):
        last += 1
    return first, last


def _in_order(a: _Side, b: _Side, left: range, right: range) -> Iterator[tuple[int, int]]:
    """Yield the heaviest pairs that keep the order of both sides."""
    candidates = _candidates(a, b, left, right)
    # A Fenwick tree over the right side: the heaviest chain that ends at or before a position.
    tree: list[tuple[int, int]] = [(0, -1)] * (len(right) + 1)
    chains: list[tuple[int, int, int]] = []  # left, right, chain before
    for i in left:
        found = []
        for j, weight in candidates[i]:
            heaviest, place = (0, -1), j - right.start
            while place > 0:
                if tree[place][0] > heaviest[0]:
                    heaviest = tree[place]
                place &= place - 1
            found.append((heaviest[0] + weight, j, heaviest[1]))
        for total, j, before in found:
            chains.append((i, j, before))
            place = j - right.start + 1
            while place < len(tree):
                if total > tree[place][0]:
                    tree[place] = (total, len(chains) - 1)
                place += place & -place
    chain = max((held for held in tree), default=(0, -1), key=lambda held: held[0])[1]
    while chain >= 0:
        i, j, chain = chains[chain]
        yield i, j


def _candidates(
    a: _Side, b: _Side, left: range, right: range
) -> defaultdict[int, list[tuple[int, int]]]:
    """Return, for each module on the left, its candidates on the right and their weights."""
    weights: dict[tuple[int, int], int] = {}
    at_path = {b.modules[j].path: j for j in right}
    for i in left:
        j = at_path.get(a.modules[i].path)
        if j is not None:
            weights[i, j] = _weight_at_path(a, b, i, j)
    for i, j in _equal_ranks(a.inputs, b.inputs, left, right):
        weights.setdefault((i, j), OTHER_INPUT)
    for i, j in _equal_ranks(a.shapes, b.shapes, left, right):
        weight = SAME_COST if a.costs[i] == b.costs[j] else SAME_SHAPE
        weights[i, j] = max(weight, weights.get((i, j), 0))
    found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for (i, j), weight in weights.items():
        found[i].append((j, weight))
    return found


def _weight_at_path(a: _Side, b: _Side, i: int, j: int) -> int:
    if a.costs[i] == b.costs[j]:
        return SAME_COST + PATH_TOO
    if a.shapes[i] == b.shapes[j]:
        return SAME_SHAPE + PATH_TOO
    if a.inputs[i] is not None and a.inputs[i] == b.inputs[j]:
        return OTHER_INPUT + PATH_TOO
    return SAME_PATH_SAME_TYPE if a.modules[i].type == b.modules[j].type else SAME_PATH


def _equal_ranks(
    forms: Sequence[Hashable], others: Sequence[Hashable], left: range, right: range
) -> Iterator[tuple[int, int]]:
    """Yield pairs of one form whose ranks are equal, counted from the front or from the back.

    That suffices for any single insertion, and avoids a million attempts for a model of a thousand
    equal layers.
    """
    ours, theirs = _by_form(forms, left), _by_form(others, right)
    for form, places in ours.items():
        fitting = theirs.get(form, [])
        for rank, i in enumerate(places):
            from_back = rank + len(fitting) - len(places)
            for other in sorted({rank, from_back}):
                if 0 <= other < len(fitting):
                    yield i, fitting[other]


def _by_form(forms: Sequence[Hashable], places: range) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for place in places:
        if forms[place] is not None:
            found.setdefault(forms[place], []).append(place)
    return found


def _out_of_order(a: _Side, b: _Side, partner: dict[int, int], left: range, right: range) -> None:
    """Pair modules that a new name moved in the order: by cost, then by shape, then by path."""

    def path_of(side: _Side) -> Callable[[int], Hashable]:
        return lambda place: side.modules[place].path

    by_form: tuple[tuple[Callable[[int], Hashable], Callable[[int], Hashable]], ...] = (
        (a.costs.__getitem__, b.costs.__getitem__),
        (a.shapes.__getitem__, b.shapes.__getitem__),
        (path_of(a), path_of(b)),
    )
    for ours, theirs in by_form:
        taken = set(partner.values())
        free: defaultdict[Hashable, list[int]] = defaultdict(list)
        for j in reversed(right):
            if j not in taken:
                free[theirs(j)].append(j)
        for i in left:
            if i not in partner and free[ours(i)]:
                partner[i] = free[ours(i)].pop()


def _whole_blocks(
    side: _Side,
    partners: dict[int, int],
    alone: list[int],
    partner: dict[int, int],
    *,
    new_side: bool,
) -> list[int]:
    """Slide each run of unpaired modules to where it covers one block, where equal ones allow it.

    Where ``a c`` was inserted before ``a c``, the run may be read as ``a c`` or, one later,
    ``c a``. Costs stay the same: only modules of equal cost swap places.
    """
    moved: list[int] = []
    taken = set(alone)
    for start, stop in _runs(alone):
        best, here = start, start
        depth = _shared_depth(side, start, stop)
        for step in (-1, 1):
            here, length = start, stop - start
            while True:
                leaving, entering = (
                    (here + length - 1, here - 1) if step < 0 else (here, here + length)
                )
                if entering not in partners or entering in taken:
                    break
                if side.costs[leaving] != side.costs[entering]:
                    break
                here += step
                shared = _shared_depth(side, here, here + length)
                if shared > depth:
                    best, depth = here, shared
                if abs(here - start) >= length:
                    break
        _slide(partners, partner, start, best, stop - start, new_side=new_side)
        moved += range(best, best + stop - start)
    return sorted(moved)


def _slide(
    partners: dict[int, int],
    partner: dict[int, int],
    start: int,
    best: int,
    length: int,
    *,
    new_side: bool,
) -> None:
    """Give the partners of the modules that enter a run to those that leave it."""
    steps = range(start, best, -1) if best < start else range(start, best)
    for here in steps:
        leaving, entering = (here + length - 1, here - 1) if best < start else (here, here + length)
        other = partners.pop(entering)
        partners[leaving] = other
        if new_side:
            partner[other] = leaving
        else:
            partner[leaving] = partner.pop(entering)


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(places):
        # Positions less their index are constant in a run.
        stop = bisect_left(
            range(len(places)),
            places[start] - start + 1,
            lo=start,
            key=lambda n: places[n] - n,
        )
        yield places[start], places[start] + stop - start
        start = stop


def _shared_depth(side: _Side, start: int, stop: int) -> int:
    """Return how many leading parts the paths of a run share."""
    first = side.modules[start].path.split(".")
    last = side.modules[stop - 1].path.split(".")
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth
