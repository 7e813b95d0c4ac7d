"""Which changes began something, and which only follow from elsewhere.

A wider layer gives the next one more inputs, a stride gives all later ones other positions. No
order of execution is known here, only paths, so what a module follows is judged by the widths that
moved; each follower is booked under the cause of what it follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flopbench.check.report import Cause, ModuleChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """A change, and what decides whether it began anything.

    Attributes:
        change: as it is reported.
        own: whether it is the module's own; None where that depends on other modules.
        booked: the cause whose share it is part of.
        moves: widths, old and new, that it would follow from.
        widens: width of its output, old and new, where that changed.
        structural: whether a module came, went or became another type.
        positions: whether only the number of its positions can have changed.
        weightless: whether it holds no parameters.
        of_input: MACs of its change that the model's other input explains, where it changed
            otherwise too.
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
        """How large the change is, whichever way it goes."""
        return abs(self.change.added_macs), abs(self.change.added_params)


@dataclass(frozen=True, slots=True)
class Known:
    """What the old model has somewhere, and whether both had the same input."""

    types: frozenset[str]
    ops: frozenset[str]
    new_input: str


def resolved(found: list[Inferred], known: Known) -> list[Inferred]:
    """Decide which changes follow, and from which cause."""
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
    # A table that multiplies nothing began nothing where something else did.
    return replace(item, own=True if item.change.added_macs else None)


def _resolved_positions(
    item: Inferred, origins: Sequence[Inferred], movers: Sequence[Inferred]
) -> Inferred:
    """Decide what a module with other positions follows, the input being as it was."""
    kernels = [o for o in movers if o.change.cause == "kernel"]
    if kernels:
        return replace(item, own=False, attributed="kernel")
    # What holds no parameters may also work on other widths: the products of attention.
    if item.weightless and any(o.widens for o in origins):
        change = replace(item.change, cause="width")
        return replace(item, own=False, attributed="width", change=change)
    if movers:
        return replace(item, own=False, attributed=max(movers, key=_size).attributed)
    return replace(item, own=True)


def _resolved_width(
    item: Inferred, origins: Sequence[Inferred], wider: Sequence[tuple[int, int]], known: Known
) -> Inferred:
    """Decide what a module with another width of input follows."""
    if not origins:
        return replace(item, own=True)
    structural = [o for o in origins if o.structural]
    kernels = [o for o in origins if o.change.cause == "kernel"]
    attributed: Cause
    if any(_explains(one, move) for one in wider for move in item.moves) or any(
        # Several inputs are joined, and one of them is wider.
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
    """Whether a width is another one, or a multiple of it: positions flattened into features."""
    return move[0] % wider[0] == 0 and move[0] * wider[1] == move[1] * wider[0]


def _size(item: Inferred) -> tuple[int, int]:
    return item.size
