"""The file of a running log, which only grows, and the name that each process gives it."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import sys
from pathlib import Path

import msgspec

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_writable, lock, unlock
from flopbench.core.units import plural
from flopbench.policy.header import FORMAT, Header, Shard, differing, header_json, read_header
from flopbench.policy.samples import Sample

JOURNAL_SUFFIX = ".journal.jsonl"
"""Added to the name of a Parquet log while it is being written."""

_LINES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_RANK_VARIABLES = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)
ANOTHER_RUN = "append=True continues it, overwrite=True replaces it"
"""What to do about a log that exists."""
ANOTHER_LOG = "each process needs its own log: another name, or rank= and world_size="
_START = f'{{"format":"{FORMAT}"'.encode()
_PIECE_BYTES = 1 << 16


class AppendFile:
    """Whole lines, appended to a file that no other process writes."""

    def __init__(self, path: Path, header: Header, *, append: bool, sync: bool) -> None:
        check_writable(path)
        self._path, self._sync, self._process = path, sync, os.getpid()
        self._parts: list[bytes] = []
        self.held = 0
        old = append and path.exists()
        if old and not path.is_file():
            raise InputError(f"cannot continue {path}: it is not a file")
        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(path, flags | (0 if old else os.O_CREAT | os.O_EXCL), 0o666)
        except FileExistsError:  # since refuse_existing
            raise InputError(f"{path} already exists", ANOTHER_RUN) from None
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from None
        self._closed = False
        self._has_name = os.fstat(self._fd).st_nlink > 0  # some file systems never say so
        try:
            if not lock(self._fd, wait=False):
                text = f"{path} is still open in another PolicyLogger"
                raise InputError(text, f"close that one first; {ANOTHER_LOG}")
            kept, joint = _whole_part(path, header) if old else (0, b"")
        except BaseException:
            os.close(self._fd)
            raise
        os.ftruncate(self._fd, kept)
        self._size = kept
        self.hold(joint if kept else header_json(header) + b"\n", 0)
        self.flush()
        if sync:
            sync_path(path.parent)

    def is_mine(self) -> bool:
        """Whether this is the process that opened the file, not a fork of it."""
        return os.getpid() == self._process

    def check_open(self) -> None:
        """Refuse a closed file, and one inherited through a fork."""
        if self._closed:
            raise InputError(f"the log {self._path} is closed")
        if not self.is_mine():
            raise InputError(
                f"the log {self._path} belongs to process {self._process}, of which this is a fork",
                "make a PolicyLogger in each process, each with its own rank or file name",
            )

    def hold(self, lines: bytes, records: int) -> None:
        """Add lines to the buffer."""
        self._parts.append(lines)
        self.held += records

    def flush(self) -> None:
        """Write the whole buffer; on failure, file and buffer stay as they were."""
        data = b"".join(self._parts)
        if not data:
            return
        if self._is_replaced():
            raise DataError(
                f"{self._path} was removed or replaced while it was being written",
                f"{self.held} {plural(self.held, 'record')} lost; {ANOTHER_LOG}",
            )
        if os.fstat(self._fd).st_size != self._size:
            raise DataError(
                f"{self._path} was changed by another process while it was being written",
                ANOTHER_LOG,
            )
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            if self._sync:
                os.fsync(self._fd)
        except BaseException as error:
            os.ftruncate(self._fd, self._size)
            if not isinstance(error, OSError):
                raise
            raise InputError(
                f"cannot write {self._path}: {error.strerror}",
                f"{self.held} records are still in memory; flush() or close() tries again",
            ) from None
        self._size += len(data)
        self._parts.clear()
        self.held = 0

    def close(self) -> None:
        """Write the buffer and close; in a fork only close."""
        if self._closed:
            return
        if self.is_mine():
            if not self._is_replaced():
                self.flush()
            unlock(self._fd)  # a fork may have it open still
        os.close(self._fd)
        self._closed = True

    def _is_replaced(self) -> bool:
        """Whether another run has overwritten the log, whose file has no name then."""
        return self._has_name and os.fstat(self._fd).st_nlink == 0


def _whole_part(path: Path, header: Header) -> tuple[int, bytes]:
    """Return how many bytes of a log can be continued, and what the last line still needs."""
    with open(path, "rb") as stream:
        first = stream.readline()
        if not first.endswith(b"\n"):  # cut off within the header
            if not first.startswith(_START[: len(first)]):
                raise DataError(f"{path} is not a policy log: it starts with {first[:40]!r}")
            return 0, b""
        _check_same_header(path, first, header)
        end = start = stream.seek(0, os.SEEK_END)
        last = b""
        while b"\n" not in last:
            start = max(0, start - _PIECE_BYTES)
            stream.seek(start)
            last = stream.read(end - start)
    last = last.rpartition(b"\n")[2]
    try:
        msgspec.json.decode(last, type=Sample)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return end - len(last), b""
    return end, b"\n"


def _check_same_header(path: Path, line: bytes, header: Header) -> None:
    try:
        old = read_header(json.loads(line), f"{path}:1")
    except (ValueError, RecursionError):
        raise DataError(f"{path}:1 is not the header of a policy log") from None
    for name in differing(old, header):
        there, here = getattr(old, name), getattr(header, name)
        if name == "components" and there and here:  # their counts are long
            own = next(one for one in {**there, **here} if there.get(one) != here.get(one))
            name, there, here = f"components.{own}", there.get(own), here.get(own)
        raise InputError(
            f"cannot continue {path}: its header has {name} {there!r}, this run has {here!r}",
            "a log holds one run: choose another name",
        )


def sync_path(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk, where the system supports it."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def is_parquet(path: Path) -> bool:
    """Whether a Parquet log is asked for; refuse what cannot be logged to."""
    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        raise InputError(
            f"cannot log to {path}: a compressed file cannot be appended to safely",
            f"log to {path.with_suffix('').name}, then: flopbench log convert "
            f"{path.with_suffix('').name} {path.name}",
        )
    if suffix not in (*_LINES, ".parquet"):
        raise InputError(
            f"cannot log to {path}: expected a name ending in {', '.join(_LINES)} or .parquet",
            "flopbench log convert turns such a log into other formats",
        )
    return suffix == ".parquet"


def refuse_existing(target: Path, journal: Path, append: bool) -> None:
    """Refuse a log that exists, and a Parquet log that exists as the journal of a killed run."""
    if target == journal:
        if target.exists() and not append:
            raise InputError(f"{target} already exists", ANOTHER_RUN)
    elif target.exists():
        hint = "a Parquet log cannot be continued; overwrite=True replaces it"
        raise InputError(f"{target} already exists", hint)
    elif journal.exists() and not append:
        raise InputError(
            f"{journal} exists: the log of a run that did not finish",
            f"append=True continues it; flopbench log convert {journal} {target} finishes it; "
            "overwrite=True replaces it",
        )


def remove_old(path: Path, shard: Shard | None) -> None:
    """Remove what an earlier run logged under a name, but no shard of other processes of this run.

    Raises:
        InputError: what is there is no policy log, or cannot be removed.
    """
    logs = [path] if shard is None else [path, _named(path, shard), *_other_shards(path, shard)]
    names = (one for log in logs for one in (log, log.with_name(log.name + JOURNAL_SUFFIX)))
    found = [one for one in names if one.exists()]
    for old in found:
        check_writable(old)
        with open(old, "rb") as stream:
            start = stream.read(_PIECE_BYTES)
            stream.seek(max(0, old.stat().st_size - _PIECE_BYTES))
            if start and FORMAT.encode() not in start + stream.read():
                hint = "overwrite=True replaces logs only: choose another name"
                raise InputError(f"{old} is not a policy log", hint)
    for old in found:
        old.unlink(missing_ok=True)


def shard_of(rank: int | None, world_size: int | None) -> Shard | None:
    """Return which shard this process writes, None where there is only one process."""
    source = "rank= and world_size="
    if rank is None and world_size is None:
        rank, world_size, source = _found_rank()
    if rank is None and world_size == 1:
        rank = 0
    if rank is None or world_size is None or not 0 <= rank < world_size:
        raise InputError(f"{source}: rank {rank} of {world_size} processes makes no sense")
    return Shard(rank=rank, of=world_size) if world_size > 1 else None


def _found_rank() -> tuple[int, int, str]:
    """Return rank and world size as torch or a launcher says them, and who that was."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size(), "torch.distributed"
    for names in _RANK_VARIABLES:
        rank, size = (os.environ.get(name) or None for name in names)
        if rank is None and size is None:
            continue
        if names[0].startswith("SLURM") and rank in (None, "0") and None in (rank, size):
            continue  # a batch script or an allocation's shell, not a step of several tasks
        source = " and ".join(names)
        try:
            return int(rank or ""), int(size or ""), source
        except ValueError:
            raise InputError(
                f"{source} are not both numbers: {names[0]}={rank!r}, {names[1]}={size!r}",
                "set both or neither, or give rank= and world_size=",
            ) from None
    return 0, 1, ""


def shard_path(path: Path, shard: Shard | None, *, overwrite: bool = False) -> Path:
    """Return the file of one shard; refuse to log beside files that would be read with it."""
    if shard is None:
        return path
    hint = "choose another name, remove it, or overwrite=True"
    if path.exists() and not overwrite:
        text = f"{path} exists and would be read instead of the {shard.of} shards of this run"
        raise InputError(text, hint)
    for other in () if overwrite else _other_shards(path, shard):
        text = f"{other} exists, a shard of a run with a different number of processes"
        raise InputError(text, hint)
    return _named(path, shard)


def _named(path: Path, shard: Shard) -> Path:
    return path.with_name(f"{path.stem}.rank{shard.rank}-of-{shard.of}{path.suffix}")


def _other_shards(path: Path, shard: Shard) -> list[Path]:
    """List the shards under a name that belong to a run with another number of processes."""
    pattern = f"{glob.escape(path.stem)}.rank*-of-*{glob.escape(path.suffix)}"
    ours = f"-of-{shard.of}{path.suffix}"
    return [other for other in path.parent.glob(pattern) if not other.name.endswith(ours)]
