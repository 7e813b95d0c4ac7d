"""Counts with DeepSpeed's FLOPs profiler, which patches torch's functions.

``total`` is DeepSpeed's figure for MACs, which covers matrix products, attention, convolutions and
linear layers, nothing else; its figure for FLOPs (two for each MAC, plus bias of convolutions,
norms, pools, activations, softmax, ``torch.add`` and ``torch.mul`` by its own rules) is given in a
note. ``dense_macs`` are the MACs of the calls whose formula holds. Recurrent layers and ``einsum``
have FLOPs there but no MACs, and are listed as gaps. Needs real values:
on the meta device torch's own Python shape functions run through the patched names and are
counted again.
"""

from __future__ import annotations

import logging

import einops

from flopbench.counting.measure.counters.base import Counted, Subject
from flopbench.counting.measure.counters.patching import PatchingLibrary, count_functions
from flopbench.counting.measure.counters.watching import OWNERS

# On import DeepSpeed warns that it found no accelerator; only its logging is silenced,
# because its handler keeps whatever stream is standard output at that moment.
_disabled = logging.root.manager.disable
logging.disable(logging.CRITICAL)
try:
    from deepspeed.profiling.flops_profiler import profiler as library
finally:
    logging.disable(_disabled)


class DeepspeedCounter:
    """Price every function call as DeepSpeed's ``FlopsProfiler`` does."""

    name = "deepspeed"
    distribution = "deepspeed"
    convention = "MACs as DeepSpeed gives them: dense operators only"
    needs_values = True

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: DeepSpeed raised on a model that runs without it.
        """
        profiler = library.FlopsProfiler(subject.module)
        return count_functions(
            subject,
            PatchingLibrary(
                name=self.name,
                start=profiler.start_profile,
                total=profiler.get_total_macs,
                flops_total=profiler.get_total_flops,
                end=profiler.end_profile,
                flops=library.module_flop_count,
                macs=library.module_mac_count,
                owners=(*OWNERS, einops),
            ),
        )
