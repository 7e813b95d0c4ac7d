"""Files as bytes: compression, globs and shards, and the format of a file."""

from __future__ import annotations

import glob
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from flopbench.core.errors import DataError, InputError

FORMS = ("json", "jsonl", "csv", "parquet", "npz", "arnet-npz", "arnet-console", "usage")

SNIFFED_BYTES = 1 << 16
PACKED_BYTES = 1 << 14
BOM = b"\xef\xbb\xbf"
"""Byte order mark, which some editors and spreadsheets put before UTF-8 text."""
SUFFIX_FORMS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".npz": "npz",
}
SHARD_HINT = "all shards of one run are needed, and none of any other: find the missing file"
_COMPRESSED = {".gz", ".zst"}
_NUMBERED = re.compile(r"^(?P<stem>.*?)(?P<number>\d+)(?:-of-(?P<of>\d+))?(?P<rest>\D*)$")
_USAGE_LINE = re.compile(rb"^\s*[rms]\d+\s*\(.*\)\s*:\s*\d+\s*\(\s*[\d.]+\s*%\s*\)", re.MULTILINE)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacking gzip and zstd by their magic numbers.

    Raises:
        InputError: no such file, it cannot be read, or zstd support is not installed.
    """
    try:
        stream = open(path, "rb")  # noqa: SIM115 (the caller closes it)
        magic = stream.read(4)
        stream.seek(0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if magic[:2] == b"\x1f\x8b":
        return cast("IO[bytes]", gzip.open(stream))
    if magic == b"\x28\xb5\x2f\xfd":
        return _zstd(stream, path)
    return stream


def _zstd(stream: IO[bytes], path: Path) -> IO[bytes]:
    try:
        import zstandard
    except ModuleNotFoundError:
        stream.close()
        raise InputError(
            f"reading {path} needs zstandard, which is not installed",
            "python -m pip install 'flopbench[logs]'",
        ) from None
    unpacked = _unzstd(stream, zstandard.ZstdDecompressor())
    return io.BufferedReader(_Chunks(unpacked, stream))


def _unzstd(stream: IO[bytes], decompressor: Any) -> Iterator[bytes]:
    """Yield what zstd frames hold; zstandard's reader does not notice a truncated file."""
    frame: Any = None
    while packed := stream.read(PACKED_BYTES):
        while packed:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(packed)
            packed = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise EOFError("the last zstd frame does not end")


class _Chunks(io.RawIOBase):
    """An iterator of bytes as a stream; closing it closes the underlying file."""

    def __init__(self, chunks: Iterator[bytes], behind: IO[bytes]) -> None:
        self._chunks, self._behind = chunks, behind
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

    def close(self) -> None:
        self._behind.close()
        super().close()


def unpacking_errors() -> tuple[type[Exception], ...]:
    """Return what reading a damaged file, compressed or not, may raise."""
    errors: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error)
    zstandard = sys.modules.get("zstandard")
    return errors if zstandard is None else (*errors, zstandard.ZstdError)


def pieces(stream: IO[bytes], path: Path, size: int) -> Iterator[bytes]:
    """Yield the content in pieces of about ``size`` bytes, each ending at the end of a line."""
    rest = b""
    while True:
        part = read_some(stream, path, size)
        if not part:
            break
        end = part.rfind(b"\n") + 1
        if not end:
            rest += part
            continue
        yield rest + part[:end]
        rest = part[end:]
    if rest:
        yield rest


def duckdb_path(path: Path) -> str:
    """Escape a path for DuckDB, to which every path is a glob."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def sql_text(text: str) -> str:
    """Return a text as SQL takes it, in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def read_some(stream: IO[bytes], path: Path, size: int = -1) -> bytes:
    """Read from a stream; a damaged archive becomes a message.

    Raises:
        DataError: the compressed file is damaged or cut off.
    """
    try:
        return stream.read(size)
    except unpacking_errors() as error:
        raise DataError(f"{path} is damaged: {error}", "the file looks cut off") from None


