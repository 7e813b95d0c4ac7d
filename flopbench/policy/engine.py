"""Counts a log: passes a reader's blocks through the kernel and gathers the counts.

Nothing here loops over decisions, and only the counts of each record stay in memory: 1e8
decisions in 6.25 million videos take some hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flopbench.core.errors import DataError, Remark, near_match
from flopbench.policy.blocks import Block
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.kernel import Tally, tally
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

LARGEST_TABLE = 1 << 20
"""Labels below this are coded through a table, without sorting them."""

Column = Callable[[Block], Any]
"""Makes (n, ...) numbers from a block, kept along with the counts."""


class Gatherer:
    """Takes blocks one by one and joins their counts into a ``LogCounts``.

    Args:
        plan: what the decisions can be.
        report: called with each defect.
        columns: name -> function that makes additional numbers from each block.
        keep_ids: keep the records' names.
    """

    def __init__(
        self,
        plan: Plan,
        report: OnDefect,
        *,
        columns: Mapping[str, Column] | None = None,
        keep_ids: bool = False,
    ) -> None:
        self._plan = plan
        self._report = report
        self._makers = columns or {}
        self._keep_ids = keep_ids
        self._parts: dict[str, list[Any]] = {}
        self._sizes: list[int] = []
        self._ids: list[str] = []
        self._labels: dict[Any, int] = {}
        self._videos: dict[str, int] | None = None
        self._expected_steps: int | None = None if plan.steps_may_vary else plan.steps
        self._expected_from = "the header"
        self._own_spans = False
        self._odd_runs = 0
        self._first_odd_run = ""

    @property
    def records(self) -> int:
        """How many records have been added."""
        return sum(self._sizes)

    def add(self, block: Block) -> None:
        """Count one block."""
        if not block.size:
            return
        result = tally(block, self._plan, self._report)
        self._check_lengths(block, result)
        self._own_spans |= result.own_spans
        self._note_odd_runs(result)
        self._number_videos(block)
        self._part("hashes", _hashes(block))
        self._part("frames", _narrow(result.frames))
        if result.decisions is not result.frames or "decisions" in self._parts:
            self._pad("decisions", self._parts["frames"][:-1])
            self._part("decisions", _narrow(result.decisions))
        self._part("steps", _narrow(result.steps))
        self._part("label_codes", self._label_codes(block))
        lengths = block.label_lengths
        lengths = np.zeros(block.size, np.uint8) if lengths is None else lengths
        self._part("label_lengths", _narrow(lengths))
        self._keep_optional("exits", block.exits, -1, ())
        width = len(self._plan.header.components or {})
        self._keep_optional("counts", block.counts, 0.0, (width,))
        for name, make in self._makers.items():
            self._part(f"column {name}", make(block))
        if self._keep_ids:
            self._ids += block.ids
        self._sizes.append(block.size)

    def _part(self, name: str, values: Any) -> None:
        self._parts.setdefault(name, []).append(values)

    def _pad(self, name: str, earlier: list[Any]) -> None:
        """Fill in what earlier blocks did not have."""
        if name not in self._parts:
            self._parts[name] = list(earlier)

    def _keep_optional(self, name: str, values: Any, none: float, shape: tuple[int, ...]) -> None:
        if values is None and name not in self._parts:
            return
        kind = np.int32 if isinstance(none, int) else np.float64
        self._pad(name, [np.full((size, *shape), none, kind) for size in self._sizes])
        if values is None:
            last = self._parts["steps"][-1]
            values = np.full((len(last), *shape), none, kind)
        self._part(name, values.astype(kind))

    def _note_odd_runs(self, result: Tally) -> None:
        if not self._odd_runs:
            self._first_odd_run = result.first_odd_run
        self._odd_runs += result.odd_runs

    def _number_videos(self, block: Block) -> None:
        views = block.views if block.views is not None else (None,) * block.size
        if not self._sizes and views[0] is not None:
            self._videos = {}
        named = self._videos is not None
        if (block.views is not None) != named or (named and None in views):
            for i, view in enumerate(views):
                if (view is not None) != named:
                    this = "names none" if named else f"names {view!r}, unlike the first"
                    self._report(
                        DataError(
                            f"{block.place(i)}: view: some samples of this log name a view and "
                            f"some do not; this one {this}",
                            "name a view for every sample or for none",
                        )
                    )
        if self._videos is not None:
            known = self._videos
            numbers = [known.setdefault(name, len(known)) for name in block.ids]
            self._part("video", np.array(numbers, np.int64))

    def _check_lengths(self, block: Block, result: Tally) -> None:
        if self._plan.steps_may_vary:
            return
        counted = result.steps > 0
        if self._expected_steps is None:
            first = int(np.argmax(counted))
            if not counted[first]:
                return
            self._expected_steps = int(result.steps[first])
            self._expected_from = block.place(first)
        wrong = counted & (result.steps != self._expected_steps)
        for i in np.flatnonzero(wrong):
            self._report(
                DataError(
                    f"{block.place(int(i))}: actions: {int(result.steps[i])} steps where "
                    f"{self._expected_steps} were expected, as in {self._expected_from}",
                    'if lengths really differ, say so in the header: "steps": "varies"',
                )
            )

    def _label_codes(self, block: Block) -> Any:
        """Turn labels into indices among those seen so far, checking each new one."""
        if not len(block.labels):
            return np.empty(0, np.int32)
        if isinstance(block.labels, np.ndarray):
            return self._array_codes(block)
        codes = {v: self._label_code(v, block) for v in dict.fromkeys(block.labels)}
        return np.fromiter(map(codes.__getitem__, block.labels), np.int32, len(block.labels))

    def _array_codes(self, block: Block) -> Any:
        low, high = int(block.labels.min()), int(block.labels.max())
        if low < 0 or high >= LARGEST_TABLE:
            values, inverse = np.unique(block.labels, return_inverse=True)
            codes = [self._label_code(v, block) for v in values.tolist()]
            return np.array(codes, np.int32)[inverse]
        codes_of: Any = np.zeros(high + 1, np.int32)
        for value in np.flatnonzero(np.bincount(block.labels)).tolist():
            codes_of[value] = self._label_code(value, block)
        return codes_of[block.labels]

    def _label_code(self, value: Any, block: Block) -> int:
        names = self._plan.header.class_names
        key = names.index(value) if names is not None and value in names else value
        code = self._labels.get(key)
        if code is not None:
            return code
        if isinstance(key, int):
            wrong = key < 0 or (names is not None and key >= len(names))
            wanted = "0 or more" if names is None else f"0 to {len(names) - 1}"
            problem, hint = f"is {key} where a class index of {wanted} was expected", ""
        else:
            wrong = names is not None
            problem = f"is {key!r}, which is not in 'class_names'"
            hint = near_match(str(key), names or [], "classes")
        if wrong:
            ends = np.cumsum(block.label_lengths)
            for at in [n for n, label in enumerate(block.labels) if label == value]:
                i = int(np.searchsorted(ends, at, side="right"))
                self._report(DataError(f"{block.place(i)}: labels: {problem}", hint))
            return 0
        return self._labels.setdefault(key, len(self._labels))

    def has_duplicates(self) -> bool:
        """Whether two records share id and view, as far as hashes tell."""
        hashes = np.concatenate(self._parts.get("hashes", [np.empty(0, np.int64)]))
        hashes.sort()
        return bool((hashes[1:] == hashes[:-1]).any())

    def finish(self, source: Source) -> LogCounts:
        """Join the parts."""
        self._parts.pop("hashes", None)
        joined = {name: np.concatenate(self._parts.pop(name)) for name in list(self._parts)}
        return LogCounts(
            plan=self._plan,
            frames=joined["frames"],
            decisions=joined.get("decisions", joined["frames"]),
            steps=joined["steps"],
            own_spans=self._own_spans,
            exits=joined.get("exits"),
            counts=joined.get("counts"),
            video=joined.get("video"),
            label_codes=joined["label_codes"],
            label_lengths=joined["label_lengths"],
            label_values=tuple(self._labels),
            columns={name: joined[f"column {name}"] for name in self._makers},
            ids=self._ids if self._keep_ids else None,
            warnings=self.warnings(),
            source=source,
        )

    def warnings(self) -> tuple[Remark, ...]:
        """Return what is odd without being wrong."""
        if not self._odd_runs:
            return ()
        more = f"; {self._odd_runs:,} such runs in all" if self._odd_runs > 1 else ""
        return (
            Remark(
                f"{self._first_odd_run}, is impossible for that span before the end of a "
                f"sample{more}. Each started decision is charged. Rows drawn independently look "
                "like this, and so does a wrong span"
            ),
        )


def _hashes(block: Block) -> Any:
    if block.hashes is not None:
        return block.hashes
    keys = block.ids if block.views is None else zip(block.ids, block.views, strict=True)
    return np.fromiter(map(hash, keys), np.int64, block.size)


def _narrow(values: Any) -> Any:
    """Return counts in the smallest unsigned type that holds them."""
    largest = values.max() if values.size else 0
    for kind in (np.uint8, np.uint16, np.uint32):
        if largest <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.uint64)
