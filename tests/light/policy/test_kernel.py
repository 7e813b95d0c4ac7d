"""The counting kernel against a simulation of the policy, and its two ways against each other."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import block, counted, header_of, price_list, rows
from sweeps import each

from flopbench.core.errors import DataError
from flopbench.estimate.estimator import estimate, video_costs
from flopbench.policy.decisions import decisions
from flopbench.policy.engine import Gatherer
from flopbench.policy.header import Header
from flopbench.policy.kernel import count_columns, count_runs, is_dense, tally
from flopbench.policy.plan import plan_of
from flopbench.policy.samples import raise_first


def spans_header(spans: list[int], **fields: Any) -> Header:
    """Return a header of actions with these spans; action i costs component c{i} once."""
    return header_of(
        components={**{f"c{i}": "value:1" for i in range(len(spans))}, "p": "value:1"},
        actions=[
            {"name": f"a{i}", "span": span, "costs": {f"c{i}": 1}} for i, span in enumerate(spans)
        ],
        charges={"per_decision": {"p": 1}, "per_step": {"p": 2}},
        **fields,
    )


class Walk:
    """A policy that walks through one video: it decides, covers steps, and is cut by the end.

    Nothing is shared with the kernel: decisions are counted when they are taken.
    """

    def __init__(self, spans: list[int], steps: int, choices: list[int]) -> None:
        self.log: list[int] = []  # one entry a step
        self.taken: list[int] = []
        self.covered: list[int] = []
        for choice in choices:
            if len(self.log) >= steps:
                break
            covers = min(spans[choice], steps - len(self.log))
            self.taken.append(choice)
            self.covered.append(covers)
            self.log += [choice] * covers


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[int], list[Walk]]:
    """Random spans, random lengths, random decisions, enough of them to reach the end."""
    spans = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=8))
    # Bytes are drawn in a tenth of the time of as many integers.
    drawn = [draw(st.binary(min_size=steps, max_size=steps)) for steps in lengths]
    taken = [[byte % len(spans) for byte in one] for one in drawn]
    return spans, [Walk(spans, *case) for case in zip(lengths, taken, strict=True)]


def check_against(walks: list[Walk], spans: list[int], header: Header, samples: list[Any]) -> None:
    """Check frames and decisions exactly, one by one too; the cost to 1e-12, whole and by video."""
    counts = counted(header, samples)
    for i, walk in enumerate(walks):
        taken = [walk.taken.count(a) for a in range(len(spans))]
        frames = [walk.log.count(a) for a in range(len(spans))]
        assert counts.decisions[i].tolist() == taken
        assert counts.frames[i].tolist() == frames
        assert counts.steps[i] == len(walk.log)
    made, plan = block(header, samples), plan_of(header)
    every = decisions(made, plan)
    for i, walk in enumerate(walks):
        own = every.sequence == i
        starts = (np.cumsum(walk.covered) - walk.covered).tolist()
        assert every.action[own].tolist() == walk.taken
        assert every.first_step[own].tolist() == starts
        cut = np.minimum(every.steps[own], len(walk.log) - every.first_step[own])
        assert cut.tolist() == walk.covered
    unit = {f"c{a}": 1_000_003 * (a + 1) for a in range(len(spans))}
    macs = [
        sum(unit[f"c{a}"] + 777 for a in walk.taken) + 2 * 777 * len(walk.log) for walk in walks
    ]
    prices = price_list({**unit, "p": 777})
    found = estimate(counts.totals(), counts.plan, prices)
    assert found.macs_per_video * len(walks) == sum(macs)
    assert found.gflops_per_video == pytest.approx(sum(macs) / len(walks) / 1e9, rel=1e-12)
    assert video_costs(counts, prices).tolist() == pytest.approx(macs, rel=1e-12)


@settings(max_examples=300)
@given(walks())
def test_a_log_per_step_gives_back_the_decisions(case: tuple[list[int], list[Walk]]) -> None:
    """Runs of rows hold as many decisions as the policy took, including a cut last one."""
    spans, made = case
    header = spans_header(spans, steps="varies")
    check_against(made, spans, header, [{"actions": walk.log} for walk in made])


@settings(max_examples=300)
@given(walks(), st.sampled_from(["spans", "sample steps", "header steps"]))
def test_a_log_per_decision_gives_back_the_frames(
    case: tuple[list[int], list[Walk]], length: str
) -> None:
    """Decisions with spans cover the frames that the policy covered, however the end is known."""
    spans, made = case
    fields: dict[str, Any] = {"encoding": "per_decision"}
    if length == "header steps":
        steps = len(made[0].log)
        choices = [(walk.taken * steps)[:steps] for walk in made]
        made = [Walk(spans, steps, choice) for choice in choices]
        fields["steps"] = steps
    samples: list[dict[str, Any]] = [{"actions": walk.taken} for walk in made]
    for sample, walk in zip(samples, made, strict=True):
        if length == "spans":
            sample["spans"] = walk.covered
        elif length == "sample steps":
            sample["steps"] = len(walk.log)
    check_against(made, spans, spans_header(spans, **fields), samples)


@settings(max_examples=300)
@given(st.data())
def test_spans_of_the_log_win_over_those_of_the_actions(data: st.DataObject) -> None:
    """Explicit spans give what each decision covered, whatever its action declares."""
    spans = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    own = data.draw(
        st.lists(st.tuples(st.integers(0, len(spans) - 1), st.integers(1, 9)), min_size=1)
    )
    header = spans_header(spans, encoding="per_decision")
    sample = {"actions": [a for a, _ in own], "spans": [s for _, s in own]}
    counts = counted(header, [sample])
    for action in range(len(spans)):
        assert counts.decisions[0, action] == sum(a == action for a, _ in own)
        assert counts.frames[0, action] == sum(s for a, s in own if a == action)
    *others, (last, covers) = own
    assert counts.own_spans == (any(s != spans[a] for a, s in others) or covers > spans[last])


def same(header: Header, samples: list[dict[str, Any]]) -> tuple[int, str]:
    """Check the ways of counting against each other; return what they report on odd runs."""
    made, plan = block(header, samples), plan_of(header)
    by_columns, by_runs = count_columns(made, plan), count_runs(made, plan)
    found = decisions(made, plan)
    cell = found.sequence * len(plan.actions) + found.action
    assert (
        by_runs.decisions.ravel().tolist()
        == np.bincount(cell, minlength=made.size * len(plan.actions)).tolist()
    )
    assert by_columns.frames.tolist() == by_runs.frames.tolist()
    assert by_columns.decisions.tolist() == by_runs.decisions.tolist()
    assert by_columns.odd_runs == by_runs.odd_runs
    assert by_columns.first_odd_run == by_runs.first_odd_run
    return by_runs.odd_runs, by_runs.first_odd_run


@settings(max_examples=300)
@given(st.data())
def test_columns_and_runs_count_alike(data: st.DataObject) -> None:
    """Rows in any order, possible for a policy or not, are counted alike in both ways."""
    spans = data.draw(st.lists(st.sampled_from([1, 1, 2, 3, 4, 300]), min_size=1, max_size=6))
    steps = data.draw(st.integers(1, 20))
    drawn = data.draw(st.lists(st.binary(min_size=steps, max_size=steps), min_size=1, max_size=12))
    samples = [{"actions": [byte % len(spans) for byte in row]} for row in drawn]
    same(spans_header(spans), samples)


def test_counts_fit_into_bytes() -> None:
    """The longest columns and spans beyond a byte are counted like runs."""

    def check(spans: list[int], steps: int) -> None:
        rng = np.random.default_rng(steps)
        samples = [{"actions": rng.integers(0, len(spans), steps).tolist()} for _ in range(4)]
        samples += [{"actions": [0] * steps}, {"actions": [len(spans) - 1] * steps}]
        same(spans_header(spans), samples)

    spans = [[1], [2], [1, 4], [255], [256], [300, 1], [2] * 64, [1] * 64]
    each(product(spans, [1, 2, 254, 255]), check)


@pytest.mark.parametrize(
    ("actions", "steps", "dense"), [(64, 255, True), (65, 255, False), (64, 256, False)]
)
def test_long_samples_and_many_actions_are_counted_by_runs(
    actions: int, steps: int, dense: bool
) -> None:
    """What a byte or a pass per action cannot hold takes the other way, with the same counts."""
    header = spans_header([2] * actions)
    made = block(header, [{"actions": [actions - 1] * steps}] * steps)
    plan = plan_of(header)
    assert is_dense(made, plan) == dense
    result = tally(made, plan, raise_first)
    assert result.frames[:, -1].tolist() == [steps] * steps
    assert result.decisions[:, -1].tolist() == [(steps + 1) // 2] * steps  # ceil(n / 2)
    assert result.odd_runs == 0


def test_one_sample_of_one_step() -> None:
    """The smallest log: one row is one decision, cut where its action covers more."""
    counts = counted(spans_header([4]), [{"actions": [0]}])
    assert (counts.frames.tolist(), counts.decisions.tolist()) == ([[1]], [[1]])
    assert counts.warnings == ()


def test_samples_of_no_steps_count_nothing() -> None:
    """An empty list of actions counts nothing and does not shift its neighbours."""
    header = spans_header([1, 3], steps="varies")
    samples = [[], [1, 1, 1, 1], [], [], [1, 1], []]
    counts = counted(header, [{"actions": s} for s in samples])
    assert counts.decisions.tolist() == [[0, 0], [0, 2], [0, 0], [0, 0], [0, 1], [0, 0]]
    assert counts.steps.tolist() == [0, 4, 0, 0, 2, 0]
    assert counts.warnings == ()


def test_an_odd_run_is_named_and_charged() -> None:
    """A run that no policy can make gives a warning with its place; a sample's end does not."""
    header = spans_header([1, 4])
    texts = ["0 1 1 1 1 0", "0 1 1 0 1 0", "1 1 1 1 1 1", "0 0 0 1 0 0"]
    samples = [{"actions": rows(text)} for text in texts]
    assert same(header, samples) == (
        3,
        "log:1: actions[1]: a run of 2 × 'a1', which covers 4 steps",
    )
    counts = counted(header, samples)
    assert counts.decisions[:, 1].tolist() == [1, 2, 2, 1]
    assert "3 such runs in all" in str(counts.warnings[0])
    assert "log:1: actions[1]" in str(counts.warnings[0])


