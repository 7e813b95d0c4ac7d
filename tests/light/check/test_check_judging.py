"""Verdicts of ``flopbench check`` on costs made by hand; no model is counted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from records import gap, op, profile

from flopbench.check.accepting import accept
from flopbench.check.baseline.content import entry_content
from flopbench.check.entry_costs import model_cost
from flopbench.check.judging import Against, judge_amount, judge_entries, worst
from flopbench.check.records import (
    Baseline,
    Budget,
    Config,
    Cost,
    Entry,
    Kept,
    LogCost,
    Metric,
    ModelCost,
    ModuleCost,
    PricedComponent,
    amounts,
)
from flopbench.check.report import MetricResult, Report
from flopbench.check.self_test import grown, self_test
from flopbench.core.errors import InputError, MeasureError
from flopbench.estimate.charges import ChargeItem

MODEL = ModelCost(
    spec="nets:build@32",
    input="32",
    counter="thop",
    counter_version="0.1.1",
    convention="MACs as THOP counts them",
    dense_macs=1000,
    total=1100,
    params=50,
    activations=70,
    modules=(
        ModuleCost(
            path="a",
            type="Conv2d",
            dense_macs=900,
            params=40,
            activations=60,
            calls=1,
            ops=("conv",),
        ),
        ModuleCost(
            path="b",
            type="Linear",
            dense_macs=100,
            params=10,
            activations=10,
            calls=1,
            ops=("linear",),
        ),
    ),
    versions={"thop": "0.1.1", "torch": "2.8.0"},
)
LOG = LogCost(
    policy_log="run.jsonl",
    counter="thop",
    counter_version="0.1.1",
    rule="exact",
    macs_per_video=Fraction(3500, 3),
    videos=3,
    components={"net": PricedComponent(spec="net@8", total_macs=500)},
    events=(ChargeItem(name="run", times=Fraction(7, 3), costs={"net": Fraction(1)}),),
)
CONFIG = Config(
    path="flopbench.toml",
    root=".",
    entries=(
        Entry(name="net", model="nets:build@32", line=1),
        Entry(name="run", policy_log="run.jsonl", line=5),
    ),
    counter="thop",
)
COSTS: dict[str, Cost | str] = {"net": MODEL, "run": LOG}


def accepted(costs: dict[str, Cost | str] = COSTS) -> Baseline:
    """Return a baseline that holds all these costs."""
    return accept(None, costs, list(costs), "first")[0]


def judged(costs: dict[str, Cost | str], config: Config = CONFIG, **options: Any) -> Report:
    """Judge costs against the baseline of ``COSTS``."""
    return judge_entries(config, Against(baseline=accepted()), costs, **options)


def more_macs(extra: int) -> ModelCost:
    """Return the model with more MACs."""
    cost = grown(MODEL, "dense_macs", Fraction(extra))
    assert isinstance(cost, ModelCost)
    return cost


def test_nothing_moved() -> None:
    """Equal costs are the same, and the check passes."""
    report = judged(COSTS)
    assert [entry.state for entry in report.entries] == ["same", "same"]
    assert report.exit_status == 0


UNUSED = "379,984 of 1,004,888 parameters (37.8 %) took no part: aux1"
WHOLE = msgspec.structs.replace(
    profile("torch", op("conv", "conv", 4), op("stem", "conv", 96)), notes=("of torch", UNUSED)
)
STEM = gap("module", "Conv3DSimple", "stem")


@pytest.mark.parametrize(
    ("counted", "beside", "notes"),
    [
        (
            profile("thop", op("conv", "conv", 4), gaps=(STEM,)),
            [WHOLE],
            ("partial under thop, so at least this: lists what it leaves out (Conv3DSimple): "
             "against torch: conv 4 of 100 MACs (aten.conv)", UNUSED),
        ),
        (
            profile("thop", op("conv", "conv", 4), gaps=(STEM,)),
            [],
            ("partial under thop, so at least this: thop does not price Conv3DSimple",),
        ),
        (
            profile("thop", op("conv", "conv", 400)),
            [WHOLE],
            ("disputed under thop: against torch: conv 400 of 100 MACs (aten.conv)", UNUSED),
        ),
        (
            profile("torch", op("conv", "conv", 4), gaps=(gap("operator", "my::op", ""),)),
            [],
            ("partial under torch, so at least this: torch does not price my::op",),
        ),
        (WHOLE, [WHOLE], (UNUSED,)),
        (profile("thop", *WHOLE.operators, gaps=(gap("uncalled", "Linear", "aux1"),)),
         [WHOLE], (UNUSED,)),
        (profile("torch", op("conv", "conv", 4)), [], ()),
    ],
)  # fmt: skip
def test_what_a_count_misses_is_noted(counted: Any, beside: Any, notes: Any) -> None:
    """What the verdict doubts, and what never ran; the other counter's remarks are not."""
    cost = model_cost(counted, beside)
    assert cost.notes == notes
    config = replace(CONFIG, entries=CONFIG.entries[:1])
    assert judge_entries(config, Against(baseline=None), {"net": cost}).entries[0].notes == notes
    assert "notes" not in entry_content("net", Kept(cost=cost))


