"""A policy log as a whole: its files, its plan, its counts, its defects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from flopbench.core.errors import DataError, InputError, Remark
from flopbench.policy.blocks import IDS, Block, Place, block_of
from flopbench.policy.checks import check_samples, check_scores
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.engine import Column, Gatherer
from flopbench.policy.header import Header, resolve
from flopbench.policy.plan import Plan, plan_of
from flopbench.policy.readers import SHARE_FORMS, reader_for
from flopbench.policy.readers.base import NeedsExactReader, Options, Reader
from flopbench.policy.readers.raw import find_files, sniff
from flopbench.policy.samples import OnDefect, Sample, raise_first

MOST_DEFECTS = 100
"""A check stops after so many defects: the file is of another kind, or badly damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """An opened log.

    Attributes:
        readers: one per file, in order.
        header: as in the files, with the name of the preset from the command line.
        plan: what its decisions can be.
        source: the files.
    """

    readers: tuple[Reader, ...]
    header: Header
    plan: Plan
    source: Source

    @property
    def form(self) -> str:
        """The format of the files."""
        return self.readers[0].form

    def samples(self, report: OnDefect = raise_first) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield all samples with their places, some at a time."""
        for reader in self.readers:
            yield from reader.samples(self.plan, report)

    def blocks(self, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield all samples as arrays, some at a time."""
        wanted = tuple(columns)
        for reader in self.readers:
            yield from reader.blocks(self.plan, report, wanted)

    def warnings(self) -> tuple[Remark, ...]:
        """Return what the readers found odd."""
        # A reader that reads twice warns twice.
        return tuple(dict.fromkeys(remark for reader in self.readers for remark in reader.warnings))


def open_log(
    patterns: Sequence[str | Path],
    *,
    preset: str | None = None,
    options: Options | None = None,
    complete: bool = True,
) -> Log:
    """Open the files of one log.

    Args:
        patterns: files or globs; several files are shards of one run.
        preset: what the decisions mean, if the files do not say.
        options: how to read.
        complete: refuse a set of shards that lacks one.

    Raises:
        InputError: no such file, or a format without samples.
        DataError: not a policy log, shards of different runs, a missing shard, no header.
    """
    options = options or Options()
    paths = find_files([str(p) for p in patterns], complete=complete)
    for path in paths:
        form = sniff(path)
        if form in SHARE_FORMS:
            raise InputError(
                f"{path} holds shares of actions ({form}), not samples",
                "flopbench estimate accepts it; validate, convert and head need samples",
            )
    readers = tuple(reader_for(path, options) for path in paths)
    forms = {reader.form for reader in readers}
    if len(forms) > 1:
        raise DataError(f"the shards have different formats: {', '.join(sorted(forms))}")
    header = _common_header(readers, preset)
    resolved = resolve(header, str(paths[0]))
    if not resolved.actions and not resolved.exits and not resolved.components:
        raise DataError(
            f"{paths[0]}: the header declares no actions, exits or components",
            "name a preset in the header or with --preset, or list them",
        )
    source = Source(str(paths[0]), len(paths) - 1)
    return Log(readers=readers, header=header, plan=plan_of(resolved), source=source)


def _common_header(readers: Sequence[Reader], preset: str | None) -> Header:
    header: Header | None = None
    for reader in readers:
        own = reader.header()
        own = with_preset(own, preset, str(reader.path))
        own = msgspec.structs.replace(own, shard=None)
        names = [] if header is None else _differing(own, header)
        if header is not None and names:
            raise DataError(
                f"{reader.path}: its header differs from that of {readers[0].path} in "
                f"{', '.join(names)}",
                "all shards of a log have the same header; give other runs other names",
            )
        header = header or own
    assert header is not None
    return header


