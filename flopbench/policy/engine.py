"""Counts a log: passes a reader's blocks through the kernel and gathers the counts.

Nothing here loops over decisions, and only the counts of each record stay in memory: 1e8
decisions in 6.25 million videos take some hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flopbench.core.errors import near_match
from flopbench.core.remarks import Remark
from flopbench.policy.blocks import MOST_NAMES, NAMES, Block, says
from flopbench.policy.counts import LogCounts, Source, objects
from flopbench.policy.forms.base import NeedsExactReader
from flopbench.policy.kernel import Tally, tally
from flopbench.policy.names import hashes_of
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

LARGEST_TABLE = 1 << 20
"""Labels below this are coded through a table, without sorting them."""

Column = Callable[[Block], Any]
"""Makes (n, ...) numbers from a block, kept along with the counts."""


class Gatherer:
    """Takes blocks one by one and joins their counts into a ``LogCounts``."""

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
        self._parts: list[dict[str, Any]] = []
        self.records = 0
        self._ids: list[str] | None = [] if keep_ids else None
        self._first_ids: list[str] = []
        self._hashed_by = ""
        self._labels: dict[Any, int] = {}
        names = plan.header.class_names or ()
        self._classes = {name: at for at, name in reversed([*enumerate(names)])}
        self._videos: dict[str, int] | None = None
        self._expected_steps: int | None = None if plan.steps_may_vary else plan.steps
        self._expected_from = "the header"
        self._own_spans = False
        self._odd_runs = 0
        self._first_odd_run = ""

    def add(self, block: Block, counted: Tally | None = None) -> None:
        """Count one block, or take what it adds up to where that is known."""
        if not block.size:
            return
        result = counted or tally(block, self._plan, self._report)
        self._check_lengths(block, result)
        self._own_spans |= result.own_spans
        self._first_odd_run = self._first_odd_run or result.first_odd_run
        self._odd_runs += result.odd_runs
        lengths = block.label_lengths
        lengths = np.zeros(block.size, np.uint8) if lengths is None else lengths
        same = result.decisions is result.frames
        part = {
            "video": self._video_numbers(block),
            "hashes": self._hashes(block),
            "frames": _narrow(result.frames),
            "decisions": None if same else _narrow(result.decisions),
            "steps": _narrow(result.steps),
            "label_codes": self._label_codes(block),
            "label_lengths": _narrow(lengths),
            "exits": None if block.exits is None else block.exits.astype(np.int32),
            "counts": block.counts,
        }
        part |= {f"column {name}": make(block) for name, make in self._makers.items()}
        self._parts.append(part)
        if self._ids is not None:
            self._ids += block.ids
        if len(self._first_ids) < MOST_NAMES:
            names = block.first_ids if isinstance(block.ids, range) else block.ids
            self._first_ids += names[: MOST_NAMES - len(self._first_ids)]
        self.records += block.size

    def _video_numbers(self, block: Block) -> Any:
        """Return (n,) the video of each record, None where each is a video; check the views."""
        views = block.views if block.views is not None else (None,) * block.size
        if not self._parts and views[0] is not None:
            self._videos = {}
        known = self._videos
        wrong = block.views is not None if known is None else None in views
        for i, view in enumerate(views if wrong else ()):
            if (view is None) != (known is None):
                this = "names none" if view is None else f"names {view!r}, unlike the first"
                text = f"some samples of this log name a view and some do not; this one {this}"
                say = says(block.place, self._report)
                say(i, f"view: {text}", "name a view for every sample or for none")
        if known is None:
            return None
        return np.array([known.setdefault(name, len(known)) for name in block.ids], np.int64)

    def _hashes(self, block: Block) -> Any:
        """Return (n,) hashes of the records' names.

        Raises:
            NeedsExactReader: they cannot be compared with those of earlier blocks.
        """
        made_by = NAMES if block.hashes is None else block.hashed_by
        self._hashed_by = self._hashed_by or made_by
        if made_by != self._hashed_by:
            raise NeedsExactReader
        if block.hashes is not None:
            return block.hashes
        if block.views is None:
            return hashes_of(block.ids)
        keys = zip(block.ids, block.views, strict=True)
        return np.fromiter(map(hash, keys), np.int64, block.size)

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
        expected = f"{self._expected_steps} were expected, as in {self._expected_from}"
        say = says(block.place, self._report)
        for i in np.flatnonzero(counted & (result.steps != self._expected_steps)).tolist():
            hint = 'if lengths really differ, say so in the header: "steps": "varies"'
            say(i, f"actions: {int(result.steps[i])} steps where {expected}", hint)

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
        key = self._classes.get(value, value)
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
            say, ends = says(block.place, self._report), np.cumsum(block.label_lengths)
            for at in [n for n, label in enumerate(block.labels) if label == value]:
                say(int(np.searchsorted(ends, at, side="right")), f"labels: {problem}", hint)
            return 0
        return self._labels.setdefault(key, len(self._labels))

    def has_duplicates(self) -> bool:
        """Whether two records share id and view, as far as hashes tell."""
        hashes = np.concatenate([np.empty(0, np.int64), *(p["hashes"] for p in self._parts)])
        hashes.sort()
        return bool((hashes[1:] == hashes[:-1]).any())

    def _joined(self, name: str, default: Callable[[int], Any] | None = None) -> Any:
        """Take an array out of all parts, joined; None where no part has it.

        ``default``: number of a part -> what stands for an array that this part lacks.
        """
        parts = [part.pop(name) for part in self._parts]
        if all(part is None for part in parts):
            return None
        if default is not None:
            parts = [default(n) if part is None else part for n, part in enumerate(parts)]
        if len({part.shape[1:] for part in parts}) > 1:  # rows of numbers, here and there missing
            parts = [p if p.ndim == 1 else objects(map(tuple, p.tolist())) for p in parts]
        return np.concatenate(parts)

    def finish(self, source: Source) -> LogCounts:
        """Join the parts, each of which is then gone."""
        for part in self._parts:
            del part["hashes"]
        sizes = [len(part["steps"]) for part in self._parts]
        width = len(self._plan.header.components or {})
        decisions = self._joined("decisions", lambda n: self._parts[n]["frames"])
        frames = self._joined("frames")
        return LogCounts(
            plan=self._plan,
            frames=frames,
            decisions=frames if decisions is None else decisions,
            steps=self._joined("steps"),
            own_spans=self._own_spans,
            exits=self._joined("exits", lambda n: np.full(sizes[n], -1, np.int32)),
            counts=self._joined("counts", lambda n: np.zeros((sizes[n], width))),
            video=self._joined("video"),
            label_codes=self._joined("label_codes"),
            label_lengths=self._joined("label_lengths"),
            label_values=tuple(self._labels),
            columns={name: self._joined(f"column {name}") for name in self._makers},
            ids=self._ids,
            first_ids=self._first_ids,
            odd_runs=self._odd_runs,
            first_odd_run=self._first_odd_run,
            warnings=self.warnings(),
            source=source,
        )

    def warnings(self) -> tuple[Remark, ...]:
        """Return what is odd without being wrong."""
        return odd_runs_remark(self._odd_runs, self._first_odd_run)


def odd_runs_remark(number: int, first: str) -> tuple[Remark, ...]:
    """Return the warning about runs that no policy with the declared spans could make."""
    if not number:
        return ()
    more = f"; {number:,} such runs in all" if number > 1 else ""
    return (
        Remark(
            f"{first}, is impossible for that span before the end of a sample{more}. Each started "
            "decision is charged. Rows drawn independently look like this, and so does a wrong span"
        ),
    )


def _narrow(values: Any) -> Any:
    """Return counts in the smallest unsigned type that holds them."""
    largest = values.max() if values.size else 0
    for kind in (np.uint8, np.uint16, np.uint32):
        if largest <= np.iinfo(kind).max:
            return values.astype(kind, copy=False)
    return values.astype(np.uint64, copy=False)
