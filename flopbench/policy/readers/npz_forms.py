"""NPZ: numpy arrays, read in blocks and never unpickled; flopbench's own form and AR-Net's.

Own form: ``header`` (JSON text) and the columns of ``policy.columns``: a field of one length is
one array, (N,) or (N, K); decisions of differing lengths are ``actions`` (flat) with
``actions_offsets`` (N + 1); whatever else differs from sample to sample is JSON text.

AR-Net's ``meta-val-*.npy.npz`` (repository mengyuest/AR-Net): ``rs`` (N, T, A) one-hot rows,
``names`` (N,), ``results`` (N, C) video logits, ``targets`` (N, 3) label ids padded with -1,
``indices`` (N, T) frame numbers, ``all_preds``, which is left out. It names no actions, so it needs
a preset.

Lives here: those readers. Does not live here: writing (``writers``).
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from flopbench.errors import DataError
from flopbench.naming import near_match
from flopbench.policy.blocks import Block, Place, checked_ids, one_hot_codes
from flopbench.policy.columns import JSON_SUFFIX, check_columns, json_value, sample_of
from flopbench.policy.header import Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.base import Reader
from flopbench.policy.samples import Report, Sample

ROWS_AT_ONCE = 1 << 15
_ARNET_KINDS = {
    "rs": ("biuf", (3,)),
    "names": ("iuU", (1,)),
    "results": ("iuf", (2,)),
    "targets": ("iu", (1, 2)),
    "indices": ("iu", (2,)),
}
"""Kinds of numbers, and how many dimensions, of AR-Net's arrays."""
ARNET_ARRAYS = ("rs", "names", "results", "targets", "indices", "all_preds")
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    ValueError,
)
"""What zipfile and numpy raise at a file that is broken, encrypted or from elsewhere."""
_PLAIN_ZIP = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
OFFSETS_SUFFIX = "_offsets"


