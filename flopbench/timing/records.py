"""Timings as records: every raw sample of every process, and where it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from flopbench.core.statistics import median

PRIMARY_COLUMNS = {
    "cpu_s": "CPU time",
    "wall_s": "wall",
    "end_to_end_s": "end to end",
}
"""Primary column (the one that a headline is computed from) -> its display name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingSpec:
    """What was timed: timings of equal specifications are comparable.

    Attributes:
        spec: the full model specification (``resnet50@224,classes=200``).
        device: ``cpu``, ``cuda`` or ``mps``.
        batch: samples per call.
        dtype: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        channels_last: whether weights and inputs are in that memory format.
        compiled: whether the model went through ``torch.compile``.
        cuda_graph: whether calls replay a captured CUDA graph.
        threads: CPU threads of the numerical libraries.
    """

    spec: str
    device: str = "cpu"
    batch: int = 1
    dtype: str = "fp32"
    channels_last: bool = False
    compiled: bool = False
    cuda_graph: bool = False
    threads: int = 1

    @property
    def options(self) -> str:
        """What a table adds to model, batch and dtype."""
        names = {
            "channels last": self.channels_last,
            "compiled": self.compiled,
            "CUDA graph": self.cuda_graph,
        }
        return ", ".join(name for name, chosen in names.items() if chosen)

    def __str__(self) -> str:
        parts = [self.spec, f"batch {self.batch}", self.dtype, self.options, self.device]
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRun:
    """What one fresh process measured.

    Attributes:
        first_s: wall time of the first call, which allocates, chooses kernels and compiles.
        warm_up_calls: calls between the first and the samples.
        warm_up_s: their duration.
        settled: whether the warm-up became stable.
        stopped: ``precise`` or ``budget``.
        calls_per_sample: calls that a sample averages.
        columns: name -> seconds per call, one value per sample: ``wall_s``, ``cpu_s``, ``wait_s``
            on a CPU; ``enqueue_s``, ``gpu_s``, ``end_to_end_s`` and, if a graph could be captured,
            ``graph_s`` on CUDA.
        peak_bytes: peak memory: allocated on the device, or resident for a CPU; None if unknown.
        readings: NVML's readings meanwhile, as ``GpuReading`` has them.
        images_done: (seconds, images) on the clock of the readings.
        flags: number-format flags of torch's backends that were in force.
    """

    first_s: float
    warm_up_calls: int
    warm_up_s: float
    settled: bool
    stopped: str
    calls_per_sample: int
    columns: Mapping[str, tuple[float, ...]]
    peak_bytes: int | None = None
    readings: tuple[Mapping[str, Any], ...] = ()
    images_done: tuple[tuple[float, int], ...] = ()
    flags: Mapping[str, str | bool] = field(default_factory=dict)

    def median_s(self, column: str) -> float:
        """Return the median of a column."""
        return median(self.columns[column])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The theoretical cost of one image (sample) of the batch.

    Attributes:
        dense_macs: by the reference counter; None if it could not count the model.
        activations: output elements of dense operators.
        params: parameter elements.
        input: the input as resolved (``224``).
    """

    dense_macs: int | None = None
    activations: int | None = None
    params: int | None = None
    input: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One row: one specification on one device, over several processes.

    Attributes:
        what: the specification.
        lead: the primary column: the one that the headline is computed from.
        processes: one record per process; empty for a row that failed.
        work: the theory.
        device: index into the file's devices.
        failure: why there are no samples; empty if there are.
        notes: remarks printed with the row.
        interleaved: label of the rows of one run whose calls took turns in the same processes;
            empty for a row timed in its own processes.
        roofs: measured roofs of this device in this dtype: ``flops_per_s``, ``bytes_per_s``.
        sweep: label of the throughput sweep that the row is a probe of, else empty.
    """

    what: TimingSpec
    lead: str
    processes: tuple[ProcessRun, ...]
    work: Work = field(default_factory=Work)
    device: int = 0
    failure: str = ""
    notes: tuple[str, ...] = ()
    interleaved: str = ""
    roofs: Mapping[str, float | None] = field(default_factory=dict)
    sweep: str = ""

    def medians(self, column: str = "") -> list[float]:
        """Return the median of each process that has the column (default: the primary one)."""
        name = column or self.lead
        return [run.median_s(name) for run in self.processes if name in run.columns]

    def pooled(self, column: str = "") -> list[float]:
        """Return the samples of all processes."""
        return [value for run in self.processes for value in run.columns[column or self.lead]]


def plain(record: Any) -> Any:
    """Turn records into plain JSON values."""
    if hasattr(record, "__dataclass_fields__"):
        return {f.name: plain(getattr(record, f.name)) for f in fields(record)}
    if isinstance(record, Mapping):
        return {key: plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [plain(value) for value in record]
    return record
