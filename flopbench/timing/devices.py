"""What a timing ran on, as a record: machine, device, libraries, and what could not be determined.

Facts are flat: dotted keys with the unit in the name. A fact that could not be determined is null,
with its reason in ``absent``; nothing is guessed. Files are published, so host names, user names,
serial numbers and paths are never recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from flopbench.core.errors import InputError, near_match
from flopbench.core.records import Record

Fact = str | int | float | bool | None

DEVICES = ("cpu", "cuda", "mps")
DTYPES = ("fp32", "tf32", "bf16", "fp16")
TENSOR_FLOAT_CAPABILITY = (8, 0)
"""Compute capability of Ampere, the first NVIDIA generation with TF32 and BF16 arithmetic."""

MUST_MATCH: tuple[str, ...] = (
    # The processor. Family, model and stepping distinguish the CPUs to which a hypervisor gives one
    # name ("AMD EPYC"); the hypervisor counts because clocks and caches are shared under it.
    "cpu.model",
    "cpu.family_model_stepping",
    "cpu.hypervisor",
    # How much of it. A timing states its threads; cores and quota bound what those threads get.
    "cpu.cores_visible",
    "cpu.quota_cores",
    # On bare metal the governor alone changes single-thread speed by a factor of two.
    "cpu.governor",
    # Which kernels run: the library, its build, and the instruction set it chose at run time.
    "torch.version",
    "torch.git_version",
    "torch.blas",
    "torch.mkldnn",
    "torch.openmp",
    "torch.cpu_capability",
    # The GPU, the kernels its driver and libraries choose, and every limit on its clocks.
    "gpu.name",
    "gpu.multiprocessors",
    "gpu.driver",
    "gpu.cuda_runtime",
    "gpu.cudnn",
    "gpu.power_limit_w",
    "gpu.clock_sm_max_mhz",
    "gpu.clock_memory_max_mhz",
    "gpu.application_clock_sm_mhz",
    "gpu.application_clock_memory_mhz",
    "gpu.mig",
    "gpu.ecc",  # costs memory bandwidth on GDDR cards
    # What decodes and resizes the frames of a pipeline.
    "av.version",
    "av.libavcodec",
    "av.libswscale",
    "pillow.version",
    "pillow.libjpeg",
    # Environment settings that change speed but no result.
    "env.CUDA_LAUNCH_BLOCKING",
    "env.KMP_AFFINITY",
    "env.KMP_BLOCKTIME",
    "env.LD_PRELOAD",  # an allocator
)
"""Facts that must be equal for two timings to be comparable.

Left out, because they change the time of a forward pass by no more than its noise: kernel and
distribution, Python and torchvision versions, memory size, cache sizes and CPU flags (both
follow from family, model and stepping), the exact affinity mask, the nominal clock, PCIe width
(inputs are on the device before the clock starts), persistence and compute mode.
"""


class DeviceFacts(Record, frozen=True, kw_only=True):
    """What a timing ran on.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``; never an index.
        name: display name (``AMD EPYC (2 cores visible)``, ``NVIDIA H100 80GB HBM3``).
        facts: dotted key -> value; None if it could not be determined.
        absent: key -> why its fact is None; exactly the keys whose fact is None.
    """

    device: str
    name: str
    facts: Mapping[str, Fact]
    absent: Mapping[str, Annotated[str, Meta(min_length=1)]]

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            listed = ", ".join(DEVICES)
            raise ValueError(f"device is {self.device!r} where one of {listed} was expected")
        for key, value in self.facts.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} is {value}, not a finite number")
        unexplained = {key for key, value in self.facts.items() if value is None} ^ {*self.absent}
        if unexplained:
            keys = ", ".join(sorted(unexplained))
            raise ValueError(f"{keys} must be null with a reason, or neither")


class GatheredFacts(Struct):
    """Facts being gathered: each a value, or the reason why there is none."""

    facts: dict[str, Fact] = {}
    absent: dict[str, str] = {}

    def put(self, key: str, value: Fact, why_not: str) -> None:
        """Add a fact; if its value is None, with ``why_not`` as the reason."""
        self.facts[key] = value
        if value is None:
            self.absent[key] = why_not
        else:
            self.absent.pop(key, None)

    def add(self, other: GatheredFacts) -> None:
        """Add all facts and reasons of another one."""
        self.facts.update(other.facts)
        self.absent.update(other.absent)


def differing(a: DeviceFacts, b: DeviceFacts) -> list[tuple[str, Fact, Fact]]:
    """Return what makes two timings incomparable: (key, value of a, value of b).

    ``device`` first, then ``MUST_MATCH`` in its order. A fact that is null or missing on one side
    only is a difference; on both sides it is not.
    """
    pairs: list[tuple[str, Fact, Fact]] = [("device", a.device, b.device)]
    pairs += [(key, a.facts.get(key), b.facts.get(key)) for key in MUST_MATCH]
    return [pair for pair in pairs if pair[1] != pair[2]]


def refuse_dtype(device: str, dtype: str, capability: tuple[int, int] | None) -> None:
    """Refuse an unknown device or number format, or one that the device lacks. Asks no hardware.

    ``capability`` is the compute capability of the CUDA device, None for others or if unknown.
    """
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}", near_match(device, DEVICES, "devices"))
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}", near_match(dtype, DTYPES, "dtypes"))
    if dtype == "tf32" and device != "cuda":
        raise InputError(
            f"{device} has no TF32: it is a mode of NVIDIA tensor cores, from Ampere on",
            "--dtype fp32",
        )
    if dtype in ("tf32", "bf16") and capability and capability < TENSOR_FLOAT_CAPABILITY:
        have, need = (".".join(map(str, pair)) for pair in (capability, TENSOR_FLOAT_CAPABILITY))
        raise InputError(
            f"this GPU has no {dtype.upper()} arithmetic: its compute capability is {have},"
            f" {need} is the first that has it",
            "--dtype fp32 or --dtype fp16",
        )
