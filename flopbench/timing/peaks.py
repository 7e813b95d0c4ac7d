"""Data-sheet peaks of GPUs: what their vendors publish."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from flopbench.core.records import Record
from flopbench.core.toml_lines import toml_values

TERA = 1e12
GIGA = 1e9
_FILE = Path(__file__).with_name("peaks.toml")


class Peak(Record, frozen=True, kw_only=True):
    """What the vendor publishes for one GPU.

    Attributes:
        names: torch's names of it.
        tflops: number format -> dense 1e12 FLOP/s, two per multiply-accumulate.
        sparse_printed: formats whose published figure assumes 2:4 sparsity; ``tflops`` has half.
        memory_gb_per_s: 1e9 bytes per second.
        source: title of the vendor's document.
    """

    names: tuple[str, ...]
    tflops: Mapping[str, float]
    sparse_printed: tuple[str, ...] = ()
    memory_gb_per_s: float
    source: str

    def flops_per_s(self, dtype: str) -> float | None:
        """Return the dense peak in FLOP/s; None if the sheet has none for that format."""
        tflops = self.tflops.get(dtype)
        return None if tflops is None else tflops * TERA

    @property
    def bytes_per_s(self) -> float:
        """Peak memory bandwidth, reads and writes together."""
        return self.memory_gb_per_s * GIGA


def peak_of(device_name: str) -> Peak | None:
    """Return the peak of the GPU with exactly this torch name; None for any other name."""
    return all_peaks().get(device_name)


def no_peak_reason(device: str, device_name: str) -> str:
    """Return why ``peak_of`` has no peak of a device; an empty string if it has one."""
    if device == "cpu":
        return "vendors publish no peak for CPUs, and a CPU's clock in a virtual machine is unknown"
    if device == "mps":
        return "Apple publishes no peak by number format"
    if peak_of(device_name) is not None:
        return ""
    return f"flopbench has no data sheet for a GPU named {device_name!r}"


@lru_cache(maxsize=1)
def all_peaks() -> Mapping[str, Peak]:
    """Return every known device name with its peak."""
    sheets = msgspec.convert(toml_values(_FILE, _FILE.name)["gpu"], list[Peak])
    return {name: peak for peak in sheets for name in peak.names}
