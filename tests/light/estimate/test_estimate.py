"""The weighted-sum estimator: published sums, sums of parts, intervals, groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import ARNET_ROWS, counted, header_of, price_list, rows

from flopbench.core.bootstrap import (
    LARGEST_BOOTSTRAP,
    Interval,
    difference_interval,
    interval,
    middle_of,
    resampled_means,
)
from flopbench.core.errors import DataError, InputError
from flopbench.core.statistics import Z_95
from flopbench.core.units import number_of
from flopbench.estimate.charges import RULES, Rule, charge_items
from flopbench.estimate.difficulty import difficulty_groups, difficulty_needs
from flopbench.estimate.estimator import dearest, estimate, video_costs
from flopbench.estimate.groups import Group, groups_of
from flopbench.estimate.prices import PriceList
from flopbench.estimate.spread import interval_of_costs, moments_of_records
from flopbench.policy.counts import LogCounts, ShareCounts
from flopbench.policy.plan import plan_of

# Table 2 of AR-Net's supplement, ResNet-18 with its two digits corrected; the released LSTM.
TABLE2 = {
    "resnet50": 4_110_300_000,
    "resnet34": 2_249_000_000,
    "resnet18": 486_300_000,
    "policy": 52_900_000,
    "lstm": 3_276_800,
}


def arnet(*texts: str, **fields: Any) -> LogCounts:
    """Count an AR-Net log of these rows."""
    header = header_of(preset="arnet-resnet", **fields)
    return counted(header, [{"actions": rows(text)} for text in texts])


def gflops(counts: LogCounts | ShareCounts, macs: dict[str, int], rule: Rule) -> float:
    """Return GFLOPS a video."""
    return estimate(counts.totals(), counts.plan, price_list(macs), rule).gflops_per_video


def test_the_dearest_action_at_every_step_or_exit_of_every_video() -> None:
    """One action of each stream, without policy or charges; else an exit; else nothing.

    Of 2 videos of 3 steps: rgb 5 and audio 2 cost (5 + 2) × 3 = 21 a video. The exits cost 3 and 8.
    """
    macs = price_list({"a": 5, "b": 2, "p": 100})
    actions = [
        {"name": "rgb", "stream": "x", "costs": {"a": 1}},
        {"name": "less", "stream": "x", "costs": {"b": 1}},
        {"name": "sound", "stream": "y", "costs": {"b": 1}},
    ]
    components = dict.fromkeys("abp", 'value:1 "a test"')
    own = {"components": components, "charges": {"per_decision": {"p": 1}}}
    header = header_of(streams=["x", "y"], actions=actions, **own)
    counts = counted(header, [{"actions": {"x": [1, 1, 1], "y": [0, 0, 0]}}] * 2)
    assert dearest(counts.totals(), counts.plan, macs) == ("x: rgb + y: sound", 21, "frame")
    exits = [{"name": "first", "costs": {"a": 0.6}}, {"name": "last", "costs": {"a": 1, "b": 1.5}}]
    counts = counted(header_of(exits=exits, components=components), [{"exit": "first"}] * 2)
    assert dearest(counts.totals(), counts.plan, macs) == ("last", 8, "video")
    free = counted(header_of(actions=[{"name": "look"}]), [{"actions": [0]}])
    assert dearest(free.totals(), free.plan, macs) is None


@pytest.mark.parametrize(
    ("text", "rule", "expected", "decisions"),
    [
        # 2 × 4.1103 + 2 × 2.2490 + 0.4863 + 9 × (0.0529 + 0.0032768)
        ("uncut", "exact", 13.7104912, 9),
        ("uncut", "published", 13.7104912, 9),
        # One ResNet-34 less; the last skip 4 is one row: a decision, or a quarter of one.
        ("cut", "exact", 11.4614912, 9),
        ("cut", "published", 11.4193586, 8.25),
        # 2 × (4.1103 + 2.2490 + 0.4863) and 8 + 8 / 4 = 10 decisions; exact: 16.
        ("independent", "published", 14.252968, 10),
        ("independent", "exact", 14.5900288, 16),
    ],
)
def test_rows_of_arnet(text: str, rule: Rule, expected: float, decisions: float) -> None:
    """Three logs of AR-Net's form cost what its table gives, by both rules."""
    counts = arnet(ARNET_ROWS[text])
    found = estimate(counts.totals(), counts.plan, price_list(TABLE2), rule)
    assert found.gflops_per_video == pytest.approx(expected, rel=1e-12)
    assert found.gflops_per_frame == pytest.approx(expected / 16, rel=1e-12)
    assert found.decisions_per_video == decisions


