"""Counts with calflops, which patches torch's functions.

``total`` is calflops' figure for MACs, which covers convolutions, linear layers and ``matmul``; its
figure for FLOPs (two for each MAC, plus bias of convolutions, norms, pools, activations, softmax,
``torch.add`` and ``torch.mul`` by its own rules) is given in a note. ``dense_macs`` are the MACs of
the calls whose formula holds. It does not see ``a @ b``, ``bmm``, ``mm`` or
``scaled_dot_product_attention``, and gives recurrent layers and ``einsum`` FLOPs but no MACs: all
are listed as gaps. Needs real values: on the meta device torch's own Python shape functions run
through the patched names and are counted again.
"""

from __future__ import annotations

from typing import Any

from calflops import calculate_pipline

from flopbench.counting.measure.counters.base import Counted, Subject
from flopbench.counting.measure.counters.patching import (
    PatchingLibrary,
    count_functions,
    matmul_overstretched,
)


class CalflopsCounter:
    """Price every function call as ``calflops.calculate_flops`` does."""

    name = "calflops"
    distribution = "calflops"
    convention = "MACs as calflops gives them: dense operators only"
    needs_values = True

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: calflops raised on a model that runs without it.
        """
        pipeline = calculate_pipline.CalFlopsPipline(
            model=subject.module, include_backPropagation=False, compute_bp_factor=2.0
        )
        return count_functions(
            subject,
            PatchingLibrary(
                name=self.name,
                start=pipeline.start_flops_calculate,
                total=pipeline.get_total_macs,
                flops_total=pipeline.get_total_flops,
                end=pipeline.end_flops_calculate,
                flops=calculate_pipline.module_flop_count,
                macs=calculate_pipline.module_mac_count,
                overstretched=_overstretched,
            ),
        )


def _overstretched(name: str, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether calflops' formula is known not to hold: ``matmul``, grouped transposed convolution.

    Its ``conv_transpose`` divides the filters by ``groups``, as the weight's shape already does.
    """
    if name.startswith("conv_transpose"):
        return bool((args[6] if len(args) > 6 else kwargs.get("groups", 1)) != 1)
    return matmul_overstretched(name, args, kwargs)
