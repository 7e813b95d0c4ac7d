"""What a form of log is: how a file of it is recognised, read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from flopbench.core.files import read_json
from flopbench.core.remarks import Remark
from flopbench.policy.blocks import Block, Place, block_of
from flopbench.policy.columns import samples_of
from flopbench.policy.forms.raw import without_packing
from flopbench.policy.header import Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample


class Options(Struct, frozen=True, kw_only=True):
    """How to read.

    Attributes:
        allow_truncated: leave out a last line that is cut off.
        exact: read with the exact reader, never with a faster decoder.
    """

    allow_truncated: bool = False
    exact: bool = False


class Copy(Struct, frozen=True, kw_only=True):
    """A log that is being written in some form.

    Attributes:
        header: what its decisions mean.
        plan: the same, for looking up names.
        samples: starts over: yields all samples, their decisions as ids.
        target: the file that it becomes; its name says whether text is compressed.
        temporary: where it is written until it is whole.
        beside: path -> text of files that are written with it, filled by ``write``.
    """

    header: Header
    plan: Plan
    samples: Callable[[], Iterator[Sequence[Sample]]]
    target: Path
    temporary: Path
    beside: dict[Path, str] = {}


def header_path(path: Path) -> Path:
    """Return where the header of a log without one is: ``run.csv`` -> ``run.header.json``."""
    return path.with_name(without_packing(path).stem + ".header.json")


def header_beside(path: Path) -> Header | None:
    """Return the header next to a log, None where there is none."""
    beside = header_path(path)
    if not beside.exists():
        return None
    return read_header(read_json(beside, "the header of a policy log"), str(beside), path)


class NeedsExactReader(Exception):
    """A faster decoder found something that only the exact reader can decide."""


class Reader:
    """One file of a log. A form is a subclass with ``header`` and ``rows``.

    Args:
        path: the file.
        options: how to read it.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options
        self.warnings: list[Remark] = []

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether the first bytes, unpacked, are those of such a file, its magic number aside."""
        return True

    def header(self) -> Header | None:
        """Return the header that the file holds, None where it holds none."""
        raise NotImplementedError

    def rows(
        self, plan: Plan, report: OnDefect
    ) -> Iterator[tuple[Iterable[Mapping[str, Any]], Place]]:
        """Yield the samples as rows, field -> value, some at a time; report what is defective.

        Rows of the wrong fields or types need not be reported: ``samples`` does that.
        """
        raise NotImplementedError

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples, some at a time, and report each defect with its place."""
        for rows, place in self.rows(plan, report):
            yield samples_of(rows, place, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays; a form with a faster way overrides this."""
        for samples, place in self.samples(plan, report):
            yield block_of(samples, plan, place, report, columns)

    @staticmethod
    def write(copy: Copy) -> int:
        """Write a log into ``copy.temporary``; return how many samples it has."""
        raise NotImplementedError
