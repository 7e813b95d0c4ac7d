"""Videos that belong together: frames of a clip, questions of a video, views with ids of their own.

An interval over videos assumes that they are independent. Where ``--cluster`` names what they have
in common, whole clusters are drawn instead; where nothing is named, the first ids of a log and the
costs in its order are looked at for signs of clusters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.remarks import Remark
from flopbench.core.units import Words, number_of
from flopbench.policy.counts import LogCounts
from flopbench.policy.samples import FIELDS

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block

COLUMN = "cluster"
"""Under this name a counted log has the cluster of each record."""
ID_PREFIX = "id:"
ID_HINT = "id:/ takes what stands before the last / of an id"
NO_CLUSTERS = "clusters are named by the samples of a log: by a column of 'extra', or by their ids"
FEWEST_CLUSTERS = 10
"""With fewer, an interval holds the truth less often than in 92 of 100 cases (simulated)."""
SUSPICIOUS_CORRELATION = 0.3
STANDARD_ERRORS = 3
"""A correlation within so many standard errors, 1/√n each, may be chance."""

_NUMBERED = re.compile(r"(?P<prefix>.+)(?P<mark>[/_.:#|-])[A-Za-z]*(?P<number>[0-9]{1,9})(\.\w+)?")
"""``clip7/frame12``, ``v1_q3``, ``bear/00012.jpg``."""


class Clusters(Struct, frozen=True, kw_only=True):
    """Which videos of a log are drawn together.

    Attributes:
        column: where the clusters come from, as ``--cluster`` names it.
        codes: (videos,) the cluster of each video, numbered in the order of the log.
        number: how many clusters there are.
        words: what the log calls a video.
    """

    column: str
    codes: Any
    number: int
    words: Words

    @property
    def drawn(self) -> Any:
        """The codes; None where each video is a cluster, so that videos are drawn."""
        return None if self.number == len(self.codes) else self.codes

    def of(self, videos: Any) -> Any:
        """Return ``drawn`` of some videos (k,), numbered among them."""
        import numpy as np

        if self.drawn is None:
            return None
        return np.unique(self.codes[videos], return_inverse=True)[1]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What qualifies the intervals."""
        videos, which = len(self.codes), f"--cluster {self.column}"
        if videos == 1:
            return ()
        if self.number == 1:
            text = f"{which}: all {videos:,} {self.words.samples} are one cluster"
            return (Remark(f"{text}, which says nothing about others: no interval"),)
        if self.drawn is None:
            one, many = self.words.sample, self.words.samples
            return (Remark(f"{which}: each cluster is one {one}, so intervals are over {many}"),)
        if self.number < FEWEST_CLUSTERS:
            text = f"{which}: intervals over {self.number} clusters tend to be too narrow"
            return (Remark(f"{text}; {FEWEST_CLUSTERS} or more are needed"),)
        return ()


