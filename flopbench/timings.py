"""Timings as records and as a file: every raw sample of every process, and where it was taken.

File format (JSON): ``{"schema": 1, "kind": "flopbench.timings", "protocol": {...}, "devices":
[...], "rows": [...]}``. ``protocol`` holds the constants that the loop ran with, ``devices`` the
``DeviceFacts`` of every machine, and a row the fields of ``Timing`` with ``device`` an index into
``devices``. Seconds are seconds, bytes are bytes, one call is one batch.

Schema history: 1, the first.

Lives here: those records, their file, merging files. Does not live here: checking what a file
holds (``timing_reading``), measuring (``measure.latency``), what samples say
(``time_statistics``, ``time_verdicts``), printing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

from flopbench.devices import DeviceFacts
from flopbench.errors import DataError
from flopbench.files import check_schema, read_json, write_atomic
from flopbench.time_statistics import median

SCHEMA = 1
KIND = "flopbench.timings"

LEADS = {
    "cpu_s": "CPU time",
    "wall_s": "wall",
    "end_to_end_s": "end to end",
}
"""Column that a headline is made of -> what a reader calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingSpec:
    """What was timed: two timings of equal specifications may be set side by side.

    Attributes:
        spec: the whole model specification (``resnet50@224,classes=200``).
        device: ``cpu``, ``cuda`` or ``mps``.
        batch: samples a call.
        dtype: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        channels_last: whether weights and inputs lie in that memory format.
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
        """What a table says beside model, batch and dtype."""
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
        first_s: the first call, on the wall: it allocates, chooses kernels, compiles.
        warm_up_calls: calls between the first and the samples.
        warm_up_s: what they took.
        settled: whether the warm-up became stable.
        stopped: ``precise`` or ``budget``.
        calls_per_sample: calls that one sample is the mean of.
        columns: name -> seconds a call, one value a sample: ``wall_s``, ``cpu_s``, ``wait_s`` on
            a CPU; ``enqueue_s``, ``gpu_s``, ``end_to_end_s`` and, where a graph could be captured,
            ``graph_s`` on CUDA.
        peak_bytes: peak memory: allocated on the device, or resident for a CPU; None if unknown.
        readings: what NVML said meanwhile, as ``GpuReading`` has it.
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
    """The theory beside the time, for one image (sample) of the batch.

    Attributes:
        dense_macs: under the reference counter; None where it could not count the model.
        activations: elements that dense operators wrote.
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
        lead: the column that the headline is made of.
        processes: one record a process; empty for a row that failed.
        work: the theory.
        device: index into the file's devices.
        failure: why there are no samples, empty where there are.
        notes: what a reader must know.
        interleaved: label of the rows of one run whose calls took turns in the same processes,
            empty where a row had its processes to itself.
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
        """Return one median a process that has the column (default: the leading one)."""
        name = column or self.lead
        return [run.median_s(name) for run in self.processes if name in run.columns]

    def pooled(self, column: str = "") -> list[float]:
        """Return the samples of all processes."""
        return [value for run in self.processes for value in run.columns[column or self.lead]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingFile:
    """Rows, and the machines they were taken on.

    Attributes:
        rows: in order.
        devices: facts of every machine.
        protocol: name -> constant of the measuring loop.
    """

    rows: tuple[Timing, ...]
    devices: tuple[DeviceFacts, ...]
    protocol: Mapping[str, float] = field(default_factory=dict)

    def device_of(self, row: Timing) -> DeviceFacts:
        """Return the machine that a row was taken on."""
        return self.devices[row.device]

    def dumps(self) -> str:
        """Return the file's text: one process a line, so that a diff can be read."""
        head = {"schema": SCHEMA, "kind": KIND, "protocol": dict(self.protocol)}
        text = json.dumps(head, ensure_ascii=False)[:-1]
        devices = [json.dumps(device.to_json(), ensure_ascii=False) for device in self.devices]
        rows = [_row_text(row) for row in self.rows]
        return (
            f'{text},\n "devices": [\n  '
            + ",\n  ".join(devices)
            + '],\n "rows": [\n  '
            + ",\n  ".join(rows)
            + "]}\n"
        )

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            InputError: the path cannot be written.
        """
        write_atomic(Path(path), self.dumps())

    @classmethod
    def load(cls, path: str | Path) -> TimingFile:
        """Read a timing file.

        Raises:
            InputError: no such file.
            DataError: damaged, of another kind, or of a newer schema.
        """
        return cls.from_json(read_json(Path(path), "a flopbench timing file"), str(path))

    @classmethod
    def from_json(cls, data: Any, where: str = "data") -> TimingFile:
        """Rebuild what ``dumps`` wrote; ``where`` names it in messages.

        Raises:
            DataError: of another kind, of a newer schema, or a field is missing or wrong.
        """
        check_schema(
            data,
            where,
            kind=KIND,
            schema=SCHEMA,
            what="a flopbench timing file",
            remake="flopbench latency ... -o timings.json",
        )
        from flopbench.timing_reading import timing

        try:
            devices = tuple(DeviceFacts.from_json(item) for item in data["devices"])
            rows = tuple(
                timing(item, number, len(devices)) for number, item in enumerate(data["rows"])
            )
            return cls(rows=rows, devices=devices, protocol=dict(data["protocol"]))
        except DataError as error:
            raise DataError(f"{where}: {error.message}", error.hint) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where} is not a flopbench timing file: {error!r}") from None


def merge(files: Sequence[TimingFile]) -> TimingFile:
    """Put the rows of several files into one, in order; equal devices are kept once.

    Rows are never pooled: two runs of one command stay two rows, rows that took turns in one run
    took none with those of another, and a sweep is that of one run.
    """
    devices: list[DeviceFacts] = []
    rows: list[Timing] = []
    protocol: dict[str, float] = {}
    taken: set[str] = set()
    for file in files:
        places = []
        for device in file.devices:
            if device not in devices:
                devices.append(device)
            places.append(devices.index(device))
        labels = {label for row in file.rows for label in (row.interleaved, row.sweep) if label}
        renamed = {"": "", **{label: _free(label, taken) for label in labels}}
        taken |= set(renamed.values())
        rows += [
            replace(
                row,
                device=places[row.device],
                interleaved=renamed[row.interleaved],
                sweep=renamed[row.sweep],
            )
            for row in file.rows
        ]
        protocol.update(file.protocol)
    return TimingFile(rows=tuple(rows), devices=tuple(devices), protocol=protocol)


def _free(label: str, taken: set[str]) -> str:
    """Return a label that no other run has."""
    names = (label if n == 1 else f"{label} ({n})" for n in count(1))
    return next(name for name in names if name not in taken)


def plain(record: Any) -> Any:
    """Turn records into plain JSON values."""
    if hasattr(record, "__dataclass_fields__"):
        return {f.name: plain(getattr(record, f.name)) for f in fields(record)}
    if isinstance(record, Mapping):
        return {key: plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [plain(value) for value in record]
    return record


def _row_text(row: Timing) -> str:
    data = plain(row)
    runs: Iterable[Any] = data.pop("processes")
    text = json.dumps(data, ensure_ascii=False)[:-1]
    lines = ",\n    ".join(json.dumps(run, ensure_ascii=False) for run in runs)
    return f'{text}, "processes": [\n    {lines}]}}' if lines else f'{text}, "processes": []}}'
