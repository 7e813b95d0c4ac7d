"""The device that a model is to run on: its presence, its number formats, its facts."""

from __future__ import annotations

import functools
import os
import platform
import re
from pathlib import Path

import torch

from flopbench.core.errors import InputError
from flopbench.counting.registry import installed_version
from flopbench.timing.devices import DEVICES, DeviceFacts, GatheredFacts, refuse_dtype
from flopbench.timing.measure.cpu_facts import cpu_facts
from flopbench.timing.measure.gpu_facts import gpu_facts
from flopbench.timing.measure.precision import TORCH_DTYPES

ENVIRONMENT = re.compile(r"(OMP|MKL|KMP|GOMP|PYTORCH|CUDA|CUDNN|MALLOC)_[A-Z0-9_]+|LD_PRELOAD")
"""Environment variables that change how fast torch runs."""

_BUILD = {
    "torch.blas": r"BLAS_INFO=([^,\s]+)",
    "torch.mkldnn": r"MKL-DNN v([0-9.]+)",
    "torch.openmp": r"OpenMP (\d+)",
}


def device_facts(device: str) -> DeviceFacts:
    """Gather everything about this machine that a timing on ``device`` may depend on."""
    check_device(device, "fp32")
    found = cpu_facts()
    found.add(_library_facts())
    found.add(_environment_facts())
    if device == "cuda":
        found.add(gpu_facts())
    name = _name(device, found)
    return DeviceFacts(device=device, name=name, facts=found.facts, absent=found.absent)


def check_device(device: str, dtype: str) -> None:
    """Refuse a device that this machine lacks, or a number format that the device lacks."""
    refuse_dtype(device, dtype, None)
    here = available_devices()
    if device not in here:
        why = _no_cuda() if device == "cuda" else _no_mps()
        raise InputError(
            f"there is no {device.upper()} device here: {why}; available: {', '.join(here)}",
            f"--device {here[-1]}",
        )
    capability = torch.cuda.get_device_capability() if device == "cuda" else None
    refuse_dtype(device, dtype, capability)
    problem = "" if dtype in ("fp32", "tf32") else _problem(device, dtype)
    if problem:
        raise InputError(
            f"torch {torch.__version__} cannot convolve in {dtype} on {device}: {problem}",
            "--dtype fp32",
        )


def available_devices() -> tuple[str, ...]:
    """Return the devices that torch can use on this machine, always including ``cpu``."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return tuple(device for device in DEVICES if there[device])


def _no_cuda() -> str:
    version = torch.__version__.partition("+")[0]
    if torch.version.cuda is None:
        return f"torch {version} was built without CUDA"
    built = f"torch {version} was built for CUDA {torch.version.cuda}"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return f"{built}, and CUDA_VISIBLE_DEVICES hides every GPU"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        # torch explains it in a paragraph with a link; the two common causes are shortened here.
        if "no NVIDIA driver" in str(error):
            return f"{built} but finds no driver"
        if "driver" in str(error) and "too old" in str(error):
            return f"{built} but the driver is too old for it"
        return f"{built} but CUDA does not start ({str(error).splitlines()[0][:100]})"
    return f"{built} but finds no GPU"


def _no_mps() -> str:
    version = torch.__version__.partition("+")[0]
    if not torch.backends.mps.is_built():
        return f"torch {version} was built without Metal (macOS only)"
    return f"torch {version} finds no Apple GPU, or macOS is older than 12.3"


@functools.cache
def _problem(device: str, dtype: str) -> str:
    """Try a tiny convolution; return torch's message if it fails, else an empty string."""
    kind = TORCH_DTYPES[dtype]
    try:
        with torch.inference_mode():
            x = torch.ones(1, 3, 8, 8, device=device, dtype=kind)
            y = torch.nn.functional.conv2d(x, x[:, :, :3, :3])
            return "" if bool(torch.isfinite(y.float()).all()) else "the result is not finite"
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]


def _library_facts() -> GatheredFacts:
    """Return versions, how torch was built, and which kernels it chose."""
    found = GatheredFacts()
    found.put("python.version", platform.python_version(), "")
    found.put("torch.version", str(torch.__version__), "")
    commit = torch.version.git_version
    found.put("torch.git_version", commit, "this build does not state its commit")
    build = torch.__config__.show()
    for key, pattern in _BUILD.items():
        match = re.search(pattern, build)
        found.put(key, match[1] if match else None, "torch's build settings do not state it")
    found.put("torch.cpu_capability", torch.backends.cpu.get_cpu_capability(), "")
    found.put("torchvision.version", installed_version("torchvision") or None, "not installed")
    return found


def _environment_facts() -> GatheredFacts:
    """Return the environment variables that change speed; paths reduced to their last part."""
    found = GatheredFacts()
    for name, value in sorted(os.environ.items()):
        if ENVIRONMENT.fullmatch(name):
            found.put(f"env.{name}", without_folders(value), "")
    return found


def without_folders(value: str) -> str:
    """Reduce every path in a variable's value to its last part, and hide serial numbers of GPUs.

    A last part that is the name of the home folder, usually the user's, becomes ``~``.

    >>> without_folders("/srv/me/lib/libjemalloc.so:/opt/libfoo.so")
    'libjemalloc.so:libfoo.so'
    """
    home = Path.home().name
    parts = re.split(r"([:;,=]|\s+(?=[/~]))", value)
    names = [re.split(r"[/\\]", part)[-1] for part in parts]
    hidden = [
        "~" if home and part != name == home else name
        for part, name in zip(parts, names, strict=True)
    ]
    return re.sub(r"\b(GPU|MIG)-[0-9a-fA-F-]{8,}", r"\1-hidden", "".join(hidden))


def _name(device: str, found: GatheredFacts) -> str:
    if device == "cuda":
        return str(found.facts["gpu.name"])
    model = found.facts["cpu.model"] or platform.machine() or "unknown processor"
    if device == "mps":
        return f"{model} GPU"
    cores = found.facts["cpu.cores_visible"]
    return f"{model} ({cores} {'core' if cores == 1 else 'cores'} visible)"
