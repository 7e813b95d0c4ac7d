"""Sums over the videos of a log: what means and their errors need, for any prices.

A video has amounts, whole numbers: ``video`` (1), ``records``, ``steps``, for each action
``frames:NAME`` and ``decisions:NAME``, ``exit:NAME``, ``runs:COMPONENT`` (additional ones). A cost
is a sum of amounts × prices, so its mean and its variance over the videos follow from the sums
over the videos of the product of each two amounts: however many videos, the same few numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flopbench.policy.counts import LogCounts, Totals, WithoutRecords

VIDEO, RECORDS, STEPS = "video", "records", "steps"
UNLABELLED, SEVERAL = "unlabelled", "several labels"
Sums = Mapping[tuple[str, str], int]
"""(amount, an earlier one or itself) -> sum over videos of the product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumCounts(WithoutRecords):
    """Sums over the videos of a log, or of those with one label.

    ``exits``: whether some record of the log took an exit. ``labels``: label -> its videos' sums.
    """

    what = "a part of sums"
    sums: Sums
    exits: bool
    own_spans: bool
    labels: Mapping[Any, SumCounts] = field(default_factory=dict)

    def sum_of(self, amount: str) -> int:
        """Return the sum of an amount over the videos."""
        return self.sums.get((amount, VIDEO), 0)

    def totals(self) -> Totals:
        """Return what the records would add up to."""
        plan = self.plan
        names = [plan.action_label(i) for i in range(len(plan.actions))]
        exits = [self.sum_of(f"exit:{exit.name}") for exit in plan.exits if self.exits]
        runs = {name: self.sum_of(f"runs:{name}") for name in plan.header.components or {}}
        return Totals(
            videos=self.sum_of(VIDEO),
            views=self.sum_of(RECORDS),
            steps=self.sum_of(STEPS),
            frames=[self.sum_of(f"frames:{name}") for name in names],
            decisions=[self.sum_of(f"decisions:{name}") for name in names],
            own_spans=self.own_spans,
            exits=exits,
            counts={name: float(times) for name, times in runs.items() if times},
        )


def amounts_of(counts: LogCounts) -> Iterator[tuple[str, Any]]:
    """Yield each amount with (videos,) whole numbers; additional runs may be no whole ones."""
    import numpy as np

    plan, own = counts.plan, counts.of_videos
    yield VIDEO, np.ones(counts.videos, np.int64)
    yield RECORDS, own(np.ones(counts.records, np.int64))
    yield STEPS, own(counts.steps)
    for i in range(len(plan.actions)):
        yield f"frames:{plan.action_label(i)}", own(counts.frames[:, i])
        if counts.decisions is not None:
            yield f"decisions:{plan.action_label(i)}", own(counts.decisions[:, i])
    for i, exit in enumerate(plan.exits if counts.exits is not None else ()):
        yield f"exit:{exit.name}", own((counts.exits == i).astype(np.int64))
    for i, name in enumerate(plan.header.components or {} if counts.counts is not None else ()):
        yield f"runs:{name}", own(counts.counts[:, i])
