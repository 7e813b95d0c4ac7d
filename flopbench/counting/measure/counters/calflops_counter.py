"""Counts with calflops, which patches torch's functions.

``total`` is calflops' figure for MACs, which covers convolutions, linear layers and ``matmul``; its
figure for FLOPs (two for each MAC, plus bias of convolutions, norms, pools, activations, softmax,
``torch.add`` and ``torch.mul`` by its own rules) is given in a note. ``dense_macs`` are the MACs of
the calls whose formula holds. It does not see ``a @ b``, ``bmm``, ``mm`` or
``scaled_dot_product_attention``, and gives recurrent layers and ``einsum`` FLOPs but no MACs: all
are listed as gaps.
"""

from __future__ import annotations

from typing import Any

from calflops import calculate_pipline
from torch import nn

from flopbench.counting.measure.counters.patching import PatchingCounter


class CalflopsCounter(PatchingCounter):
    """Price every function call as ``calflops.calculate_flops`` does."""

    name = "calflops"
    convention = "MACs as calflops gives them: dense operators only"
    start, end = "start_flops_calculate", "end_flops_calculate"
    flops, macs = calculate_pipline.module_flop_count, calculate_pipline.module_mac_count

    def profiler(self, module: nn.Module) -> Any:
        """Return calflops' profiler of a model."""
        return calculate_pipline.CalFlopsPipline(
            model=module, include_backPropagation=False, compute_bp_factor=2.0
        )

    def overstretched(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether calflops' formula does not hold for a call.

        Its ``conv_transpose`` divides the filters by ``groups``, as the weight's shape already
        does.
        """
        if name.startswith("conv_transpose"):
            return bool((args[6] if len(args) > 6 else kwargs.get("groups", 1)) != 1)
        return super().overstretched(name, args, kwargs)
