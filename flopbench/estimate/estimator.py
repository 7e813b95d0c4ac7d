"""The weighted-sum estimator: counts of decisions × prices of components -> GFLOPS a video.

One rule: a record reduces to counts n[component], and its cost is the sum of n × price. What
differs is how decisions are counted where one covers several steps (k of them):

* ``exact``: decisions as they were taken: ceil(n / k) in a run of n equal rows;
* ``published``: AR-Net's released estimator (ECCV 2020): every row weighs 1 / k of a decision, so
  that a skip which the end of the video cuts is under-charged. It is defined for logs in which k
  belongs to the action; where decisions bring spans of their own there is no such rule.

Each stream's decisions are decisions of their own; a step of a log with m streams is m rows, each
1 / m of a step. ``charges.per_step`` is paid for every sampled step, also for one that is skipped
or lies behind an exit. Figures per frame are total over total: all cost over all sampled frames.

Sums are exact: counts are integers, prices are integers, and what divides them is a fraction until
it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flopbench.core.errors import DataError
from flopbench.core.units import gflops
from flopbench.estimate.charges import Rule, decisions_of, exact
from flopbench.estimate.prices import PriceList
from flopbench.policy.counts import LogCounts, Totals
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentCost:
    """What one component adds.

    Attributes:
        spec: what it is.
        variant: the variant that is charged, empty where there is one only.
        macs: price of one run.
        runs_per_video: how often it runs in a video, on average.
        gflops_per_video: what that costs.
        share: of the whole.
        note: what a reader must know of the price.
    """

    spec: str
    variant: str
    macs: int
    runs_per_video: float
    gflops_per_video: float
    share: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCost:
    """What one action, or one exit, adds.

    Attributes:
        kind: run, reuse, skip or exit.
        span: steps that one decision covers.
        share_of_frames: of all sampled frames (steps), None for an exit.
        share_of_decisions: of the decisions of its stream; of the records for an exit.
        decisions_per_video: how often it is decided.
        gflops_per_video: what its decisions cost, their charges included; sums to the whole less
            ``Estimate.unattributed_gflops_per_video``.
        own_gflops_per_video: the part of its own networks, charges left out.
    """

    kind: str
    span: int
    share_of_frames: float | None
    share_of_decisions: float
    decisions_per_video: float
    gflops_per_video: float
    own_gflops_per_video: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One log under one price list and one rule.

    Attributes:
        rule: ``exact`` or ``published``.
        counter: whose prices.
        macs_per_video: the mean, exact.
        gflops_per_video: the same in units of 1e9.
        gflops_per_frame: per sampled frame (step): all cost over all frames.
        gflops_per_processed_frame: per frame that was not skipped, None where none was processed.
        gflops_per_decision: None where there are none.
        by_component: name -> cost; sums to the whole.
        by_action: name -> cost.
        unattributed_gflops_per_video: charges per view and per sample, and further counts.
        videos: how many; None for a published distribution.
        records: how many views of videos.
        frames_per_video: sampled.
        processed_frames_per_video: not skipped.
        decisions_per_video: of all streams.
    """

    rule: Rule
    counter: str
    macs_per_video: Fraction
    gflops_per_video: float
    gflops_per_frame: float | None
    gflops_per_processed_frame: float | None
    gflops_per_decision: float | None
    by_component: Mapping[str, ComponentCost]
    by_action: Mapping[str, ActionCost]
    unattributed_gflops_per_video: float
    videos: int | None
    records: int
    frames_per_video: float
    processed_frames_per_video: float
    decisions_per_video: float


def estimate(totals: Totals, plan: Plan, prices: PriceList, rule: Rule = "exact") -> Estimate:
    """Put a price on what a log adds up to.

    Args:
        totals: sums over the log.
        plan: what its decisions could be.
        prices: component -> MACs.
        rule: see the module's docstring.

    Raises:
        DataError: there is nothing to average over, the rule needs runs that the source lacks, or
            a span for each action where decisions have their own.
    """
    videos = Fraction(1 if totals.videos is None else totals.videos)
    if not videos or not totals.views:
        raise DataError("the log holds no samples: there is nothing to estimate")
    frames = [exact(n) for n in totals.frames]
    decisions = decisions_of(totals, plan, rule)
    all_decisions = sum(decisions, Fraction(0))
    charges = plan.charges
    steps = exact(totals.steps)
    runs: dict[str, Fraction] = {}

    def run(costs: Costs, times: Fraction) -> Fraction:
        macs = Fraction(0)
        for name, number in costs.items():
            n = exact(number) * times
            runs[name] = runs.get(name, Fraction(0)) + n
            macs += n * prices.prices[name].macs
        return macs

    own = [run(a.costs, n) for a, n in zip(plan.actions, decisions, strict=True)]
    charged = [
        run(charges.per_decision, n) + run(charges.per_step, _steps_share(f, plan))
        for n, f in zip(decisions, frames, strict=True)
    ]
    exits = [run(e.costs, Fraction(n)) for e, n in zip(plan.exits, totals.exits, strict=False)]
    rest = run(charges.per_view, Fraction(totals.views)) + run(charges.per_sample, videos)
    rest += run({k: v for k, v in totals.counts.items() if v}, Fraction(1))
    covered = sum((_steps_share(f, plan) for f in frames), Fraction(0))
    rest += run(charges.per_step, steps - covered)
    whole = sum(own, Fraction(0)) + sum(charged, Fraction(0)) + sum(exits, Fraction(0)) + rest
    processed = sum(
        (_steps_share(f, plan) for a, f in zip(plan.actions, frames, strict=True) if _looks(a)),
        Fraction(0),
    )
    return Estimate(
        rule=rule,
        counter=prices.counter,
        macs_per_video=whole / videos,
        gflops_per_video=gflops(whole / videos),
        gflops_per_frame=gflops(whole / steps) if steps else None,
        gflops_per_processed_frame=gflops(whole / processed) if processed else None,
        gflops_per_decision=gflops(whole / all_decisions) if all_decisions else None,
        by_component=_by_component(runs, prices, videos, whole),
        by_action=_by_action(totals, plan, frames, decisions, (own, charged, exits), videos),
        unattributed_gflops_per_video=gflops(rest / videos),
        videos=totals.videos,
        records=totals.views,
        frames_per_video=float(steps / videos),
        processed_frames_per_video=float(processed / videos),
        decisions_per_video=float(all_decisions / videos),
    )


