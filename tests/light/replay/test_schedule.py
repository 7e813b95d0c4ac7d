"""Decisions as work, and how videos go through it together; no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import ARNET_ROWS, rows, write_log
from msgspec import to_builtins

from flopbench.core.errors import InputError
from flopbench.core.records import decode
from flopbench.policy.forms.base import Options
from flopbench.policy.log import count_log, open_log
from flopbench.replay.lockstep import bucket_calls, split_calls, ticks_of
from flopbench.replay.schedule import workload_of
from flopbench.replay.workload import Workload

ARNET = {"preset": "arnet-resnet"}
TWO = {"components": {"a": "resnet18@32", "b": "resnet18@32", "p": "resnet18@32"}}


def work(
    folder: Path, header: Mapping[str, Any], samples: Sequence[Mapping[str, Any]], **options: Any
) -> Workload:
    """Return the workload of a log written for it."""
    path = write_log(folder / "run.jsonl", header, samples)
    log = open_log([path], options=Options(exact=True))
    workload, _ = workload_of(log, **options)
    assert decode(json.loads(json.dumps(to_builtins(workload))), Workload, "w") == workload
    return workload


def places(workload: Workload, video: int = 0) -> list[tuple[int, int | None]]:
    """Return (step, action) of a video's visits."""
    return [(v.step, workload.tasks[v.task].action) for v in workload.videos[video]]


def test_spans_are_decided_at_their_first_row(tmp_path: Path) -> None:
    """A run of n equal rows of span k holds ceil(n / k) decisions, at rows 0, k, 2k."""
    workload = work(tmp_path, ARNET, [{"actions": rows(ARNET_ROWS["cut"])}])
    # 0 1 6666 2 3 6666 0 55 6: the last skip 4 is cut by the end
    assert places(workload) == [
        (0, 0), (1, 1), (2, 6), (6, 2), (7, 3), (8, 6), (12, 0), (13, 5), (15, 6),
    ]  # fmt: skip
    assert workload.decided()[0] == [2, 1, 1, 1, 0, 1, 3]
    arms, policy = workload.component_runs()
    assert arms == {"resnet50": 2, "resnet34": 1, "resnet18": 1}
    assert policy == {"policy": 9, "lstm": 9}
    assert workload.steps == 16


def test_spans_of_decisions_and_a_cut_end(tmp_path: Path) -> None:
    """With one row per decision, each is where the spans before it end."""
    header = {**ARNET, "encoding": "per_decision", "steps": 8}
    samples = [
        {"actions": [0, 6, 1, 6]},
        {"actions": [0, 4, 2], "spans": [3, 2, 3]},
    ]
    workload = work(tmp_path, header, samples)
    assert places(workload, 0) == [(0, 0), (1, 6), (5, 1), (6, 6)]
    assert places(workload, 1) == [(0, 0), (3, 4), (5, 2)]


def test_streams_decide_each_for_itself(tmp_path: Path) -> None:
    """What every step pays comes first and decides for all streams; then stream after stream."""
    header = {
        **TWO,
        "streams": ["x", "y"],
        "actions": [
            {"name": "use", "stream": "x", "costs": {"a": 1}},
            {"name": "skip", "stream": "x", "kind": "skip"},
            {"name": "use", "stream": "y", "costs": {"b": 2}},
            {"name": "skip", "stream": "y", "kind": "skip"},
        ],
        "charges": {"per_step": {"p": 1}},
    }
    workload = work(tmp_path, header, [{"actions": {"x": [0, 1], "y": [0, 0]}}])
    assert places(workload) == [(0, None), (0, 0), (0, 2), (1, None), (1, 1), (1, 2)]
    assert workload.actions == ("x: use", "x: skip", "y: use", "y: skip")
    assert workload.component_runs() == ({"a": 1, "b": 4}, {"p": 2})
    first = workload.tasks[workload.videos[0][0].task]
    assert (first.before, first.choices) == ((("p", 1),), 4)
    ticks = ticks_of(workload.videos, workload.tasks)
    assert split_calls(ticks, workload.tasks) == [("a", 1), ("b", 1), ("b", 1), ("b", 1), ("b", 1)]


