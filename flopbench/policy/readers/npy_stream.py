"""Reads arrays from an NPZ file, some rows at a time and never unpickled."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from flopbench.core.errors import DataError
from flopbench.policy.blocks import Place
from flopbench.policy.readers.base import Reader
from flopbench.policy.samples import OnDefect

ROWS_AT_ONCE = 1 << 15
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
                raise DataError(f"{self._where} is compressed in a way that numpy does not write")
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
        except DAMAGE as error:
            raise DataError(f"{self._where} is damaged: {error}") from None
        if self.dtype.hasobject:
            raise DataError(
                f"{self._where} holds pickled objects, which are never loaded",
                "save plain arrays: numpy.savez with text and numbers only",
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
                raise DataError(f"{self._where} holds text that is not valid Unicode")
        return array

    def _read(self, count: int) -> bytes:
        wanted = count * self.dtype.itemsize
        try:
            data = self._stream.read(wanted)
        except DAMAGE as error:
            raise DataError(f"{self._where} is damaged: {error}") from None
        if len(data) < wanted:
            raise DataError(f"{self._where} is cut off: {len(data)} of {wanted} bytes")
        return data


class NpzFile(Reader):
    """What the readers of NPZ files share."""

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except DAMAGE as error:
            raise DataError(f"{self.path} is a damaged NPZ file: {error}") from None

    def _place(self, first: int) -> Place:
        return lambda i: f"{self.path}, sample {first + i}"

    def _members(self, archive: zipfile.ZipFile, names: Iterable[str]) -> dict[str, Member]:
        return {name: Member(self.path, archive, name) for name in names}


def sayer(place: Place, steps: int, report: OnDefect, name: str = "actions") -> Any:
    """Return a reporter of (position among all decisions, text, hint), ``steps`` per sample."""

    def say(position: int, text: str, hint: str = "") -> None:
        report(DataError(f"{place(position // steps)}: {name}[{position % steps}] {text}", hint))

    return say


def padded(labels: Any) -> tuple[Any, Any]:
    """Return (N,) or (N, L) labels padded with -1 as a flat array and (N,) lengths."""
    labels = labels[:, None] if labels.ndim == 1 else labels
    real = labels != -1
    return labels[real], real.sum(axis=1)