class Member:
    """One array of an NPZ file, read some rows at a time.

    Args:
        path: the file.
        archive: the opened file.
        name: the array's name.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str) -> None:
        self._where = f"{path}: {name}"
        try:
            if archive.getinfo(f"{name}.npy").compress_type not in _PLAIN_ZIP:
                raise DataError(f"{self._where} is packed in a way that numpy does not write")
            stream: IO[bytes] = archive.open(f"{name}.npy")
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            self.shape, fortran, self.dtype = read(stream)
        except KeyError:
            raise DataError(f"{path} lacks the array {name!r}") from None
        except _DAMAGE as error:
            raise DataError(f"{self._where} is damaged: {error}") from None
        if self.dtype.hasobject:
            raise DataError(
                f"{self._where} holds pickled objects, which are never loaded",
                "save plain arrays: numpy.savez with texts and numbers only",
            )
        if min((*self.shape, self.dtype.itemsize)) < 0 or not self.dtype.itemsize:
            raise DataError(f"{self._where} has shape {self.shape} of type {self.dtype}")
        self._stream = stream
        if fortran and len(self.shape) > 1:
            whole = np.frombuffer(self._read(math.prod(self.shape)), self.dtype)
            whole = whole.reshape(self.shape, order="F")
            self._stream = io.BytesIO(np.ascontiguousarray(whole).tobytes())

    def wrong(self, text: str) -> DataError:
        """Return an error about this array."""
        return DataError(f"{self._where} {text}")

    def rows(self, n: int) -> Any:
        """Return the next n rows, (n, ...)."""
        return self._array((n, *self.shape[1:]))

    def whole(self) -> Any:
        """Return the array."""
        return self._array(self.shape)

    def _array(self, shape: tuple[int, ...]) -> Any:
        array: Any = np.ndarray(shape, self.dtype, self._read(math.prod(shape)))
        if self.dtype.kind == "U":
            points = array.reshape(-1).view(self.dtype.byteorder.replace("|", "=") + "u4")
            if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
                raise DataError(f"{self._where} holds text that is no Unicode")
        return array

    def _read(self, count: int) -> bytes:
        wanted = count * self.dtype.itemsize
        try:
            data = self._stream.read(wanted)
        except _DAMAGE as error:
            raise DataError(f"{self._where} is damaged: {error}") from None
        if len(data) < wanted:
            raise DataError(f"{self._where} is cut off: {len(data)} of {wanted} bytes")
        return data


class _NpzBase(Reader):
    """What both forms share."""

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except _DAMAGE as error:
            raise DataError(f"{self.path} is a damaged NPZ file: {error}") from None

    def _place(self, first: int) -> Place:
        return lambda i: f"{self.path}, sample {first + i}"

    def _members(self, archive: zipfile.ZipFile, names: Iterable[str]) -> dict[str, Member]:
        return {name: Member(self.path, archive, name) for name in names}


class NpzReader(_NpzBase):
    """flopbench's own NPZ form."""

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

    def samples(self, plan: Plan, report: Report) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's number is its place."""
        with self._open() as archive:
            members = self._members(archive, self._names(archive))
            n = _length(members, self.path)
            ends = {name: _first_offset(members, name, n) for name in _ragged(members)}
            for first in range(0, n, ROWS_AT_ONCE):
                size = min(ROWS_AT_ONCE, n - first)
                columns = _read_columns(members, n, size, ends, self.path)
                place = self._place(first + 1)
                samples, kept = [], []
                for i in range(size):
                    row = {name: values[i] for name, values in columns.items()}
                    try:
                        samples.append(sample_of(row, place(i)))
                        kept.append(i)
                    except DataError as error:
                        report(error)
                yield samples, lambda i, kept=kept, place=place: place(kept[i])  # type: ignore[misc]

    def blocks(self, plan: Plan, report: Report, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, straight from the file where it holds ids of one length."""
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
        self, members: dict[str, Member], plan: Plan, report: Report
    ) -> Iterator[Block]:
        n = _length(members, self.path)
        steps = members["actions"].shape[1]
        for first in range(0, n, ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, n - first)
            place = self._place(first + 1)
            codes = members["actions"].rows(size).reshape(-1)
            codes = checked_ids(codes, plan.size(""), _sayer(place, steps, report))
            labels, label_lengths = None, None
            if "labels" in members:
                labels, label_lengths = _padded(members["labels"].rows(size))
            yield Block(
                place=place,
                ids=members["id"].rows(size).tolist(),
                codes=codes,
                lengths=np.full(size, steps),
                labels=() if labels is None else labels,
                label_lengths=label_lengths,
            )


class ArnetNpzReader(_NpzBase):
    """AR-Net's own file of a validation run."""

    form = "arnet-npz"

    def header(self) -> Header | None:
        """Return None: the file names no actions."""
        return None

    def _checked(self, archive: zipfile.ZipFile, plan: Plan) -> dict[str, Member]:
        names = [n.removesuffix(".npy") for n in archive.namelist()]
        for name in names:
            if name not in ARNET_ARRAYS:
                hint = near_match(name, ARNET_ARRAYS, "arrays")
                raise DataError(f"{self.path}: unknown array {name!r} in an AR-Net log", hint)
        members = self._members(archive, [n for n in names if n != "all_preds"])
        if "names" not in members:
            raise DataError(f"{self.path} lacks the array 'names'")
        for name, member in members.items():
            kinds, shapes = _ARNET_KINDS[name]
            if member.dtype.kind not in kinds or len(member.shape) not in shapes:
                raise DataError(
                    f"{self.path}: {name} has shape {member.shape} of type {member.dtype}, which "
                    "AR-Net does not write"
                )
        rs = members["rs"]
        actions = plan.size("") if plan.streams == ("",) else -1
        if rs.shape[2] != actions or not actions:
            raise DataError(
                f"{self.path}: rs has {rs.shape[2]} actions, the preset has {actions}",
                "choose the preset that the run was made with",
            )
        n = rs.shape[0]
        for name, member in members.items():
            if member.shape[:1] != (n,):
                raise DataError(
                    f"{self.path}: {name} has shape {member.shape}, but rs holds {n} videos"
                )
        return members

    def blocks(self, plan: Plan, report: Report, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, straight from the file."""
        wanted = set(columns)
        with self._open() as archive:
            members = self._checked(archive, plan)
            n, steps, actions = members["rs"].shape
            for first in range(0, n, ROWS_AT_ONCE):
                size = min(ROWS_AT_ONCE, n - first)
                place = self._place(first + 1)
                rows = members["rs"].rows(size).reshape(-1, actions)
                codes = one_hot_codes(rows, actions, _sayer(place, steps, report, "rs"))
                labels, label_lengths = None, None
                if "targets" in members:
                    labels, label_lengths = _padded(_targets(members["targets"].rows(size)))
                extra: dict[str, Any] = {name: [None] * size for name in wanted}
                if "results" in members and "scores" in wanted:
                    extra["scores"] = members["results"].rows(size).tolist()
                if "indices" in members and "frames" in wanted:
                    extra["frames"] = members["indices"].rows(size).tolist()
                yield Block(
                    place=place,
                    ids=[str(name) for name in members["names"].rows(size).tolist()],
                    codes=codes,
                    lengths=np.full(size, steps),
                    labels=() if labels is None else labels,
                    label_lengths=label_lengths,
                    columns=extra,
                )

    def samples(self, plan: Plan, report: Report) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples, their decisions as ids."""
        for block in self.blocks(plan, report, ("scores", "frames")):
            steps = block.lengths[0] if block.size else 0
            codes = block.codes.reshape(block.size, steps).tolist()
            ends = np.cumsum(block.label_lengths) if block.label_lengths is not None else None
            samples = []
            for i, name in enumerate(block.ids):
                labels = None
                if ends is not None:
                    labels = block.labels[ends[i] - block.label_lengths[i] : ends[i]].tolist()
                samples.append(
                    Sample(
                        id=name,
                        labels=labels or None,
                        scores=block.columns["scores"][i],
                        actions=codes[i],
                        frames=block.columns["frames"][i],
                    )
                )
            yield samples, block.place


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
    """List the columns whose items stand flat, beside offsets."""
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


def _sayer(place: Place, steps: int, report: Report, name: str = "actions") -> Any:
    def say(position: int, text: str, hint: str = "") -> None:
        report(DataError(f"{place(position // steps)}: {name}[{position % steps}] {text}", hint))

    return say


def _targets(targets: Any) -> Any:
    return targets if targets.ndim == 2 else targets[:, None]


def _padded(labels: Any) -> tuple[Any, Any]:
    """Return (N,) or (N, L) labels padded with -1 as a flat array and (N,) lengths."""
    labels = labels[:, None] if labels.ndim == 1 else labels
    real = labels != -1
    return labels[real], real.sum(axis=1)


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
