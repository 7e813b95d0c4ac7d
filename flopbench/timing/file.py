"""The timing file: writing, reading with every defect named, and merging.

File format (JSON): ``{"schema": 1, "kind": "flopbench.timings", "protocol": {...}, "devices":
[...], "rows": [...]}``. ``protocol`` holds the constants of the measuring loop, ``devices`` the
``DeviceFacts`` of every machine, and a row the fields of ``Timing`` with ``device`` an index into
``devices``; ``operators`` is left out where none are known. Seconds are seconds, bytes are bytes,
one call is one batch.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from flopbench.core.errors import DataError
from flopbench.core.files import check_schema, read_json, write_atomic
from flopbench.core.records import Record, decode
from flopbench.timing.devices import DEVICES, DTYPES, DeviceFacts
from flopbench.timing.records import Timing

SCHEMA = 1
KIND = "flopbench.timings"
NEW_LINE = "\n    "


class TimingFile(Record, frozen=True, kw_only=True):
    """Rows, and the machines they were measured on.

    Attributes:
        protocol: name -> constant of the measuring loop.
        devices: facts of every machine.
        rows: in order.
    """

    schema: int = SCHEMA
    kind: str = KIND
    protocol: Mapping[str, int | float] = {}
    devices: tuple[DeviceFacts, ...]
    rows: tuple[Timing, ...]

    def device_of(self, row: Timing) -> DeviceFacts:
        """Return the machine that a row was measured on."""
        return self.devices[row.device]

    @property
    def networks(self) -> TimingFile:
        """Rows of networks alone, without stages of a pipeline, and the machines of those rows."""
        rows = [row for row in self.rows if not row.what.stage]
        used = sorted({row.device for row in rows})
        return replace(
            self,
            rows=tuple(replace(row, device=used.index(row.device)) for row in rows),
            devices=tuple(self.devices[number] for number in used),
        )

    def dumps(self) -> str:
        """Return the file's text: one process per line, so that diffs are readable."""
        data = to_builtins(self)
        devices = ",\n  ".join(_line(device) for device in data.pop("devices"))
        rows = ",\n  ".join(map(_row_text, data.pop("rows")))
        return f'{_line(data)[:-1]},\n "devices": [\n  {devices}],\n "rows": [\n  {rows}]}}\n'

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
        file = decode(_filled_in(data), cls, where, complete=True)
        for number, row in enumerate(file.rows):
            _check(row, len(file.devices), f"{where}: rows[{number}]")
        return file


def load_files(paths: Sequence[str | Path]) -> TimingFile:
    """Read timing files as one: ``TimingFile.load``, then ``merge``."""
    return merge([TimingFile.load(path) for path in paths])


PACE_FIELDS: dict[str, Any] = {"left_out": {}, "paces": [], "best_pace_s": None}
"""Of a process; left out of the text where they say nothing, as in older files."""


def _filled_in(data: dict[str, Any]) -> dict[str, Any]:
    """Return a file whose rows have operators, and whose processes a pace, as older ones do not."""

    def with_defaults(items: Any, defaults: dict[str, Any]) -> Any:
        if not isinstance(items, list):
            return items
        return [{**defaults, **one} if isinstance(one, dict) else one for one in items]

    rows = with_defaults(data.get("rows"), {"operators": []})
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and "processes" in row:
            row["processes"] = with_defaults(row["processes"], PACE_FIELDS)
    return {**data, "rows": rows} if "rows" in data else data


def _check(row: Timing, devices: int, place: str) -> None:
    """Refuse a row that no device could have measured, or that does not fit its file."""
    spec = row.what
    for name, value, known in (("dtype", spec.dtype, DTYPES), ("device", spec.device, DEVICES)):
        if value not in known:
            listed = ", ".join(known)
            raise DataError(f"{place}: {name} is {value!r} where one of {listed} was expected")
    if row.device >= devices:
        raise DataError(f"{place}: device is {row.device}, but the file has {devices} devices")
    if not all(run.samples(row.lead) for run in row.processes):
        raise DataError(f"{place}: lead is {row.lead!r}, a column that a process does not have")


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


def _row_text(row: dict[str, Any]) -> str:
    operators, runs = row.pop("operators"), row.pop("processes")
    for run in runs:
        for name in PACE_FIELDS:
            if not run[name]:
                del run[name]
    more = f', "operators": {_list(operators)}' if operators else ""
    return f'{_line(row)[:-1]}{more}, "processes": {_list(runs)}}}'


def _list(items: Sequence[Any]) -> str:
    """Return a list, one item a line."""
    return f"[{','.join(f'{NEW_LINE}{_line(one)}' for one in items)}]"


def _line(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)
