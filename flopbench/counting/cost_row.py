"""One row of the cost table: one model at one input under one counter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from flopbench.core.records import Count, Record
from flopbench.counting.agreement import DOUBTED, REFERENCE
from flopbench.counting.profile import Gap

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e300)]
"""Neither negative nor infinite."""


QUOTED = "fvcore"
"""The counter whose totals timm publishes as ``infer_gmacs``."""


class CostRow(Record, frozen=True, kw_only=True):
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
    total_macs: Count | None = None
    dense_macs: Count | None = None
    params: Count | None = None
    activations: Count | None = None
    feature_dim: Count | None = None
    published_gflops: Amount | None = None
    status: str
    notes: tuple[str, ...] = ()
    not_counted: tuple[dict[str, Any], ...] = ()
    classes: Count | None = None
    spec: str = ""
    convention: str = ""
    device: str = ""

    @property
    def is_doubted(self) -> bool:
        """Whether the figure is not the cost of the whole model."""
        return self.status in DOUBTED

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What one line of a printed table stands for: model, input and head."""
        return self.model, self.input, self.classes


def bare_name(row: CostRow) -> str:
    """Return what the model's library calls it: ``resnet50`` of ``timm:resnet50``."""
    source, _, name = row.model.partition(":")
    return name if source in ("timm", "transformers") else row.model


def trusted_row(rows: Iterable[CostRow]) -> CostRow | None:
    """Return the row of one model whose dense MACs are to be believed.

    That is one that no verdict doubts (the reference's, if it is among several), else the
    reference's; None where there is none of these.
    """
    sure = ("verified", "unverified")
    counted = [r for r in rows if r.dense_macs is not None]
    known = [r for r in counted if r.status in sure or r.counter == REFERENCE]
    return min(known, key=lambda r: (r.is_doubted, r.counter != REFERENCE), default=None)


def leading_row(line: Sequence[CostRow]) -> CostRow:
    """Return the row of a line of the table whose dense MACs stand for the model."""
    counted = [row for row in line if row.dense_macs is not None]
    return trusted_row(line) or (counted or line)[0]


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
