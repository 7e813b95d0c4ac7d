"""Which changes are original, and which only derive from another module's change.

A wider layer gives the next one more inputs; a stride changes the positions of all later ones. The
order of execution is not known here, only paths, so what a change derives from is inferred from the
widths that changed; each derived change is attributed to the cause of its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flopbench.check.report import Cause, ModuleChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """A change, and what decides whether it is original or derived.

    Attributes:
        change: the change as reported.
        own: whether the module itself was changed; None where that depends on other modules.
        attributed: the cause whose share it is part of.
        moves: widths, old and new, that it would derive from.
        widens: width of its output, old and new, where that changed.
        structural: whether a module was added, removed or became another type.
        positions: whether only the number of its positions can have changed.
        weightless: whether it holds no parameters.
        of_input: MACs of its change that the model's new input explains, where other things changed
            too.
    """

    change: ModuleChange
    own: bool | None
    attributed: Cause
    moves: tuple[tuple[int, int], ...] = ()
    widens: tuple[int, int] | None = None
    structural: bool = False
    positions: bool = False
    weightless: bool = False
    of_input: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Size of the change, in either direction: absolute MACs, absolute parameters."""
        return abs(self.change.added_macs), abs(self.change.added_params)


@dataclass(frozen=True, slots=True)
class Known:
    """Types and operators of the old model, and how the input changed (empty where it did not)."""

    types: frozenset[str]
    ops: frozenset[str]
    new_input: str


def resolved(found: list[Inferred], known: Known) -> list[Inferred]:
    """Decide which changes are derived, and to which cause each is attributed."""
    wider = [item.widens for item in found if item.own and item.widens]
    found = [_resolved_parameters(item, wider, known) if item.moves else item for item in found]
    origins = [item for item in found if item.own]
    movers = [o for o in origins if o.structural or o.change.cause == "kernel"]
    decided = []
    for item in found:
        if item.own:
            decided.append(item)
        elif item.positions:
            decided.append(_resolved_positions(item, origins, movers))
        else:
            decided.append(_resolved_width(item, origins, wider, known))
    return decided


def _resolved_parameters(
    item: Inferred, wider: Sequence[tuple[int, int]], known: Known
) -> Inferred:
    """Decide about parameters of an unknown layout: whether another module's width explains them.

    A table of positions that costs nothing itself has as many rows as the input has positions.
    """
    if item.own is not None:
        return item
    if all(any(_explains(one, move) for one in wider) for move in item.moves):
        return replace(item, own=False)
    if known.new_input and not item.change.added_macs:
        change = replace(item.change, cause="resolution")
        return replace(item, own=True, attributed="resolution", change=change)
    # A table that multiplies nothing is not the origin where there is another one.
    return replace(item, own=True if item.change.added_macs else None)


def _resolved_positions(
    item: Inferred, origins: Sequence[Inferred], movers: Sequence[Inferred]
) -> Inferred:
    """Decide what a changed number of positions derives from, where the input is unchanged."""
    kernels = [o for o in movers if o.change.cause == "kernel"]
    if kernels:
        return replace(item, own=False, attributed="kernel")
    # A module without parameters may also see other widths: the products of attention.
    if item.weightless and any(o.widens for o in origins):
        change = replace(item.change, cause="width")
        return replace(item, own=False, attributed="width", change=change)
    if movers:
        return replace(item, own=False, attributed=max(movers, key=_size).attributed)
    return replace(item, own=True)


def _resolved_width(
    item: Inferred, origins: Sequence[Inferred], wider: Sequence[tuple[int, int]], known: Known
) -> Inferred:
    """Decide what a changed input width derives from."""
    if not origins:
        return replace(item, own=True)
    structural = [o for o in origins if o.structural]
    kernels = [o for o in origins if o.change.cause == "kernel"]
    attributed: Cause
    if any(_explains(one, move) for one in wider for move in item.moves) or any(
        # Several inputs are concatenated, and one of them is wider.
        (move[1] - move[0]) % (one[1] - one[0]) == 0
        for one in wider
        for move in item.moves
    ):
        attributed = "width"
    elif structural:
        attributed = max(structural, key=_size).attributed
    elif known.new_input:
        attributed = "resolution"  # positions flattened into features
    elif wider:
        attributed = "width"
    else:
        attributed = max(kernels or origins, key=_size).attributed
    return replace(item, own=False, attributed=attributed)


def _explains(wider: tuple[int, int], move: tuple[int, int]) -> bool:
    """Whether a changed width is another one, or a multiple of it (flattened positions)."""
    return move[0] % wider[0] == 0 and move[0] * wider[1] == move[1] * wider[0]


def _size(item: Inferred) -> tuple[int, int]:
    return item.size
