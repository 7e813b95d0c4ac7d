"""Operators as they reach the modes that price them: composites without a price are taken apart."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from flopbench.counting.measure.counters.base import BOTH_BRANCHES
from flopbench.counting.measure.counters.contractions import einsum_macs
from flopbench.counting.measure.counters.torch_formulas import custom_mapping
from flopbench.counting.measure.counters.watching import run_operator

_METADATA = frozenset(
    [
        "aten.dim",
        "aten.is_contiguous",
        "aten.is_non_overlapping_and_dense",
        "aten.is_strides_like_format",
        "aten.numel",
        "aten.size",
        "aten.storage_offset",
        "aten.stride",
        "aten.sym_is_contiguous",
        "aten.sym_numel",
        "aten.sym_size",
        "aten.sym_storage_offset",
        "aten.sym_stride",
        "prim.layout",
    ]
)
"""Queries of a tensor that a mode must leave to the tensor's class."""

_CONVOLUTIONS = frozenset(f"aten.conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))


def new_flop_counter() -> FlopCounterMode:
    """Return torch's counter with the prices that it lacks; its ``flop_registry`` has them all."""
    options = {"skip_unsupported": True}
    known = inspect.signature(FlopCounterMode).parameters
    return FlopCounterMode(
        display=False,
        custom_mapping=custom_mapping(),
        **{name: value for name, value in options.items() if name in known},
    )


class Lowering(TorchDispatchMode):
    """Decomposes composite operators that have no price; opens loops and conditions."""

    supports_higher_order_operators = True

    def __init__(self, registry: Mapping[Any, Any], parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self._registry = registry
        self.unread = {id(parameter) for parameter in parameters}
        self._leaves: set[Any] = set()
        self.notes: dict[str, None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        for arg in (*args, *kwargs.values()):
            self.unread.difference_update(map(id, arg if isinstance(arg, (list, tuple)) else [arg]))
        if not isinstance(func, torch._ops.OpOverload):
            if str(func) == "cond" and getattr(args[0], "is_meta", False):
                return self._both_branches(*args)
            return run_operator(self, func, args, kwargs)
        if str(func._overloadpacket) in _METADATA:
            return NotImplemented
        whole = func._overloadpacket in self._registry and not _shows_its_products(
            func, args, kwargs
        )
        if not whole and func not in self._leaves:
            if func is not torch.ops.prim.device.default:
                with self:
                    result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            self._leaves.add(func)
        return func(*args, **kwargs)

    def _both_branches(self, _: Any, if_true: Any, if_false: Any, operands: Any) -> Any:
        """Count both branches of a condition that has no value."""
        self.notes[BOTH_BRANCHES] = None
        with self:
            if_false(*operands)
            return if_true(*operands)


def _shows_its_products(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a priced composite ends in operators of the same price, which say more.

    A complex convolution ends in three real ones, an outer ``einsum`` in an elementwise product.
    """
    name = str(func._overloadpacket)
    if name == "aten.einsum":
        equation, shapes = args[0], [operand.shape for operand in args[1]]
        path = kwargs.get("path") or ()
        executed = einsum_macs(equation, shapes, path, as_executed=True)
        return executed == einsum_macs(equation, shapes, path)
    return name in _CONVOLUTIONS and not args[0].is_complex()
