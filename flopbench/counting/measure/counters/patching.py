"""Counts with libraries that replace torch's functions: DeepSpeed, and its derivative calflops."""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flopbench.counting.measure.counters.base import (
    Counted,
    ModuleStack,
    Subject,
    out_elements,
    parameterised_leaves,
)
from flopbench.counting.measure.counters.watching import (
    MULTIPLYING,
    OWNERS,
    calls_watched,
    failures_told_apart,
    module_gap,
    namespaces_restored,
    operator_gaps,
    storages,
)
from flopbench.counting.profile import OpCost, merge_operators


def matmul_overstretched(name: str, args: tuple[Any, ...], _kwargs: Any) -> bool:
    """Whether elements of the first operand times columns of the second is not the MAC count.

    DeepSpeed's formula for ``matmul`` holds unless the second operand is a vector, or the batch
    of the first one is broadcast.
    """
    if name not in ("matmul", "__matmul__") or len(args) < 2:
        return False
    first, second = args[0].shape, args[1].shape
    batch = torch.broadcast_shapes(first[:-2], second[:-2])
    return len(second) < 2 or batch != first[:-2]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchingLibrary:
    """A library that replaces torch's functions by ones that note a price and then call them.

    Attributes:
        name: of the counter.
        start: installs the library's functions and hooks.
        total: the library's figure for MACs, between ``start`` and ``end``.
        flops_total: its figure for FLOPs, which is given in a note.
        end: removes functions and hooks again.
        flops, macs: the library's records, a list of (function, price) per running module.
        overstretched: whether, for name, args and kwargs, a formula is known not to hold; such
            a call keeps its price in ``total``, gives no dense MACs, and is a gap.
        owners: the namespaces in which it replaces functions.
    """

    name: str
    start: Callable[[], None]
    total: Callable[[], int]
    flops_total: Callable[[], int]
    end: Callable[[], None]
    flops: list[list[tuple[Any, int]]]
    macs: list[list[tuple[Any, int]]]
    overstretched: Callable[[str, tuple[Any, ...], Any], bool] = matmul_overstretched
    owners: tuple[Any, ...] = OWNERS


def count_functions(subject: Subject, library: PatchingLibrary) -> Counted:
    """Count with a patching library, reading each price where the library records it.

    Raises:
        MeasureError: the library raised on a model that runs without it.
    """
    ledger = _Ledger(subject, library)
    with failures_told_apart(library.name, subject), namespaces_restored(*library.owners) as new:
        try:
            library.start()
            with calls_watched(new() | MULTIPLYING, ledger.note), ledger.stack.tracking():
                subject.run()
            total, flops = int(library.total()), int(library.flops_total())
        finally:
            library.end()
            # A forward that raised leaves open lists behind, which the next model would fill.
            library.flops.clear()
            library.macs.clear()
    return ledger.counted(total, flops)


class _Ledger:
    """What a patching library priced, and what it did not, during one forward pass."""

    def __init__(self, subject: Subject, library: PatchingLibrary) -> None:
        self._library = library
        self._names = subject.module_names()
        self._leaves = parameterised_leaves(subject.module)
        self.stack = ModuleStack(self._names)
        self._operators: list[OpCost] = []
        self._missed: collections.Counter[tuple[str, str]] = collections.Counter()
        self._calls: collections.Counter[nn.Module] = collections.Counter()
        self._used: set[int] = set()
        for module in self._names:
            module.register_forward_hook(lambda m, _i, _o: self._calls.update([m]))

    def note(
        self,
        key: tuple[Any, str],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run one function, and record the price that the library gave it."""
        path, module_type = self.stack.current
        flops = self._library.flops[-1] if self._library.flops else []
        macs = self._library.macs[-1] if self._library.macs else []
        at, macs_at = len(flops), len(macs)
        output = function(*args, **kwargs)
        name = key[1]
        if len(flops) > at:
            # The library records before it calls, so the first new entry is this call's; it does
            # not record zero MACs, so a MAC entry may be that of a function called within.
            label, flop_price = flops[at]
            own_macs = len(macs) > macs_at and macs[macs_at][0] == label
            price = int(macs[macs_at][1]) if own_macs else 0
            dense = 0 if self._library.overstretched(name, args, kwargs) else price
            self._used |= storages((*args, *kwargs.values()))
            self._operators.append(
                OpCost(
                    module=path,
                    module_type=module_type,
                    family=_family(name),
                    op=name,
                    calls=1,
                    dense_macs=dense,
                    total=price,
                    activations=out_elements(output) if dense else 0,
                )
            )
            if key in MULTIPLYING and flop_price and not dense:
                self._missed[name, path] += 1
        elif key in MULTIPLYING:
            self._missed[name, path] += 1
        return output

    def counted(self, total: int, flops: int) -> Counted:
        """Return operators, gaps and, where the library's total differs, the remainder."""
        notes: tuple[str, ...] = (
            f"{self._library.name}'s FLOPs figure, which follows other rules: {flops:,}",
        )
        remainder = total - sum(op.total for op in self._operators)
        if remainder:
            self._operators.append(remainder_of(total=remainder))
            notes += (
                f"{self._library.name}'s total differs by {remainder:+,} from its prices of the "
                "calls: it counts a module once for each place it appears in",
            )
        priced = {op.module for op in self._operators}
        gaps = tuple(
            module_gap(path, module, calls=self._calls[module])
            for path, module in self._leaves.items()
            if path not in priced and not storages(module.parameters(recurse=False)) & self._used
        )
        seen = {gap.module for gap in gaps}
        unseen = {key: n for key, n in self._missed.items() if key[1] not in seen}
        return Counted(
            total=total,
            operators=merge_operators(self._operators),
            not_counted=gaps + operator_gaps(collections.Counter(unseen)),
            notes=notes,
        )


def remainder_of(*, total: int) -> OpCost:
    """Return the part of a library's total that it attributes to no module."""
    return OpCost(
        module="",
        module_type="",
        family="other",
        op="remainder",
        calls=0,
        dense_macs=0,
        total=total,
        activations=0,
    )


def _family(function: str) -> str:
    if function.startswith("conv"):
        return "conv_transpose" if "transpose" in function else "conv"
    if function in ("linear", "bilinear", "softmax", "batch_norm"):
        return function
    if function == "scaled_dot_product_attention":
        return "attention"
    if function in ("upsample", "interpolate"):
        return "resample"
    if "_pool" in function:
        return "pool"
    if function.endswith("_norm"):
        return "norm"
    if function.rstrip("_").endswith("lu") or function == "relu6":
        return "activation"
    if any(name in function for name in ("mm", "matmul", "einsum", "dot", "mv", "inner")):
        return "matmul"
    return "other"