def test_exits_are_reached_in_stages(tmp_path: Path) -> None:
    """Each stage runs what its exit costs beyond the one before; the last has no gate."""
    header = {
        **TWO,
        "steps": 1,
        "exits": [
            {"name": "early", "costs": {"a": 2}},
            {"name": "middle", "costs": {"a": 5, "b": 1}},
            {"name": "late", "costs": {"a": 6, "b": 1}},
        ],
    }
    workload = work(tmp_path, header, [{"exit": "late"}, {"exit": 0}, {"exit": "middle"}])
    stages = [[workload.tasks[v.task] for v in video] for video in workload.videos]
    assert [[(t.runs, t.gate, t.exit) for t in video] for video in stages] == [
        [((("a", 2),), 2, None), ((("a", 3), ("b", 1)), 2, None), ((("a", 1),), 0, 2)],
        [((("a", 2),), 2, 0)],
        [((("a", 2),), 2, None), ((("a", 3), ("b", 1)), 2, 1)],
    ]
    assert workload.decided()[1] == [1, 1, 1]
    # 6 + 2 + 5; 1 + 0 + 1
    assert workload.component_runs()[0] == {"a": 13, "b": 2}
    calls = split_calls(ticks_of(workload.videos, workload.tasks), workload.tasks)
    # Three come to the first stage, and who leaves there is known only behind it.
    assert calls == [*[("a", 3)] * 2, *[("a", 2)] * 3, ("b", 2), ("a", 1)]


def test_exits_that_do_not_grow_run_whole(tmp_path: Path) -> None:
    """If a later exit costs less of something, it is a separate path."""
    exits = [{"name": "one", "costs": {"a": 2}}, {"name": "two", "costs": {"b": 1}}]
    workload = work(tmp_path, {**TWO, "steps": 1, "exits": exits}, [{"exit": 1}, {"exit": 0}])
    found = [[workload.tasks[v.task] for v in video] for video in workload.videos]
    assert [[(t.runs, t.gate, t.exit) for t in v] for v in found] == [
        [((("b", 1),), 0, 1)],
        [((("a", 2),), 2, 0)],
    ]


def test_views_of_a_video_are_one_after_the_other(tmp_path: Path) -> None:
    """A video is paid for once, each of its views too; further counts run at the end of theirs."""
    header = {
        **TWO,
        "steps": "varies",
        "actions": [{"name": "run", "costs": {"a": 1}}],
        "charges": {"per_sample": {"p": 1}, "per_view": {"b": 1}},
    }
    samples = [
        {"id": "v", "view": 0, "actions": [0, 0], "counts": {"b": 3}},
        {"id": "w", "view": 0, "actions": [0]},
        {"id": "v", "view": 1, "actions": [0]},
    ]
    workload = work(tmp_path, header, samples)
    assert len(workload.videos) == 2
    assert workload.component_runs() == ({"a": 4, "b": 3}, {"p": 2, "b": 3})
    assert places(workload) == [
        (0, None), (0, 0), (1, 0), (2, None), (3, None), (3, 0),
    ]  # fmt: skip
    only = work(tmp_path, header, samples, videos=1)
    assert only.videos == workload.videos[:1]
    assert only.steps == 3


def test_first_videos_are_a_log_of_their_own(tmp_path: Path) -> None:
    """--videos N is the log cut after N videos; more than there are is refused."""
    samples = [{"actions": rows(text)} for text in ARNET_ROWS.values()]
    assert work(tmp_path, ARNET, samples, videos=2) == work(tmp_path, ARNET, samples[:2])
    with pytest.raises(InputError, match="--videos is 4, but"):
        work(tmp_path, ARNET, samples, videos=4)


