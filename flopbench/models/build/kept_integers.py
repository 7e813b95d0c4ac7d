"""Integers that keep their values while everything else is a shape on the meta device.

A model of several towers places the features of an image where its token ids say so: their number,
and so the work, follows from integers alone. Those stay on the CPU here, weights and features have
no values and take no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_CPU, _META = torch.device("cpu"), torch.device("meta")

_INDEXING = frozenset({torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_})


class KeptIntegers(TorchDispatchMode):
    """Keeps on the CPU what is computed from integers on the CPU; what meets a shape is a shape.

    Tensors that an operator takes are removed from ``unread``, a mapping by their identity.
    """

    supports_higher_order_operators = True

    def __init__(self, unread: dict[int, Any] | None = None) -> None:
        super().__init__()
        self._unread = {} if unread is None else unread

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):  # a higher-order operator
            return func(*args, **kwargs)
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        for tensor in tensors if self._unread else ():
            self._unread.pop(id(tensor), None)
        shapes = sum(tensor.is_meta for tensor in tensors)
        if shapes == len(tensors) or not shapes:
            # A shape stays one, since it has no values to copy, and values are kept.
            stays = _META if shapes else _CPU
            placed = any(isinstance(leaf, torch.device) and leaf != stays for leaf in leaves)
            if placed and (tensors or _has_values(func, args, kwargs)):
                args, kwargs = tree_map_only(torch.device, lambda _: stays, (args, kwargs))
        else:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            if func._schema.is_mutable and not tensors[0].is_meta:
                raise NotImplementedError(f"{func} writes a shape into values")
            if func.overloadpacket in _INDEXING:
                args = (args[0], list(_positions(args[1])), *args[2:])
            args, kwargs = tree_map_only(torch.Tensor, lambda one: one.to(_META), (args, kwargs))
        return func(*args, **kwargs)


def _positions(indices: Iterable[torch.Tensor | None]) -> Iterable[torch.Tensor | None]:
    """Write a mask that has values as the positions at which it is true."""
    for index in indices:
        if index is not None and index.dtype == torch.bool and not index.is_meta:
            yield from index.nonzero(as_tuple=True)
        else:
            yield index


def _has_values(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operator that takes no tensor makes integers, or a mask of ones."""
    dtype, made = kwargs.get("dtype"), func.overloadpacket
    if dtype is not None and (dtype.is_floating_point or dtype.is_complex):
        return False
    if made is torch.ops.aten.full:
        return dtype is not None or isinstance(args[1], int)
    counts = made is torch.ops.aten.arange and all(isinstance(arg, int) for arg in args)
    return dtype is not None or counts or made is torch.ops.aten.ones
