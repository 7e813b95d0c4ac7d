"""The weighted-sum estimator: counts of decisions × prices of components -> GFLOPS a video.

One rule: a record reduces to counts n[component], and its cost is the sum of n × price. What
differs is how decisions are counted where one covers several steps (k of them):

* ``exact``: decisions as they were taken: ceil(n / k) in a run of n equal rows;
* ``published``: AR-Net's released estimator (ECCV 2020): every row weighs 1 / k of a decision, so
  that a skip which the end of the video cuts short is under-charged. It is defined only where k
  belongs to the action, not where each decision has its own span.

Every stream takes its own decisions; a step of a log with m streams is m rows, each 1 / m of a
step. ``charges.per_step`` is paid for every sampled step, including those that are skipped or come
after an exit. Figures per frame are total over total: all cost over all sampled frames.

Sums are exact: counts and prices are integers, and quotients are fractions until they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct

from flopbench.core.errors import DataError
from flopbench.core.units import gflops
from flopbench.estimate.charges import ChargeItem, Rule, charge_items, exact, record_items
from flopbench.estimate.prices import PriceList
from flopbench.policy.counts import LogCounts, Totals
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan


class ComponentCost(Struct, frozen=True, kw_only=True):
    """What one component adds.

    Attributes:
        spec: what it is.
        variant: the variant that is charged; empty where there is only one.
        total_macs: price of one run, under the list's counter.
        runs_per_video: how often it runs in a video, on average.
        gflops_per_video: what that costs.
        share: of the total cost.
        note: what qualifies the price: its source, a correction, a flag.
    """

    spec: str
    variant: str
    total_macs: int
    runs_per_video: float
    gflops_per_video: float
    share: float
    note: str = ""


class ActionCost(Struct, frozen=True, kw_only=True):
    """What one action, or one exit, adds.

    Attributes:
        kind: run, reuse, skip or exit.
        span: steps that one decision covers.
        share_of_frames: of all sampled frames (steps): those under the action, or those that were
            processed up to the exit; None for an exit that does not say how many.
        share_of_decisions: of the decisions of its stream; for an exit, of the records.
        decisions_per_video: how often it is decided.
        gflops_per_video: what its decisions cost, including their charges; sums to the total minus
            ``Estimate.unattributed_gflops_per_video``.
        own_gflops_per_video: the part of its own networks, without charges.
    """

    kind: str
    span: int
    share_of_frames: float | None
    share_of_decisions: float
    decisions_per_video: float
    gflops_per_video: float
    own_gflops_per_video: float


class Estimate(Struct, frozen=True, kw_only=True):
    """One log under one price list and one rule.

    Attributes:
        rule: ``exact`` or ``published``.
        counter: the counter whose prices are charged.
        macs_per_video: the mean, exact.
        gflops_per_video: the same in units of 1e9.
        gflops_per_frame: per sampled frame (step): all cost over all frames.
        gflops_per_processed_frame: per frame under a run or an exit, or up to an exit that says how
            many; None where there is none.
        gflops_per_decision: None where there are no decisions.
        by_component: name -> cost; sums to the total.
        by_action: name -> cost.
        unattributed_gflops_per_video: charges per view and per sample, further counts, and charges
            for steps after an exit.
        videos: how many; None for a published distribution.
        records: how many records, one per view of a video.
        frames_per_video: sampled frames.
        processed_frames_per_video: frames under a run or an exit.
        decisions_per_video: over all streams.
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
    """Price the totals of a log with this plan.

    Raises:
        DataError: there is nothing to average over; or the rule needs runs that the source lacks,
            or one span per action where decisions have their own.
    """
    videos = Fraction(1 if totals.videos is None else totals.videos)
    if not videos or not totals.views:
        raise DataError("the log holds no samples: there is nothing to estimate")
    steps = exact(totals.steps)
    covered = [exact(n) / len(plan.streams) for n in totals.frames]
    processed = sum(
        (n for a, n in zip(plan.actions, covered, strict=True) if a.kind in {"run", "exit"}),
        Fraction(0),
    )
    processed += sum(steps for steps in _steps_to_exits(totals, plan) if steps is not None)
    items = charge_items(totals, plan, rule)
    decisions = sum((item.times for item in items[: len(plan.actions)]), Fraction(0))
    whole = whole_macs(items, prices)
    by_action, attributed = _by_action(totals, plan, prices, items, covered)
    return Estimate(
        rule=rule,
        counter=prices.counter,
        macs_per_video=whole / videos,
        gflops_per_video=gflops(whole / videos),
        gflops_per_frame=gflops(whole / steps) if steps else None,
        gflops_per_processed_frame=gflops(whole / processed) if processed else None,
        gflops_per_decision=gflops(whole / decisions) if decisions else None,
        by_component=_by_component(items, prices, videos, whole),
        by_action=by_action,
        unattributed_gflops_per_video=gflops((whole - attributed) / videos),
        videos=totals.videos,
        records=totals.views,
        frames_per_video=float(steps / videos),
        processed_frames_per_video=float(processed / videos),
        decisions_per_video=float(decisions / videos),
    )