def test_a_total_that_moved_alone_is_a_note() -> None:
    """A library that changes its total but no dense MACs is reported as such, and passes."""
    other = replace(MODEL, total=1150, versions={"thop": "0.2.0", "torch": "2.8.0"})
    entry = judged({**COSTS, "net": other}).entries[0]
    assert (entry.state, entry.failed) == ("same", False)
    assert entry.notes == (
        "the total of thop moved from 1,100 to 1,150 while the dense MACs are the same "
        "(thop 0.1.1 -> 0.2.0)",
    )


def test_libraries_are_named_where_a_cost_moved() -> None:
    """A growth under another library version says so, but still fails."""
    other = replace(more_macs(5), versions={"thop": "0.1.1", "torch": "2.9"})
    entry = judged({**COSTS, "net": other}).entries[0]
    assert entry.failed
    assert "libraries changed since the baseline: torch 2.8.0 -> 2.9" in entry.notes


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"counter": "torch"}, "counter: 'thop' in the baseline, 'torch' now"),
        ({"convention": "FLOPs"}, "convention"),
        ({"gaps": ("aten.fft",)}, "aten.fft"),
    ],
)
def test_what_is_not_comparable(change: dict[str, Any], needle: str) -> None:
    """Another counter, convention or blind spot: exit status 4, no old amount to compare with."""
    report = judged({**COSTS, "net": replace(MODEL, dense_macs=1, **change)})
    entry = report.entries[0]
    assert entry.state == "not comparable"
    assert needle in entry.reason
    assert {one.old for one in entry.metrics} == {None}
    assert report.exit_status == 4


def test_a_model_that_became_a_log() -> None:
    """An entry that names something else altogether is not compared."""
    config = replace(CONFIG, entries=(Entry(name="net", policy_log="run.jsonl"),))
    report = judge_entries(config, Against(baseline=accepted({"net": MODEL})), {"net": LOG})
    assert "a model in the baseline and is a policy log now" in report.entries[0].reason


def test_which_exit_status_wins() -> None:
    """A certain failure outweighs what could not be measured, and that what cannot be compared."""
    other = replace(MODEL, counter="torch")
    worse = grown(LOG, "macs_per_video", Fraction(1))
    assert judged({"net": "no torch", "run": worse}).exit_status == 1
    assert judged({"net": other, "run": "no torch"}).exit_status == 3
    assert judged({"net": other, "run": LOG}).exit_status == 4