def not_text(path: Path) -> DataError:
    """Return an error that names the first line that is not UTF-8."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return DataError(f"{path}:{number} is not UTF-8 text")
    return DataError(f"{path} is not UTF-8 text")


def sniff(path: Path) -> str:
    """Return which of ``FORMS`` a file is, by its content first and its suffix second.

    Raises:
        InputError: the file cannot be read.
        DataError: it is none of them.
    """
    with open_bytes(path) as stream:
        head = read_some(stream, path, SNIFFED_BYTES).removeprefix(BOM)
    by_name = SUFFIX_FORMS.get(_suffix(path), "")
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:2] == b"PK":
        return _sniff_npz(path)
    if not head.strip():
        raise DataError(f"{path} is empty", "a policy log starts with a header")
    if head.lstrip()[:1] == b"{":
        return _sniff_json(head, by_name)
    if _USAGE_LINE.search(head):
        return "arnet-console"
    if by_name in {"json", "jsonl", "parquet", "npz"}:
        return by_name  # its reader says where the defect is
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lower()
    columns = [name.strip().strip('"') for name in first.split(",")]
    if {"action", "share"} <= set(columns):
        return "usage"
    if by_name == "csv" or ("id" in columns and len(columns) > 1):
        return "csv"
    raise DataError(
        f"{path} is not a policy log: it starts with {first[:40]!r}",
        f"formats: {', '.join(FORMS)}; see docs/policy-log.md",
    )


def _suffix(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _sniff_json(head: bytes, by_name: str) -> str:
    import json

    line, newline, _ = head.lstrip().partition(b"\n")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        # Cut off by the window, damaged, or spread over several lines: only the name can tell.
        return by_name if by_name in {"json", "jsonl"} else "json" if newline else "jsonl"
    whole = isinstance(value, dict) and "samples" in value
    return "json" if whole else "jsonl"


def _sniff_npz(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is a damaged NPZ file: {error}") from None
    return "arnet-npz" if "rs.npy" in names and "header.npy" not in names else "npz"


def find_files(patterns: Sequence[str], *, complete: bool = True) -> list[Path]:
    """Expand globs and sets of shards, each file once, shards in the order of their numbers.

    ``run.jsonl`` means ``run.rank0-of-4.jsonl`` and its sibling shards if it does not exist
    itself.

    Args:
        patterns: files or globs.
        complete: refuse a set of shards that lacks one.

    Raises:
        InputError: a pattern matches nothing.
        DataError: a shard is missing from a numbered set, or two sets are mixed.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        exists = os.path.exists(path)
        if exists or not glob.has_magic(pattern):
            own = [path] if exists else _shards_of(path)
        else:
            own = [Path(name) for name in glob.glob(pattern, recursive=True)]
        own = [p for p in own if p.is_file()] if len(own) > 1 else own
        if not own:
            raise InputError(f"no policy log matches {pattern!r}", "check the name")
        if own[0].is_dir():
            raise InputError(f"cannot read {own[0]}: it is a directory", "name files or a glob")
        found += sorted(own, key=_shard_key)
    found = list(dict.fromkeys(found))
    if complete:
        _check_complete(found)
    return found


def _shards_of(path: Path) -> list[Path]:
    stem = _without_suffixes(path)
    pattern = f"{glob.escape(stem)}.rank*-of-*{glob.escape(path.name.removeprefix(stem))}"
    return list(path.parent.glob(pattern)) if path.parent.is_dir() else []


def _shard_key(path: Path) -> Any:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def _check_complete(paths: list[Path]) -> None:
    """Refuse numbered sets with a gap.

    Raises:
        DataError: a number is missing between the first and the last, or up to ``-of-N``; or
            shards of one name belong to sets of different sizes.
    """
    sets: dict[tuple[Path, str, str], dict[str | None, list[int]]] = {}
    for path in paths:
        match = _NUMBERED.match(_without_suffixes(path))
        if match is not None:
            key = path.parent, match["stem"], match["rest"]
            sets.setdefault(key, {}).setdefault(match["of"], []).append(int(match["number"]))
    for (parent, stem, _), sizes in sets.items():
        where = f"{parent / stem}*"
        if len(sizes) > 1:
            mixed = " and ".join(str(size) for size in sizes)
            raise DataError(f"{where}: shards from sets of {mixed} files are mixed", SHARD_HINT)
        ((of, numbers),) = sizes.items()
        if of is None and len(numbers) < 2:
            continue  # a number in a name does not make a set
        first = 0 if of or min(numbers) == 0 else min(numbers)
        wanted = range(first, int(of) if of else max(numbers) + 1)
        missing = sorted(set(wanted) - set(numbers))
        if missing:
            listed = ", ".join(map(str, missing[:8]))
            files = "1 shard" if len(numbers) == 1 else f"{len(numbers)} shards"
            raise DataError(f"{where}: the set of {files} is missing number {listed}", SHARD_HINT)


def _without_suffixes(path: Path) -> str:
    name = path.name
    for suffix in reversed(path.suffixes):
        if suffix.lower() in SUFFIX_FORMS or suffix.lower() in _COMPRESSED:
            name = name[: -len(suffix)]
    return name