def test_blocks_do_not_change_what_is_counted() -> None:
    """A log cut into blocks adds up to the same, including the first odd run."""
    header = spans_header([1, 4], steps="varies")
    samples = [{"actions": [0, 1, 1, 1, 1][: 1 + n % 5] + [0] * (n % 3)} for n in range(40)]
    whole, cut = counted(header, samples), counted(header, samples, block_size=7)
    assert cut.decisions.tolist() == whole.decisions.tolist()
    assert cut.frames.tolist() == whole.frames.tolist()
    assert cut.warnings == whole.warnings


STREAMS: dict[str, Any] = {
    "streams": ["rgb", "audio"],
    "components": {"big": "value:100", "small": "value:10", "p": "value:1", "s": "value:5"},
    "actions": [
        {"name": "run", "stream": "rgb", "costs": {"big": 1}},
        {"name": "skip", "stream": "rgb", "kind": "skip", "span": 2},
        {"name": "run", "stream": "audio", "costs": {"small": 1}},
        {"name": "skip", "stream": "audio", "kind": "skip"},
    ],
    "charges": {"per_decision": {"p": 1}, "per_step": {"s": 1}},
}


def test_streams_are_counted_apart() -> None:
    """Each stream has its own runs; a step is one step, however many streams process it."""
    header = header_of(**STREAMS)
    sample = {"actions": {"rgb": [1, 1, 1, 1, 0], "audio": [0, 1, 1, 0, 0]}}
    counts = counted(header, [sample, sample])
    # rgb: ceil(4 / 2) = 2 skips and 1 run; audio: 3 runs and 2 skips of one step each.
    assert counts.decisions[0].tolist() == [1, 2, 3, 2]
    assert counts.frames[0].tolist() == [1, 4, 3, 2]
    assert counts.steps.tolist() == [5, 5]
    prices = price_list({"big": 100, "small": 10, "p": 1, "s": 5})
    found = estimate(counts.totals(), counts.plan, prices)
    # 100 × 1 + 10 × 3 + (3 + 5 decisions) × 1 + 5 steps × 5
    assert found.macs_per_video == 100 + 30 + 8 + 25
    assert found.frames_per_video == 5
    assert found.decisions_per_video == 8
    # Half a step each: 1 of 5 steps ran rgb, 3 of 5 audio.
    assert found.processed_frames_per_video == (1 + 3) / 2
    assert found.by_action["rgb: skip"].share_of_frames == 4 / 5
    assert found.by_action["rgb: skip"].share_of_decisions == 2 / 3
    assert found.unattributed_gflops_per_video == 0