def test_a_latency_counts_where_it_trips() -> None:
    """Latency fails an entry, or is missing from it; it never makes it incomparable."""

    def state(found: MetricResult) -> tuple[str, int]:
        report = judged(COSTS, latencies={"net": found})
        return report.entries[0].state, report.exit_status

    plain = MetricResult(metric="latency", state="worse", failed=True, gate="same-machine")
    assert state(plain) == ("worse", 1)
    assert state(replace(plain, failed=False, state="not comparable")) == ("same", 0)
    assert state(replace(plain, failed=False, state="inconclusive")) == ("same", 0)
    lost = replace(plain, failed=False, state="not measured")
    assert state(lost) == ("not measured", 3)
    assert state(replace(lost, gate="advisory")) == ("same", 0)


def test_growth_without_macs_names_its_largest_module_first() -> None:
    """Where only activations grew, they decide which module is named, not the paths."""
    more = {"a": 5, "b": 300}
    modules = [replace(m, activations=m.activations + more[m.path]) for m in MODEL.modules]
    grown = replace(MODEL, activations=MODEL.activations + 305, modules=tuple(modules))
    entry = judged({**COSTS, "net": grown}).entries[0]
    assert [(one.path, one.added_activations) for one in entry.modules] == [("b", 300), ("a", 5)]


@pytest.mark.parametrize("accepted_macs", [1000, 1200, 1500])
def test_a_revision_is_what_a_cost_is_held_against(accepted_macs: int) -> None:
    """Growth over the revision fails unless this tree's baseline holds all of it."""
    new = more_macs(300)
    ours = accepted({**COSTS, "net": replace(MODEL, dense_macs=accepted_macs)})
    against = Against(baseline=accepted(), accepted_here=ours)
    entry = judge_entries(CONFIG, against, {**COSTS, "net": new}).entries[0]
    macs = next(one for one in entry.metrics if one.metric == "dense_macs")
    assert (macs.old, macs.new, macs.state) == (1000, 1300, "worse")
    assert macs.failed == (accepted_macs < 1300)


def test_a_limit_cannot_be_accepted_away() -> None:
    """A cost beyond its limit fails though this tree's baseline holds it."""
    new = more_macs(300)
    limits = replace(CONFIG, budgets=(Budget(metric="dense_macs", limit=Fraction(1299)),))
    against = Against(baseline=accepted(), accepted_here=accepted({**COSTS, "net": new}))
    assert judge_entries(limits, against, {**COSTS, "net": new}).exit_status == 1


def test_a_limit_hit_exactly_holds() -> None:
    """One more is over it."""
    budget = Budget(metric="dense_macs", limit=Fraction(1000))
    assert not judge_amount(None, Fraction(1000), budget).failed
    assert judge_amount(None, Fraction(1001), budget).failed


def test_a_removal_that_was_accepted() -> None:
    """Against a revision, an entry that this tree took out with a reason does not fail."""
    config = replace(CONFIG, entries=CONFIG.entries[1:])
    here, moves = accept(accepted(), {"run": LOG}, ["net"], "retired")
    assert moves[0].acceptance is not None
    report = judge_entries(config, Against(baseline=accepted(), accepted_here=here), {"run": LOG})
    gone = report.entries[-1]
    assert (gone.name, gone.state, gone.failed) == ("net", "gone", False)
    assert {one.accepted for one in gone.metrics} == {"retired"}
    assert judge_entries(config, Against(baseline=accepted()), {"run": LOG}).exit_status == 1


counts = st.integers(0, 10**12)


@given(counts, counts, st.fractions(0, 2, max_denominator=100), counts, st.none() | counts)
def test_an_amount_fails_exactly_beyond_what_is_allowed(
    old: int, new: int, share: Fraction, delta: int, limit: int | None
) -> None:
    """Growth fails beyond both tolerances, a limit beyond itself; nothing else does."""
    budget = Budget(
        metric="dense_macs",
        max_increase=share,
        min_delta=Fraction(delta),
        limit=None if limit is None else Fraction(limit),
    )
    result = judge_amount(Fraction(old), Fraction(new), budget)
    beyond = new > old * (1 + share) and new - old > delta
    over = limit is not None and new > limit
    assert result.failed == (beyond or over)
    assert result.over_limit == over
    advisory = judge_amount(Fraction(old), Fraction(new), replace(budget, gate="advisory"))
    assert not advisory.failed


