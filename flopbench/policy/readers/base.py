"""What every reader of a file provides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flopbench.core.errors import Remark
from flopbench.policy.blocks import Block, Place, block_of
from flopbench.policy.header import Header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read.

    Attributes:
        allow_truncated: leave out a last line that is cut off.
        exact: read with the exact reader, never with a faster decoder.
    """

    allow_truncated: bool = False
    exact: bool = False


class NeedsExactReader(Exception):
    """A faster decoder found something that only the exact reader can decide."""


class Reader:
    """One file of a log.

    Args:
        path: the file.
        options: how to read it.
    """

    form = ""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options
        self.warnings: list[Remark] = []

    def header(self) -> Header | None:
        """Return the header that the file holds, None where it holds none."""
        raise NotImplementedError

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples, some at a time, and report each defect with its place."""
        raise NotImplementedError

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays; formats with a faster way override this."""
        wanted = tuple(columns)
        for samples, place in self.samples(plan, report):
            yield block_of(samples, plan, place, report, wanted)
