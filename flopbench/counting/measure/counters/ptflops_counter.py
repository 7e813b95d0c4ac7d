"""Counts with ptflops' ATen backend, a dispatch mode with its own formulas.

``total`` are its MACs: convolutions, ``addmm``, ``mm``, ``bmm`` and ``matmul``, their bias
included (one for each output element). ``dense_macs`` are the same without the bias. Everything
else is free, including ``mv``, ``baddbmm`` and fused attention and LSTM kernels; what ran without a
formula is listed as a gap. Works on the meta device, where there are no fused kernels to miss.
(ptflops' older default backend is not used: its hooks and its patched functions both price an
``nn.ReLU`` and the products within ``MultiheadAttention``, and on the meta device linear layers as
well.)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from ptflops import aten_engine

from flopbench.counting.measure.counters.base import Counted, Ledger, Subject, out_elements
from flopbench.counting.measure.counters.free_ops import FREE_OPS, is_free
from flopbench.counting.measure.counters.watching import TAKEN_APART, calls_watched, run_operator

_FAMILIES = {"convolution": "conv", "_convolution": "conv", "addmm": "linear"}

# Moving, making and describing tensors is not arithmetic, so it is not listed as a gap.
_NO_ARITHMETIC = FREE_OPS["movement"] | FREE_OPS["creation"] | FREE_OPS["bookkeeping"]


class PtflopsCounter:
    """Price every dispatched operator as ptflops' ATen backend does."""

    convention = "MACs of convolutions and matrix products, bias included (ATen backend)"
    needs_values = False

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass."""
        ledger = Ledger(subject)
        mode = _Recording(ledger)

        def note(key: Any, function: Any, args: Any, kwargs: Any) -> Any:
            ledger.miss(key[1])
            return function(*args, **kwargs)

        with ledger.stack.tracking(), calls_watched(TAKEN_APART, note), mode:
            subject.run()
        return ledger.counted(int(mode.complexity or 0), covered=ledger.stack.calls)


class _Recording(aten_engine.FlopCounterMode):
    """ptflops' mode, which also records each price for the running module."""

    supports_higher_order_operators = True

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let ptflops run and price one operator, and read what it added."""
        if not isinstance(func, torch._ops.OpOverload):
            if not is_free(str(func)):
                self._ledger.miss(str(func))
            return run_operator(self, func, args, kwargs or {})
        packet = func._overloadpacket
        prices = self.flop_counts["Global"]
        before = prices.get(packet, 0)
        output = super().__torch_dispatch__(func, types, args, kwargs)
        name = packet.__name__
        if packet in self.all_ops:
            price = int(prices[packet] - before)
            transposed = "convolution" in name and bool(args[6])
            self._ledger.use(args)
            self._ledger.price(
                f"aten.{name}",
                "conv_transpose" if transposed else _FAMILIES.get(name, "matmul"),
                total=price,
                dense_macs=price - _bias_macs(name, args, output),
                activations=out_elements(output),
            )
        elif name.removesuffix("_") not in _NO_ARITHMETIC:
            self._ledger.miss(str(packet), may_multiply=not is_free(func._schema.name, args))
        return output


def _bias_macs(name: str, args: Any, output: Any) -> int:
    """Return the bias term in ptflops' price: one for each element of the output, or nothing."""
    if name == "addmm":
        bias = args[0]
    elif "convolution" in name:
        bias = args[2]
    else:
        return 0
    return math.prod(output.shape) if bias is not None else 0