def _steps_to_exits(totals: Totals, plan: Plan) -> list[Fraction | None]:
    """Return the steps that were processed by samples of each exit, None where it is not known."""
    return [
        None if exit.steps is None else Fraction(n) * exit.steps
        for exit, n in zip(plan.exits, totals.exits, strict=False)
    ]


def macs_of(costs: Costs | Mapping[str, Fraction], prices: PriceList) -> Fraction:
    """Return the MACs of components that run so often."""
    return sum(
        (exact(n) * prices.prices[name].total_macs for name, n in costs.items()), Fraction(0)
    )


def whole_macs(items: Sequence[ChargeItem[Fraction]], prices: PriceList) -> Fraction:
    """Return the MACs of everything that is charged."""
    return sum((item.times * macs_of(item.costs, prices) for item in items), Fraction(0))


def _by_component(
    items: Sequence[ChargeItem[Fraction]], prices: PriceList, videos: Fraction, whole: Fraction
) -> dict[str, ComponentCost]:
    runs: dict[str, Fraction] = {}
    for item in items:
        for name, number in item.costs.items():
            runs[name] = runs.get(name, Fraction(0)) + item.times * number
    costs = {}
    for name, price in prices.prices.items():
        if name not in runs:
            continue
        macs = runs[name] * price.total_macs
        costs[name] = ComponentCost(
            spec=price.spec,
            variant=price.variant,
            total_macs=price.total_macs,
            runs_per_video=float(runs[name] / videos),
            gflops_per_video=gflops(macs / videos),
            share=float(macs / whole) if whole else 0.0,
            note=price.note,
        )
    return costs