def test_rows_drawn_independently_are_noticed() -> None:
    """A skip 4 that is one row long is impossible before the end of a video: a warning."""
    (warning,) = map(str, arnet(ARNET_ROWS["independent"]).warnings)
    assert "log:0: actions[0]: a run of 1 × 'skip 4', which covers 4 steps" in warning
    assert "8 such runs in all" in warning
    assert arnet(ARNET_ROWS["uncut"], ARNET_ROWS["cut"]).warnings == ()


@pytest.mark.parametrize(("steps", "expected"), [(8, 32.8824), (16, 65.7648), (25, 102.7575)])
def test_uniform_sampling(steps: int, expected: float) -> None:
    """ResNet-50 on every frame costs 4.1103 × T."""
    counts = counted(header_of(preset="uniform"), [{"actions": [0] * steps}] * 3)
    assert gflops(counts, TABLE2, "exact") == pytest.approx(expected, rel=1e-12)
    assert gflops(counts, TABLE2, "published") == pytest.approx(expected, rel=1e-12)


def test_scsampler() -> None:
    """Ten of 16 frames and a sampler that sees all of them: 41.95 a video, 2.62 a frame."""
    counts = counted(header_of(preset="scsampler"), [{"actions": [0, 1, 0, 0, 1] * 3 + [0]}])
    macs = {"resnet50": TABLE2["resnet50"], "sampler": TABLE2["policy"]}
    found = estimate(counts.totals(), counts.plan, price_list(macs))
    # 10 × 4.1103 + 16 × 0.0529
    assert found.gflops_per_video == pytest.approx(41.9494, rel=1e-12)
    assert f"{found.gflops_per_video:.2f} {found.gflops_per_frame:.2f}" == "41.95 2.62"
    assert found.processed_frames_per_video == 10
    assert found.gflops_per_processed_frame == pytest.approx(4.19494, rel=1e-12)


def test_frameexit() -> None:
    """Costs of exits are cumulative: the last one is ten frames, 41.2, and is not added up."""
    header = header_of(preset="frameexit")
    macs = {"resnet50": 4_120_000_000}
    assert gflops(counted(header, [{"exit": "frame 10"}] * 2), macs, "exact") == 41.2
    mixed = counted(header, [{"exit": 0}, {"exit": "frame 4"}, {"exit": 9}])
    found = estimate(mixed.totals(), mixed.plan, price_list(macs))
    # (1 + 4 + 10) / 3 frames a video
    assert found.gflops_per_video == pytest.approx(5 * 4.12, rel=1e-12)
    assert found.by_action["frame 4"].share_of_decisions == 1 / 3
    assert found.by_action["frame 4"].share_of_frames == 4 / 30
    assert sum(cost.gflops_per_video for cost in found.by_action.values()) == pytest.approx(20.6)
    # Ten frames were sampled of each, however many were processed.
    assert found.gflops_per_frame == pytest.approx(2.06, rel=1e-12)
    assert found.processed_frames_per_video == 5
    assert found.gflops_per_processed_frame == pytest.approx(4.12, rel=1e-12)


def test_frames_are_total_over_total() -> None:
    """With videos of different lengths a figure per frame weighs frames, not videos."""
    header = header_of(preset="scsampler", steps="varies")
    counts = counted(header, [{"actions": [0] * 2}, {"actions": [1] * 8}])
    macs = {"resnet50": 1000, "sampler": 10}
    found = estimate(counts.totals(), counts.plan, price_list(macs))
    # 2 × 1000 + 10 steps × 10 over 10 frames; the mean of 1010 and 10 would be 510.
    assert found.macs_per_video == 2100 / 2
    assert found.gflops_per_frame == 210 / 1e9
    assert found.frames_per_video == 5


