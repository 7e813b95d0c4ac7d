"""One row of the cost table: one model at one input under one counter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

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
        notes: on the figures, in sentences.
        not_counted: gaps, summed over modules.
        classes: width of the head that was asked for.
        spec: the whole specification.
        convention: what one unit of ``total_macs`` is.
        device: where the forward pass ran, ``meta`` or ``cpu``.
    """

    model: str
    input: str = ""
    counter: str
    counter_version: str = ""
    total_macs: int | None = None
    dense_macs: int | None = None
    params: int | None = None
    activations: int | None = None
    feature_dim: int | None = None
    published_gflops: float | None = None
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


ROW_FIELDS = tuple(field.name for field in fields(CostRow))
_REQUIRED = ROW_FIELDS[: ROW_FIELDS.index("notes")]
_LISTS = {"notes": str, "not_counted": dict}
_SINGLE = {name: hint for name, hint in get_type_hints(CostRow).items() if name not in _LISTS}
_OPTIONAL = {name for name, hint in _SINGLE.items() if get_args(hint)}
ROW_TYPES = {name: (*get_args(hint), hint)[0] for name, hint in _SINGLE.items()}
"""Field -> its type, None apart; lists left out."""


def read_row(data: Any, where: str) -> CostRow:
    """Rebuild a row from what JSON gave.

    Raises:
        DataError: a field is missing, unknown, or of another type.
    """
    if not isinstance(data, dict):
        raise DataError(f"{where}: expected an object, got {type(data).__name__}")
    for name in _REQUIRED:
        if name not in data:
            raise DataError(f"{where}: the field {name!r} is missing")
    for name, value in data.items():
        if name not in ROW_FIELDS:
            raise DataError(f"{where}: unknown field {name!r}")
        if name in _LISTS:
            _check_list(name, value, where)
        elif not (value is None and name in _OPTIONAL):
            _check_single(name, value, where)
    return CostRow(**{**data, **{name: tuple(data[name]) for name in _LISTS if name in data}})


def _check_list(name: str, value: Any, where: str) -> None:
    kind = _LISTS[name]
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{where}: {name!r} is not a list")
    if not all(isinstance(item, kind) for item in value):
        raise DataError(f"{where}: {name!r} holds something other than {kind.__name__}")


def _check_single(name: str, value: Any, where: str) -> None:
    kind = ROW_TYPES[name]
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        wanted = "a number" if kind is float else kind.__name__
        raise DataError(f"{where}: {name!r} is {value!r} where {wanted} was expected")
    if isinstance(value, (int, float)) and not 0 <= value < math.inf:
        raise DataError(f"{where}: {name!r} is {value!r}: negative or no number")
