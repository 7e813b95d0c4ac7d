"""The offline cost table: a file that every other verb can read.

File format (JSON): ``{"schema": 1, "kind": "flopbench.cost-table", "convention": ..., "rows":
[...], "environment": {...}}``, one row per model, input and counter, integers as integers. A row
holds the fields of ``CostRow``.

Schema history: 1, the first.

Lives here: the table's records, its file, its hand-over to pandas. Does not live here: measuring
(``offline``), choosing columns and printing (``present``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.costs import Gap
from flopbench.errors import DataError
from flopbench.files import check_schema, read_json, write_atomic
from flopbench.units import CONVENTION

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
KIND = "flopbench.cost-table"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One model at one input under one counter.

    Attributes:
        model: the network (``resnet50``).
        input: the input (``224``, ``16x112x112``).
        counter: who counted; ``constant`` for a quoted figure.
        counter_version: version of the library that counted.
        total_macs: the counter's own figure for one sample (see ``convention``), None when it
            could not count this model.
        dense_macs: exact multiply-accumulates of conv, linear, matmul, attention and recurrent
            operators, None when not counted.
        params: parameter elements.
        activations: elements that dense operators wrote.
        feature_dim: input width of the classification head.
        published_gflops: the figure that a preset quotes from its publication.
        status: verified, partial, disputed, unverified, failed or quoted (see ``agreement``).
        notes: what a reader must know.
        not_counted: gaps, summed over modules.
        classes: width of the head that was asked for.
        spec: the whole specification.
        convention: what one unit of ``total_macs`` is.
        device: where the forward pass ran, ``meta`` or ``cpu``.
    """

    model: str
    input: str
    counter: str
    counter_version: str
    total_macs: int | None
    dense_macs: int | None
    params: int | None
    activations: int | None
    feature_dim: int | None
    published_gflops: float | None
    status: str
    notes: tuple[str, ...] = ()
    not_counted: tuple[Mapping[str, Any], ...] = ()
    classes: int | None = None
    spec: str = ""
    convention: str = ""
    device: str = ""

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What one line of a printed table stands for: model, input and head."""
        return self.model, self.input, self.classes


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """Rows in order, and the environment they were made in.

    Attributes:
        rows: see ``CostRow``.
        environment: name -> version of everything the figures depend on.
    """

    rows: tuple[CostRow, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[CostRow]:
        return iter(self.rows)

    def counters(self) -> list[str]:
        """List the counters in order of first appearance, constants apart."""
        return list(dict.fromkeys(r.counter for r in self.rows if r.counter != "constant"))

    def lines(self) -> list[list[CostRow]]:
        """Group the rows of one model, input and head, in order."""
        groups: dict[Any, list[CostRow]] = {}
        for row in self.rows:
            groups.setdefault(row.key, []).append(row)
        return list(groups.values())

    def to_json(self) -> dict[str, Any]:
        """Return the file's content as plain JSON values."""
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "convention": CONVENTION,
            "rows": [asdict(row) for row in self.rows],
            "environment": dict(self.environment),
        }

    def dumps(self) -> str:
        """Return the file's text. The same table gives the same bytes."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the table file, whole or not at all.

        Raises:
            InputError: the path cannot be written.
        """
        write_atomic(Path(path), self.dumps())

    @classmethod
    def load(cls, path: str | Path) -> CostTable:
        """Read a table file.

        Raises:
            InputError: no such file.
            DataError: damaged, of another kind, or of a newer schema.
        """
        data = read_json(Path(path), "a flopbench cost table")
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: Any, where: str = "data") -> CostTable:
        """Rebuild what ``to_json`` returned; ``where`` names it in messages.

        Raises:
            DataError: damaged, of another kind, or of a newer schema.
        """
        if not isinstance(data, dict) or not isinstance(data.get("rows"), list):
            kind = data.get("kind") if isinstance(data, dict) else type(data).__name__
            raise DataError(f"{where} is not a flopbench cost table (kind: {kind!r})")
        check_schema(
            {"kind": KIND, **data},  # the first tables had no kind
            where,
            kind=KIND,
            schema=SCHEMA,
            what="a flopbench cost table",
            remake="flopbench table -o table.json",
        )
        environment = data.get("environment", {})
        if not isinstance(environment, dict):
            raise DataError(f"{where}: 'environment' is not an object")
        rows = tuple(_read_row(row, f"{where}, row {n}") for n, row in enumerate(data["rows"], 1))
        return cls(rows=rows, environment=environment)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one line a row as a pandas DataFrame; missing integers are ``<NA>``."""
        import pandas as pd

        frame = pd.DataFrame([asdict(row) for row in self.rows], columns=_NAMES)
        integers = [f for f in _NAMES if f in _TYPES and _TYPES[f] is int]
        return frame.astype(dict.fromkeys(integers, "Int64"))

    def _repr_html_(self) -> str:
        from flopbench.present.tables import cost_table_html

        return cost_table_html(self)


def summarise_gaps(gaps: tuple[Gap, ...]) -> tuple[dict[str, Any], ...]:
    """Add up gaps of the same kind and name over modules, those that may multiply first."""
    sums: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for gap in gaps:
        entry = sums.setdefault(
            (gap.kind, gap.name, gap.may_multiply),
            {
                "kind": gap.kind,
                "name": gap.name,
                "calls": 0,
                "modules": 0,
                "may_multiply": gap.may_multiply,
            },
        )
        entry["calls"] += gap.calls
        entry["modules"] += 1
    return tuple(sorted(sums.values(), key=lambda e: (not e["may_multiply"], e["kind"], e["name"])))


_TYPES: dict[str, Any] = {
    "model": str,
    "input": str,
    "counter": str,
    "counter_version": str,
    "status": str,
    "spec": str,
    "convention": str,
    "device": str,
    "total_macs": int,
    "dense_macs": int,
    "params": int,
    "activations": int,
    "feature_dim": int,
    "classes": int,
    "published_gflops": (int, float),
}
_OPTIONAL = {
    "total_macs",
    "dense_macs",
    "params",
    "activations",
    "feature_dim",
    "classes",
    "published_gflops",
}
_NAMES = [f.name for f in fields(CostRow)]
_REQUIRED = _NAMES[: _NAMES.index("notes")]


def _read_row(data: Any, where: str) -> CostRow:
    if not isinstance(data, dict):
        raise DataError(f"{where}: expected an object, got {type(data).__name__}")
    for name in _REQUIRED:
        if name not in data:
            raise DataError(f"{where}: the field {name!r} is missing")
    for name, value in data.items():
        if name not in _NAMES:
            raise DataError(f"{where}: unknown field {name!r}")
        if name in {"notes", "not_counted"}:
            kind = str if name == "notes" else dict
            if not isinstance(value, (list, tuple)):
                raise DataError(f"{where}: {name!r} is not a list")
            if not all(isinstance(item, kind) for item in value):
                raise DataError(f"{where}: {name!r} holds something other than {kind.__name__}")
            continue
        if value is None and name in _OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, _TYPES[name]):
            wanted = "a number" if name == "published_gflops" else _TYPES[name].__name__
            raise DataError(f"{where}: {name!r} is {value!r} where {wanted} was expected")
        if isinstance(value, (int, float)) and not 0 <= value < math.inf:
            raise DataError(f"{where}: {name!r} is {value!r}: negative or no number")
    lists = {n: tuple(data[n]) for n in ("notes", "not_counted") if n in data}
    return CostRow(**{**data, **lists})
