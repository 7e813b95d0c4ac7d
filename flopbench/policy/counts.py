"""What a whole log adds up to: counts per record, and their sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from flopbench.core.remarks import Remark
from flopbench.policy.plan import Plan


class Source(Struct, frozen=True):
    """The files of a log, for people: ``run.jsonl``, or ``run.rank0.jsonl and 3 more``."""

    first: str = ""
    more: int = 0

    def __str__(self) -> str:
        return f"{self.first} and {self.more} more" if self.more else self.first

    @property
    def name(self) -> str:
        """The first file's name, without its folder."""
        return Path(self.first).name


class Totals(Struct, frozen=True, kw_only=True):
    """Sums over some videos, exact integers where the log holds decisions.

    Attributes:
        videos: how many videos (distinct ids); None where the source does not say.
        views: how many records; a video may have several views.
        steps: sampled steps (frames) in all.
        frames: steps under each action of the plan.
        decisions: decisions for each action; None where only shares of steps are known.
        own_spans: whether decisions covered a number of steps other than their action's span.
        exits: how often each exit was taken.
        counts: additional runs of each component.
    """

    videos: int | None
    views: int
    steps: float | Fraction
    frames: Sequence[float | Fraction]
    decisions: Sequence[float | Fraction] | None
    own_spans: bool = False
    exits: Sequence[int | Fraction] = ()
    counts: Mapping[str, float] = {}


class LogCounts(Struct, frozen=True, kw_only=True):
    """The counts of one log. n records (a record is one view of one video), a actions.

    Attributes:
        plan: what the decisions could be.
        frames: (n, a) steps under each action.
        decisions: (n, a) decisions for each action; None where only rows are known.
        steps: (n,) sampled steps.
        own_spans: whether some decision states how many steps it covers, and the number is not its
            action's span.
        exits: (n,) index of the exit taken, -1 for none; None where the log has no exits.
        counts: (n, components) additional runs of components; None where the log has none.
        video: (n,) index of the video a record belongs to; None where each is a video.
        label_codes: every label as an index into ``label_values``, record after record.
        label_lengths: (n,) labels of each record.
        label_values: labels as the log has them, in order of first appearance.
        columns: the requested further columns, (n,) each; scores alike in length are (n, classes).
        ids: names of the records, if requested.
        first_ids: names of the first records; empty where the source has no records.
        at_random: whether the decisions were dealt out again among the records.
        in_order: whether the records are in the order of the log.
        odd_runs: how many runs no policy with the declared spans could make.
        first_odd_run: where the first one is.
    """

    plan: Plan
    frames: Any
    decisions: Any
    steps: Any
    own_spans: bool = False
    exits: Any = None
    counts: Any = None
    video: Any = None
    label_codes: Any = None
    label_lengths: Any = None
    label_values: tuple[Any, ...] = ()
    columns: Mapping[str, Any] = {}
    ids: Sequence[str] | None = None
    first_ids: Sequence[str] = ()
    at_random: bool = False
    in_order: bool = True
    odd_runs: int = 0
    first_odd_run: str = ""
    warnings: tuple[Remark, ...] = ()
    source: Source = Source()

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.steps)

    @property
    def videos(self) -> int:
        """How many videos there are."""
        return self.records if self.video is None else int(self.video.max()) + 1

    @property
    def first_records(self) -> Any:
        """(videos,) index of each video's first record."""
        import numpy as np

        if self.video is None:
            return np.arange(self.records)
        return np.unique(self.video, return_index=True)[1]

    @property
    def video_ids(self) -> Sequence[str] | None:
        """The name of each video, if names were requested."""
        if self.ids is None or self.video is None:
            return self.ids
        return [self.ids[i] for i in self.first_records.tolist()]

    def of_videos(self, numbers: Any) -> Any:
        """Return (videos,) sums of (n,) numbers, over the records of a video in any order."""
        import numpy as np

        if self.video is None:
            return numbers
        if numbers.dtype.kind != "f":  # sums of integers are exact
            return np.bincount(self.video, weights=numbers)
        order = np.argsort(numbers)
        return np.bincount(self.video[order], weights=numbers[order])

    def totals(self, chosen: Any = None) -> Totals:
        """Add up all records, or those that ``chosen`` (k,) indexes."""
        import numpy as np

        def part(array: Any) -> Any:
            return array if chosen is None else array[chosen]

        def total(array: Any) -> list[int]:
            return [int(v) for v in part(array).sum(axis=0, dtype=np.int64)]

        exits: tuple[int, ...] = ()
        if self.exits is not None:
            taken = part(self.exits)
            exits = tuple(np.bincount(taken[taken >= 0], minlength=len(self.plan.exits)).tolist())
        counts: dict[str, float] = {}
        if self.counts is not None:
            names = self.plan.header.components or {}
            columns = part(self.counts).T.tolist()
            counts = dict(zip(names, map(math.fsum, columns), strict=True))
        records = self.records if chosen is None else len(chosen)
        return Totals(
            videos=records if self.video is None else len(np.unique(part(self.video))),
            views=records,
            steps=int(part(self.steps).sum(dtype=np.int64)),
            frames=total(self.frames),
            decisions=None if self.decisions is None else total(self.decisions),
            own_spans=self.own_spans,
            exits=exits,
            counts=counts,
        )

    def whole_videos(self, chosen: Any) -> tuple[Any, Any]:
        """Return all records of the videos that chosen ones (k,) belong to, and those videos."""
        import numpy as np

        if self.video is None:
            return chosen, chosen
        videos = np.unique(self.video[chosen])
        return np.flatnonzero(np.isin(self.video, videos)), videos

    def by_label(self) -> dict[Any, Any]:
        """Return label -> (k,) indices of the records that carry it, labels sorted."""
        import numpy as np

        owner: Any = np.repeat(np.arange(self.records), self.label_lengths)
        number = len(self.label_values)
        codes = self.label_codes.astype(np.min_scalar_type(number))  # narrow ones sort faster
        # Within a label, owners keep their order: a record that names it twice stands twice.
        owner = owner[np.argsort(codes, kind="stable")]
        own = np.split(owner, np.cumsum(np.bincount(codes, minlength=number)))[:-1]
        groups = {
            value: records[np.diff(records, prepend=-1) > 0]
            for value, records in zip(self.label_values, own, strict=True)
        }
        return {value: groups[value] for value in sorted_labels(groups)}

    def label_name(self, value: Any) -> str:
        """Return the name of a label: its class name where the log has class names."""
        return label_name(self.plan, value)