def _by_action(
    totals: Totals,
    plan: Plan,
    prices: PriceList,
    items: Sequence[ChargeItem[Fraction]],
    covered: Sequence[Fraction],
) -> tuple[dict[str, ActionCost], Fraction]:
    """Return what each action (with its steps) and exit adds, and the MACs of all of them."""
    videos = Fraction(1 if totals.videos is None else totals.videos)
    per_step = macs_of(plan.charges.per_step, prices)
    of_stream: dict[str | None, list[Fraction]] = {}  # steps, decisions
    for action, item, own_steps in zip(plan.actions, items, covered, strict=False):
        sums = of_stream.setdefault(action.stream, [Fraction(0), Fraction(0)])
        sums[:] = sums[0] + own_steps, sums[1] + item.times
    attributed = Fraction(0)
    costs = {}
    for i, (action, item) in enumerate(zip(plan.actions, items, strict=False)):
        all_steps, all_decisions = of_stream[action.stream]
        macs = item.times * macs_of(item.costs, prices) + covered[i] * per_step
        attributed += macs
        costs[item.name] = ActionCost(
            kind=action.kind,
            span=action.span,
            share_of_frames=float(covered[i] / all_steps) if all_steps else 0.0,
            share_of_decisions=float(item.times / all_decisions) if all_decisions else 0.0,
            decisions_per_video=float(item.times / videos),
            gflops_per_video=gflops(macs / videos),
            own_gflops_per_video=gflops(item.times * macs_of(action.costs, prices) / videos),
        )
    exits = items[len(plan.actions) : len(plan.actions) + len(totals.exits)]
    for item, steps in zip(exits, _steps_to_exits(totals, plan), strict=True):
        macs = item.times * macs_of(item.costs, prices)
        attributed += macs
        seen = None if steps is None or not totals.steps else steps / exact(totals.steps)
        costs[item.name] = ActionCost(
            kind="exit",
            span=1,
            share_of_frames=None if seen is None else float(seen),
            share_of_decisions=float(item.times / totals.views),
            decisions_per_video=float(item.times / videos),
            gflops_per_video=gflops(macs / videos),
            own_gflops_per_video=gflops(macs / videos),
        )
    return costs, attributed


OTHERS = "policy and charges"
"""What a video costs besides the networks of its actions and exits."""


def cost_parts(counts: LogCounts, prices: PriceList, rule: Rule) -> dict[str, Any]:
    """Return (records,) float64 MACs of each action's and exit's own networks, and of ``OTHERS``.

    What costs nothing in any record is left out; together they are ``video_costs``.
    """
    import numpy as np

    plan = counts.plan
    exits = () if counts.exits is None else plan.exits
    own = [*(action.costs for action in plan.actions), *(exit.costs for exit in exits)]
    parts: dict[str, Any] = {}
    rest: Any = np.zeros(counts.records)
    for i, item in enumerate(record_items(counts, rule)):
        unit = macs_of(item.costs, prices)
        mine = macs_of(own[i], prices) if i < len(own) else Fraction(0)
        parts[item.name] = item.times * float(mine)
        rest += item.times * float(unit - mine)
    return {name: macs for name, macs in {**parts, OTHERS: rest}.items() if macs.any()}


def dearest(totals: Totals, plan: Plan, prices: PriceList) -> tuple[str, Fraction, str] | None:
    """Return what a video would cost with the dearest action at every step, its networks alone.

    It is one action of each stream; where no action costs anything, the dearest exit of every view.

    Returns:
        The names, MACs per video, and what they are paid for; None where nothing costs anything.
    """
    costs = [
        (action.stream, plan.action_label(i), macs_of(action.costs, prices))
        for i, action in enumerate(plan.actions)
        if action.kind == "run"
    ]
    times, per = exact(totals.steps), plan.words.step
    if not any(macs for _, _, macs in costs) or not times:
        costs = [
            (None, plan.exit_label(i), macs_of(exit.costs, prices))
            for i, exit in enumerate(plan.exits)
        ]
        times = Fraction(totals.views)
        per = "view" if totals.views != totals.videos else plan.words.sample
    best: dict[str | None, tuple[str, Fraction]] = {}
    for stream, name, macs in costs:
        if macs > best.get(stream, ("", Fraction(0)))[1]:
            best[stream] = name, macs
    if not best:
        return None
    whole = times * sum((macs for _, macs in best.values()), Fraction(0))
    videos = 1 if totals.videos is None else totals.videos
    return " + ".join(name for name, _ in best.values()), whole / videos, per


def video_costs(counts: LogCounts, prices: PriceList, rule: Rule = "exact") -> Any:
    """Return (videos,) float64 MACs of each video, in order of first appearance."""
    import numpy as np

    macs: Any = np.zeros(counts.videos)
    for item in record_items(counts, rule, of_videos=True):
        if unit := float(macs_of(item.costs, prices)):
            macs += item.times * unit
    return macs