def test_charges_by_view_by_sample_and_by_step() -> None:
    """A video is an id: views add up, a charge per sample is paid once, per view and step each."""
    header = header_of(
        components={"net": "value:1", "crop": "value:1", "head": "value:1", "look": "value:1"},
        actions=[{"name": "run", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
        charges={"per_view": {"crop": 1}, "per_sample": {"head": 2}, "per_step": {"look": 0.5}},
    )
    views = [("a", 0, [0, 1]), ("a", 1, [0, 0]), ("b", 0, [1, 1]), ("a", 2, [1, 0])]
    samples = [{"id": i, "view": v, "actions": actions} for i, v, actions in views]
    counts = counted(header, samples)
    prices = price_list({"net": 1000, "crop": 100, "head": 10, "look": 2})
    # a: 4 × 1000 + 3 × 100 + 2 × 10 + 6 × 0.5 × 2; b: 100 + 20 + 2
    assert video_costs(counts, prices).tolist() == [4326, 122]
    found = estimate(counts.totals(), counts.plan, prices)
    assert found.macs_per_video == (4326 + 122) / 2
    assert (found.videos, found.records, found.frames_per_video) == (2, 4, 4)
    assert found.gflops_per_frame == pytest.approx((4326 + 122) / 8 / 1e9)
    # Attributed to no action: (4 × 100 + 2 × 20) / 2 a video; steps belong to the actions.
    assert found.unattributed_gflops_per_video == pytest.approx(220 / 1e9)
    assert found.by_component["look"].runs_per_video == 8 * 0.5 / 2


@pytest.mark.parametrize("early", [{"actions": [0, 0, 1]}, {"actions": [0, 0, 0], "exit": "out"}])
def test_steps_behind_an_exit_are_charged(early: dict[str, Any]) -> None:
    """A charge per sampled step is also paid for the steps that an exit leaves out."""
    header = header_of(
        steps=8,
        components={"net": "value:1", "look": "value:1"},
        actions=[{"name": "run", "costs": {"net": 1}}, {"name": "stop", "kind": "exit"}],
        exits=[{"name": "out"}],
        charges={"per_step": {"look": 1}},
    )
    counts = counted(header, [early, {"actions": [0] * 8}])
    prices = price_list({"net": 1000, "look": 10})
    runs = 2 if "exit" not in early else 3
    # 8 steps were sampled of each video, whether or not a network ran on them.
    assert video_costs(counts, prices).tolist() == [runs * 1000 + 8 * 10, 8 * 1000 + 8 * 10]
    found = estimate(counts.totals(), counts.plan, prices)
    assert found.macs_per_video == Fraction((runs + 8) * 1000 + 16 * 10, 2)
    assert found.by_component["look"].runs_per_video == 8
    # 3 of 8 steps are under an action, and 5 are not: half of 5 × 10 a video.
    assert found.unattributed_gflops_per_video == 25 / 1e9
    items = {item.name: item for item in charge_items(counts.totals(), counts.plan)}
    assert (items["every step"].times, items["every step"].costs) == (16, {"look": 1})


def test_reuse_and_further_counts() -> None:
    """A reused step is sampled and not processed; counts of a sample come on top."""
    header = header_of(
        components={"net": "value:1", "blend": "value:1"},
        actions=[
            {"name": "run", "costs": {"net": 1}},
            {"name": "keep", "kind": "reuse", "costs": {"blend": 0.1}},
        ],
    )
    samples = [{"actions": [0, 1, 1], "counts": {"net": 0.5}}, {"actions": [0, 1, 0]}]
    counts = counted(header, samples)
    prices = price_list({"net": 1000, "blend": 10})
    # 1000 + 2 × 1 + 500 and 2 × 1000 + 1
    assert video_costs(counts, prices).tolist() == [1502, 2001]
    found = estimate(counts.totals(), counts.plan, prices)
    assert found.macs_per_video == Fraction(3503, 2)
    assert found.processed_frames_per_video == 1.5
    assert found.unattributed_gflops_per_video == 250 / 1e9
    assert found.by_component["net"].runs_per_video == 1.75


def test_a_log_of_counts_alone() -> None:
    """Bit widths, tokens, channels: a log may name components and how often each ran."""
    header = header_of(components={"int8": "value:3", "int4": "value:2"})
    samples = [{"counts": {"int8": 2, "int4": 1}}, {"counts": {"int4": 4}}]
    counts = counted(header, samples)
    found = estimate(counts.totals(), counts.plan, price_list({"int8": 3, "int4": 2}))
    assert found.macs_per_video == (8 + 8) / 2
    assert found.gflops_per_frame is None
    assert found.gflops_per_decision is None


@st.composite
def logs(draw: st.DrawFn) -> tuple[LogCounts, PriceList]:
    """Random logs of one label a video: spans, charges, exits, counts, sometimes streams."""
    streams = draw(st.sampled_from([None, ["x"], ["x", "y"]]))
    number = st.sampled_from([0, 1, 2, 0.5, 0.1])
    costs = st.dictionaries(st.sampled_from(["a", "b", "c"]), number, max_size=3)
    actions = []
    sizes = {}
    for stream in streams or [""]:
        sizes[stream] = draw(st.integers(1, 4))
        for i in range(sizes[stream]):
            action = {"name": f"a{i}", "costs": draw(costs), "span": draw(st.integers(1, 4))}
            action["kind"] = draw(st.sampled_from(["run", "reuse", "skip"]))
            actions.append(action | ({} if streams is None else {"stream": stream}))
    charges = {f"per_{k}": draw(costs) for k in ("decision", "step", "view", "sample")}
    exits = [{"name": f"e{i}", "costs": draw(costs)} for i in range(draw(st.integers(0, 2)))]
    header = header_of(
        components={"a": "value:1", "b": "value:1", "c": "value:1"},
        actions=actions,
        charges=charges,
        exits=exits,
        # Where each sample takes an exit, there may be fewer decisions than steps.
        steps=draw(st.sampled_from(["varies", 9])) if exits else "varies",
        **({} if streams is None else {"streams": streams}),
    )
    samples = []
    for _ in range(draw(st.integers(1, 6))):
        steps = draw(st.integers(0, 9))

        def some(stream: str, steps: int = steps) -> list[int]:
            choice = st.integers(0, sizes[stream] - 1)
            return draw(st.lists(choice, min_size=steps, max_size=steps))

        taken: Any = some("") if streams is None else {stream: some(stream) for stream in streams}
        sample: dict[str, Any] = {"actions": taken, "labels": [draw(st.integers(0, 2))]}
        if exits:
            sample["exit"] = draw(st.integers(0, len(exits) - 1))
        if draw(st.booleans()):
            # Halves: the sums of further counts are floats, and of these they are exact.
            sample["counts"] = {"b": draw(st.sampled_from([0, 1, 2, 0.5]))}
        samples.append(sample)
    macs = {name: draw(st.integers(0, 10**12)) for name in "abc"}
    return counted(header, samples), price_list(macs)


def paid(counts: LogCounts, prices: PriceList, rule: Rule, record: int) -> Fraction:
    """Return what one record of a log without views is charged, as the documentation says."""
    plan, charges = counts.plan, counts.plan.charges

    def macs(costs: Mapping[str, float]) -> Fraction:
        return sum(
            (Fraction(str(n)) * prices.prices[name].total_macs for name, n in costs.items()),
            Fraction(0),
        )

    total = macs(charges.per_view) + macs(charges.per_sample)
    total += int(counts.steps[record]) * macs(charges.per_step)
    for i, action in enumerate(plan.actions):
        decisions = Fraction(int(counts.decisions[record, i]))
        if rule == "published":
            decisions = Fraction(int(counts.frames[record, i]), action.span)
        total += decisions * (macs(action.costs) + macs(charges.per_decision))
    if counts.exits is not None and counts.exits[record] >= 0:
        total += macs(plan.exits[counts.exits[record]].costs)
    if counts.counts is not None:
        names = plan.header.components or {}
        total += macs(dict(zip(names, counts.counts[record].tolist(), strict=True)))
    return total


@settings(max_examples=400)
@given(logs(), st.sampled_from(RULES))
def test_parts_add_up_to_the_whole(log: tuple[LogCounts, PriceList], rule: Rule) -> None:
    """Items add up to the last fraction; components, actions, videos, classes as floats do."""
    counts, prices = log
    videos = [paid(counts, prices, rule, i) for i in range(counts.records)]
    whole = estimate(counts.totals(), counts.plan, prices, rule)
    assert whole.macs_per_video == sum(videos) / len(videos)
    assert sum(videos) == sum(
        item.times * runs * prices.prices[name].total_macs
        for item in charge_items(counts.totals(), counts.plan, rule)
        for name, runs in item.costs.items()
    )

    def near(value: float) -> Any:
        return pytest.approx(value, rel=1e-12, abs=1e-18)

    costs = video_costs(counts, prices, rule)
    assert costs.tolist() == pytest.approx([float(macs) for macs in videos], rel=1e-12)
    total = whole.gflops_per_video
    assert costs.mean() / 1e9 == near(total)
    assert sum(c.gflops_per_video for c in whole.by_component.values()) == near(total)
    actions = sum(c.gflops_per_video for c in whole.by_action.values())
    assert actions + whole.unattributed_gflops_per_video == near(total)
    classes = 0.0
    for chosen in counts.by_label().values():
        part = estimate(counts.totals(chosen), counts.plan, prices, rule)
        assert part.gflops_per_video == near(costs[chosen].mean() / 1e9)
        classes += part.gflops_per_video * len(chosen)
    assert classes / counts.videos == near(total)


def test_the_records_of_a_label() -> None:
    """Labels in any order, none, and one twice in a record, which counts once."""
    labels = [[2], [], [0, 2], [2, 2], [0]]
    samples = [{"actions": rows("1"), "labels": own} for own in labels]
    groups = counted(header_of(preset="arnet-resnet"), samples).by_label()
    assert {label: own.tolist() for label, own in groups.items()} == {0: [2, 4], 2: [0, 2, 3]}
    assert counted(header_of(preset="arnet-resnet"), [{"actions": rows("1")}]).by_label() == {}


@settings(max_examples=200)
@given(logs())
def test_without_longer_spans_the_rules_agree(log: tuple[LogCounts, PriceList]) -> None:
    """The two rules differ only by cut decisions: never upwards, and not at span 1."""
    counts, prices = log
    exact, published = (estimate(counts.totals(), counts.plan, prices, rule) for rule in RULES)
    assert published.macs_per_video <= exact.macs_per_video
    if all(action.span == 1 for action in counts.plan.actions):
        assert published.macs_per_video == exact.macs_per_video


def test_spans_of_the_log_have_no_published_rule() -> None:
    """AR-Net's rule takes spans from the actions: where decisions have their own, it is refused."""
    header = header_of(preset="arnet-resnet", encoding="per_decision")
    own = counted(header, [{"actions": [0, 6, 0], "spans": [1, 3, 1]}])
    with pytest.raises(DataError, match="published rule is not defined here"):
        estimate(own.totals(), own.plan, price_list(TABLE2), "published")
    # 2 × 4.1103 + 3 × (0.0529 + 0.0032768)
    assert gflops(own, TABLE2, "exact") == pytest.approx(8.3891304, rel=1e-12)
    cut = counted(header, [{"actions": [0, 6], "spans": [1, 2]}])
    # One frame in full, and a skip of which the video held 2 of 4 frames.
    expected = 4.1103 + 1.5 * (0.0529 + 0.0032768)
    assert gflops(cut, TABLE2, "published") == pytest.approx(expected, rel=1e-12)


def test_nothing_to_average_is_refused() -> None:
    """Without records there is no figure."""
    counts = arnet(ARNET_ROWS["cut"])
    with pytest.raises(DataError, match="no samples"):
        estimate(counts.totals(np.array([], np.int64)), counts.plan, price_list(TABLE2))


@pytest.mark.parametrize("of", ["frames", "decisions"])
def test_shares_have_the_published_rule_only(of: str) -> None:
    """A distribution of AR-Net's uncut rows gives their cost; what needs runs is refused."""
    plan = plan_of(header_of(preset="arnet-resnet", steps=16))
    # frames: 2, 2, 1, 1, 0, 2, 8 of 16; decisions: 2, 2, 1, 1, 0, 1, 2 of 9
    frames = [Fraction(n, 16) for n in (2, 2, 1, 1, 0, 2, 8)]
    decisions = [Fraction(n, 9) for n in (2, 2, 1, 1, 0, 1, 2)]
    shares = ShareCounts(plan=plan, of=of, shares=tuple(frames if of == "frames" else decisions))
    assert gflops(shares, TABLE2, "published") == pytest.approx(13.7104912, rel=1e-12)
    with pytest.raises(DataError, match="only the published rule"):
        gflops(shares, TABLE2, "exact")


def known(found: Interval | None) -> Interval:
    """Return an interval that there must be."""
    assert found is not None
    return found


def width(found: Interval | None) -> float:
    """Return how wide an interval is, GFLOPS."""
    return known(found).high - known(found).low


def test_the_interval_is_seeded_and_holds_the_mean() -> None:
    """One seed gives one interval, another seed another; both hold the mean."""
    costs = np.random.default_rng(3).gamma(2.0, 1e9, size=200)
    one, again, other = (known(interval(costs, seed=seed)) for seed in (0, 0, 1))
    assert one == again != other
    for found in (one, other):
        assert found.low < costs.mean() / 1e9 < found.high
    assert interval(costs[:1]) is None
    assert known(interval(np.full(5, 7e9))).ends == (7.0, 7.0)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Over repeated samples of skewed costs, 95 % intervals hold the true mean in 90 to 99 %."""
    rng = np.random.default_rng(11)
    hits = 0
    for repetition in range(300):
        costs = rng.gamma(4.0, 1e9, size=60)
        found = known(interval(costs, resamples=300, seed=repetition))
        hits += found.low <= 4.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.99


@pytest.mark.parametrize("number", [2, 3, 41, 1000])
def test_the_middle_of_draws_is_that_of_numpy(number: int) -> None:
    """To the last bit, whatever the share that is cut off."""
    draws = np.random.default_rng(number).gamma(2.0, 1e9, size=number)
    for tail in (0.025, 0.01, 0.0, 0.3):
        assert middle_of(draws, tail) == tuple(np.quantile(draws, [tail, 1 - tail]))


def test_many_videos_take_the_limit_of_the_bootstrap() -> None:
    """Beyond 50,000 videos the interval is mean ± 1.96 standard errors: what drawing gives too."""
    costs = np.random.default_rng(5).gamma(2.0, 1e9, size=LARGEST_BOOTSTRAP + 1)
    limit = known(interval(costs))
    assert (limit.resamples, limit.method) == (0, "normal limit of the bootstrap")
    means = resampled_means(costs[None, :], resamples=1000, seed=0)[0] / 1e9
    low, high = np.quantile(means, [0.025, 0.975])
    assert width(limit) == pytest.approx(high - low, rel=0.08)
    assert sum(limit.ends) / 2 == pytest.approx(costs.mean() / 1e9, rel=1e-12)
    # √(2 × 1e18) / √50,001 × 1.96 × 2
    assert width(limit) == pytest.approx(2 * 1.96 * math.sqrt(2 / 50_001), rel=0.02)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("base", [0, 10**17])
def test_the_limit_is_made_of_exact_moments(rule: Rule, base: int) -> None:
    """Three videos, costs beyond float64, a third of a decision; rounded once, at the end."""
    header = header_of(
        components={"net": "value:1", "base": "value:1"},
        actions=[{"name": "a", "costs": {"net": 0.1}}, {"name": "b", "kind": "skip", "span": 3}],
        charges={"per_decision": {"net": 1}, "per_sample": {"base": 7}},
        steps="varies",
    )
    samples = [{"actions": steps} for steps in ([0, 0], [0, 1], [1, 1, 1, 1])]
    found, prices = counted(header, samples), price_list({"net": 3, "base": base})
    costs = video_costs(found, prices, rule)
    terms = {"resamples": 10, "seed": 0, "largest": 1}
    limit = known(interval_of_costs(found, prices, rule, costs, **terms))
    skips = {"exact": (1, 2), "published": (Fraction(1, 3), Fraction(4, 3))}[rule]
    own = [Fraction("6.6"), Fraction("3.3") + 3 * skips[0], Fraction(3 * skips[1])]
    mean = sum(own) / 3
    reach = Z_95 * math.sqrt(sum((one - mean) ** 2 for one in own) / 9)
    centre = float(7 * base + mean)
    assert limit.ends == ((centre - reach) / 1e9, (centre + reach) / 1e9)
    for videos in (None, np.array([0, 2])):
        all_in = [7 * base + one for one in (own if videos is None else (own[0], own[2]))]
        moments = len(all_in), sum(all_in), sum(one**2 for one in all_in)
        assert moments_of_records(found, prices, rule, videos) == moments


def test_fractions_of_runs_have_the_limit_of_their_costs() -> None:
    """Additional runs of 0.5 are no whole numbers: floating point, as for clusters."""
    header = header_of(components={"net": "value:1"}, actions=[{"name": "skip", "kind": "skip"}])
    samples = [{"actions": [0], "counts": {"net": n}} for n in (0.5, 1, 4)]
    found, prices = counted(header, samples), price_list({"net": 10})
    costs, terms = video_costs(found, prices), {"resamples": 10, "seed": 0, "largest": 1}
    assert interval_of_costs(found, prices, "exact", costs, **terms) == interval(costs, **terms)


def test_videos_of_two_runs_are_drawn_apart() -> None:
    """Variances add up, in the draws as in the limit; one seed for both would give 0 ± 0."""
    rng = np.random.default_rng(7)
    a, b = rng.gamma(2.0, 1e9, size=400), rng.gamma(3.0, 1e9, size=300)
    drawn = known(difference_interval(a, b))
    error = math.sqrt(a.var() / 400 + b.var() / 300) / 1e9
    assert width(drawn) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert drawn.low < (b.mean() - a.mean()) / 1e9 < drawn.high
    many = known(difference_interval(np.resize(a, LARGEST_BOOTSTRAP + 1), b))
    assert many.resamples == 0
    assert width(many) == pytest.approx(2 * 1.96 * math.sqrt(b.var() / 300) / 1e9, rel=0.1)
    assert difference_interval(a[:1], b) is None
    equal = 2 * 1.96 * math.sqrt(2 * a.var() / 400) / 1e9
    assert width(difference_interval(a, a.copy())) == pytest.approx(equal, rel=0.1)


def test_many_groups_share_what_one_log_may_draw() -> None:
    """51 classes may draw 1,000 videos each, less than 50,000 / 49: larger ones take the limit."""
    header = header_of(
        components={"net": "value:9"}, actions=[{"name": "run", "costs": {"net": 1}}]
    )

    def largest(classes: int) -> Group:
        labels = [0] * 1010 + list(range(1, classes))
        counts = counted(header, [{"actions": [0], "labels": [label]} for label in labels])
        chosen = {"by": "class", "difficulty": "cost", "resamples": 10, "seed": 0}
        groups, _ = groups_of(counts, price_list({"net": 9}), "exact", **chosen)
        return next(group for group in groups if group.estimate.videos == 1010)

    methods = [known(largest(classes).interval).method for classes in (49, 51)]
    assert methods == ["bootstrap", "normal limit of the bootstrap"]


def grouped(
    measure: str, samples: Sequence[dict[str, Any]], names: list[str] | None = None, size: int = 3
) -> tuple[dict[str, list[int]], str]:
    """Return the groups of a log of steps that run (0) or not (1), by a difficulty."""
    fields: dict[str, Any] = {} if names is None else {"class_names": names}
    header = header_of(preset="scsampler", steps="varies", **fields)
    columns, wanted = difficulty_needs(measure, header.class_names)
    counts = counted(header, samples, columns=columns, fields=wanted, block_size=size)
    costs = video_costs(counts, price_list({"resnet50": 1000, "sampler": 1}))
    levels = difficulty_groups(counts, measure, costs)
    return {name: chosen.tolist() for name, chosen in levels.groups.items()}, levels.note


def test_difficulty_by_cost_is_marked_circular() -> None:
    """Thirds by the run's own cost say that they are circular, and where equal costs are cut."""
    samples = [{"actions": [0] * n + [1] * (6 - n)} for n in (5, 0, 3, 1, 4, 2)]
    groups, note = grouped("cost", samples)
    assert groups == {"easy": [1, 3], "medium": [2, 5], "hard": [0, 4]}
    assert note.startswith("circular")
    assert "border" not in note
    tied, note = grouped("cost", [{"actions": [0]}] * 4)
    assert [len(chosen) for chosen in tied.values()] == [2, 1, 1]
    assert "equal values fall on both sides of a cut" in note


def test_difficulty_by_cost_keeps_views_of_a_video_together() -> None:
    """Difficulty belongs to a whole video: all its views are in one group."""
    samples = [
        {"id": name, "view": view, "actions": [0] * n + [1] * (3 - n)}
        for view, cost in (("left", (0, 3, 1)), ("right", (3, 1, 1)))
        for name, n in zip("abc", cost, strict=True)
    ]
    # runs: a 0 + 3, b 3 + 1, c 1 + 1
    assert grouped("cost", samples)[0] == {"easy": [2, 5], "medium": [0, 3], "hard": [1, 4]}


def test_difficulty_by_correctness() -> None:
    """Right: the prediction (name or number), else the highest score, is among the labels."""
    samples: list[dict[str, Any]] = [
        {"labels": [1], "prediction": "run"},
        {"labels": ["walk"], "prediction": 0},
        {"labels": [0, 1], "prediction": 1},
        {"labels": [0], "prediction": "run"},
        {"labels": [1], "scores": [0.2, 0.1]},
        {"labels": ["run"], "scores": [0.2, 0.9], "prediction": None},
        {"labels": [1]},
    ]
    samples = [{"actions": [0], **sample} for sample in samples]
    groups, note = grouped("correct", samples, ["walk", "run"])
    assert groups == {"right": [0, 1, 2, 5], "wrong": [3, 4]}
    assert note.endswith("without a value: 1 record")


@pytest.mark.parametrize(
    ("measure", "values", "expected", "missing"),
    [
        # The softmax margin of the first two classes: a small one is hard.
        ("margin", [4.0, 0.0, 1.0, 0.5, None, 3.0, 2.0],
         {"easy": [0, 5], "medium": [2, 6], "hard": [1, 3]}, 1),
        # Thirds over the whole log, whole numbers and fractions alike.
        ("length", [9, 1.5, 4, None, 2, 8, 3],
         {"low": [1, 4], "middle": [2, 6], "high": [0, 5]}, 1),
        # Each text is a group.
        ("level", ["hard", None, "easy", True, None, "hard", 3],
         {"3": [6], "True": [3], "easy": [2], "hard": [0, 5]}, 2),
    ],
)  # fmt: skip
def test_difficulty_by_what_samples_say(
    measure: str, values: list[Any], expected: dict[str, list[int]], missing: int
) -> None:
    """Numbers are cut into thirds, texts are groups; a record without one is left out."""
    samples: list[dict[str, Any]] = [
        {"actions": [0], "extra": {measure: v}}
        | ({"scores": [v + 100, 100.0, -5.0]} if measure == "margin" and v is not None else {})
        for v in values
    ]
    for size in (1, 3, 100):
        groups, note = grouped(measure, samples, size=size)
        assert groups == expected
        assert note.endswith(f"left out, without a value: {number_of(missing, 'record')}")


@pytest.mark.parametrize("measure", ["margin", "correct", "mrgin"])
def test_difficulty_needs_what_it_measures(measure: str) -> None:
    """A log without scores, labels or the column is refused; a near match is named."""
    with pytest.raises(InputError) as caught:
        grouped(measure, [{"actions": [0]}])
    assert "cannot be computed" in caught.value.message
    assert "margin" in caught.value.hint
    if measure == "mrgin":
        assert "did you mean 'margin'?" in caught.value.hint


def test_views_that_differ_have_no_difficulty() -> None:
    """Where the views of one video fall into different groups, there is no group of videos."""
    samples = [
        {"id": "a", "view": v, "actions": [0], "labels": [0], "prediction": v} for v in (0, 1)
    ]
    with pytest.raises(InputError, match="views of one video differ in 'correct'"):
        grouped("correct", samples)
