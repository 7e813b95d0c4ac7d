"""Under which cause each change is booked, and how much each cause added.

A wider layer gives the next one more inputs; a stride changes the positions of all later ones. The
order of execution is not known here, only paths. So a derived change is booked under the cause of
another one only where that cannot be wrong: where all changes that it may come from have one cause.
Else it is booked under what differs in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from flopbench.check.baseline.text import natural
from flopbench.check.diff.layers import Move
from flopbench.check.report import Cause, CauseShare, ModuleChange
from flopbench.core.units import plural

Role = Literal["own", "output", "input", "features", "unknown", "positions", "any"]


class Change(Struct, frozen=True, kw_only=True):
    """One module that changed, and what decides which cause it is booked under.

    Attributes:
        module: the change as reported; its cause is what differs in the module itself.
        role: whether the module itself was changed, or else what of it another module decides:
            as ``layers.Difference``, its positions, or any of these.
        moves: widths of its input, or of an unknown layout, that differ.
        outputs: widths of its output that differ.
        structural: whether it was added, is gone, or became another type.
        moving: whether it may change the positions of other modules.
        of_input: MACs that the model's new input explains, where other things changed too.
        booked: the cause whose share it is part of.
    """

    module: ModuleChange
    role: Role = "own"
    moves: tuple[Move, ...] = ()
    outputs: tuple[Move, ...] = ()
    structural: Literal["", "added", "gone", "retyped"] = ""
    moving: bool = False
    of_input: int = 0
    booked: Cause = "other"

    @property
    def size(self) -> tuple[int, int]:
        """Size of the change, in either direction: absolute MACs, absolute parameters."""
        return abs(self.module.added_macs), abs(self.module.added_params)


def attribute(changes: Sequence[Change], new_input: str) -> list[Change]:
    """Decide which changes are derived, and under which cause each is booked.

    Args:
        changes: of all modules.
        new_input: how the model's input changed, empty where it did not.
    """
    wider = {move for one in changes for move in one.outputs}
    changes = [_of_known_role(one, wider, new_input) for one in changes]
    own = [one for one in changes if one.role == "own"]
    widening = {one.module.cause for one in own if one.structural or one.outputs}
    moving = {one.module.cause for one in own if one.moving}
    flattened: set[Cause] = moving | {"resolution"} if new_input else moving
    origins: dict[Role, set[Cause]] = {
        "own": set(),
        "input": widening,
        "features": widening or flattened,
        "positions": moving,
        "any": {one.module.cause for one in own},
    }
    return [_booked(one, origins[one.role], derived=bool(own)) for one in changes]


def _of_known_role(one: Change, wider: set[Move], new_input: str) -> Change:
    """Decide about parameters of an unknown layout."""
    if one.role != "unknown":
        return one
    if wider.issuperset(one.moves):
        return replace(one, role="input")
    if one.module.added_macs:
        return replace(one, role="own", outputs=one.moves)
    # It multiplies nothing: a table of positions has as many rows as the input has positions.
    if new_input:
        return replace(one, role="own", module=replace(one.module, cause="resolution"))
    return replace(one, role="any")


def _booked(one: Change, causes: Collection[Cause], *, derived: bool) -> Change:
    """Book a change under the one cause it can come from, else under what differs in it."""
    if not causes:
        return replace(one, booked=one.module.cause)
    module = replace(one.module, follows=derived)
    unknown: Cause = "other" if one.role == "any" else module.cause
    booked = min(causes) if len(causes) == 1 else unknown
    if one.role == "any":
        module = replace(module, cause=booked)
    return replace(one, module=module, booked=booked)


def cause_shares(
    changes: Sequence[Change], new_input: str, staying: Mapping[str, Collection[str]]
) -> tuple[CauseShare, ...]:
    """Return how much each cause added, the largest first; they sum to the whole change.

    ``new_input`` says how the model's input changed, empty where it did not; ``staying`` is
    ``added`` and ``gone`` -> the paths at and below which modules have a partner.
    """
    of_input = _of_input(changes)
    by_cause: dict[Cause, list[Change]] = {cause: [] for cause in of_input}
    for one in changes:
        by_cause.setdefault(one.booked, []).append(one)
    shares = []
    for cause, found in by_cause.items():
        added = sum(one.module.added_macs for one in found) + of_input.get(cause, 0)
        params = sum(one.module.added_params for one in found)
        if added or any(any(one.size) or one.module.added_activations for one in found):
            by_input = cause == "resolution" and new_input
            detail = new_input if by_input else _detail(found, staying)
            shares.append(
                CauseShare(cause=cause, added_macs=added, added_params=params, detail=detail)
            )
    return tuple(sorted(shares, key=lambda s: (-abs(s.added_macs), -abs(s.added_params), s.cause)))


def _of_input(changes: Sequence[Change]) -> dict[Cause, int]:
    """Return how many MACs move to the new input from the other causes of the same modules."""
    moved: dict[Cause, int] = {}
    for one in changes:
        if one.of_input and one.booked != "resolution":
            moved[one.booked] = moved.get(one.booked, 0) - one.of_input
            moved["resolution"] = moved.get("resolution", 0) + one.of_input
    return moved


def _detail(found: Sequence[Change], staying: Mapping[str, Collection[str]]) -> str:
    """Name every block that was added or is gone; of other changes, the largest."""
    own = [one for one in found if not one.module.follows] or found
    said = []
    for word in ("added", "gone"):
        said += _blocks([one.module for one in own if one.structural == word], word, staying[word])
    changed = [one for one in own if one.structural not in staying]
    if changed:
        most = min(changed, key=lambda one: (-one.size[0], -one.size[1], natural(one.module.path)))
        said.append(f"{most.module.path or 'the model'}: {most.module.detail}")
    return "; ".join(said)


def _blocks(modules: Sequence[ModuleChange], word: str, staying: Collection[str]) -> list[str]:
    """Count and name the blocks that modules form: their shortest paths at which nothing stays."""
    blocks: dict[str, list[ModuleChange]] = {}
    for module in sorted(modules, key=lambda module: natural(module.path)):
        parts = module.path.split(".")
        heads = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        root = next((head for head in heads if head not in staying), module.path)
        blocks.setdefault(root, []).append(module)
    told = [
        f"{root or 'the model'}: {held[0].detail}"
        for root, held in blocks.items()
        if len(held) == 1 and held[0].detail != word
    ]
    plain = [root for root, held in blocks.items() if len(held) > 1 or held[0].detail == word]
    if not plain:
        return told
    noun = "block" if any(len(blocks[root]) > 1 for root in plain) else "module"
    count = len(plain)
    return [f"{count} {plural(count, noun)} {word}: {', '.join(_spans(plain))}", *told]


def _spans(paths: Sequence[str]) -> list[str]:
    """Name paths; successive ones of a numbered container as ``layer2.2-3``."""
    spans: list[list[str]] = []
    for path in paths:
        if spans and path == _next(spans[-1][-1]):
            spans[-1].append(path)
        else:
            spans.append([path])
    return [
        (first or "the model") + (f"-{last[len(last.rstrip('0123456789')) :]}" if more else "")
        for first, *more in spans
        for last in more[-1:] or [first]
    ]


def _next(path: str) -> str:
    """Return the path of the next block of a numbered container, empty where it has no number."""
    name = path.rstrip("0123456789")
    return f"{name}{int(path[len(name) :]) + 1}" if name != path else ""
