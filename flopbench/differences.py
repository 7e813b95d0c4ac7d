"""One approach less another: costs and accuracies, in pairs where both saw the same videos.

Lives here: differences and their intervals. Does not live here: the bootstrap (``estimate``,
``accuracy``), who dominates whom (``compare``).
"""

from __future__ import annotations

from dataclasses import dataclass

from flopbench.accuracy import paired_map_difference, paired_top1_difference, top1_correct
from flopbench.approaches import MAP_RESAMPLES, Approach, Metric, predicted
from flopbench.estimate import video_costs
from flopbench.intervals import difference_interval, interval
from flopbench.policy.counts import LogCounts
from flopbench.runs import Choices, Run
from flopbench.scores import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One approach less another.

    Attributes:
        name: which approach.
        less: the one that it is compared with.
        gflops_per_video: the difference.
        ci95_gflops_per_video: its interval, None where there is none.
        percent: difference of accuracies, in percentage points; None without both.
        ci95_percent: its interval.
        paired: whether the same videos were resampled together.
    """

    name: str
    less: str
    gflops_per_video: float
    ci95_gflops_per_video: tuple[float, float] | None
    percent: float | None
    ci95_percent: tuple[float, float] | None
    paired: bool


def difference(first: Approach, other: Approach, metric: Metric, choices: Choices) -> Difference:
    """Return ``other`` less ``first``."""
    a, b = first.run, other.run
    paired = same_videos(a, b)
    order = order_of(a, b) if paired else None
    percent, percent_ci = None, None
    if first.percent is not None and other.percent is not None:
        percent = other.percent - first.percent
    computed = first.accuracy is not None and other.accuracy is not None
    if computed and first.judged is not None and other.judged is not None:
        percent_ci = _accuracy_interval(first.judged, other.judged, order, metric, choices)
    return Difference(
        name=other.name,
        less=first.name,
        gflops_per_video=b.main.gflops_per_video - a.main.gflops_per_video,
        ci95_gflops_per_video=_cost_interval(a, b, order, choices),
        percent=percent,
        ci95_percent=percent_ci,
        paired=paired,
    )


def same_videos(a: Run, b: Run) -> bool:
    """Whether two runs are over the same videos, as their ids tell."""
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return False
    if a.counts.video is not None or b.counts.video is not None:
        return False
    if a.counts.ids is None or b.counts.ids is None:
        return False
    return len(a.counts.ids) == len(b.counts.ids) and set(a.counts.ids) == set(b.counts.ids)


def order_of(a: Run, b: Run) -> list[int]:
    """Return where each video of ``a`` stands in ``b``."""
    assert isinstance(a.counts, LogCounts)
    assert isinstance(b.counts, LogCounts)
    where = {name: i for i, name in enumerate(b.counts.ids or ())}
    return [where[name] for name in a.counts.ids or ()]


def _cost_interval(
    a: Run, b: Run, order: list[int] | None, choices: Choices
) -> tuple[float, float] | None:
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    costs_a = video_costs(a.counts, a.prices, a.main.rule)
    costs_b = video_costs(b.counts, b.prices, b.main.rule)
    if order is not None:
        found = interval(costs_b[order] - costs_a, resamples=choices.resamples, seed=choices.seed)
    else:
        found = difference_interval(
            costs_a, costs_b, resamples=choices.resamples, seed=choices.seed
        )
    return None if found is None else (found.low, found.high)


def _accuracy_interval(
    a: Judged, b: Judged, order: list[int] | None, metric: Metric, choices: Choices
) -> tuple[float, float] | None:
    import numpy as np

    if order is None:
        return None
    where = np.array(order)
    if metric == "top-1":
        correct_a = top1_correct(predicted(a), a.first)
        correct_b = top1_correct(predicted(b), b.first)[where]
        _, found = paired_top1_difference(
            correct_b, correct_a, resamples=choices.resamples, seed=choices.seed
        )
        return found
    _, found = paired_map_difference(
        b.scores[where],
        a.scores,
        a.codes,
        a.offsets,
        resamples=min(choices.resamples, MAP_RESAMPLES),
        seed=choices.seed,
    )
    return found
