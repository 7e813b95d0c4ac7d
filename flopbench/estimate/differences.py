"""One method minus another: in cost, time and accuracy, with intervals over their videos.

Where both logs hold the same videos, these are resampled in pairs. The networks were timed once for
all logs, so a repeat of the timings changes the times of both: what they run equally often cancels.
"""

from __future__ import annotations

import math
from typing import Any

from msgspec import Struct

from flopbench.core.bootstrap import MAP_RESAMPLES, difference_interval, interval
from flopbench.core.statistics import Ends
from flopbench.estimate.accuracy import paired_map_difference, paired_top1_difference, top1_correct
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.methods import Method, Metric, RunTime
from flopbench.estimate.pairing import video_order
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.counts import LogCounts


class Difference(Struct, frozen=True, kw_only=True):
    """One method minus another.

    Attributes:
        name: the method.
        less: the method that is subtracted.
        gflops_per_video: the difference of costs, with its interval if there is one.
        percent: difference of accuracies, in percentage points; None unless both have one.
        paired: whether the same videos were resampled together.
        ms_per_video: difference of times; None unless both have one.
    """

    name: str
    less: str
    gflops_per_video: float
    ci95_gflops_per_video: Ends | None
    percent: float | None
    ci95_percent: Ends | None
    paired: bool
    ms_per_video: float | None = None
    ci95_ms_per_video: Ends | None = None


def difference_of(first: Method, other: Method, metric: Metric, choices: Choices) -> Difference:
    """Return ``other`` minus ``first``."""
    a, b = first.run, other.run
    order = video_order(a, b)
    percent, ends = None, None
    if first.percent is not None and other.percent is not None:
        percent = other.percent - first.percent
    if first.accuracy is not None and other.accuracy is not None and order is not None:
        ends = _accuracy_interval(first, other, order, metric, choices)
    ms, ends_ms = None, None
    if first.time is not None and other.time is not None:
        ms = other.time.ms_per_video - first.time.ms_per_video
        videos = _interval(a, b, (first.time.prices, other.time.prices), order, choices)
        ends_ms = _with_repeats(ms, videos, repeat_reach(first.time, other.time))
    return Difference(
        name=other.name,
        less=first.name,
        gflops_per_video=b.primary.gflops_per_video - a.primary.gflops_per_video,
        ci95_gflops_per_video=_interval(a, b, (a.prices, b.prices), order, choices),
        percent=percent,
        ci95_percent=ends,
        paired=order is not None,
        ms_per_video=ms,
        ci95_ms_per_video=ends_ms,
    )


def _interval(
    a: Run, b: Run, prices: tuple[PriceList, PriceList], order: list[int] | None, choices: Choices
) -> Ends | None:
    """Return the interval of a difference of costs over the choice of videos."""
    if not isinstance(a.counts, LogCounts) or not isinstance(b.counts, LogCounts):
        return None
    costs_a = video_costs(a.counts, prices[0], a.primary.rule)
    costs_b = video_costs(b.counts, prices[1], b.primary.rule)
    resamples, seed = choices.resamples, choices.seed
    drawn = _drawn(a), _drawn(b)
    if order is not None:
        paired = costs_b[order] - costs_a
        found = interval(paired, clusters=drawn[0], resamples=resamples, seed=seed)
    else:
        found = difference_interval(
            costs_a, costs_b, clusters=drawn, resamples=resamples, seed=seed
        )
    return None if found is None else found.ends


def repeat_reach(first: RunTime, other: RunTime) -> Ends | None:
    """Return how far a repeat of the timings may move ``other`` minus ``first``, ms down and up.

    Either all networks move together, as on a machine in another state, or each by itself, as its
    own processes differ (summed in quadrature): what reaches further counts, at each end. None
    where the repeat of a network that matters is unknown.
    """
    together, alone = [0.0, 0.0], [0.0, 0.0]
    for spec in {**first.ms_by_network, **other.ms_by_network}:
        more = other.ms_by_network.get(spec, 0.0) - first.ms_by_network.get(spec, 0.0)
        if not more:
            continue
        repeat = {**first.repeats, **other.repeats}[spec]
        if repeat is None:
            return None
        moves = [more * (factor - 1) for factor in repeat]
        together = [total + move for total, move in zip(together, moves, strict=True)]
        alone = [math.hypot(*pair) for pair in zip(alone, sorted(moves), strict=True)]
    return max(-min(together), alone[0]), max(*together, alone[1])


def _with_repeats(ms: float, videos: Ends | None, reach: Ends | None) -> Ends | None:
    """Join both spreads of a difference, at each end in quadrature."""
    if videos is None or reach is None:
        return None
    return ms - math.hypot(ms - videos[0], reach[0]), ms + math.hypot(videos[1] - ms, reach[1])


def _drawn(run: Run) -> Any:
    """Return the cluster of each video; None where videos are drawn alone."""
    return None if run.clusters is None else run.clusters.drawn


def _accuracy_interval(
    first: Method, other: Method, order: list[int], metric: Metric, choices: Choices
) -> Ends | None:
    """Return the interval of a difference of accuracies over the same videos."""
    a, b = first.predictions, other.predictions
    assert a is not None
    assert b is not None
    resamples, seed, drawn = choices.resamples, choices.seed, _drawn(first.run)
    if metric == "top-1":
        correct_a = top1_correct(a.predicted, a.first)
        correct_b = top1_correct(b.predicted, b.first)[order]
        return paired_top1_difference(
            correct_b, correct_a, clusters=drawn, resamples=resamples, seed=seed
        )[1]
    return paired_map_difference(
        b.scores[order],
        a.scores,
        a.codes,
        a.offsets,
        clusters=drawn,
        resamples=min(resamples, MAP_RESAMPLES),
        seed=seed,
    )[1]