@pytest.mark.parametrize(
    ("header", "sample", "needles"),
    [
        (
            {"actions": [{"name": "half", "costs": {"a": 0.5}}]},
            {"actions": [0]},
            ("the action 'half' costs 0.5 runs of 'a'", "its own component"),
        ),
        ({}, {"steps": 2, "counts": {"b": 1.25}}, ("counts costs 1.25 runs of 'b'",)),
        (
            {"charges": {"per_step": {"p": 0.1}}, "actions": [{"name": "run"}]},
            {"actions": [0]},
            ("charges.per_step costs 0.1 runs of 'p'",),
        ),
        ({"actions": [{"name": "rest"}]}, {"actions": [0]}, ("nothing ever runs",)),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, header: Mapping[str, Any], sample: Mapping[str, Any], needles: Sequence[str]
) -> None:
    """A fraction of a run names action and component; a log in which nothing runs says so."""
    with pytest.raises(InputError) as caught:
        work(tmp_path, {**TWO, **header}, [sample])
    for needle in needles:
        assert needle in str(caught.value)


def test_a_part_of_a_run_that_is_never_asked_for_is_fine(tmp_path: Path) -> None:
    """Only what the log decides must be whole."""
    actions = [{"name": "half", "costs": {"a": 0.5}}, {"name": "whole", "costs": {"a": 1}}]
    assert work(tmp_path, {**TWO, "actions": actions}, [{"actions": [1]}]).decided()[0] == [0, 1]


def test_buckets_fill_across_videos_and_steps(tmp_path: Path) -> None:
    """Items wait until a bucket is full; the rest runs at the end; a state cannot wait."""
    samples = [{"actions": rows(text)} for text in ARNET_ROWS.values()]
    workload = work(tmp_path, ARNET, samples)
    ticks = ticks_of(workload.videos, workload.tasks)
    calls = bucket_calls(ticks, workload.tasks, 4)
    # 6, 4 and 4 runs: 2 + 2 + 2 frames at 224, then at 168 and at 112
    totals = workload.component_runs()[0]
    for name, n in totals.items():
        sizes = [size for own, size in calls if own == name]
        assert sizes == [4] * (n // 4) + ([n % 4] if n % 4 else [])
    eager = bucket_calls(ticks, workload.tasks, 4, {"resnet50"})
    assert [c for c in eager if c[0] == "resnet50"] == [
        c for c in split_calls(ticks, workload.tasks) if c[0] == "resnet50"
    ]


def test_a_gate_does_not_wait_for_a_full_bucket(tmp_path: Path) -> None:
    """What a gate decides on runs at once, in full buckets first."""
    exits = [{"name": str(n), "costs": {"a": n}} for n in (1, 2)]
    workload = work(tmp_path, {**TWO, "steps": 1, "exits": exits}, [{"exit": 1}] * 5)
    ticks = ticks_of(workload.videos, workload.tasks)
    sizes = [n for _, n in bucket_calls(ticks, workload.tasks, 4)]
    # Before the gate 4 and 1; behind it no gate, so 4, and 1 at the end.
    assert sizes == [4, 1, 4, 1]


@settings(max_examples=60)
@given(
    data=st.lists(st.lists(st.integers(0, 6), min_size=6, max_size=6), min_size=1, max_size=7),
    bucket=st.integers(1, 5),
    group=st.integers(1, 7),
)
def test_no_decision_and_no_run_is_lost(
    tmp_path_factory: pytest.TempPathFactory, data: list[list[int]], bucket: int, group: int
) -> None:
    """Every arrangement runs what the counting kernel counts."""
    path = write_log(
        tmp_path_factory.mktemp("logs") / "run.jsonl", ARNET, [{"actions": row} for row in data]
    )
    log = open_log([path], options=Options(exact=True))
    workload, _ = workload_of(log)
    assert workload.decided()[0] == count_log(log).totals().decisions
    arms, _ = workload.component_runs()
    split: Counter[str] = Counter()
    buckets: Counter[str] = Counter()
    for start in range(0, len(data), group):
        ticks = ticks_of(workload.videos[start : start + group], workload.tasks)
        for name, n in split_calls(ticks, workload.tasks):
            split[name] += n
        for name, n in bucket_calls(ticks, workload.tasks, bucket):
            assert n <= bucket
            buckets[name] += n
    assert split == buckets == arms


@st.composite
def logs(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return header and samples: streams, spans, views, exits, both encodings."""
    streams = draw(st.sampled_from([["x"], ["x", "y"]]))
    spans = {
        stream: draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)) for stream in streams
    }
    header: dict[str, Any] = {
        **TWO,
        "steps": "varies",
        "encoding": draw(st.sampled_from(["per_step", "per_decision"])),
        "streams": streams,
        "actions": [
            {"name": f"{i}", "stream": stream, "span": span, "costs": {"a": 1}}
            for stream in streams
            for i, span in enumerate(spans[stream])
        ],
        "exits": [{"name": f"e{i}", "costs": {"b": i}} for i in range(3)],
        "charges": {"per_step": {"p": 1}},
    }
    samples = []
    for number in range(draw(st.integers(1, 5))):
        rows: dict[str, list[int]] = {stream: [] for stream in streams}
        steps = draw(st.integers(0, 9))
        for stream, own in rows.items():
            covered = 0
            while covered < steps:
                choice = draw(st.integers(0, len(spans[stream]) - 1))
                per_step = header["encoding"] == "per_step"
                covered += 1 if per_step else spans[stream][choice]
                own.append(choice)
        sample: dict[str, Any] = {"id": f"v{number // 2}", "view": number % 2, "actions": rows}
        samples.append(sample | {"steps": steps, "exit": draw(st.integers(0, 2))})
    return header, samples


@settings(max_examples=100)
@given(log=logs())
def test_the_work_is_what_the_counting_kernel_counts(
    tmp_path_factory: pytest.TempPathFactory, log: tuple[dict[str, Any], list[dict[str, Any]]]
) -> None:
    """Decisions, exits and steps of the work are those of the log, of its first videos too."""
    path = write_log(tmp_path_factory.mktemp("logs") / "run.jsonl", *log)
    opened = open_log([path], options=Options(exact=True))
    counts = count_log(opened)
    videos = np.arange(counts.records) if counts.video is None else counts.video
    for first in range(1, counts.videos + 1):
        workload, _ = workload_of(opened, videos=first)
        totals = counts.totals(np.flatnonzero(videos < first))
        assert workload.decided() == (totals.decisions, list(totals.exits))
        assert workload.steps == totals.steps
