"""Why a module's cost changed: what differs between its two forms.

Parameters have the layouts of torch: a convolution [out, in / groups, extents], a transposed one
[in, out / groups, extents], a linear layer [out, in], a norm [channels], an embedding
[rows, width], attention [3 x width, width], a recurrent layer [gates x hidden, in].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flopbench.check.records import ModuleCost
from flopbench.check.report import Cause

Kind = Literal["conv", "linear", "norm", "embedding", "attention", "recurrent", "other"]

GATES = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}

SETTINGS: dict[str, Cause] = {
    "kernel_size": "kernel",
    "stride": "kernel",
    "dilation": "kernel",
    "padding": "kernel",
    "num_layers": "depth",
    "num_heads": "other",
    "bidirectional": "other",
}
"""Settings that a developer chooses, and the cause that a change of one is."""

DEFAULTS: dict[str, Any] = {
    "stride": 1,
    "dilation": 1,
    "padding": 0,
    "groups": 1,
    "num_layers": 1,
    "bidirectional": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A module as a layer.

    Attributes:
        kind: which layout its parameters have.
        out: width of its output, 0 where its parameters do not tell.
        in_: width of its input, likewise.
        kernel: extents of a convolution's weight.
        groups: of a convolution.
    """

    kind: Kind
    out: int = 0
    in_: int = 0
    kernel: tuple[int, ...] = ()
    groups: int = 1

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved separately, so that its width is that of its input."""
        return self.kind == "conv" and self.groups > 1 and self.groups == self.in_


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChange:
    """One thing that differs between a module's two forms.

    Attributes:
        cause: its cause.
        detail: the change in a few words.
        own: whether the module itself was changed; False where the change can only derive from
            another module; None where that depends on whether another module changed alike.
        moves: widths, old and new, that it would derive from.
        widens: width of the output, old and new, where that changed.
    """

    cause: Cause
    detail: str
    own: bool | None
    moves: tuple[tuple[int, int], ...] = ()
    widens: tuple[int, int] | None = None


def layer_of(module: ModuleCost) -> Layer:
    """Read a module's parameters as a layer's."""
    shape = module.shape
    weight = _extents(shape.get("weight"))
    if "in_proj_weight" in shape and len(_extents(shape["in_proj_weight"])) == 2:
        width = _extents(shape["in_proj_weight"])[1]
        return Layer(kind="attention", out=width, in_=width)
    recurrent = _extents(shape.get("weight_ih_l0", shape.get("weight_ih")))
    if len(recurrent) == 2:
        gates = GATES.get(module.type, 1)
        return Layer(kind="recurrent", out=recurrent[0] // gates, in_=recurrent[1])
    if len(weight) == 1 or (weight and "Norm" in module.type):
        return Layer(kind="norm", out=weight[0], in_=weight[0]) if len(weight) == 1 else _OTHER
    if len(weight) == 2:
        kind: Kind = "embedding" if module.type.startswith("Embedding") else "linear"
        return Layer(kind=kind, out=weight[kind == "embedding"], in_=weight[kind == "linear"])
    if len(weight) >= 3 and "Conv" in module.type:
        return _convolution(weight, shape, transposed="Transpose" in module.type)
    return _OTHER


_OTHER = Layer(kind="other")


def _convolution(weight: tuple[int, ...], shape: Mapping[str, Any], *, transposed: bool) -> Layer:
    groups = shape.get("groups", 1)
    if not isinstance(groups, int) or groups < 1:
        groups = 1
    out, in_ = (weight[1] * groups, weight[0]) if transposed else (weight[0], weight[1] * groups)
    return Layer(kind="conv", out=out, in_=in_, kernel=weight[2:], groups=groups)


def shape_changes(old: ModuleCost, new: ModuleCost) -> tuple[ShapeChange, ...]:
    """List what differs between two forms of one module, its own settings first.

    Other modules are not considered, so a changed number of positions is not found here.
    """
    before, after = layer_of(old), layer_of(new)
    found: list[ShapeChange] = []
    if before.kind == after.kind == "conv" and len(before.kernel) == len(after.kernel):
        found += _of_convolution(before, after)
    elif before.kind == after.kind and before.kind in {"linear", "recurrent", "attention"}:
        found += _of_widths(before, after)
    elif before.kind == after.kind == "embedding":
        found += _of_embedding(before, after)
    elif before.kind == after.kind == "norm":
        found += _of_norm(before, after)
    else:
        found += _of_parameters(old.shape, new.shape)
    found += _of_settings(old.shape, new.shape, kernel=before.kernel != after.kernel)
    if not found:
        found += _of_parameters(old.shape, new.shape)
    return tuple(sorted(found, key=lambda d: (d.own is not True, d.own is not None)))


def dimensions(extents: Any) -> str:
    """Return extents as text: ``3x3``."""
    many = isinstance(extents, (list, tuple))
    return "x".join(map(str, extents)) if many else str(extents)


def _of_convolution(before: Layer, after: Layer) -> list[ShapeChange]:
    found = []
    if before.kernel != after.kernel:
        found.append(_own("kernel", "kernel", dimensions(before.kernel), dimensions(after.kernel)))
    if before.depthwise and after.depthwise:
        # Its channels are its input's; only more outputs per channel would be its own choice.
        if before.in_ != after.in_:
            found.append(_derived("channels", before.in_, after.in_))
        if before.out * after.in_ != after.out * before.in_:
            found.append(_wider("out channels", before, after))
        return found
    if before.groups != after.groups:
        found.append(_own("groups", "groups", before.groups, after.groups))
    return found + _of_widths(before, after)


def _of_widths(before: Layer, after: Layer) -> list[ShapeChange]:
    if before.kind == "attention":
        return [_wider("width", before, after)] if before.out != after.out else []
    out, in_ = {
        "conv": ("out channels", "in channels"),
        "recurrent": ("hidden features", "in features"),
    }.get(before.kind, ("out features", "in features"))
    found = [_wider(out, before, after)] if before.out != after.out else []
    if before.in_ != after.in_:
        found.append(_derived(in_, before.in_, after.in_))
    return found


def _of_embedding(before: Layer, after: Layer) -> list[ShapeChange]:
    found = [_wider("width", before, after)] if before.out != after.out else []
    if before.in_ != after.in_:
        found.append(_own("width", "rows", before.in_, after.in_))
    return found


def _of_norm(before: Layer, after: Layer) -> list[ShapeChange]:
    return [_derived("features", before.out, after.out)] if before.out != after.out else []


def _of_settings(
    before: Mapping[str, Any], after: Mapping[str, Any], *, kernel: bool
) -> list[ShapeChange]:
    found = []
    for name, cause in SETTINGS.items():
        was, now = (shape.get(name, DEFAULTS.get(name)) for shape in (before, after))
        # Another kernel has another padding: reporting both would say the same thing twice.
        if _spread(was, now) != _spread(now, was) and not (name == "padding" and kernel):
            found.append(_own(cause, name.removesuffix("_size"), _square(was), _square(now)))
    return found


def _of_parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ShapeChange]:
    """Compare parameters of an unknown layout: changed extents may derive from another module."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now or name in SETTINGS:
            continue
        if was is None or now is None:
            found.append(
                ShapeChange(
                    cause="other", detail=f"{name} {'added' if was is None else 'gone'}", own=True
                )
            )
            continue
        a, b = _extents(was), _extents(now)
        if a and len(a) == len(b):
            moves = tuple((x, y) for x, y in zip(a, b, strict=True) if x != y)
            detail = f"{name} {dimensions(a)} -> {dimensions(b)}"
            found.append(ShapeChange(cause="width", detail=detail, own=None, moves=moves))
        else:
            found.append(_own("other", name, dimensions(was), dimensions(now)))
    return found


def _own(cause: Cause, name: str, was: object, now: object) -> ShapeChange:
    return ShapeChange(cause=cause, detail=f"{name} {was} -> {now}", own=True)


def _wider(name: str, before: Layer, after: Layer) -> ShapeChange:
    widens = (before.out, after.out)
    return ShapeChange(
        cause="width", detail=f"{name} {widens[0]} -> {widens[1]}", own=True, widens=widens
    )


def _derived(name: str, was: int, now: int) -> ShapeChange:
    detail = f"{name} {was} -> {now}"
    return ShapeChange(cause="width", detail=detail, own=False, moves=((was, now),))


def _extents(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and all(type(n) is int for n in value):
        return tuple(value)
    return ()


def _spread(value: Any, like: Any) -> Any:
    """Return a setting given as one number as a list, where the other one is a list."""
    return [value] * len(like) if isinstance(like, list) and not isinstance(value, list) else value


def _square(value: Any) -> str:
    """Return a setting as text: one number where it is the same in each dimension."""
    equal = isinstance(value, list) and value and all(item == value[0] for item in value)
    return str(value[0]) if equal else dimensions(value)
