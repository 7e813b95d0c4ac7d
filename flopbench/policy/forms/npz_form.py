"""NPZ in flopbench's layout: numpy arrays, never unpickled.

``header`` (JSON text) and the columns of ``policy/columns.py``: a field of one length is one array,
(N,) or (N, K); decisions of different lengths are ``actions`` (flat) with ``actions_offsets``
(N + 1); everything else of varying length is JSON text.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from flopbench.core.errors import DataError
from flopbench.core.limits import most_unpacked_bytes, too_much
from flopbench.policy.blocks import IDS, Block, Place, checked_ids, says, says_item
from flopbench.policy.columns import (
    JSON_SUFFIX,
    check_columns,
    json_value,
    kinds_of,
    rows_of,
)
from flopbench.policy.forms.base import Copy, Reader
from flopbench.policy.header import Header, header_json, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

OFFSETS_SUFFIX = "_offsets"
ROWS_AT_ONCE = 1 << 15
_FAST = {
    "id": ("U", (1,)),
    "actions": ("iu", (2,)),
    "labels": ("iu", (1, 2)),
    "frames": ("iu", (2,)),
    "scores": ("fiu", (2,)),
}
"""A log with only these kinds of arrays, in so many dimensions, is read without making samples."""

DAMAGE = (
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
"""What zipfile and numpy raise for a file that is broken, encrypted or foreign."""
_PLAIN_ZIP = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzReader(Reader):
    """One NPZ file; a sample's place is its number."""

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether it is none of AR-Net."""
        return not is_arnet(path)

    def header(self) -> Header | None:
        """Return the header, None where the file holds none."""
        if "header" not in array_names(self.path):
            return None
        where = f"{self.path}, header"
        data = json_value(str(load_array(self.path, "header")), where)
        return read_header(data, where, self.path)

    def arrays(self, plan: Plan, report: OnDefect) -> dict[str, Any]:
        """Return the columns as arrays."""
        names = [name for name in array_names(self.path) if name != "header"]
        check_columns([name.removesuffix(OFFSETS_SUFFIX) for name in names], str(self.path))
        return {name: load_array(self.path, name) for name in names}

    def rows(
        self, plan: Plan, report: OnDefect
    ) -> Iterator[tuple[Iterable[Mapping[str, Any]], Place]]:
        """Yield the samples as rows."""
        arrays = self.arrays(plan, report)
        n = _length(arrays, self.path)
        for first in range(0, n, ROWS_AT_ONCE):
            columns = _columns(arrays, first, first + ROWS_AT_ONCE)
            values = zip(*columns.values(), strict=True)
            yield (dict(zip(columns, row, strict=True)) for row in values), self._place(first)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, straight from the file if it holds ids of one length."""
        arrays = {} if self.options.exact or plan.streams != ("",) else self.arrays(plan, report)
        if not _is_fast(arrays):
            yield from super().blocks(plan, report, columns)
            return
        n, steps = arrays["actions"].shape
        for first in range(0, n, ROWS_AT_ONCE):
            part = {name: array[first : first + ROWS_AT_ONCE] for name, array in arrays.items()}
            place, size = self._place(first), len(part["id"])
            lengths = np.full(size, steps)
            say = says_item(says(place, report), lengths, "actions")
            labels, label_lengths = _without_padding(part.get("labels"))
            yield Block(
                place=place,
                ids=part["id"].tolist(),
                codes=checked_ids(part["actions"].reshape(-1), plan.size(""), say),
                lengths=lengths,
                labels=labels,
                label_lengths=label_lengths,
                columns={
                    name: part[name].tolist() if name in part else [None] * size
                    for name in columns
                    if name != IDS
                },
            )

    @staticmethod
    def write(copy: Copy) -> int:
        """Write typed arrays where there can be such, else JSON text."""
        kinds, count = kinds_of(copy.samples())
        rows = list(rows_of(copy.samples(), kinds))
        arrays: dict[str, Any] = {"header": np.array(header_json(copy.header).decode())}
        for name in dict.fromkeys(name for row in rows for name in row):
            arrays |= _arrays_of(name, [row.get(name) for row in rows])
        with open(copy.temporary, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        return count

    def _place(self, first: int) -> Place:
        return lambda i: f"{self.path}, sample {first + i + 1}"


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an NPZ file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGE as error:
        raise DataError(f"{path} is a damaged NPZ file: {error}") from None


def is_arnet(path: Path) -> bool:
    """Whether an NPZ file is one of AR-Net; raises as ``array_names``."""
    names = array_names(path)
    return "rs" in names and "header" not in names


def load_array(path: Path, name: str) -> Any:
    """Read one array of numbers or text; nothing is ever unpickled."""
    where = f"{path}: {name}"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(f"{name}.npy").compress_type not in _PLAIN_ZIP:
                raise DataError(f"{where} is compressed in a way that numpy does not write")
            with archive.open(f"{name}.npy") as stream:
                shape, fortran, dtype = _array_header(stream)
                _check_type(where, shape, dtype)
                wanted = math.prod(shape) * dtype.itemsize
                limit = most_unpacked_bytes(path.stat().st_size)
                if wanted > limit:
                    raise too_much(where, limit)
                # Read, and not allocated first: a damaged header may claim any size.
                data = stream.read(wanted)
    except KeyError:
        raise DataError(f"{path} lacks the array {name!r}") from None
    except DAMAGE as error:
        raise DataError(f"{where} is damaged: {error}") from None
    if len(data) < wanted:
        raise DataError(f"{where} is cut off: {len(data)} of {wanted} bytes")
    array: Any = np.ndarray(shape, dtype, data, order="F" if fortran else "C")
    if dtype.kind == "U":
        points = array.reshape(-1).view(dtype.byteorder.replace("|", "=") + "u4")
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise DataError(f"{where} holds text that is not valid Unicode")
    return array


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    if np.lib.format.read_magic(stream) == (1, 0):
        found = np.lib.format.read_array_header_1_0(stream)
    else:
        found = np.lib.format.read_array_header_2_0(stream)
    shape, fortran, dtype = found
    return shape, fortran, dtype


def _check_type(where: str, shape: tuple[int, ...], dtype: Any) -> None:
    if dtype.hasobject:
        raise DataError(
            f"{where} holds pickled objects, which are never loaded",
            "save plain arrays: numpy.savez with text and numbers only",
        )
    if min((*shape, dtype.itemsize)) < 0 or not dtype.itemsize:
        raise DataError(f"{where} has shape {shape} of type {dtype}")


def _is_fast(arrays: Mapping[str, Any]) -> bool:
    """Whether arrays are plain and of one length, their integers those of 64 bits with a sign."""
    if not {"id", "actions"} <= set(arrays) <= set(_FAST):
        return False
    if len({array.shape[:1] for array in arrays.values()}) > 1:
        return False
    return all(
        array.dtype.kind in _FAST[name][0]
        and array.ndim in _FAST[name][1]
        and (array.dtype.kind, array.dtype.itemsize) != ("u", 8)
        for name, array in arrays.items()
    )


def _length(arrays: Mapping[str, Any], path: Path) -> int:
    """Return how many samples there are; refuse arrays of other lengths."""
    shape = arrays["id" if "id" in arrays else "id" + JSON_SUFFIX].shape
    if len(shape) != 1:
        raise DataError(f"{path}: id has shape {shape} where (N,) was expected")
    n = int(shape[0])
    for name, array in arrays.items():
        where = f"{path}: {name}"
        offsets = arrays.get(name + OFFSETS_SUFFIX)
        if offsets is not None:
            where += OFFSETS_SUFFIX
            if offsets.shape != (n + 1,) or offsets.dtype.kind not in "iu" or array.ndim != 1:
                raise DataError(f"{where} has shape {offsets.shape} of type {offsets.dtype}")
            if offsets[0] != 0:
                raise DataError(f"{where} does not begin at 0")
            if (offsets[1:] < offsets[:-1]).any() or offsets[-1] > len(array):
                raise DataError(f"{where} does not rise from 0 to {len(array)}")
        elif not _is_offsets(name, arrays) and array.shape[:1] != (n,):
            raise DataError(f"{where} has shape {array.shape}, but there are {n} samples")
    return n


def _is_offsets(name: str, arrays: Mapping[str, Any]) -> bool:
    return name.endswith(OFFSETS_SUFFIX) and name.removesuffix(OFFSETS_SUFFIX) in arrays


def _columns(arrays: Mapping[str, Any], first: int, last: int) -> dict[str, list[Any]]:
    """Return some rows of every column as Python values."""
    columns: dict[str, list[Any]] = {}
    for name, array in arrays.items():
        offsets = arrays.get(name + OFFSETS_SUFFIX)
        if offsets is not None:
            bounds = offsets[first : last + 1].tolist()
            values = [array[a:b].tolist() for a, b in pairwise(bounds)]
        elif _is_offsets(name, arrays):
            continue
        else:
            values = array[first:last].tolist()
        if name == "labels" and array.dtype.kind in "iu":
            rows = [v if isinstance(v, list) else [v] for v in values]
            values = [[label for label in row if label != -1] or None for row in rows]
        if name.endswith(JSON_SUFFIX):
            values = [None if v == "" else v for v in values]
        columns[name] = values
    return columns


def _without_padding(labels: Any) -> tuple[Any, Any]:
    """(N,) or (N, L) labels padded with -1 -> flat, and (N,) lengths."""
    if labels is None:
        return (), None
    labels = labels.reshape(len(labels), -1)
    real = labels != -1
    return labels[real], real.sum(axis=1)


def _arrays_of(name: str, values: list[Any]) -> dict[str, Any]:
    """Return the arrays of one column: typed where they can be, else JSON text."""
    kinds = {type(v) for v in values}
    if ("." not in name and name.endswith(JSON_SUFFIX)) or kinds == {str}:
        # numpy's texts end at trailing NULs.
        if not any(v is not None and v.endswith("\0") for v in values):
            return {name: np.array(["" if v is None else v for v in values])}
    elif kinds <= {int, float} and (float in kinds or _fits(values)):
        return {name: np.array(values, np.float64 if float in kinds else np.int64)}
    elif kinds == {list} and _may_be_arrays(name):
        found = _list_arrays(name, values)
        if found:
            return found
    texts = ["" if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return {name + JSON_SUFFIX: np.array(texts)}


def _may_be_arrays(name: str) -> bool:
    """Whether a column of lists may become arrays; a stream may be named like one."""
    arrays = name.partition(".")[0] in {"actions", "scores", "labels", "spans"}
    return arrays and not name.endswith((OFFSETS_SUFFIX, JSON_SUFFIX))


def _list_arrays(name: str, values: list[list[Any]]) -> dict[str, Any]:
    items = [item for value in values for item in value]
    lengths = {len(value) for value in values}
    if name == "scores":
        return {name: np.array(values, np.float64)} if len(lengths) == 1 else {}
    if not items or not all(isinstance(item, int) for item in items) or not _fits(items):
        return {}
    if name == "labels":
        if min(items) < 0:
            return {}
        width = max(lengths)
        return {name: np.array([v + [-1] * (width - len(v)) for v in values], np.int64)}
    kind = np.min_scalar_type(max(items)) if min(items) >= 0 else np.int64
    if len(lengths) == 1:
        return {name: np.array(values, kind)}
    offsets = np.cumsum([0, *map(len, values)])
    return {name: np.array(items, kind), f"{name}{OFFSETS_SUFFIX}": offsets}


def _fits(values: Iterable[int]) -> bool:
    return all(-(2**63) <= value < 2**63 for value in values)
