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

import collections
import math
from collections.abc import Callable
from typing import Any

from ptflops import aten_engine

from flopbench.counting.measure.counters.base import (
    Counted,
    ModuleStack,
    Subject,
    out_elements,
    parameterised_leaves,
)
from flopbench.counting.measure.counters.free_ops import FREE_OPS, is_free
from flopbench.counting.measure.counters.watching import failures_told_apart, module_gap, storages
from flopbench.counting.profile import Gap, OpCost, merge_operators

_FAMILIES = {"convolution": "conv", "_convolution": "conv", "addmm": "linear"}

# Moving, making and describing tensors is not arithmetic, so it is not listed as a gap.
_NO_ARITHMETIC = FREE_OPS["movement"] | FREE_OPS["creation"] | FREE_OPS["bookkeeping"]


class PtflopsCounter:
    """Price every dispatched operator as ptflops' ATen backend does."""

    name = "ptflops"
    distribution = "ptflops"
    convention = "MACs of convolutions and matrix products, bias included (ATen backend)"
    needs_values = False

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: ptflops raised on a model that runs without it.
        """
        stack = ModuleStack(subject.module_names())
        mode = _Recording(stack)
        with failures_told_apart(self.name, subject), stack.tracking(), mode:
            subject.run()
        uncalled = tuple(
            module_gap(path, module, calls=0)
            for path, module in parameterised_leaves(subject.module).items()
            if path not in stack.called
            and not storages(module.parameters(recurse=False)) & mode.used
        )
        return Counted(
            total=int(mode.complexity or 0),
            operators=merge_operators(mode.operators),
            not_counted=uncalled + mode.gaps(),
        )


class _Recording(aten_engine.FlopCounterMode):
    """ptflops' mode, which also records each price for the running module."""

    def __init__(self, stack: ModuleStack) -> None:
        super().__init__()
        self._modules = stack
        self.operators: list[OpCost] = []
        self.used: set[int] = set()
        self._missed: collections.Counter[tuple[str, str, bool]] = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let ptflops run and price one operator, and read what it added."""
        path, module_type = self._modules.current
        packet = func._overloadpacket
        prices = self.flop_counts["Global"]
        before = prices.get(packet, 0)
        output = super().__torch_dispatch__(func, types, args, kwargs)
        name = packet.__name__
        if packet in self.all_ops:
            price = int(prices[packet] - before)
            transposed = "convolution" in name and bool(args[6])
            self.used |= storages(args)
            self.operators.append(
                OpCost(
                    module=path,
                    module_type=module_type,
                    family="conv_transpose" if transposed else _FAMILIES.get(name, "matmul"),
                    op=f"aten.{name}",
                    calls=1,
                    dense_macs=price - _bias_macs(name, args, output),
                    total=price,
                    activations=out_elements(output),
                )
            )
        elif name.removesuffix("_") not in _NO_ARITHMETIC:
            may_multiply = not is_free(func._schema.name)
            self._missed[name, path if may_multiply else "", may_multiply] += 1
        return output

    def gaps(self) -> tuple[Gap, ...]:
        """List what ran unpriced: harmless operators once, the others module by module."""
        return tuple(
            Gap(
                kind="unseen",
                name=f"aten.{name}",
                module=path,
                calls=calls,
                may_multiply=may_multiply,
            )
            for (name, path, may_multiply), calls in self._missed.items()
        )


def _bias_macs(name: str, args: Any, output: Any) -> int:
    """Return the bias term in ptflops' price: one for each element of the output, or nothing."""
    bias: Callable[[], Any] = {"addmm": lambda: args[0]}.get(name, lambda: args[2])
    if name == "addmm" or "convolution" in name:
        return math.prod(output.shape) if bias() is not None else 0
    return 0
