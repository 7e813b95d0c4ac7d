"""Counts with DeepSpeed's FLOPs profiler, which patches torch's functions.

``total`` is DeepSpeed's figure for MACs, which covers matrix products, attention, convolutions and
linear layers, nothing else; its figure for FLOPs (two for each MAC, plus bias of convolutions,
norms, pools, activations, softmax, ``torch.add`` and ``torch.mul`` by its own rules) is given in a
note. ``dense_macs`` are the MACs of the calls whose formula holds. Recurrent layers and ``einsum``
have FLOPs there but no MACs, and are listed as gaps.
"""

from __future__ import annotations

import logging
from typing import Any

import einops
from torch import nn

from flopbench.counting.measure.counters.patching import PatchingCounter
from flopbench.counting.measure.counters.watching import OWNERS

# On import DeepSpeed warns that it found no accelerator; only its logging is silenced,
# because its handler keeps whatever stream is standard output at that moment.
_disabled = logging.root.manager.disable
logging.disable(logging.CRITICAL)
try:
    from deepspeed.profiling.flops_profiler import profiler as library
finally:
    logging.disable(_disabled)


class DeepspeedCounter(PatchingCounter):
    """Price every function call as DeepSpeed's ``FlopsProfiler`` does."""

    name = "deepspeed"
    convention = "MACs as DeepSpeed gives them: dense operators only"
    start, end = "start_profile", "end_profile"
    flops, macs = library.module_flop_count, library.module_mac_count
    owners = (*OWNERS, einops)

    def profiler(self, module: nn.Module) -> Any:
        """Return DeepSpeed's profiler of a model."""
        return library.FlopsProfiler(module)
