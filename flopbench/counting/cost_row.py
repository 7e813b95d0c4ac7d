"""One row of the cost table: one model at one input under one counter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from flopbench.core.errors import DataError
from flopbench.counting.profile import Gap


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


def counters_of(rows: Sequence[CostRow]) -> list[str]:
    """List the counters of some rows in order of first appearance, constants apart."""
    return list(dict.fromkeys(row.counter for row in rows if row.counter != "constant"))


def lines_of(rows: Sequence[CostRow]) -> list[list[CostRow]]:
    """Group the rows of one model, input and head, in order."""
    groups: dict[Any, list[CostRow]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    return list(groups.values())


ROW_TYPES: dict[str, Any] = {
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


ROW_FIELDS = [f.name for f in fields(CostRow)]


_REQUIRED = ROW_FIELDS[: ROW_FIELDS.index("notes")]


def read_row(data: Any, where: str) -> CostRow:
    if not isinstance(data, dict):
        raise DataError(f"{where}: expected an object, got {type(data).__name__}")
    for name in _REQUIRED:
        if name not in data:
            raise DataError(f"{where}: the field {name!r} is missing")
    for name, value in data.items():
        if name not in ROW_FIELDS:
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
        if isinstance(value, bool) or not isinstance(value, ROW_TYPES[name]):
            wanted = "a number" if name == "published_gflops" else ROW_TYPES[name].__name__
            raise DataError(f"{where}: {name!r} is {value!r} where {wanted} was expected")
        if isinstance(value, (int, float)) and not 0 <= value < math.inf:
            raise DataError(f"{where}: {name!r} is {value!r}: negative or no number")
    lists = {n: tuple(data[n]) for n in ("notes", "not_counted") if n in data}
    return CostRow(**{**data, **lists})