def _steps_share(frames: Fraction, plan: Plan) -> Fraction:
    """Return the steps that a number of rows stands for: streams see the same step each."""
    return frames / len(plan.streams)


def _looks(action: Any) -> bool:
    return action.kind in {"run", "exit"}


def _by_component(
    runs: Mapping[str, Fraction], prices: PriceList, videos: Fraction, whole: Fraction
) -> dict[str, ComponentCost]:
    costs = {}
    for name, times in runs.items():
        price = prices.prices[name]
        macs = times * price.macs
        costs[name] = ComponentCost(
            spec=price.spec,
            variant=price.variant,
            macs=price.macs,
            runs_per_video=float(times / videos),
            gflops_per_video=gflops(macs / videos),
            share=float(macs / whole) if whole else 0.0,
            note=price.note,
        )
    return costs


def _by_action(
    totals: Totals,
    plan: Plan,
    frames: Sequence[Fraction],
    decisions: Sequence[Fraction],
    macs: tuple[Sequence[Fraction], Sequence[Fraction], Sequence[Fraction]],
    videos: Fraction,
) -> dict[str, ActionCost]:
    own, charged, exits = macs
    streams = [a.stream for a in plan.actions]
    costs = {}
    for i, action in enumerate(plan.actions):
        mates = [n for n, stream in enumerate(streams) if stream == action.stream]
        all_frames = sum((frames[n] for n in mates), Fraction(0))
        all_decisions = sum((decisions[n] for n in mates), Fraction(0))
        costs[plan.action_label(i)] = ActionCost(
            kind=action.kind,
            span=action.span,
            share_of_frames=float(frames[i] / all_frames) if all_frames else 0.0,
            share_of_decisions=float(decisions[i] / all_decisions) if all_decisions else 0.0,
            decisions_per_video=float(decisions[i] / videos),
            gflops_per_video=gflops((own[i] + charged[i]) / videos),
            own_gflops_per_video=gflops(own[i] / videos),
        )
    for exit, cost, n in zip(plan.exits, exits, totals.exits, strict=False):
        costs[f"exit {exit.name}"] = ActionCost(
            kind="exit",
            span=1,
            share_of_frames=None,
            share_of_decisions=n / totals.views,
            decisions_per_video=float(n / videos),
            gflops_per_video=gflops(cost / videos),
            own_gflops_per_video=gflops(cost / videos),
        )
    return costs


def video_costs(counts: LogCounts, prices: PriceList, rule: Rule = "exact") -> Any:
    """Return (videos,) float64 MACs of each video, in order of first appearance.

    Args:
        counts: a counted log with n records.
        prices: component -> MACs.
        rule: see the module's docstring.
    """
    import numpy as np

    plan = counts.plan
    price = {name: float(p.macs) for name, p in prices.prices.items()}

    def cost(costs: Costs) -> float:
        return sum(times * price[name] for name, times in costs.items())

    charges = plan.charges
    unit = np.array([cost(a.costs) for a in plan.actions]) + cost(charges.per_decision)
    spans = np.array([a.span for a in plan.actions], float)
    if not len(plan.actions):
        macs = np.zeros(counts.records)
    elif rule == "exact":
        macs = _weighted(counts.decisions, unit)
    else:
        macs = _weighted(counts.frames, unit / spans)
    macs += counts.steps * cost(charges.per_step) + cost(charges.per_view)
    if counts.exits is not None:
        exits = np.array([cost(e.costs) for e in plan.exits] + [0.0])
        macs += exits[counts.exits]
    if counts.counts is not None:
        macs += counts.counts @ np.array([price[name] for name in plan.header.components or {}])
    if counts.video is not None:
        macs = np.bincount(counts.video, weights=macs)
    return macs + cost(charges.per_sample)


def _weighted(counts: Any, unit: Any) -> Any:
    """Return (n,) sums of (n, a) counts times (a,) prices, column by column to spare memory."""
    import numpy as np

    total = np.zeros(len(counts))
    for column, price in enumerate(unit):
        if price:
            total += counts[:, column] * price
    return total