@given(st.sampled_from(["dense_macs", "params", "activations"]), st.integers(1, 10**9))
def test_what_a_self_test_injects_adds_up(metric: Metric, extra: int) -> None:
    """Planted growth is in one module and in the total alike, as a real one would be."""
    cost = grown(MODEL, metric, Fraction(extra))
    assert isinstance(cost, ModelCost)
    assert amounts(cost)[metric] - amounts(MODEL)[metric] == extra
    for name in ("dense_macs", "params", "activations"):
        assert sum(getattr(module, name) for module in cost.modules) == getattr(cost, name)


def test_a_self_test_catches_all() -> None:
    """Every exact metric of every entry is caught; an advisory gate is named as inactive."""
    found = self_test(CONFIG, accepted(), COSTS, Fraction(1, 100))
    assert [(d.entry, d.metric, d.caught) for d in found] == [
        ("net", "dense_macs", True),
        ("net", "params", True),
        ("net", "activations", True),
        ("run", "macs_per_video", True),
    ]
    inactive = replace(CONFIG, budgets=(Budget(metric="params", gate="advisory"),))
    missed = [d for d in self_test(inactive, accepted(), COSTS, Fraction(1, 100)) if not d.caught]
    assert [(d.metric, d.reason) for d in missed] == [
        ("params", "its gate is advisory, which never fails")
    ]
    unknown = self_test(CONFIG, accepted(), {**COSTS, "net": "no torch"}, Fraction(1, 100))[0]
    assert (unknown.caught, unknown.reason) == (False, "it could not be measured: no torch")
    # Growth counts from what was accepted, also where a log became cheaper since.
    half = {"net": PricedComponent(spec="net@8", total_macs=250)}
    cheaper = replace(LOG, macs_per_video=LOG.macs_per_video / 2, components=half)
    assert self_test(CONFIG, accepted(), {**COSTS, "run": cheaper}, Fraction(1, 100))[-1].caught


def test_gravity() -> None:
    """An entry has the worst of its metrics' states."""
    assert worst(["same", "better"]) == "better"
    assert worst(["better", "worse", "same"]) == "worse"
    assert worst(["worse", "not comparable"]) == "not comparable"
    assert worst([]) == "same"


def test_what_accept_refuses() -> None:
    """An empty reason, an entry that was not measured, an unknown one."""
    with pytest.raises(InputError, match="--reason is empty"):
        accept(None, COSTS, ["net"], " \n ")
    with pytest.raises(MeasureError, match="no torch"):
        accept(None, {"net": "no torch"}, ["net"], "x")
    with pytest.raises(InputError, match="not in the baseline"):
        accept(None, {}, ["net"], "x")


def test_an_entry_that_comes_back_is_no_longer_removed() -> None:
    """A removal is kept until the entry is accepted again, which begins a new history."""
    without, _ = accept(accepted(), {}, ["net"], "gone")
    assert (list(without.entries), without.removed["net"].reason) == (["run"], "gone")
    again, _ = accept(without, COSTS, ["net"], "back")
    assert again.removed == {}
    assert [move.reason for move in again.entries["net"].accepted] == ["back"]


def test_places_of_code_move_no_baseline() -> None:
    """A class on another line, or a newer library, is nothing to accept."""
    moved = replace(
        MODEL,
        versions={"torch": "9"},
        modules=tuple(replace(module, source="nets.py:7") for module in reversed(MODEL.modules)),
    )
    _, moves = accept(accepted(), {"net": moved}, ["net"], "x")
    assert moves[0].acceptance is None