def test_streams_of_different_lengths_are_refused() -> None:
    """A step that only one stream has is a defect, named with its sample."""
    with pytest.raises(DataError, match="log:0: actions: streams of different lengths"):
        counted(header_of(**STREAMS), [{"actions": {"rgb": [0, 0], "audio": [0]}}])


EXITING: dict[str, Any] = {
    "components": {"net": "value:100", "gate": "value:1"},
    "actions": [
        {"name": "run", "costs": {"net": 1}},
        {"name": "skip 2", "kind": "skip", "span": 2},
        {"name": "stop", "kind": "exit", "costs": {"gate": 1}},
    ],
    "charges": {"per_step": {"gate": 1}},
}


@pytest.mark.parametrize("steps", [None, 8])
def test_an_exit_shortens_what_is_looked_at(steps: int | None) -> None:
    """A sample that exits has the header's number of steps, else as many as it lasted."""
    fields = EXITING if steps is None else {**EXITING, "steps": steps}
    full = [0, 1, 1, 0, 0, 0, 0, 0]
    counts = counted(header_of(**fields), [{"actions": full}, {"actions": [0, 1, 1, 2]}])
    assert counts.steps.tolist() == [8, 4 if steps is None else 8]
    assert counts.decisions.tolist() == [[6, 1, 0], [1, 1, 1]]
    apart = header_of(**fields, encoding="per_decision")
    decided = counted(apart, [{"actions": [0, 1, 0, 0, 0, 0, 0]}, {"actions": [0, 1, 2]}])
    for name in ("steps", "frames", "decisions"):
        assert getattr(decided, name).tolist() == getattr(counts, name).tolist(), name


