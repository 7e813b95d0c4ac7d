"""The timing file: writing, reading with every defect named, and merging.

File format (JSON): ``{"schema": 1, "kind": "flopbench.timings", "protocol": {...}, "devices":
[...], "rows": [...]}``. ``protocol`` holds the constants of the measuring loop, ``devices`` the
``DeviceFacts`` of every machine, and a row the fields of ``Timing`` with ``device`` an index into
``devices``. Seconds are seconds, bytes are bytes, one call is one batch.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

from flopbench.core.errors import DataError
from flopbench.core.files import check_schema, read_json, write_atomic
from flopbench.timing.devices import DEVICES, DTYPES, DeviceFacts
from flopbench.timing.gpu_readings import GpuReading
from flopbench.timing.records import ProcessRun, Timing, TimingSpec, Work, plain

SCHEMA = 1


KIND = "flopbench.timings"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingFile:
    """Rows, and the machines they were measured on.

    Attributes:
        rows: in order.
        devices: facts of every machine.
        protocol: name -> constant of the measuring loop.
    """

    rows: tuple[Timing, ...]
    devices: tuple[DeviceFacts, ...]
    protocol: Mapping[str, float] = field(default_factory=dict)

    def device_of(self, row: Timing) -> DeviceFacts:
        """Return the machine that a row was measured on."""
        return self.devices[row.device]

    def dumps(self) -> str:
        """Return the file's text: one process per line, so that diffs are readable."""
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
        """Write the file atomically.

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

    Rows are never pooled: two runs of one command stay two rows, and labels of interleaved rows
    and of sweeps stay distinct between runs.
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
    """Return a label that no other run uses."""
    names = (label if n == 1 else f"{label} ({n})" for n in count(1))
    return next(name for name in names if name not in taken)


def _row_text(row: Timing) -> str:
    data = plain(row)
    runs: Iterable[Any] = data.pop("processes")
    text = json.dumps(data, ensure_ascii=False)[:-1]
    lines = ",\n    ".join(json.dumps(run, ensure_ascii=False) for run in runs)
    return f'{text}, "processes": [\n    {lines}]}}' if lines else f'{text}, "processes": []}}'


def process_run(data: Any) -> ProcessRun:
    """Rebuild one process's record from JSON values.

    Raises:
        DataError: a field is missing, unknown or of the wrong form.
    """
    _check_process(data)
    run: ProcessRun = _converted(data, ProcessRun)
    _check_run(run)
    return run


def timing(data: Any, number: int, devices: int) -> Timing:
    """Rebuild one row from JSON values.

    Args:
        data: the row.
        number: of the row in its file, for messages.
        devices: how many the file has.

    Raises:
        DataError: a field is missing, unknown or of the wrong form; names row and field.
    """
    try:
        _check_fields(Timing, data)
        for name, kind in (("what", TimingSpec), ("work", Work)):
            _check_fields(kind, data[name])
        _check_roofs(data["roofs"])
        if isinstance(data["processes"], list):
            for run in data["processes"]:
                _check_process(run)
        row: Timing = _converted(data, Timing)
        for run in row.processes:
            _check_run(run)
        _check_row(row, devices)
    except DataError as error:
        raise DataError(f"rows[{number}]: {error.message}", error.hint) from None
    return row


def _converted(data: Any, kind: Any) -> Any:
    import msgspec

    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        field = place.rstrip("`")
        raise DataError(f"{field}: {said}" if field else f"{kind.__name__}: {said}") from None


def _check_fields(kind: Any, data: Any) -> None:
    names = {f.name for f in fields(kind)}
    if not isinstance(data, Mapping) or set(data) != names:
        has = sorted(data) if isinstance(data, Mapping) else type(data).__name__
        raise DataError(f"{kind.__name__} has {has} where {sorted(names)} was expected")


def _check_process(data: Any) -> None:
    """Check a process's fields, and its columns by name: msgspec names only the value's index."""
    _check_fields(ProcessRun, data)
    if not isinstance(data["columns"], Mapping):
        raise DataError(f"columns is {data['columns']!r} where an object was expected")
    for name, values in data["columns"].items():
        if not isinstance(values, (list, tuple)) or not all(map(_is_number, values)):
            raise DataError(f"columns.{name} is not a list of numbers")


def _check_roofs(data: Any) -> None:
    if not isinstance(data, Mapping):
        raise DataError(f"roofs is {data!r} where an object was expected")
    for name, value in data.items():
        if value is not None and not _is_number(value):
            raise DataError(f"roofs.{name} is {value!r} where a number was expected")


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _check_run(run: ProcessRun) -> None:
    lengths = {len(values) for values in run.columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError("a process has no samples, or columns of different lengths")
    for number, reading in enumerate(run.readings):
        try:
            GpuReading.from_json(reading)
        except DataError as error:
            raise DataError(f"readings[{number}]: {error.message}") from None


def _check_row(row: Timing, devices: int) -> None:
    spec, work = row.what, row.work
    for name, value, known in (("dtype", spec.dtype, DTYPES), ("device", spec.device, DEVICES)):
        if value not in known:
            raise DataError(f"{name} is {value!r} where one of {', '.join(known)} was expected")
    for name in ("batch", "threads"):
        if getattr(spec, name) < 1:
            raise DataError(f"{name} is {getattr(spec, name)} where at least 1 was expected")
    for name in ("dense_macs", "activations", "params"):
        if (getattr(work, name) or 0) < 0:
            raise DataError(f"{name} is {getattr(work, name)} where a count was expected")
    if not 0 <= row.device < devices:
        raise DataError(f"device is {row.device!r}, but the file has {devices} devices")
    if any(row.lead not in run.columns for run in row.processes):
        raise DataError(f"lead is {row.lead!r}, a column that a process does not have")
