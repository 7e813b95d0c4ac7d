"""Facts of one NVIDIA GPU from torch and NVML."""

from __future__ import annotations

from typing import Any

import torch

from flopbench.core.errors import MeasureError
from flopbench.timing.devices import GatheredFacts
from flopbench.timing.measure.nvml import FACTS, NOT_INSTALLED, Nvml, load_pynvml, nvml_index


def gpu_facts() -> GatheredFacts:
    """Return the facts of torch's current CUDA device, which must exist."""
    found = GatheredFacts()
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    cudnn = torch.backends.cudnn.version()
    found.put("gpu.name", properties.name, "")
    found.put("gpu.capability", f"{properties.major}.{properties.minor}", "")
    found.put("gpu.multiprocessors", properties.multi_processor_count, "")
    found.put("gpu.memory_bytes", properties.total_memory, "")
    found.put("gpu.cuda_runtime", torch.version.cuda, "torch was not built for CUDA")
    found.put("gpu.cudnn", str(cudnn) if cudnn else None, "torch finds no cuDNN")
    nvml = open_nvml()
    if isinstance(nvml, Nvml):
        with nvml:
            found.add(nvml.facts())
    else:
        for key in FACTS:
            found.put(key, None, nvml)
    return found


def open_nvml() -> Nvml | str:
    """Return NVML for torch's current CUDA device, or the reason why there is none."""
    pynvml = load_pynvml()
    if pynvml is None:
        return NOT_INSTALLED
    try:
        index = _index(pynvml)
    except pynvml.NVMLError as error:
        return f"NVML: {error}"
    if index is None:
        return "NVML has no GPU with the UUID that torch reports (a slice of a MIG GPU?)"
    try:
        return Nvml(pynvml, index)
    except MeasureError as error:
        return error.message


def _index(pynvml: Any) -> int | None:
    """Find the GPU by its UUID: CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER renumber torch's."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    pynvml.nvmlInit()
    try:
        uuid = getattr(properties, "uuid", None)  # torch older than 2.5 may lack it
        if uuid is not None:
            return nvml_index(pynvml, str(uuid))
        return 0 if pynvml.nvmlDeviceGetCount() == 1 else None
    finally:
        pynvml.nvmlShutdown()
