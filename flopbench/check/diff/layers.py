"""What differs between two forms of one module, read from its parameters and settings.

Parameters have the layouts of torch: a convolution [out, in / groups, extents], a transposed one
[in, out / groups, extents], a linear layer [out, in], a norm [channels], an embedding
[rows, width], attention [3 x width, width], a recurrent layer [gates x hidden, in].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from flopbench.check.records import ModuleCost
from flopbench.check.report import Cause

Move = tuple[int, int]
"""A width, old and new."""

Role = Literal["own", "output", "input", "features", "unknown"]

FACTS: dict[str, tuple[Cause, Role]] = {
    "kernel": ("kernel", "own"),
    "groups": ("groups", "own"),
    "out channels": ("width", "output"),
    "out features": ("width", "output"),
    "hidden features": ("width", "output"),
    "width": ("width", "output"),
    "rows": ("width", "own"),
    "stride": ("kernel", "own"),
    "dilation": ("kernel", "own"),
    "padding": ("kernel", "own"),
    "num_layers": ("depth", "own"),
    "num_heads": ("other", "own"),
    "bidirectional": ("other", "own"),
    "in channels": ("width", "input"),
    "in features": ("width", "features"),
    "features": ("width", "input"),
    "channels": ("width", "input"),
}
"""What may differ, in the order in which it is reported, and the cause that a difference is."""

GATES = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}
DEFAULTS: dict[str, Any] = {
    "stride": 1,
    "dilation": 1,
    "padding": 0,
    "num_layers": 1,
    "bidirectional": False,
    "num_heads": None,
    "kernel_size": None,
}
"""Settings that a module's shape names where they differ from these."""


class Difference(Struct, frozen=True):
    """One thing that differs between two forms of a module.

    Attributes:
        detail: the difference in a few words.
        role: whether the module itself was changed (``own``; ``output`` where that widens what
            comes next), its input was (``features`` may also be flattened positions), or either
            may be, since the layout of its parameters is unknown.
        moves: the widths that differ, old and new.
    """

    cause: Cause
    detail: str
    role: Role = "own"
    moves: tuple[Move, ...] = ()


def layer(module: ModuleCost) -> dict[str, Any]:
    """Return the widths, kernel and groups that a module's parameters have; empty if unknown."""
    shape, kind = module.shape, module.type
    attention = _extents(shape.get("in_proj_weight"))
    recurrent = _extents(shape.get("weight_ih_l0", shape.get("weight_ih")))
    weight = _extents(shape.get("weight"))
    if len(attention) == 2:
        return {"width": attention[1]}
    if len(recurrent) == 2:
        return {"hidden features": recurrent[0] // GATES.get(kind, 1), "in features": recurrent[1]}
    if len(weight) == 1:
        return {"features": weight[0]}
    if len(weight) == 2 and kind.startswith("Embedding"):
        return {"width": weight[1], "rows": weight[0]}
    if len(weight) == 2 and "Norm" not in kind:
        return {"out features": weight[0], "in features": weight[1]}
    if len(weight) > 2 and "Conv" in kind:
        return _convolution(weight, shape.get("groups"), transposed="Transpose" in kind)
    return {}


def _convolution(weight: tuple[int, ...], groups: Any, *, transposed: bool) -> dict[str, Any]:
    groups = groups if type(groups) is int and groups > 0 else 1
    out, in_ = (weight[1] * groups, weight[0]) if transposed else (weight[0], weight[1] * groups)
    return {
        "kernel": dimensions(weight[2:]),
        "groups": groups,
        "out channels": out,
        "in channels": in_,
    }


def differences(old: ModuleCost, new: ModuleCost) -> list[Difference]:
    """List what differs between two forms of one module.

    Other modules are not considered, so a changed number of positions is not found here.
    """
    before, after = layer(old), layer(new)
    found: list[Difference] = []
    if before.keys() != after.keys() or not before:
        found += _of_parameters(old.shape, new.shape)
        before, after = {}, {}
    elif all(1 < facts.get("groups", 0) == facts["in channels"] for facts in (before, after)):
        before, after = _depthwise(before, after), _depthwise(after, before)
    before = _settings(old.shape) | before
    after = _settings(new.shape) | after
    for name, (cause, role) in FACTS.items():
        was: Any = before.get(name)
        now: Any = after.get(name)
        # Another kernel has another padding: reporting both would say the same thing twice.
        if was == now or (name == "padding" and before.get("kernel") != after.get("kernel")):
            continue
        moves = ((was, now),) if role != "own" else ()
        found.append(Difference(cause, f"{name} {was} -> {now}", role, moves))
    return found or list(_of_parameters(old.shape, new.shape))


def _depthwise(facts: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Each channel is convolved separately: only more outputs per channel are its own choice."""
    same = (
        facts["out channels"] * other["in channels"] == other["out channels"] * facts["in channels"]
    )
    out = {} if same else {"out channels": facts["out channels"]}
    return {"kernel": facts["kernel"], "channels": facts["in channels"], **out}


def keeps_positions(module: ModuleCost) -> bool:
    """Whether a layer certainly has as many positions as its input."""
    facts, settings = layer(module), _settings(module.shape)
    if not facts or settings["kernel"] != "None" or "Transpose" in module.type:
        return False
    extents = [*_extents(module.shape.get("weight"))[2:]]
    padding = _setting([extent // 2 for extent in extents]) if extents else "0"
    found = (settings["stride"], settings["dilation"], settings["padding"])
    return all(extent % 2 for extent in extents) and found == ("1", "1", padding)


def _settings(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("_size"): _setting(shape.get(name, default))
        for name, default in DEFAULTS.items()
    }


def _setting(value: Any) -> str:
    """Return a setting as text: one number where it is the same in each dimension."""
    equal = isinstance(value, list) and value and all(item == value[0] for item in value)
    return dimensions(value[0] if equal else value)


def _of_parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare parameters of an unknown layout: changed extents may derive from another module."""
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now or name in DEFAULTS:
            continue
        if was is None or now is None:
            yield Difference("other", f"{name} {'added' if was is None else 'gone'}")
            continue
        a, b = _extents(was), _extents(now)
        detail = f"{name} {dimensions(was)} -> {dimensions(now)}"
        if a and len(a) == len(b):
            moves = tuple((x, y) for x, y in zip(a, b, strict=True) if x != y)
            yield Difference("width", detail, "unknown", moves)
        else:
            yield Difference("other", detail)


def dimensions(extents: Any) -> str:
    """Return extents as text: ``3x3``."""
    many = isinstance(extents, (list, tuple))
    return "x".join(map(str, extents)) if many else str(extents)


def _extents(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and all(type(n) is int for n in value):
        return tuple(value)
    return ()
