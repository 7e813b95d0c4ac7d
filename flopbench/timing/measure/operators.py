"""The operators that a call dispatches: the multiply-accumulates and bytes that none can avoid.

A lower bound must not charge what an implementation may leave out. So a view moves nothing; an
operator that gathers, copies or resamples reads no more than it writes; elements that a stride
steps over are not read; a tensor filled with constants costs nothing; of an operator that torch
or flopbench does not know only its output is charged. Multiply-accumulates are charged where the
numbers have the format of the roof or a wider one: quantised and sparse products are bytes only,
causal attention is charged half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from flopbench.core.units import FLOPS_PER_MAC
from flopbench.counting.measure.counters.free_ops import free_group
from flopbench.counting.measure.counters.lowering import Lowering, new_flop_counter
from flopbench.counting.measure.counters.torch_formulas import family
from flopbench.models.build.environment import uncompiled
from flopbench.models.shapes import leaves
from flopbench.timing.records import Operator

_READ_WHOLE = {
    "elementwise": "pointwise",
    "activation": "pointwise",
    "foreach": "pointwise",
    "reduction": "reduction",
    "normalisation": "normalisation",
    "pooling": "pooling",
    "softmax and loss": "softmax",
}
"""Groups of free operators that read all of their inputs -> the family of their roof."""

_READ_AS_WRITTEN = frozenset(
    [
        "movement",
        "indexing",
        "resampling",
        "sort and search",
        "comparison",
        "dtype and quantisation",
    ]
)
"""Groups that may read only what they write."""

_MOVES_NOTHING = frozenset(["creation", "layout", "bookkeeping", "control flow"])

_DENSE = {"conv": "convolution", "attention": "attention", "recurrent": "recurrent"}
_PRODUCTS = frozenset(["linear", "matmul", "bilinear"])


def operators_of(call: Callable[[], Any], dtype: torch.dtype) -> list[Operator]:
    """Run a call of a network, eager and in inference mode, once; return its operators.

    Equal ones are one; they are in order of first execution.
    """
    registry = new_flop_counter().flop_registry
    tape = _Tape(registry, dtype)
    with uncompiled(), tape, Lowering(registry, ()):
        call()
    return [
        Operator(name=name, family=kind, calls=calls, macs=macs, read_bytes=r, written_bytes=w)
        for (name, kind, macs, r, w), calls in tape.calls.items()
    ]


class _Tape(TorchDispatchMode):
    """Notes every operator that computes or moves something."""

    supports_higher_order_operators = True

    def __init__(self, registry: Mapping[Any, Any], dtype: torch.dtype) -> None:
        super().__init__()
        self._registry = registry
        self._width = dtype.itemsize
        self.calls: dict[tuple[str, str, int, int, int], int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if isinstance(func, torch._ops.OpOverload):
            given, made = list(_tensors((args, kwargs))), list(_tensors(out))
            if all(_is_plain(tensor) for tensor in (*given, *made)):
                self._note(func, args, kwargs, out)
        return out

    def _note(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        name = str(func._overloadpacket)
        group = free_group(name)
        if group in _MOVES_NOTHING:
            return
        changed = list(_changed(func, args, kwargs))
        given = list(_tensors((args, {k: v for k, v in kwargs.items() if k != "out"})))
        known = {_storage(tensor) for tensor in given}
        written = _bytes([*changed, *(t for t in _tensors(out) if _storage(t) not in known)])
        kind, macs, read = _READ_WHOLE.get(group, "other"), 0, 0
        if func._overloadpacket in self._registry:
            flops = self._registry[func._overloadpacket](*args, **kwargs, out_val=out)
            kind = _dense_family(name, args)
            macs = flops // FLOPS_PER_MAC if self._may_charge(name, given) else 0
            macs //= 2 if kind == "attention" and _is_causal(func, args, kwargs) else 1
            read = _bytes(given) - _stepped_over(name, args)
        elif group in _READ_AS_WRITTEN:
            if changed and name != "aten.copy_":
                return  # a view in place, or a write to a few places
            sources = [t for t in given if all(t is not one for one in changed)]
            kind, read = "copy", min(_bytes(sources), written)
        elif group in _READ_WHOLE and written:
            read = _bytes(given) - _stepped_over(name, args)
        if macs or written:
            key = name, kind, macs, read, written
            self.calls[key] = self.calls.get(key, 0) + 1

    def _may_charge(self, name: str, given: Iterable[torch.Tensor]) -> bool:
        """Whether products are as wide as those that the roofs were measured with."""
        own = name.startswith(("aten.", "torchvision.")) and "sparse" not in name
        return own and all(
            t.dtype.is_floating_point and t.element_size() >= self._width
            for t in given
            if t.dim() > 1 and t.dtype is not torch.bool  # a vector is a bias, bool a mask
        )


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    return (leaf for leaf in leaves(value) if isinstance(leaf, torch.Tensor))


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor's own storage holds its elements: no subclass, no sparse layout."""
    return type(tensor) in (torch.Tensor, nn.Parameter) and tensor.layout is torch.strided


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of tensors: expanded elements once, overlapping views no more than all."""
    views: dict[int, dict[Any, int]] = {}
    whole: dict[int, int] = {}
    for one in tensors:
        elements = prod(n for n, stride in zip(one.shape, one.stride(), strict=True) if stride)
        size = (elements if one.numel() else 0) * one.element_size()
        views.setdefault(_storage(one), {})[one.storage_offset(), one.shape, one.stride()] = size
        whole[_storage(one)] = one.untyped_storage().nbytes()
    return sum(min(sum(sizes.values()), whole[key]) for key, sizes in views.items())


def _changed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Yield what an operator writes in place; running statistics stay as they are in evaluation."""
    in_place = func._overloadpacket.__name__.endswith("_")
    for place, argument in enumerate(func._schema.arguments):
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes and (in_place or argument.kwarg_only):
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            yield from _tensors(value)


def _dense_family(name: str, args: Sequence[Any]) -> str:
    """Return the family of a priced operator; convolutions by the width of their groups."""
    kind = family(name)
    if kind in _PRODUCTS:
        return "matmul"
    if kind != "conv":
        return _DENSE.get(kind, "other")
    x, weight = args[0], args[1]
    if name.endswith(".convolution") and args[6]:
        return "other"
    if not isinstance(weight, torch.Tensor) or weight.shape[1] == x.shape[1]:
        return "convolution"
    return "depthwise convolution" if weight.shape[1] == 1 else "grouped convolution"


def _is_causal(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    names = [argument.name for argument in func._schema.arguments]
    return any(
        value is True
        for name, value in (*zip(names, args, strict=False), *kwargs.items())
        if "causal" in name
    )


def _stepped_over(name: str, args: Sequence[Any]) -> int:
    """Return the input bytes between the windows of a convolution or pooling that no one reads."""
    if name == "aten.convolution":
        kernel, stride = args[1].shape[2:], args[3]
    elif "_pool" in name and "adaptive" not in name and len(args) > 2 and args[2]:
        kernel, stride = _each(args[1]), _each(args[2])
    else:
        return 0
    size = _bytes([args[0]])
    read = size
    for k, step in zip(kernel, stride, strict=False):
        read = read * min(k, step) // step
    return size - read


def _each(value: Any) -> Sequence[int]:
    return value if isinstance(value, (list, tuple)) else [value]