class Gathered:
    """The clusters of a log while it is read.

    Args:
        column: a column of ``extra``, or ``id:SEP`` for what stands before the last SEP of an id.

    Raises:
        InputError: no separator after ``id:``.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._mark = column.removeprefix(ID_PREFIX) if column.startswith(ID_PREFIX) else None
        if self._mark == "":
            raise InputError(f"--cluster {column} names no separator", ID_HINT)
        self._codes: dict[Any, int] = {}
        self._others: dict[str, None] = {}
        self._missing = 0
        self._first_missing = ""

    @property
    def columns(self) -> Mapping[str, Callable[[Block], Any]]:
        """What to gather from each block."""
        return {COLUMN: self._of_block}

    @property
    def fields(self) -> list[str]:
        """The fields of samples that this needs, besides ids."""
        return [] if self._mark else ["extra"]

    @property
    def kept(self) -> str | None:
        """The column of ``extra`` that this needs; None where ids are enough."""
        return None if self._mark else self._column

    def texts(self) -> list[str]:
        """Return the clusters by their codes, as text.

        Raises:
            InputError: two of them, such as 1 and "1", have the same text.
        """
        found = {_text(value): value for value in self._codes}
        if len(found) < len(self._codes):
            raise InputError(f"--cluster {self._column}: a text and a number are written alike")
        return list(found)

    def _of_block(self, block: Block) -> Any:
        """Return (n,) codes, -1 where a record has no cluster."""
        import numpy as np

        values: Iterable[Any] = map(self._before_mark, block.ids)
        if not self._mark:
            values = ((row or {}).get(self._column) for row in block.columns["extra"])
        codes: Any = np.empty(block.size, np.int32)
        for i, value in enumerate(values):
            if value is None:
                self._note_missing(block, i)
            codes[i] = -1 if value is None else self._codes.setdefault(value, len(self._codes))
        return codes

    def _before_mark(self, name: str) -> str | None:
        before, mark, _ = name.rpartition(self._mark or "/")
        return before if mark else None

    def _note_missing(self, block: Block, i: int) -> None:
        self._first_missing = self._first_missing or block.ids[i]
        self._missing += 1
        if not self._mark:
            self._others |= dict.fromkeys(block.columns["extra"][i] or ())

    def check(self, counts: LogCounts) -> None:
        """Refuse a log in which some record has no cluster.

        Raises:
            InputError: none has.
            DataError: some have none.
        """
        if not self._missing:
            return
        one, many, what = "sample", "samples", f"{self._column!r} in 'extra'"
        if self._mark:
            one, many, what = "id", "ids", repr(self._mark)
        if self._codes:
            raise DataError(
                f"{counts.source}: {self._missing:,} of {counts.records:,} {many} have no {what}; "
                f"the first is {self._first_missing!r}",
                "--cluster needs the cluster of every sample",
            )
        hint = f"ids: {self._first_missing}, ..."
        if not self._mark:
            known = near_match(self._column, self._others, "columns")
            if self._column in FIELDS:
                known = f"{self._column!r} is a field of its own; {known}"
            hint = f"{known}; {ID_HINT}"
        raise InputError(f"{counts.source}: no {one} has {what}", hint)


def _text(value: Any) -> str:
    """Return a value as text, equal numbers alike: 1, 1.0 and true are one cluster."""
    whole = not isinstance(value, str) and float(value).is_integer()
    return str(int(value) if whole else value)


def clusters_of(counts: LogCounts, column: str) -> Clusters:
    """Return the clusters of a log's videos, from those of its records.

    Raises:
        InputError: the log was counted without clusters.
        DataError: the views of a video are in different clusters.
    """
    import numpy as np

    if COLUMN not in counts.columns:
        raise InputError(
            f"{counts.source} was counted without --cluster {column}", "give the log's file"
        )
    codes = counts.columns[COLUMN]
    if counts.video is not None:
        first = codes[counts.first_records]
        other = np.flatnonzero(first[counts.video] != codes)
        if len(other):
            name, a_sample = (counts.ids or ())[int(other[0])], counts.plan.words.a_sample
            raise DataError(
                f"{counts.source}: the views of {name!r} differ in --cluster {column}",
                f"costs are those of {a_sample}, over all its views: {a_sample} has one cluster",
            )
        codes = first
    number = int(codes.max()) + 1
    return Clusters(column=column, codes=codes, number=number, words=counts.plan.words)


def signs_of_clusters(counts: LogCounts, costs_macs: Any) -> tuple[Remark, ...]:
    """Return a warning where videos look as if they belonged together; (videos,) costs."""
    correlation = lag1(costs_macs) if counts.in_order else 0.0
    enough = STANDARD_ERRORS / math.sqrt(len(costs_macs))
    alike = correlation > max(SUSPICIOUS_CORRELATION, enough)
    found = _shared_prefixes(counts)
    if found is None and not alike:
        return ()
    narrow = "intervals are too narrow"
    cost = f"lag-1 correlation {correlation:.2f}"
    if found is None:
        return (
            Remark(
                f"neighbours in the log cost alike ({cost}): if they belong together, {narrow}; "
                f"--cluster COLUMN draws them together: a column of 'extra', or {ID_PREFIX}SEP for "
                "what stands before the last SEP of an id",
                kind="clusters",
            ),
        )
    one, other, mark = found
    also = f", and neighbours cost alike ({cost})" if alike else ""
    return (
        Remark(
            f"ids such as {one!r} and {other!r} share a prefix{also}: if they belong together, "
            f"{narrow}; --cluster '{ID_PREFIX}{mark}' draws them together",
            kind="clusters",
        ),
    )


def lag1(values: Any) -> float:
    """Return the correlation of (n,) values with their successors; 0 where they do not differ."""
    off = values - values.mean()
    whole = float(off @ off)
    if whole <= len(values) * (1e-9 * float(abs(values).max())) ** 2:
        return 0.0
    return float(off[1:] @ off[:-1]) / whole


def _shared_prefixes(counts: LogCounts) -> tuple[str, str, str] | None:
    """Return two ids of a prefix, and what ends it, where most first ids are numbered by one."""
    ids = counts.first_ids
    members: dict[tuple[str, str], dict[int, str]] = {}
    for name in ids:
        found = _NUMBERED.fullmatch(name)
        if found is not None:
            own = members.setdefault((found["prefix"], found["mark"]), {})
            own.setdefault(int(found["number"]), name)
    dense = {key: own for key, own in members.items() if _is_dense(sorted(own))}
    if len(dense) < 2 or 2 * sum(map(len, dense.values())) < len(set(ids)):
        return None
    if _are_classes(counts, dense):
        return None
    (_, mark), own = next(iter(dense.items()))
    one, other = islice(own.values(), 2)
    return one, other, mark


def _is_dense(numbers: Sequence[int]) -> bool:
    """Whether sorted numbers are those of frames or questions: as 0, 8, 16, with few gaps."""
    if len(numbers) < 2:
        return False
    stride = math.gcd(*(n - numbers[0] for n in numbers[1:]))
    return (numbers[-1] - numbers[0]) // stride + 1 <= 2 * len(numbers)


def _are_classes(counts: LogCounts, members: Mapping[tuple[str, str], Mapping[int, str]]) -> bool:
    """Whether each prefix is one label's and each label one prefix's."""
    n = len(counts.first_ids)
    if counts.label_lengths is None or not (counts.label_lengths[:n] == 1).all():
        return False
    label = dict(zip(counts.first_ids, counts.label_codes[:n].tolist(), strict=True))
    pairs = {(key, label[name]) for key, own in members.items() for name in own.values()}
    return len(pairs) == len(members) == len({code for _, code in pairs})


def same_clusters(a: Clusters, b: Clusters, order: Sequence[int]) -> int | None:
    """Return the first video of a that b has in another cluster, None where both agree.

    ``order``: the index in b of each video of a.
    """
    known: dict[int, int] = {}
    back: dict[int, int] = {}
    pairs = zip(a.codes.tolist(), b.codes[order].tolist(), strict=True)
    for i, (ours, theirs) in enumerate(pairs):
        if known.setdefault(ours, theirs) != theirs or back.setdefault(theirs, ours) != ours:
            return i
    return None


def drawn_text(clusters: Clusters | None, words: Words) -> str:
    """Return what an interval is over: ``videos``, or ``40 clusters (clip)``."""
    if clusters is None or clusters.drawn is None:
        return words.samples
    return f"{number_of(clusters.number, 'cluster')} ({clusters.column})"
