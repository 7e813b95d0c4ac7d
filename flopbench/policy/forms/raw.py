"""Files as bytes: packing, pieces of whole lines, and the words of DuckDB."""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from flopbench.core.errors import DataError, InputError
from flopbench.core.limits import most_unpacked_bytes, too_much

PACKED_BYTES = 1 << 10
"""Of zstd, unpacked at once: a block of 4 bytes may become 128 KiB."""
ZSTD_LEVEL = 10
BOM = b"\xef\xbb\xbf"
"""Byte order mark, which some editors and spreadsheets put before UTF-8 text."""
PACKINGS = (".gz", ".zst")


class Remote(type(Path())):  # type: ignore[misc]
    """A file by its address, ``s3://bucket/run.parquet``, which DuckDB reads and nothing else."""

    url = ""

    @classmethod
    def of(cls, url: str) -> Remote:
        """Return the file of an address."""
        found = cls(url)
        found.url = url
        return found

    def __str__(self) -> str:
        return self.url or super().__str__()


def load_for(connection: Any, path: Path) -> Any:
    """Return a connection of DuckDB that can read a file: its extension is loaded, never installed.

    Raises:
        InputError: it is not installed.
    """
    if not isinstance(path, Remote) or path.url.startswith("file:"):
        return connection
    import duckdb

    connection.execute("SET autoinstall_known_extensions = false")
    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error:
        raise InputError(
            f"{path} needs DuckDB's extension httpfs, which is not installed",
            """once, from the internet: python -c "import duckdb; duckdb.sql('INSTALL httpfs')\"""",
        ) from None
    return connection


def without_packing(path: Path) -> Path:
    """Return the path without ``.gz`` or ``.zst``."""
    return path.with_suffix("") if path.suffix.lower() in PACKINGS else path


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacking gzip and zstd by their magic numbers, within a limit."""
    if isinstance(path, Remote):
        raise InputError(
            f"{path}: only logs in Parquet are read from an address",
            "download it, or write it as Parquet: flopbench log convert",
        )
    try:
        stream = open(path, "rb")  # noqa: SIM115 (the caller closes it)
        magic = stream.read(4)
        stream.seek(0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        if magic[:2] == b"\x1f\x8b":
            return _Bounded.reader(gzip.open(stream), path)
        if magic == b"\x28\xb5\x2f\xfd":
            unpacked = _Unzstd(stream, _zstandard(f"reading {path}").ZstdDecompressor())
            return _Bounded.reader(unpacked, path)
    except InputError:
        stream.close()
        raise
    return stream


def _zstandard(purpose: str) -> Any:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise InputError(
            f"{purpose} needs zstandard, which is not installed",
            "python -m pip install 'flopbench[logs]'",
        ) from None
    return zstandard


class _Bounded(io.RawIOBase):
    """What a packed file holds, up to as much as it may: ``core.limits.most_unpacked_bytes``."""

    def __init__(self, unpacked: Any, path: Path) -> None:
        self._unpacked, self._path = unpacked, path
        self._limit = most_unpacked_bytes(path.stat().st_size)
        self._read = 0

    @classmethod
    def reader(cls, unpacked: Any, path: Path) -> IO[bytes]:
        """Return the stream to read."""
        return io.BufferedReader(cls(unpacked, path), 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n: int = self._unpacked.readinto(buffer)
        self._read += n
        if self._read > self._limit:
            raise too_much(self._path, self._limit)
        return n

    def close(self) -> None:
        self._unpacked.close()
        super().close()


class _Unzstd(io.RawIOBase):
    """What zstd frames hold; zstandard's own reader does not notice a truncated file."""

    def __init__(self, packed: IO[bytes], decompressor: Any) -> None:
        self._packed, self._decompressor = packed, decompressor
        self._unread = b""
        self._frame: Any = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            data = self._unread or self._packed.read(PACKED_BYTES)
            if not data:
                if self._frame is not None:
                    raise EOFError("the last zstd frame does not end")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._rest = memoryview(self._frame.decompress(data))
            self._unread = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

    def close(self) -> None:
        self._packed.close()
        super().close()


@contextmanager
def packed(target: Path, temporary: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file for writing, compressed where the target's name says so."""
    suffix = target.suffix.lower()
    # Asked before the file is there.
    zstandard = _zstandard(f"writing {target.name}") if suffix == ".zst" else None
    with open(temporary, "wb") as raw:
        if zstandard is not None:
            with zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(raw) as writer:
                yield writer
        elif suffix == ".gz":
            # Without a date and a name, the same log gives the same bytes.
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as archive:
                yield cast("IO[bytes]", archive)
        else:
            yield raw


def unpacking_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged file, compressed or not, may raise."""
    errors: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error)
    zstandard = sys.modules.get("zstandard")
    return errors if zstandard is None else (*errors, zstandard.ZstdError)


def read_some(stream: IO[bytes], path: Path, size: int = -1) -> bytes:
    """Read from a stream; a damaged archive becomes a message."""
    try:
        return stream.read(size)
    except unpacking_errors() as error:
        raise DataError(f"{path} is damaged: {error}", "the file looks cut off") from None


def pieces(stream: IO[bytes], path: Path, size: int) -> Iterator[bytes]:
    """Yield the content in pieces of about ``size`` bytes, each ending at the end of a line."""
    rest: list[bytes] = []
    while part := read_some(stream, path, size):
        end = part.rfind(b"\n") + 1
        if end:
            yield b"".join((*rest, part[:end]))
            rest = []
        rest.append(part[end:])
    if any(rest):
        yield b"".join(rest)


def columns_in(head: bytes) -> list[str]:
    """Return the columns that the first line names, were it CSV."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lower()
    return [name.strip().strip('"') for name in first.split(separator_in(first))]


def separator_in(first: str) -> str:
    """Return what separates the columns that a first line names: a comma, if anything does."""
    return next((sign for sign in ",;\t" if sign in first), ",")


def not_text(path: Path) -> DataError:
    """Return an error that names the first line that is not UTF-8."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return DataError(f"{path}:{number} is not UTF-8 text")
    return DataError(f"{path} is not UTF-8 text")


def quiet_connection(duckdb: Any, **settings: object) -> Any:
    """Open DuckDB without its progress bar, which a notebook would get on stdout."""
    connection = duckdb.connect(config=settings)
    connection.execute("SET enable_progress_bar = false")
    return connection


def duckdb_path(path: Path) -> str:
    """Escape a path for DuckDB, to which every path is a glob."""
    if isinstance(path, Remote):
        return path.url
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def sql_text(text: str) -> str:
    """Return a text as SQL takes it, in single quotes."""
    return "'" + text.replace("'", "''") + "'"
