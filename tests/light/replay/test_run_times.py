"""Logs side by side in ms: differences by hand, what a repeat moves, inversions, one setting."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from clocks import timing_file
from conftest import RunCli
from logs import LARGE, SMALL, TIMED_NETS, write_log
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.estimate.compare import Comparison, compare
from flopbench.estimate.comparison_text import comparison_csv, comparison_grids
from flopbench.estimate.differences import repeat_reach
from flopbench.estimate.methods import RunTime
from flopbench.estimate.orders import inversion_lines
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Choices, Run, run_of_log
from flopbench.present.figures.inputs.points import read_points
from flopbench.replay.run_times import run_times
from flopbench.timing.file import TimingFile

SECONDS = {SMALL: 0.008, LARGE: 0.020}


def log(folder: Path, name: str, videos: list[list[int]], right: int = 1) -> Run:
    """Write a log of videos, the first ``right`` of which are right, and estimate it."""
    samples = [
        {"id": f"v{n}", "labels": [0], "prediction": int(n >= right), "actions": actions}
        for n, actions in enumerate(videos)
    ]
    path = write_log(folder / f"{name}.jsonl", {"method": name, **TIMED_NETS}, samples)
    return run_of_log([path], Choices(), keep_scores=True)


def two(folder: Path, looks: int = 4) -> list[Run]:
    """Return many small looks and one large one: 32 − 8 of 3 videos, against 20 ms; × looks / 4."""
    few = [[0] * looks, [0] * looks, [0] * (looks - 1) + [2]]
    return [log(folder, "many", few), log(folder, "one", [[1] + [2] * (looks - 1)] * 3)]


def of_one_network_each(folder: Path) -> list[Run]:
    """Return a log that knows the small network only, and one that knows the large one only."""
    runs = []
    for name in ("small", "large"):
        nets = {"components": {name: TIMED_NETS["components"][name]}, "actions": [name]}
        path = write_log(folder / f"{name}.jsonl", nets, [{"actions": [0]}] * 2)
        runs.append(run_of_log([path]))
    return runs


def compared(runs: list[Run], file: TimingFile) -> Comparison:
    """Compare runs with times."""
    return compare(runs, Choices(), times=run_times(runs, file, Choices()))


def test_times_and_differences_by_hand(tmp_path: Path) -> None:
    """ms/video are runs × seconds; the interval of a difference is that of its videos in pairs."""
    runs = two(tmp_path)
    found = compared(runs, timing_file(SECONDS))
    times = [one.time for one in found.methods]
    assert times[0] is not None
    assert times[1] is not None
    assert times[0].ms_per_video == pytest.approx((32 + 32 + 24) / 3)
    assert times[1].ms_per_video == pytest.approx(20)
    assert times[1].videos_per_s == pytest.approx(50)
    (apart,) = found.differences
    assert apart.ms_per_video == pytest.approx(20 - 88 / 3)
    low, high = apart.ci95_ms_per_video or (0, 0)
    assert low == pytest.approx(-12)  # all three videos one of 20 − 32 ms, of 3³ draws 8
    assert high == pytest.approx(-4)  # all three the one of 20 − 24 ms, 1 of 27 draws
    assert [d.winner for d in found.dominance_ms] == ["one"]
    assert found.front_ms == ("one",)
    assert found.front == ("many",)
    right = log(tmp_path, "right", [[1, 2, 2, 2]] * 3, right=3)
    wrong = log(tmp_path, "wrong", [[0] * 4] * 3, right=0)
    (sure,) = compared([right, wrong], timing_file(SECONDS)).dominance_ms  # 12 ms, 100 points
    assert (sure.winner, sure.loser, sure.clear) == ("right", "wrong", True)


REACH = [
    # (first: ms and repeat of each network, other), down and up
    ({"x": (10, None)}, {"x": (10, None)}, (0, 0)),  # both run it equally often
    ({"x": (10, (0.9, 1.2))}, {"x": (8, (0.9, 1.2))}, (0.4, 0.2)),  # −2 × (−0.1, +0.2)
    (
        {"x": (10, (0.9, 1.1))},  # together −1 + 0.9; alone √(1² + 0.9²), which is wider
        {"y": (9, (0.9, 1.1))},
        (math.hypot(1, 0.9), math.hypot(1, 0.9)),
    ),
    (
        {"x": (1, (0.9, 1.1)), "y": (1, (0.9, 1.1))},  # together 0.3 + 0.4; alone 0.5
        {"x": (4, (0.9, 1.1)), "y": (5, (0.9, 1.1))},
        (0.7, 0.7),
    ),
    ({"x": (10, (0.9, 1.1))}, {"x": (10, (0.9, 1.1)), "y": (1, None)}, None),
]


@pytest.mark.parametrize(("first", "other", "reach"), REACH)
def test_how_far_a_repeat_moves_a_difference(first: Any, other: Any, reach: Any) -> None:
    """A network has one time in both runs; all move together or each alone, whichever is wider."""

    def time(networks: dict[str, Any]) -> RunTime:
        return RunTime(
            ms_per_video=sum(ms for ms, _ in networks.values()),
            interval_ms=None,
            prices=PriceList(counter="", version="", source="", prices={}),
            ms_by_network={name: ms for name, (ms, _) in networks.items()},
            repeats={name: repeat for name, (_, repeat) in networks.items()},
            setting="",
            source="",
        )

    found = repeat_reach(time(first), time(other))
    assert found == (None if reach is None else pytest.approx(reach))


@pytest.mark.parametrize(
    ("factors", "resolved", "said"),
    [
        ((1, 1, 1), True, "many is cheaper in GFLOPS than one, slower in ms: -"),
        ((0.7, 1, 1.4), False, "Not resolved (an interval includes 0): many is cheaper in GFLOPS"),
        ((1,), None, "Not resolved (no interval): many is cheaper in GFLOPS than one, slower"),
    ],
)
def test_an_inversion_is_resolved_or_not(
    tmp_path: Path, factors: tuple[float, ...], resolved: bool | None, said: str
) -> None:
    """It is a finding only where both intervals exclude 0; without intervals that is said."""
    found = compared(two(tmp_path), timing_file(SECONDS, factors))
    assert [(one.difference.name, one.resolved) for one in found.inversions] == [("many", resolved)]
    assert inversion_lines(found)[0].startswith(said)
    assert found.inversions[0].difference.gflops_per_video == pytest.approx(11 / 60 - 0.5)


def test_a_random_policy_repeats_no_inversion(tmp_path: Path) -> None:
    """At the cost and time of its log it says nothing new; alone it is a policy of its own."""
    runs = two(tmp_path)
    dealt = [run_of_log([run.source], Choices(random_seed=0), keep_scores=True) for run in runs]
    found = compared([runs[0], dealt[0], runs[1], dealt[1]], timing_file(SECONDS))
    assert [one.difference.name for one in found.inversions] == ["many"]
    found = compared([dealt[0], runs[1]], timing_file(SECONDS))
    assert [one.difference.less for one in found.inversions] == ["one"]


def test_no_inversion_is_said(tmp_path: Path) -> None:
    """Where both orders agree, one sentence says so."""
    found = compared(two(tmp_path, looks=2), timing_file(SECONDS))
    assert found.inversions == ()
    assert "No method is cheaper in GFLOPS than another, and slower in ms." in str(found)


def test_the_two_orders_stand_side_by_side(tmp_path: Path) -> None:
    """One table has both orders, each with its front; without times nothing changes."""
    runs = two(tmp_path)
    *_, order = comparison_grids(compared(runs, timing_file(SECONDS)))
    assert [column.title for column in order.columns] == [
        "by GFLOPS/v", "Pareto", "by ms/v", "Pareto"
    ]  # fmt: skip
    assert [row[::2] for row in order.rows] == [("many", "one"), ("one", "many")]
    assert order.rows[1][3].startswith("dominated by one")
    plain = compare(runs, Choices())
    assert len(comparison_grids(plain)) == 2
    assert "ms" not in comparison_csv(plain)


def test_what_is_written_is_read_as_points(tmp_path: Path) -> None:
    """The CSV with times is a table of points, with the intervals of its ms."""
    found = compared(two(tmp_path), timing_file(SECONDS, (0.99, 1, 1.01)))
    path = tmp_path / "points.csv"
    path.write_text(comparison_csv(found), encoding="utf-8")
    for point, method in zip(read_points(path), found.methods, strict=True):
        assert method.time is not None
        assert point.costs["ms_per_video"] == method.time.ms_per_video
        assert point.ends["ms_per_video"] == method.time.interval_ms
        assert point.ends["gflops_per_video"] == (method.run.interval or method.run).ends  # type: ignore[union-attr]


def test_intervals_of_differences_cover_repeats(tmp_path: Path) -> None:
    """Networks vary by 3 % a process, each by itself: at least 27 of 30 repeats lie inside."""
    import random

    runs = two(tmp_path)
    runs = [runs[0], log(tmp_path, "three", [[1, 0, 0, 2]] * 3)]
    inside = 0
    for seed in range(30):
        rng = random.Random(seed)

        def once(rng: random.Random = rng) -> Any:
            rows = [
                timing_file({spec: s}, [math.exp(rng.gauss(0, 0.03)) for _ in range(3)]).rows[0]
                for spec, s in SECONDS.items()
            ]
            file = replace(timing_file(SECONDS), rows=tuple(rows))
            times = run_times(runs, file, Choices(resamples=20))
            return compare(runs, Choices(resamples=20), times=times).differences[0]

        first, again = once(), once()
        low, high = first.ci95_ms_per_video
        inside += low <= again.ms_per_video <= high
    assert inside >= 27


def test_one_command_times_what_any_log_lacks(tmp_path: Path) -> None:
    """All missing networks of all logs are in one message, which gives one command for all."""
    runs = of_one_network_each(tmp_path)
    half = timing_file({LARGE: 0.020})
    for file, missing in (
        (half, f"of small ({SMALL})"),
        (timing_file({"vgg11@224": 0.1}), f"of large ({LARGE}), small ({SMALL})"),
    ):
        with pytest.raises(InputError) as caught:
            run_times(runs, file, Choices(beside=("many.jsonl", "one run.jsonl")), file_name="t")
        assert caught.value.message == f"t has no time at batch 1 {missing}"
        assert caught.value.hint == (
            "time them: flopbench latency --for many.jsonl 'one run.jsonl' -o timings.json"
        )
    with pytest.raises(InputError) as caught:
        run_times(runs, replace(half, rows=timing_file(SECONDS, batch=8).rows), Choices())
    assert "it has batch 8: --batch 8" in caught.value.hint
    with pytest.raises(InputError) as caught:
        run_times(two(tmp_path), half, Choices(components={"small": "resnet18@64"}))
    assert f"latency resnet18@64 {LARGE} -o" in caught.value.hint.replace("'", "")


def test_logs_timed_in_different_settings_are_refused(tmp_path: Path) -> None:
    """Each log has all its times, but not in one setting: the differing keys are named."""
    rows = (*timing_file({SMALL: 0.008}).rows, *timing_file({LARGE: 0.02}, dtype="bf16").rows)
    said = "small.jsonl and large.jsonl in different settings: dtype fp32, bf16"
    with pytest.raises(InputError, match=said):
        run_times(of_one_network_each(tmp_path), replace(timing_file(SECONDS), rows=rows))


def test_command(run_cli: RunCli, tmp_path: Path) -> None:
    """``compare --times`` has ms in every format; --batch needs --times."""
    two(tmp_path)
    timing_file(SECONDS, (0.99, 1, 1.01)).save(tmp_path / "t.json")
    argv = ["compare", "many.jsonl", "one.jsonl", "--times", "t.json"]
    shown = run_cli(*argv, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Times by t.json: AMD EPYC, cpu, fp32, 1 thread, batch 1." in shown.stdout
    assert shown.stderr.count("small: the log charges the constant") == 1
    data = json.loads(run_cli(*argv, "--format", "json", cwd=tmp_path).stdout)
    assert data["pareto_front_ms"] == ["one"]
    assert [one["resolved"] for one in data["inversions"]] == [True]
    assert data["differences"][0]["ms_per_video"] == pytest.approx(20 - 88 / 3)
    assert data["approaches"][1]["time"]["setting"]["batch"] == 1
    text = run_cli(*argv, "--format", "csv", cwd=tmp_path).stdout
    assert [row["pareto_front_ms"] for row in csv.DictReader(io.StringIO(text))] == [
        "False", "True"
    ]  # fmt: skip
    assert "slower in ms" in run_cli(*argv, "--format", "md", cwd=tmp_path).stdout
    latex = run_cli(*argv, "--format", "latex", "--bold", "best", cwd=tmp_path).stdout
    assert r"ms/v" in latex
    assert r"\textbf{20.0" in latex
    for more, said in (
        (("compare", "many.jsonl", "one.jsonl", "--batch", "8"), "--times"),
        (("compare", "t.json", "t.json", "--times", "t.json"), "prices policy logs"),
        ((*argv, "-o", "t.json"), "-o t.json would overwrite t.json, which is an input"),
        (("estimate", "one.jsonl", "-o", "one.jsonl"), "would overwrite one.jsonl"),
    ):
        refused = run_cli(*more, cwd=tmp_path)
        assert refused.returncode == 2
        assert said in refused.stderr
