"""From JSON values to the records of ``timings``, with every defect named: row and field.

Lives here: those checks. Does not live here: the records, the file (``timings``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from flopbench.devices import DEVICES, DTYPES
from flopbench.errors import DataError
from flopbench.gpu_readings import GpuReading
from flopbench.timings import ProcessRun, Timing, TimingSpec, Work


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
    """Check a process's fields, and its columns by name: msgspec would only say which value."""
    _check_fields(ProcessRun, data)
    if not isinstance(data["columns"], Mapping):
        raise DataError(f"columns is {data['columns']!r} where an object was expected")
    for name, values in data["columns"].items():
        if not isinstance(values, (list, tuple)) or not all(map(_is_number, values)):
            raise DataError(f"columns.{name} is no list of numbers")


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
    what, work = row.what, row.work
    for name, value, known in (("dtype", what.dtype, DTYPES), ("device", what.device, DEVICES)):
        if value not in known:
            raise DataError(f"{name} is {value!r} where one of {', '.join(known)} was expected")
    for name in ("batch", "threads"):
        if getattr(what, name) < 1:
            raise DataError(f"{name} is {getattr(what, name)} where at least 1 was expected")
    for name in ("dense_macs", "activations", "params"):
        if (getattr(work, name) or 0) < 0:
            raise DataError(f"{name} is {getattr(work, name)} where a count was expected")
    if not 0 <= row.device < devices:
        raise DataError(f"device is {row.device!r}, and the file has {devices} devices")
    if any(row.lead not in run.columns for run in row.processes):
        raise DataError(f"lead is {row.lead!r}, which a process has no column for")
