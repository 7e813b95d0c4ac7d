"""A policy log as a whole: its files, its plan, its counts, its defects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.core.remarks import Remark
from flopbench.policy.at_random import dealt_again, random_header
from flopbench.policy.blocks import IDS, Block, Place, block_of
from flopbench.policy.checks import check_samples, check_scores
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.engine import Column, Gatherer
from flopbench.policy.forms import SHARE_FORMS, form_named, is_without_header, sniff
from flopbench.policy.forms.base import NeedsExactReader, Options, Reader
from flopbench.policy.header import Header, differing, resolve, with_preset
from flopbench.policy.plan import Plan, plan_of
from flopbench.policy.samples import OnDefect, Sample, raise_first
from flopbench.policy.shards import find_files

NOT_FLUSHED = (
    "if its run was killed, nothing had been flushed: "
    "PolicyLogger(buffer=1) writes each add() at once"
)
_Part = TypeVar("_Part")
MOST_DEFECTS = 100
"""A check stops after so many defects: the file is of another kind, or badly damaged."""


class Log(Struct, frozen=True, kw_only=True):
    """An opened log.

    Attributes:
        readers: one per file, in order.
        header: as in the files, with the name of the preset from the command line.
        first_only: leave out all but the first record of each id and view.
        random_seed: deal the decisions out again (``policy/at_random.py``); None leaves them.
        left_out: warnings on files that cannot be read.
    """

    readers: tuple[Reader, ...]
    form: str
    header: Header
    plan: Plan
    source: Source
    first_only: bool = False
    random_seed: int | None = None
    left_out: tuple[Remark, ...] = ()

    def samples(self, report: OnDefect = raise_first) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield all samples with their places, some at a time."""
        if self.random_seed is None:
            yield from self._read(report)
            return
        samples: list[Sample] = []
        places: list[tuple[Place, int]] = []
        for group, place in self._read(report):
            samples += group
            places += [(place, i) for i in range(len(group))]

        def place_of(i: int) -> str:
            return places[i][0](places[i][1])

        yield dealt_again(samples, self.plan, place_of, report, self.random_seed), place_of

    def _read(self, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        seen: set[tuple[str, object]] = set()
        for reader in self.readers:
            found = self._noting_none(reader, reader.samples(self.plan, report), _size_of_group)
            if not self.first_only:
                yield from found
                continue
            left_out = 0
            for samples, place in found:
                kept = []
                for i, sample in enumerate(samples):
                    if (sample.id, sample.view) not in seen:
                        seen.add((sample.id, sample.view))
                        kept.append(i)
                left_out += len(samples) - len(kept)
                yield [samples[i] for i in kept], lambda i, kept=kept, place=place: place(kept[i])  # type: ignore[misc]
            if left_out:
                text = f"{reader.path}: {left_out} repeated samples were left out"
                reader.warnings.append(Remark(text, kind="left out"))

    def blocks(self, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield all samples as arrays, some at a time."""
        wanted = tuple(columns)
        if self.first_only or self.random_seed is not None:
            for samples, place in self.samples(report):
                yield block_of(samples, self.plan, place, report, wanted)
            return
        for reader in self.readers:
            blocks = reader.blocks(self.plan, report, wanted)
            yield from self._noting_none(reader, blocks, lambda block: block.size)

    def _noting_none(
        self, reader: Reader, parts: Iterator[_Part], size: Callable[[_Part], int]
    ) -> Iterator[_Part]:
        """Warn where one of several shards has no samples."""
        any_yet = len(self.readers) == 1
        for part in parts:
            any_yet = any_yet or size(part) > 0
            yield part
        if not any_yet:
            text = f"{reader.path} has a header but no samples; {NOT_FLUSHED}"
            reader.warnings.append(Remark(text, kind="left out"))

    def warnings(self) -> tuple[Remark, ...]:
        """Return what was left out and what the readers found odd."""
        # A reader that reads twice warns twice.
        found = [remark for reader in self.readers for remark in reader.warnings]
        return tuple(dict.fromkeys([*self.left_out, *found]))


def open_log(
    patterns: str | Path | Sequence[str | Path],
    *,
    preset: str | None = None,
    options: Options | None = None,
    complete: bool = True,
) -> Log:
    """Open the files of one log.

    Args:
        patterns: a file or glob, or several: shards of one run.
        preset: what the decisions mean, if the files do not say.
        options: how to read.
        complete: refuse a set of shards that lacks one.

    Raises:
        InputError: no such file, or a format without samples.
        DataError: not a policy log, shards of different runs, a missing shard, no header.
    """
    found = find_files(patterns, complete=complete)
    begun = options is not None and options.allow_truncated and len(found) > 1
    paths = [path for path in found if not (begun and is_without_header(path))] or found
    forms = [sniff(path) for path in paths]
    for path, form in zip(paths, forms, strict=True):
        if form in SHARE_FORMS:
            raise InputError(
                f"{path} holds shares of actions ({form}), not samples",
                "flopbench estimate accepts it; validate, convert and head need samples",
            )
    if len(set(forms)) > 1:
        listed = ", ".join(sorted(set(forms)))
        raise DataError(f"the shards have different formats: {listed}")
    reader = form_named(forms[0]).load()
    readers = tuple(reader(path, options or Options()) for path in paths)
    left_out = tuple(
        Remark(f"{path} was left out: it ends within its header; {NOT_FLUSHED}", kind="left out")
        for path in found
        if path not in paths
    )
    header = _common_header(readers, preset)
    resolved = resolve(header, str(paths[0]))
    if not resolved.actions and not resolved.exits and not resolved.components:
        raise DataError(
            f"{paths[0]}: the header declares no actions, exits or components",
            "name a preset in the header or with --preset, or list them",
        )
    source = Source(str(paths[0]), len(paths) - 1)
    plan = plan_of(resolved)
    return Log(
        readers=readers,
        form=forms[0],
        header=header,
        plan=plan,
        source=source,
        left_out=left_out,
    )


def _common_header(readers: Sequence[Reader], preset: str | None) -> Header:
    """Return the header that all shards share, but for their machines and numbers."""
    found = []
    for reader in readers:
        header = with_preset(reader.header(), preset, str(reader.path))
        found.append(msgspec.structs.replace(header, shard=None))
        names = differing(found[-1], found[0])
        if names:
            raise DataError(
                f"{reader.path}: its header differs from that of {readers[0].path} in "
                f"{', '.join(names)}",
                "all shards of a log have the same header; give other runs other names",
            )
    return found[0]


def count_log(
    log: Log,
    *,
    columns: Mapping[str, Column] | None = None,
    fields: Iterable[str] = (),
    keep_ids: bool = False,
    duplicates: str = "error",
) -> LogCounts:
    """Count a log; its first defect is an error.

    Args:
        log: an opened log.
        columns: additional numbers to make from each block.
        fields: fields of samples that these need.
        keep_ids: keep the records' names.
        duplicates: ``error``, or ``first`` to keep the first record of each id and view.
    """
    if duplicates == "first":
        log = without_duplicates(log)
    wanted = (*fields, IDS) if keep_ids else tuple(fields)

    def gathered(log: Log) -> Gatherer:
        gatherer = Gatherer(log.plan, raise_first, columns=columns, keep_ids=keep_ids)
        for block in log.blocks(raise_first, wanted):
            check_scores(block, raise_first)
            gatherer.add(block)
        return gatherer

    try:
        gatherer = gathered(log)
    except NeedsExactReader:
        log = _exactly(log)
        gatherer = gathered(log)
    if not gatherer.records:
        raise _no_samples(log)
    if gatherer.has_duplicates():
        _report_duplicates(log, raise_first)
    counts = gatherer.finish(log.source)
    return replace(
        counts,
        warnings=(*log.warnings(), *counts.warnings),
        at_random=log.random_seed is not None,
    )


def _exactly(log: Log) -> Log:
    """Return the log, read with the exact readers."""
    options = replace(log.readers[0].options, exact=True)
    return replace(log, readers=tuple(type(one)(one.path, options) for one in log.readers))


def check_log(log: Log) -> tuple[list[DataError], tuple[Remark, ...], int]:
    """Read a whole log with the exact reader and collect its defects.

    Returns:
        The defects in the order of the files (at most ``MOST_DEFECTS``), the warnings, and how
        many samples were read.
    """
    defects: list[DataError] = []

    def report(error: DataError) -> None:
        defects.append(error)
        if len(defects) >= MOST_DEFECTS:
            raise _Enough

    log = _exactly(log)
    gatherer = Gatherer(log.plan, report)
    try:
        for samples, place in log.samples(report):
            check_samples(samples, log.plan, place, report)
            gatherer.add(block_of(samples, log.plan, place, report))
        if gatherer.has_duplicates():
            _report_duplicates(log, report)
        if not gatherer.records and not defects:
            report(_no_samples(log))
    except _Enough:
        pass
    except DataError as error:
        defects.append(error)
    # Defective decisions were replaced, so runs are checked only where there are no defects.
    odd = () if defects else gatherer.warnings()
    return defects, (*log.warnings(), *odd), gatherer.records


def _no_samples(log: Log) -> DataError:
    text = f"{log.source} has a header but no samples: there is nothing to count"
    return DataError(text, NOT_FLUSHED if log.form == "jsonl" else "")


def _size_of_group(group: tuple[Sequence[Sample], Place]) -> int:
    return len(group[0])


class _Enough(Exception):
    """Stops a check that has found enough."""


def _report_duplicates(log: Log, report: OnDefect) -> None:
    """Report the records whose id and view are repeated; hashes only show that there are some."""
    # A place is computed only when needed: for a JSON file that takes a while.
    seen: dict[tuple[str, object], tuple[Place, int]] = {}
    for samples, place in log.samples(lambda _: None):  # its defects were reported before
        for i, sample in enumerate(samples):
            key = (sample.id, sample.view)
            if key not in seen:
                seen[key] = place, i
                continue
            view = "" if sample.view is None else f", view {sample.view!r}"
            first_place, first = seen[key]
            report(
                DataError(
                    f"{place(i)}: id: {sample.id!r}{view} already appeared at {first_place(first)}",
                    "ids must be unique within a view. Under DDP the sampler repeats samples "
                    "to even out the ranks: --duplicates first keeps the first of each",
                )
            )


def without_duplicates(log: Log) -> Log:
    """Return the log with only the first record of each id and view."""
    return replace(log, first_only=True)


def at_random(log: Log, seed: int) -> Log:
    """Return the log of a random policy that costs as much: ``policy/at_random.py``."""
    header, plan = log.header, log.plan
    return replace(
        log,
        header=random_header(header, log.source.name),
        plan=replace(plan, header=random_header(plan.header, log.source.name)),
        random_seed=seed,
    )
