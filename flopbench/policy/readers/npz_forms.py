"""Reads NPZ in flopbench's layout: numpy arrays, read in blocks and never unpickled.

``header`` (JSON text) and the columns of ``policy.columns``: a field of one length is one array,
(N,) or (N, K); decisions of different lengths are ``actions`` (flat) with ``actions_offsets``
(N + 1); everything else of varying length is JSON text.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from flopbench.core.errors import DataError
from flopbench.policy.blocks import Block, Place, checked_ids
from flopbench.policy.columns import JSON_SUFFIX, check_columns, json_value, samples_of
from flopbench.policy.header import Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.npy_stream import ROWS_AT_ONCE, Member, NpzFile, padded, sayer
from flopbench.policy.samples import OnDefect, Sample

OFFSETS_SUFFIX = "_offsets"


class NpzReader(NpzFile):
    """flopbench's NPZ layout."""

    form = "npz"

    def header(self) -> Header | None:
        """Return the header, None where the file holds none."""
        with self._open() as archive:
            if "header.npy" not in archive.namelist():
                return None
            text = Member(self.path, archive, "header").whole()
        where = f"{self.path}, header"
        return read_header(json_value(str(text), where), where)

    def _names(self, archive: zipfile.ZipFile) -> list[str]:
        names = [n.removesuffix(".npy") for n in archive.namelist() if n != "header.npy"]
        check_columns([n.removesuffix(OFFSETS_SUFFIX) for n in names], str(self.path))
        return names

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's place is its number."""
        with self._open() as archive:
            members = self._members(archive, self._names(archive))
            n = _length(members, self.path)
            ends = {name: _first_offset(members, name, n) for name in _ragged(members)}
            for first in range(0, n, ROWS_AT_ONCE):
                size = min(ROWS_AT_ONCE, n - first)
                columns = _read_columns(members, n, size, ends, self.path)
                place = self._place(first + 1)
                rows = [{name: v[i] for name, v in columns.items()} for i in range(size)]
                yield samples_of(rows, place, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, straight from the file if it holds ids of one length."""
        with self._open() as archive:
            members = self._members(archive, self._names(archive))
            fast = (
                not tuple(columns)
                and not self.options.exact
                and set(members) <= {"id", "actions", "labels"}
                and {"id", "actions"} <= set(members)
                and plan.streams == ("",)
                and members["id"].dtype.kind == "U"
                and _is_matrix(members["actions"], members["id"])
                and ("labels" not in members or _is_padded(members["labels"], members["id"]))
            )
            if fast:
                yield from self._fast_blocks(members, plan, report)
                return
        yield from super().blocks(plan, report, columns)

    def _fast_blocks(
        self, members: dict[str, Member], plan: Plan, report: OnDefect
    ) -> Iterator[Block]:
        n = _length(members, self.path)
        steps = members["actions"].shape[1]
        for first in range(0, n, ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, n - first)
            place = self._place(first + 1)
            codes = members["actions"].rows(size).reshape(-1)
            codes = checked_ids(codes, plan.size(""), sayer(place, steps, report))
            labels, label_lengths = None, None
            if "labels" in members:
                labels, label_lengths = padded(members["labels"].rows(size))
            yield Block(
                place=place,
                ids=members["id"].rows(size).tolist(),
                codes=codes,
                lengths=np.full(size, steps),
                labels=() if labels is None else labels,
                label_lengths=label_lengths,
            )


def _length(members: dict[str, Member], path: Path) -> int:
    shape = members["id" if "id" in members else "id" + JSON_SUFFIX].shape
    if len(shape) != 1:
        raise DataError(f"{path}: id has shape {shape} where (N,) was expected")
    return int(shape[0])


def _is_matrix(actions: Member, ids: Member) -> bool:
    whole = len(actions.shape) == 2 and actions.shape[:1] == ids.shape[:1]
    return whole and actions.dtype.kind in "iu" and np.can_cast(actions.dtype, np.int64)


def _is_padded(labels: Member, ids: Member) -> bool:
    whole = len(labels.shape) in {1, 2} and labels.shape[:1] == ids.shape[:1]
    return whole and labels.dtype.kind in "iu" and np.can_cast(labels.dtype, np.int64)


def _ragged(members: dict[str, Member]) -> list[str]:
    """List the columns whose items are stored flat, with offsets."""
    names = [name.removesuffix(OFFSETS_SUFFIX) for name in members if name.endswith(OFFSETS_SUFFIX)]
    return [name for name in names if name in members]


def _first_offset(members: dict[str, Member], name: str, n: int) -> int:
    """Check the offsets of a column, and read the first."""
    offsets, items = members[name + OFFSETS_SUFFIX], members[name]
    if offsets.shape != (n + 1,) or offsets.dtype.kind not in "iu" or len(items.shape) != 1:
        raise offsets.wrong(f"has shape {offsets.shape} of type {offsets.dtype}")
    if offsets.rows(1)[0] != 0:
        raise offsets.wrong("does not begin at 0")
    return 0


def _read_columns(
    members: dict[str, Member], n: int, size: int, ends: dict[str, int], path: Path
) -> dict[str, list[Any]]:
    """Return the next rows of every column as Python values."""
    columns: dict[str, list[Any]] = {}
    for name, member in members.items():
        if name.removesuffix(OFFSETS_SUFFIX) in ends and name not in ends:
            continue
        if name in ends:
            offsets = members[name + OFFSETS_SUFFIX]
            bounds = [ends[name], *offsets.rows(size).tolist()]
            if sorted(bounds) != bounds or bounds[-1] > member.shape[0]:
                raise offsets.wrong(f"does not rise from 0 to {member.shape[0]}")
            flat = member.rows(bounds[-1] - bounds[0]).tolist()
            columns[name] = [flat[a - bounds[0] : b - bounds[0]] for a, b in pairwise(bounds)]
            ends[name] = bounds[-1]
            continue
        if member.shape[:1] != (n,):
            raise DataError(f"{path}: {name} has shape {member.shape}, but there are {n} samples")
        values = member.rows(size).tolist()
        if name == "labels" and member.dtype.kind in "iu":
            rows = [v if isinstance(v, list) else [v] for v in values]
            values = [[label for label in row if label != -1] or None for row in rows]
        if name.endswith(JSON_SUFFIX):
            values = [None if v == "" else v for v in values]
        columns[name] = values
    return columns