def _differing(one: Header, other: Header) -> list[str]:
    """List the fields in which shards of one run may not differ."""
    names = [name for name in Header.__struct_fields__ if name != "environment"]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def with_preset(header: Header | None, preset: str | None, where: str) -> Header:
    """Return a header that names the preset asked for.

    Raises:
        DataError: there is neither a header nor a preset.
        InputError: the header names another preset.
    """
    if header is None:
        if preset is None:
            raise DataError(
                f"{where} has no header, so the meaning of its actions is unknown",
                "say what they are: --preset arnet-resnet, another preset, or a .toml file",
            )
        return Header(preset=preset)
    if preset is None or preset == header.preset:
        return header
    if header.preset is not None:
        raise InputError(f"{where} names the preset {header.preset!r}, but --preset is {preset!r}")
    return msgspec.structs.replace(header, preset=preset)


def count_log(
    log: Log,
    *,
    columns: Mapping[str, Column] | None = None,
    fields: Iterable[str] = (),
    keep_ids: bool = False,
    duplicates: str = "error",
) -> LogCounts:
    """Count a log.

    Args:
        log: an opened log.
        columns: additional numbers to make from each block.
        fields: fields of samples that these need.
        keep_ids: keep the records' names.
        duplicates: ``error``, or ``first`` to keep the first record of each id and view.

    Raises:
        DataError: the first defect.
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
        gatherer = gathered(_exactly(log))
    if not gatherer.records:
        raise _no_samples(log)
    if gatherer.has_duplicates():
        _report_duplicates(log, raise_first)
    counts = gatherer.finish(log.source)
    return replace(counts, warnings=(*log.warnings(), *counts.warnings))


def _exactly(log: Log) -> Log:
    """Return the log with exact readers."""
    options = replace(log.readers[0].options, exact=True)
    readers = tuple(reader_for(reader.path, options) for reader in log.readers)
    return replace(log, readers=readers)


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
    return DataError(f"{log.source} has a header but no samples", "there is nothing to count")


class _Enough(Exception):
    """Stops a check that has found enough."""


def _report_duplicates(log: Log, report: OnDefect) -> None:
    """Report the records whose id and view are repeated; hashes only show that there are some."""
    # A place is computed only when needed: for a JSON file that takes a while.
    seen: dict[tuple[str, object], tuple[Place, int]] = {}
    for samples, place in log.samples(_ignore):
        for i, sample in enumerate(samples):
            key = (sample.id, sample.view)
            if key in seen:
                view = "" if sample.view is None else f", view {sample.view!r}"
                first_place, first = seen[key]
                report(
                    DataError(
                        f"{place(i)}: id: {sample.id!r}{view} already appeared at "
                        f"{first_place(first)}",
                        "ids must be unique within a view. Under DDP the sampler repeats samples "
                        "to even out the ranks: --duplicates first keeps the first of each",
                    )
                )
            else:
                seen[key] = place, i


def _ignore(error: DataError) -> None:
    """Ignore a defect that was reported before."""


def without_duplicates(log: Log) -> Log:
    """Return the log with only the first record of each id and view."""
    seen: dict[tuple[str, object], tuple[int, int]] = {}
    readers = enumerate(log.readers)
    return replace(log, readers=tuple(_FirstOnly(own, n, seen) for n, own in readers))


class _FirstOnly(Reader):
    """A reader that skips repeated samples.

    Args:
        inner: the reader of one file.
        number: which of the log's files it is.
        seen: shared by all files: id and view -> the file and number of the first such sample, so
            that reading again gives the same.
    """

    def __init__(
        self, inner: Reader, number: int, seen: dict[tuple[str, object], tuple[int, int]]
    ) -> None:
        super().__init__(inner.path, inner.options)
        self._inner, self._number, self._seen = inner, number, seen
        self.form = inner.form
        self.warnings = inner.warnings

    def header(self) -> Header | None:
        return self._inner.header()

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        left_out = at = 0
        for samples, place in self._inner.samples(plan, report):
            kept = []
            for i, sample in enumerate(samples):
                here = self._number, at
                at += 1
                if self._seen.setdefault((sample.id, sample.view), here) == here:
                    kept.append(i)
                else:
                    left_out += 1
            yield [samples[i] for i in kept], lambda i, kept=kept, place=place: place(kept[i])  # type: ignore[misc]
        if left_out:
            text = f"{self.path}: {left_out} repeated samples were left out"
            self.warnings.append(Remark(text, kind="left out"))