def sorted_labels(labels: Iterable[Any]) -> list[Any]:
    """Return labels sorted, numbers before names."""
    return sorted(labels, key=lambda label: (isinstance(label, str), label))


def label_name(plan: Plan, value: Any) -> str:
    """Return the name of a label: its class name where the log has class names."""
    names = plan.header.class_names
    return names[value] if names is not None and isinstance(value, int) else str(value)


def objects(values: Iterable[Any]) -> Any:
    """Return (n,) objects, one a value: numpy makes no matrix of values of equal length."""
    import numpy as np

    listed = list(values)
    made: Any = np.empty(len(listed), object)
    made[:] = listed
    return made


class WithoutRecords(Struct, frozen=True, kw_only=True):
    """What a log adds up to where its records are not known; ``what`` is what messages call it."""

    what: ClassVar[str]
    plan: Plan
    warnings: tuple[Remark, ...] = ()
    source: Source = Source()

    def totals(self) -> Totals:
        """Return the sums."""
        raise NotImplementedError


class ShareCounts(WithoutRecords, frozen=True, kw_only=True):
    """A published distribution: shares of actions or of exits, without the records they came from.

    Attributes:
        shares: share of each action, in the plan's order; where the plan has no actions, share of
            the videos that took each exit.
        of: ``frames`` or ``decisions``: what the shares are shares of.
        rows: how many rows they were counted from, None where that is unknown.
    """

    what = "a table of shares"
    shares: tuple[Fraction, ...]
    of: str
    rows: int | None = None

    def totals(self) -> Totals:
        """Return the sums for one video of the plan's length, or for one step without it.

        Shares do not tell where the end of a video cut a decision: decisions are frames / span, the
        published rule, whatever the shares are of.
        """
        steps = Fraction(self.plan.steps or bool(self.plan.actions))
        if not self.plan.actions:
            return Totals(
                videos=None, views=1, steps=steps, frames=(), decisions=(), exits=self.shares
            )
        spans = [action.span for action in self.plan.actions]
        if self.of == "frames":
            frames = [share * steps for share in self.shares]
            return Totals(videos=None, views=1, steps=steps, frames=frames, decisions=None)
        covered = dict.fromkeys(self.plan.streams, Fraction(0))
        streams = [action.stream or "" for action in self.plan.actions]
        for stream, share, span in zip(streams, self.shares, spans, strict=True):
            covered[stream] += share * span
        frames = [
            share * steps / covered[stream] * span
            for stream, share, span in zip(streams, self.shares, spans, strict=True)
        ]
        return Totals(videos=None, views=1, steps=steps, frames=frames, decisions=None)


class SumCounts(WithoutRecords, frozen=True, kw_only=True):
    """Sums over the videos of a log, or of those with one label (``policy/sums_file.py``).

    Attributes:
        sums: (amount, amount) -> the sum over the videos of their product.
        exits: whether some record of the log took an exit.
        own_spans: as in ``LogCounts``.
        labels: label -> the sums over the videos that carry it, labels sorted.
    """

    what = "a part of sums"
    sums: Mapping[tuple[str, str], int]
    exits: bool
    own_spans: bool
    labels: Mapping[Any, SumCounts] = {}

    def sum_of(self, amount: str) -> int:
        """Return the sum of an amount over the videos."""
        return self.sums.get((amount, "video"), 0)

    def totals(self, sum_of: Callable[[str], Any] | None = None) -> Totals:
        """Return what the records would add up to; ``sum_of`` has other sums of each amount."""
        of, plan = sum_of or self.sum_of, self.plan
        names = [plan.action_label(i) for i in range(len(plan.actions))]
        return Totals(
            videos=of("video"),
            views=of("records"),
            steps=of("steps"),
            frames=[of(f"frames:{name}") for name in names],
            decisions=[of(f"decisions:{name}") for name in names],
            own_spans=self.own_spans,
            exits=[of(f"exit:{exit.name}") for exit in plan.exits if self.exits],
            counts={name: of(f"runs:{name}") for name in plan.header.components or {}},
        )
