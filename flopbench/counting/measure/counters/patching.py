"""Counts with libraries that replace torch's functions: DeepSpeed, and its derivative calflops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from flopbench.counting.measure.counters.base import Counted, Ledger, Subject, out_elements
from flopbench.counting.measure.counters.watching import (
    MULTIPLYING,
    OWNERS,
    calls_watched,
    namespaces_restored,
)

Prices = list[list[tuple[Any, int]]]
"""A library's records: (function, price) of each call, for each running module."""


class PatchingCounter:
    """Counts with a library whose functions note a price and then call torch's.

    Each price is read where the library records it. A call whose formula is known not to hold
    keeps its price in ``total``, gives no dense MACs, and is a gap. Real values are needed: on the
    meta device torch's own Python shape functions run through the replaced names and would be
    counted again.

    Attributes:
        name: of the library.
        start, end: methods of its profiler that install its functions and remove them again.
        flops, macs: its records.
        owners: the namespaces in which it replaces functions.
    """

    needs_values = True
    name: str
    start: str
    end: str
    flops: Prices
    macs: Prices
    owners: tuple[Any, ...] = OWNERS

    def profiler(self, module: nn.Module) -> Any:
        """Return the library's profiler of a model."""
        raise NotImplementedError

    def overstretched(self, name: str, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> bool:
        """Whether the library's formula does not hold for a call.

        That for ``matmul``, elements of the first operand times columns of the second, holds
        unless the second one is a vector, or the batch of the first one is broadcast.
        """
        if name not in ("matmul", "__matmul__") or len(args) < 2:
            return False
        first, second = args[0].shape, args[1].shape
        batch = torch.broadcast_shapes(first[:-2], second[:-2])
        return len(second) < 2 or batch != first[:-2]

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass."""
        ledger = Ledger(subject)
        profiler = self.profiler(subject.module)
        with namespaces_restored(*self.owners) as replaced:
            try:
                getattr(profiler, self.start)()
                watched = calls_watched(replaced() | MULTIPLYING, self._note_in(ledger))
                with watched, ledger.stack.tracking():
                    subject.run()
                total = int(profiler.get_total_macs())
                flops = int(profiler.get_total_flops())
            finally:
                getattr(profiler, self.end)()
                # A forward that raised leaves open lists behind, which the next model would fill.
                self.flops.clear()
                self.macs.clear()
        notes = [f"{self.name}'s FLOPs figure, which follows other rules: {flops:,}"]
        remainder = total - sum(op.total for op in ledger.operators)
        if remainder:
            ledger.price("remainder", "other", total=remainder, dense_macs=0, calls=0)
            notes.append(
                f"{self.name}'s total differs by {remainder:+,} from its prices of the "
                "calls: it counts a module once for each place it appears in"
            )
        return ledger.counted(total, notes=notes)

    def _note_in(self, ledger: Ledger) -> Callable[..., Any]:
        def note(
            key: tuple[Any, str],
            function: Callable[..., Any],
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            flops = self.flops[-1] if self.flops else []
            macs = self.macs[-1] if self.macs else []
            at, macs_at = len(flops), len(macs)
            output = function(*args, **kwargs)
            name, dense, flop_price = key[1], 0, 1
            if len(flops) > at:
                # The library records before it calls, so the first new entry is this call's; it
                # does not record zero MACs, so a MAC entry may be that of a call within.
                label, flop_price = flops[at]
                own_macs = len(macs) > macs_at and macs[macs_at][0] == label
                price = int(macs[macs_at][1]) if own_macs else 0
                dense = 0 if self.overstretched(name, args, kwargs) else price
                ledger.use((*args, *kwargs.values()))
                ledger.price(
                    name,
                    _family(name),
                    total=price,
                    dense_macs=dense,
                    activations=out_elements(output) if dense else 0,
                )
            if key in MULTIPLYING and flop_price and not dense:
                ledger.miss(name)
            return output

        return note


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
