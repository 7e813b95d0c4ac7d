"""Timings as records: every raw sample of every process, and where it was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from flopbench.core.records import Count, NonNegative, Positive, Record
from flopbench.core.statistics import median
from flopbench.timing.gpu_readings import GpuReading

PACED = "paced_s"
"""CPU time at the machine's best pace, the one column that ``ProcessRun.samples`` makes."""
PRIMARY_COLUMNS = {
    PACED: "CPU time (at the machine's best pace)",
    "cpu_s": "CPU time",
    "wall_s": "wall",
    "end_to_end_s": "end to end",
}
"""Primary column (the one that a headline is computed from) -> its display name."""


STAGES = ("decode", "colour", "resize", "normalise")
"""What is done with a frame before a network gets it, in order."""


class TimingSpec(Record, frozen=True, kw_only=True):
    """What was timed: timings of equal specifications are comparable.

    Attributes:
        spec: the full model specification (``resnet50@224,classes=200``), or the name of a stage of
            the pipeline (``resize: 720x1280 to 224``), where a call is one frame.
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
    batch: Positive = 1
    dtype: str = "fp32"
    channels_last: bool = False
    compiled: bool = False
    cuda_graph: bool = False
    threads: Positive = 1

    @property
    def stage(self) -> str:
        """Which of ``STAGES`` it is; empty for a network, whose name has no space after a colon."""
        stage, colon, _ = self.spec.partition(": ")
        return stage if colon and stage in STAGES else ""

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
        if self.stage:
            return self.spec
        parts = [self.spec, f"batch {self.batch}", self.dtype, self.options, self.device]
        return " · ".join(part for part in parts if part)


class ProcessRun(Record, frozen=True, kw_only=True):
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
        left_out: the same of samples taken while the machine was slow.
        paces: seconds of a fixed piece of work about each sample of ``columns``; empty where it was
            not done: on accelerators, with several threads, in older files.
        best_pace_s: its best, as far as was known.
        peak_bytes: peak memory: allocated on the device, or resident for a CPU; None if unknown.
        readings: of NVML meanwhile.
        images_done: (seconds, images) on the clock of the readings.
        flags: number-format flags of torch's backends that were in force.
    """

    first_s: NonNegative
    warm_up_calls: Count
    warm_up_s: NonNegative
    settled: bool
    stopped: str
    calls_per_sample: Positive
    columns: Mapping[str, tuple[NonNegative, ...]]
    left_out: Mapping[str, tuple[NonNegative, ...]] = {}
    paces: tuple[Annotated[float, Meta(gt=0)], ...] = ()
    best_pace_s: NonNegative | None = None
    peak_bytes: Count | None = None
    readings: tuple[GpuReading, ...] = ()
    images_done: tuple[tuple[float, int], ...] = ()
    flags: Mapping[str, str | bool] = {}

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError("a process has no samples, or columns of different lengths")
        if self.paces and {len(self.paces)} != lengths:
            raise ValueError("a process has not one pace for each sample")

    def samples(self, column: str) -> Sequence[float]:
        """Return a column; empty where there is none.

        ``paced_s`` is CPU time over the pace about the sample, times the best pace: what a sample
        would have taken had the machine not slowed down. Where no pace was read, it is CPU time.
        """
        seconds = self.columns.get("cpu_s" if column == PACED else column, ())
        if column != PACED or not self.paces:
            return seconds
        pairs = zip(seconds, self.paces, strict=True)
        return [cpu_s / pace_s * (self.best_pace_s or pace_s) for cpu_s, pace_s in pairs]


class Work(Record, frozen=True, kw_only=True):
    """The theoretical cost of one image (sample) of the batch.

    Attributes:
        dense_macs: by the reference counter; None if it could not count the model.
        activations: output elements of dense operators.
        params: parameter elements.
        input: the input as resolved (``224``); of a stage of the pipeline its target size, or that
            of the source where it has none.
    """

    dense_macs: Count | None = None
    activations: Count | None = None
    params: Count | None = None
    input: str = ""


class Operator(Record, frozen=True, kw_only=True):
    """Equal calls of one operator that a call of the network dispatched.

    Attributes:
        name: torch's (``aten.convolution``).
        family: of those that share a roof (``convolution``, ``pointwise``).
        macs: dense multiply-accumulates of one of them, of the whole batch.
        read_bytes: that one of them must read, wherever they are.
        written_bytes: that one of them must write.
        least_s: the least time of one of them on the roofs measured here.
        limit: what makes that time; ``launch`` is the call itself.
    """

    name: str
    family: str
    calls: Positive = 1
    macs: Count = 0
    read_bytes: Count = 0
    written_bytes: Count = 0
    least_s: NonNegative = 0.0
    limit: Literal["compute", "memory", "launch"] = "memory"


class Timing(Record, frozen=True, kw_only=True):
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
        roofs: measured roofs of this device in this dtype: ``flops_per_s``, ``bytes_per_s``, and
            how they were measured (``roofs.CONDITIONS``), which older files lack.
        sweep: label of the throughput sweep that the row is a probe of, else empty.
        operators: what a call dispatched, in order of first execution; empty where this is not
            known: in older files, for compiled models and revisions.
    """

    what: TimingSpec
    lead: str
    processes: tuple[ProcessRun, ...]
    work: Work = field(default_factory=Work)
    device: Count = 0
    failure: str = ""
    notes: tuple[str, ...] = ()
    interleaved: str = ""
    roofs: Mapping[str, NonNegative | None] = {}
    sweep: str = ""
    operators: tuple[Operator, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it was not measured, or not in every process."""
        return bool(self.failure) or not self.processes

    def medians(self, column: str = "") -> list[float]:
        """Return the median of each process that has the column (default: the primary one)."""
        name = column or self.lead
        return [median(found) for run in self.processes if (found := run.samples(name))]

    def paces(self) -> list[float]:
        """Return the machine's pace in each process that read it, as a share of the best of all."""
        best_s = min((run.best_pace_s or math.inf for run in self.processes), default=math.inf)
        return [best_s / median(run.paces) for run in self.processes if run.paces]

    def pooled(self) -> list[float]:
        """Return the samples of all processes, of the primary column."""
        return [value for run in self.processes for value in run.samples(self.lead)]

    def least_s(self) -> float | None:
        """Return the least time of a call: of its operators in turn; None if they are unknown."""
        seconds = [one.calls * one.least_s for one in self.operators]
        return sum(seconds) if seconds else None

    def binding(self) -> list[tuple[str, float]]:
        """Return families of operators with their share of the least time, the largest first."""
        sums: dict[str, float] = {}
        for one in self.operators:
            sums[one.family] = sums.get(one.family, 0.0) + one.calls * one.least_s
        total = sum(sums.values())
        ordered = sorted(sums.items(), key=lambda pair: -pair[1])
        return [(family, seconds / total) for family, seconds in ordered if seconds]

    def peak_bytes(self) -> int | None:
        """Return the peak memory of the process that took most; None if unknown."""
        return max((r.peak_bytes for r in self.processes if r.peak_bytes is not None), default=None)


def at_one_pace(rows: Iterable[Timing]) -> tuple[Timing, ...]:
    """Return rows of one machine, each process with the best pace that any of them knew.

    A process knows what those before it saw; a later one may have seen better.
    """
    rows = tuple(rows)
    seen = (run.best_pace_s for row in rows for run in row.processes)
    best_s = min(filter(None, seen), default=None)

    def known(run: ProcessRun) -> ProcessRun:
        return replace(run, best_pace_s=best_s) if run.best_pace_s else run

    return tuple(replace(row, processes=tuple(map(known, row.processes))) for row in rows)