def test_without_an_exit_a_short_sample_is_a_defect() -> None:
    """Where the header fixes the steps, only an exit excuses fewer of them."""
    header = header_of(**EXITING, steps=8)
    with pytest.raises(DataError, match="3 steps where 8 were expected, as in the header"):
        counted(header, [{"actions": [0, 0, 0]}])
    with pytest.raises(DataError, match="9 steps where 8 were expected"):
        counted(header, [{"actions": [0] * 8 + [2]}])


def test_an_exit_field_excuses_missing_steps_too() -> None:
    """A sample that names its exit may have fewer decisions than steps, in both encodings."""
    fields: dict[str, Any] = {
        "steps": 6,
        "components": {"net": "value:100", "gate": "value:7"},
        "actions": [{"name": "run", "costs": {"net": 1}}],
        "exits": [{"name": "early", "costs": {"gate": 1}}],
    }
    for encoding in ("per_step", "per_decision"):
        header = header_of(**fields, encoding=encoding)
        counts = counted(header, [{"actions": [0, 0], "exit": "early"}, {"actions": [0] * 6}])
        assert counts.steps.tolist() == [6, 6]
        assert counts.exits.tolist() == [0, -1]
        prices = price_list({"net": 100, "gate": 7})
        assert video_costs(counts, prices).tolist() == [207, 600]
        with pytest.raises(DataError):
            counted(header, [{"actions": [0, 0]}])


def test_steps_that_contradict_the_actions_are_refused() -> None:
    """``steps`` of a sample and the number of its rows have to agree."""
    header = spans_header([1], steps="varies")
    with pytest.raises(DataError, match="steps: is 5, but there are 2 actions"):
        counted(header, [{"actions": [0, 0], "steps": 5}])
    assert counted(header, [{"actions": [], "steps": 5}]).steps.tolist() == [5]


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"actions": [1, 1]}, "spans cover 8 steps, but the sample has 4"),
        ({"actions": [0, 0]}, "spans cover 2 steps, but the sample has 4"),
    ],
)
def test_spans_that_miss_the_length_are_refused(sample: dict[str, Any], said: str) -> None:
    """Only the last decision may be cut, and every step is covered."""
    header = spans_header([1, 4], encoding="per_decision", steps=4)
    with pytest.raises(DataError, match=said):
        counted(header, [sample])


def test_a_late_field_fills_up_what_came_before() -> None:
    """Exits, counts and decisions that first appear in a later block change no record."""
    header = header_of(
        steps="varies",
        components={"net": "value:100"},
        actions=[{"name": "run", "costs": {"net": 1}}, {"name": "skip", "span": 2, "kind": "skip"}],
        exits=[{"name": "early"}],
    )
    samples: list[dict[str, Any]] = [{"actions": [0]}, {"actions": [0]}, {"actions": [1, 1]}]
    samples += [{"actions": [0], "exit": 0}, {"actions": [0], "counts": {"net": 2.5}}]
    counts = counted(header, samples, block_size=1)
    assert counts.exits.tolist() == [-1, -1, -1, 0, -1]
    assert counts.counts[:, 0].tolist() == [0, 0, 0, 0, 2.5]
    assert counts.decisions.tolist() == [[1, 0], [1, 0], [0, 1], [1, 0], [1, 0]]


def test_views_of_one_video_are_one_video() -> None:
    """Records that share an id are views; a log names a view everywhere or nowhere."""
    header = spans_header([1])
    samples = [{"id": name, "view": v, "actions": [0]} for v in (0, 1) for name in ("a", "b")]
    counts = counted(header, samples, block_size=3)
    assert counts.video.tolist() == [0, 1, 0, 1]
    assert (counts.videos, counts.records) == (2, 4)
    assert counts.totals(np.array([0, 2])).videos == 1
    gatherer = Gatherer(plan_of(header), raise_first)
    gatherer.add(block(header, samples))
    with pytest.raises(DataError, match="some samples of this log name a view and some do not"):
        gatherer.add(block(header, [{"id": "c", "actions": [0]}]))
