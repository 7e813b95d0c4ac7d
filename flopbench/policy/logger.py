"""``PolicyLogger``: writes a policy log from inside an evaluation loop.

What survives: after ``flush`` returns, every record is completely in the file, and with ``sync`` on
the disk. ``kill -9``, and SIGTERM where nothing handles it, lose at most ``buffer`` records (64 by
default) of the ``add`` calls that returned; with ``buffer=1`` none. They may leave one incomplete
last line, which was in the buffer: readers leave it out with ``--allow-truncated``, and
``append=True`` cuts it off.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from flopbench.core.errors import DataError, FlopbenchError, InputError
from flopbench.policy.batches import samples_of
from flopbench.policy.blocks import Block, Place, block_of
from flopbench.policy.checks import check_samples
from flopbench.policy.engine import Gatherer
from flopbench.policy.header import Header
from flopbench.policy.journal import (
    JOURNAL_SUFFIX,
    AppendFile,
    is_parquet,
    refuse_existing,
    remove_old,
    shard_of,
    shard_path,
    sync_path,
)
from flopbench.policy.new_header import new_header
from flopbench.policy.samples import Sample, raise_first

BUFFER = 64
"""Records kept in memory before they are written: what ``kill -9`` can lose."""


class PolicyLogger:
    """Writes what a policy decides, a batch at a time; a context manager.

    ``path`` ends in ``.jsonl`` (or ``.ndjson``) or ``.parquet``. A Parquet log is a JSONL journal,
    ``NAME.parquet.journal.jsonl``, until ``close`` turns it into the Parquet file. After
    ``kill -9`` the journal remains and is a valid log;
    ``flopbench log convert JOURNAL NAME.parquet`` finishes the work.

    Where several processes evaluate, each writes a shard (``run.rank0-of-4.jsonl``), and reading
    ``run.jsonl`` reads all of them. Rank and world size come from ``torch.distributed`` where it
    runs, else from the variables of torchrun, Slurm or Open MPI; where one of many processes
    evaluates alone, pass ``world_size=1``. A ``DistributedSampler`` repeats samples to even out the
    ranks; only a reader can find these, not a single rank.

    Threads may share a logger. A forked process may not: make one there.

    Args:
        path: the log to write.
        header: a ``Header`` or its fields as a dict.
        buffer: records kept in memory before they are written; 1 writes every ``add`` at once.
        append: continue an existing log with the same header; its records are not read, so
            repeated ones are found only by the reader. Refused while another logger has it open.
        overwrite: replace the log of an earlier run; if that still runs, its next flush fails.
        sync: flush to disk each time (``fsync``).
        rank: of this process, from 0; None: detected.
        world_size: how many processes log; None: detected.
        **fields: fields of the header (``preset``, ``method``, ``dataset``, ``actions``, ...),
            overriding those of ``header``; docs/policy-log.md has their short forms. A preset from
            a ``.toml`` file is written out in full, so that the log does not need that file. A
            component may be a network with the input of one run, as ``profile`` takes them: it is
            counted here, and the log holds the counts.

    Attributes:
        path: the file that this process writes, its shard where there are several.
        header: its header.
        records: how many records were accepted.

    Raises:
        InputError: a path or header that cannot be used, an existing file, one that is open in
            another logger, ranks that contradict each other, a network that does not run on its
            input.
        DataError: a header that contradicts itself.
        MeasureError: a network that the reference counter cannot count.

    Example:
        >>> own = {"large": (net, (1, 3, 224, 224)), "policy": (small, (1, 3, 84, 84))}
        >>> PolicyLogger("run.jsonl", components=own, actions=["large", "skip"],
        ...              charges={"per_step": "policy"})
    """

    def __init__(
        self,
        path: str | Path,
        *,
        header: Header | Mapping[str, Any] | None = None,
        buffer: int = BUFFER,
        append: bool = False,
        overwrite: bool = False,
        sync: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
        **fields: Any,
    ) -> None:
        if buffer < 1:
            raise InputError(f"buffer is {buffer} where at least 1 record was expected")
        if append and overwrite:
            raise InputError("append=True and overwrite=True exclude each other")
        path = Path(path).absolute()  # the loop may change its folder before the end
        shard = shard_of(rank, world_size)
        parquet = is_parquet(path)
        self.path = self._journal = shard_path(path, shard, overwrite=overwrite)
        if parquet:
            self._journal = self.path.with_name(self.path.name + JOURNAL_SUFFIX)
        if not overwrite:
            refuse_existing(self.path, self._journal, append)
        self.header, self._plan = new_header(header, fields, shard, str(self.path))
        if overwrite:
            remove_old(path, shard)
        self._file = AppendFile(self._journal, self.header, append=append, sync=sync)
        self._buffer, self._sync = buffer, sync
        self.records = 0
        self._first: Block | None = None
        self._seen: set[int] = set()
        self._lock = threading.RLock()
        # If it is never closed, the buffer is written when the process ends.
        self._finalizer = weakref.finalize(self, self._file.close)

    def add(
        self,
        ids: Any,
        actions: Any = None,
        *,
        labels: Any = None,
        predictions: Any = None,
        scores: Any = None,
        views: Any = None,
        spans: Any = None,
        exits: Any = None,
        counts: Mapping[str, Any] | None = None,
        steps: Any = None,
        frames: Any = None,
        latency_ms: Any = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a batch of B samples with T decisions each; it is accepted whole or not at all.

        Each argument is a torch tensor (any device and type), a numpy array or a list. The log
        stores action ids, whatever was given.

        Args:
            ids: (B,) names or numbers, written as text.
            actions: (B, T) action ids; (B, T, A) one-hot rows over the A actions; or B rows, of any
                lengths, of ids, names or one-hot rows. With streams: a dict stream -> any of these.
            labels: (B,) class indices or names; (B, L) padded with -1; or B lists.
            predictions: (B,) predicted classes.
            scores: (B, C) one number per class. Numbers up to 32 bits wide are written with the 9
                digits that give back the same float32, wider ones in full.
            views: (B,) which crop or clip of its sample each one is, or one for all.
            spans: (B, T) steps each decision covers, in the form of ``actions``.
            exits: (B,) ids or names of the exits taken, None for none.
            counts: component -> (B,) additional runs of it.
            steps: (B,) steps of each sample, or one number for all.
            frames: (B, T) frame numbers, or B lists of paths or numbers.
            latency_ms: (B,) measured milliseconds of each sample.
            extra: name -> (B,) values of your own.

        Raises:
            InputError: an argument of the wrong shape or length; a file that cannot be written; a
                closed log.
            DataError: an invalid value, or a repeated id (and view); the message names the sample,
                its id and the field.
        """
        given = {name: value for name, value in locals().items() if name not in {"self", "ids"}}
        self._file.check_open()
        samples, place = samples_of(self._plan, ids, given)
        if samples:
            check_samples(samples, self._plan, place, raise_first)
            block = block_of(samples, self._plan, place, raise_first)
            with self._lock:
                self._accept(samples, block, place)

    def add_one(self, id: Any, actions: Any = None, **fields: Any) -> None:
        """Log one sample.

        Args:
            id: its name or number.
            actions: (T,) action ids or names, or (T, A) one-hot rows; a dict of these with streams.
            **fields: as in ``add`` without the batch axis, ``predictions``, ``views`` and ``exits``
                in the singular: ``labels=3, prediction=5, scores=(C,), exit="exit 2"``.

        Raises:
            InputError, DataError: as ``add``.
        """
        given: dict[str, Any] = {}
        for name, value in {"actions": actions, **fields}.items():
            if value is None:
                continue
            name = {"prediction": "predictions", "view": "views", "exit": "exits"}.get(name, name)
            dicts = name in {"counts", "extra"} or isinstance(value, Mapping)
            given[name] = {key: [item] for key, item in value.items()} if dicts else [value]
        self.add([id], **given)

    def _accept(self, samples: list[Sample], block: Block, place: Place) -> None:
        """Take a batch that is valid by itself into the buffer."""
        lines = _lines(samples, place)
        # As a reader will: lengths and views against those of the first sample.
        gatherer = Gatherer(self._plan, raise_first)
        if self._first is not None:
            gatherer.add(self._first)
        gatherer.add(block)
        self._seen |= self._new_keys(samples, place)
        if self._first is None or not self._first.lengths.any():
            first = next((sample for sample in samples if sample.actions), samples[0])
            where = f"the first sample (id {first.id!r})"
            self._first = block_of([first], self._plan, lambda _: where, raise_first)
        self.records += len(samples)
        self._file.hold(lines, len(samples))
        if self._file.held >= self._buffer:
            self._file.flush()

    def flush(self) -> None:
        """Write the buffered records; on return they are in the file.

        Raises:
            InputError: the file cannot be written; nothing is lost, and you can try again.
            DataError: another process changed the file.
        """
        self._file.check_open()
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        """Write the buffered records and finish the log; calling it again does nothing.

        Raises:
            InputError: the file cannot be written.
            DataError: another process changed the file.
        """
        with self._lock:
            if not self._finalizer.alive:
                return
            mine = self._file.is_mine()
            if mine:
                self._file.flush()
            self._finalizer.detach()
            try:
                if mine and self._journal != self.path:
                    self._convert()
            finally:  # only now may another process continue the journal
                self._file.close()

    def __enter__(self) -> PolicyLogger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the log, even if the loop raised: what was logged so far is valid."""
        try:
            self.close()
        except FlopbenchError as problem:
            if error is None:
                raise
            # The loop's own error matters more.
            warnings.warn(f"the log was not finished: {problem}", RuntimeWarning, stacklevel=2)

    def _convert(self) -> None:
        """Turn the journal into the Parquet file, then delete the journal."""
        from flopbench.policy.writers import convert_file

        try:
            convert_file(self._journal, self.path)
        except FlopbenchError as error:
            way_out = f"the complete log is in {self._journal}; flopbench log convert reads it"
            raise type(error)(error.message, f"{error.hint}; {way_out}".lstrip("; ")) from None
        if self._sync:
            sync_path(self.path)
            sync_path(self.path.parent)
        self._journal.unlink()

    def _new_keys(self, samples: list[Sample], place: Place) -> set[int]:
        keys = [hash((sample.id, sample.view)) for sample in samples]
        new = set(keys)
        if len(new) == len(keys) and self._seen.isdisjoint(new):
            return new
        i = next(i for i, key in enumerate(keys) if key in self._seen or key in keys[:i])
        view = samples[i].view
        raise DataError(
            f"{place(i)}: id{'' if view is None else f' and view {view!r}'} already appeared",
            "is a sampler repeating samples to even out the ranks? Evaluate each one once, for "
            "example with Subset(data, range(rank, len(data), world_size))"
            if self.header.shard is not None
            else "ids must be unique; several crops or clips of one sample need views=",
        )


def _lines(samples: list[Sample], place: Place) -> bytes:
    """Return samples as lines of JSON."""
    lines = []
    for i, sample in enumerate(samples):
        try:
            lines.append(msgspec.json.encode(sample) + b"\n")
        except (msgspec.MsgspecError, UnicodeError, OverflowError) as error:
            raise DataError(f"{place(i)} cannot be written as JSON: {error}") from None
    return b"".join(lines)
