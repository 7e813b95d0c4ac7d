"""The distribution of the cost of a video: bins, steps, centres, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from logs import write_log

from flopbench.core.errors import InputError
from flopbench.counting.table import CostTable
from flopbench.estimate.estimator import video_costs
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.present.figures.bins import MOST_BINS, few_costs, nice, shared_bins
from flopbench.present.figures.cost import MOST_STEPS, cost, four_digits

cost_of = cost.make

DATA = ROOT / "tests" / "data"
LOGS = [DATA / "selective.jsonl", DATA / "steady.jsonl"]
CHOICES = Choices(table=CostTable.load(DATA / "table-schema1.json"), may_measure=False)


def constant_log(path: Path, runs: list[list[int]], macs: int = 10**9) -> Path:
    """Write a log whose first action costs this many MACs and whose second costs nothing."""
    header = {
        "method": path.stem,
        "actions": [{"name": "look", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
        "components": {"net": f'value:{macs} "a test"'},
        "steps": "varies",
    }
    return write_log(path, header, [{"actions": run} for run in runs])


def looks(*counts: int) -> list[list[int]]:
    """Return one video for each number of processed frames."""
    return [[0] * n + [1] for n in counts]


def test_bins_hold_the_estimators_costs() -> None:
    """Each bin counts the videos whose cost, by the estimator, is in it."""
    cost = cost_of(LOGS, choices=CHOICES, cumulative=False)
    for one, log in zip(cost.runs, LOGS, strict=True):
        run = run_of_log([log], CHOICES)
        costs = video_costs(run.counts, run.prices, run.primary.rule) / 1e9  # type: ignore[arg-type]
        for low, high, count in zip(cost.edges, cost.edges[1:], one.counts, strict=False):
            assert count == ((costs >= low) & (costs < high)).sum()
        assert sum(one.counts) == one.videos == 200
        assert one.mean == run.primary.gflops_per_video
        assert one.interval == run.interval
        assert one.median == np.median(costs)


def test_words_say_how() -> None:
    """Counter with version, rule, convention, bin width and its rule, means with intervals, n."""
    said = " ".join(cost_of(LOGS, choices=CHOICES, cumulative=False).caption.sentences)
    for part in (
        "Prices: thop-2020 0.1.1",
        "Rule: exact.",
        "1 MAC = 2 FLOPs",
        "bins 5 GFLOPS/video wide",
        "Freedman and Diaconis's rule, rounded; the narrowest of the runs' widths",
        "200 videos",
        "selective: mean 18.66 (95 % interval ",
        "percentile bootstrap over videos, 1,000 resamples, seed 0.",
    ):
        assert part in said, said


@pytest.mark.parametrize("cumulative", [None, False, True])
def test_small_costs_have_their_own_unit(tmp_path: Path, cumulative: bool | None) -> None:
    """A thousandth of a cost is the same figure in MFLOPS; the table stays in GFLOPS."""
    costs = looks(*(range(10, 30) if cumulative is False else (1, 1, 2, 2, 5, 5)))
    large, small = (
        cost_of(constant_log(tmp_path / "log.jsonl", costs, macs), cumulative=cumulative)
        for macs in (10**9, 10**6)
    )
    assert (large.unit, small.unit) == ("GFLOPS", "MFLOPS")
    assert (small.edges, small.values) == (large.edges, large.values)
    assert small.caption.sentences == tuple(
        text.replace("GFLOPS/", "MFLOPS/") for text in large.caption.sentences
    )
    assert "MFLOPS/video" in small.caption.alt
    column = small.table.header.index("share_at_most" if cumulative else "videos") - 1
    for row, other in zip(small.table.rows, large.table.rows, strict=True):
        assert row[1] == pytest.approx(other[1] / 1000)  # type: ignore[operator]
        assert row[column + 1 :] == other[column + 1 :]


def test_small_costs_of_the_table_are_those_of_whole_macs(tmp_path: Path) -> None:
    """1,031,616 MACs are 0.001031616 GFLOPS, not the 0.0010316160000000002 of 1.031616 MFLOPS."""
    log = constant_log(tmp_path / "log.jsonl", looks(*range(1, 30)), 1_031_616)
    figure = cost_of(log, cumulative=True)
    assert figure.unit == "MFLOPS"
    assert [row[1] for row in figure.table.rows] == [n * 1_031_616 / 1e9 for n in range(1, 30)]


def test_steps_of_the_cumulative_form() -> None:
    """Each step is a cost that some video has, with the videos that cost at most that."""
    (one,) = cost_of(LOGS[0], choices=CHOICES, cumulative=True).runs
    run = run_of_log([LOGS[0]], CHOICES)
    costs = video_costs(run.counts, run.prices, run.primary.rule) / 1e9  # type: ignore[arg-type]
    assert [at for at, _ in one.steps] == sorted(set(costs))
    assert all(n == (costs <= at).sum() for at, n in one.steps)
    assert one.steps[-1] == (costs.max(), 200)
    assert not one.cut


def test_many_steps_are_thinned(tmp_path: Path) -> None:
    """Beyond a thousand steps quantiles are drawn: each still a true point of the distribution."""
    runs = [[0] * n + [1] for n in range(1, 1501)]
    cost = cost_of(constant_log(tmp_path / "log.jsonl", runs), cumulative=True)
    (one,) = cost.runs
    assert one.cut
    assert len(one.steps) <= MOST_STEPS
    assert all(at == n for at, n in one.steps)
    assert one.steps[0] == (1, 1)
    assert one.steps[-1] == (1500, 1500)
    assert "Drawn at 1,000 quantiles" in " ".join(cost.caption.sentences)


@pytest.mark.parametrize("counts", [(8, 8, 8), (8,), (0, 0)])
def test_videos_of_equal_cost(tmp_path: Path, counts: Any) -> None:
    """They are one bar at their cost."""
    cost = cost_of(constant_log(tmp_path / "log.jsonl", looks(*counts)))
    assert (cost.edges, cost.values) == ((), (counts[0],))
    assert cost.runs[0].counts == (len(counts),)
    assert "at each cost: all are equal." in " ".join(cost.caption.sentences)


@pytest.mark.parametrize(
    ("runs", "asked", "form"),
    [
        ([(1, 1, 2, 5)], None, "bins"),  # three costs of four videos: not twice each
        ([(1, 1, 1, 2, 5, 5)], None, "bars"),
        ([(1, 1, 1, 2, 5, 5)], True, "steps"),
        ([(1, 1, 1, 2, 5, 5), (2, 2, 2, 2, 5, 5)], None, "bars"),
        ([tuple(range(13)) * 2], None, "bins"),  # thirteen costs
        ([tuple(range(12)) * 2], None, "bars"),
        ([tuple(range(12)) * 2] * 3, None, "steps"),  # 36 bars in a column
        ([tuple(range(12)) * 2] * 3, False, "bins"),
        ([tuple(range(20)), tuple(range(9))], None, "steps"),
        ([tuple(range(20)), tuple(range(9))], False, "bins"),
    ],
)
def test_the_form_fits_the_costs(
    tmp_path: Path, runs: list[tuple[int, ...]], asked: bool | None, form: str
) -> None:
    """A histogram of one run, steps of several; bars where a few costs occur often."""
    logs = [constant_log(tmp_path / f"{n}.jsonl", looks(*run)) for n, run in enumerate(runs)]
    figure = cost_of(logs, cumulative=asked)
    found = "bars" if figure.values else "bins" if figure.edges else "steps"
    assert (found, figure.cumulative) == (form, form == "steps")


def test_bars_count_the_videos_of_each_cost(tmp_path: Path) -> None:
    """Of 6 videos 3 cost 1, 1 costs 2, 2 cost 5; of the other run none costs 1."""
    runs = (1, 1, 1, 2, 5, 5), (2, 2, 2, 2, 5, 5)
    logs = [constant_log(tmp_path / f"{n}.jsonl", looks(*run)) for n, run in enumerate(runs)]
    figure = cost_of(logs)
    assert figure.values == (1, 2, 5)
    assert [run.counts for run in figure.runs] == [(3, 1, 2), (0, 4, 2)]
    assert figure.table.header[1:4] == ("gflops_per_video", "videos", "share_of_videos")
    assert figure.table.rows[1][:4] == ("0", 2.0, 1, 1 / 6)
    assert "at each cost: 3 different costs." in " ".join(figure.caption.sentences)


def test_costs_that_differ_by_rounding_are_one() -> None:
    """0.1 + 0.2 is 0.3: the same prices in another order."""
    assert few_costs([np.array([0.3, 0.3, 0.1 + 0.2, 0.1 + 0.2])]) == (0.3,)


def test_a_single_video_has_no_interval(tmp_path: Path) -> None:
    """A mean of one says nothing of others."""
    cost = cost_of(constant_log(tmp_path / "log.jsonl", looks(3)))
    assert cost.runs[0].interval is None
    assert "A single video has no interval." in cost.caption.sentences
    assert "1 video," in " ".join(cost.caption.sentences)


def test_mostly_equal_costs(tmp_path: Path) -> None:
    """Where half of the videos cost the same, the range decides the bins."""
    cost = cost_of(constant_log(tmp_path / "log.jsonl", looks(*[5] * 40, *range(6, 19))))
    assert "a twentieth of the range" in cost.bins_by
    assert sum(cost.runs[0].counts) == 53


def test_an_outlier_does_not_make_a_thousand_bins(tmp_path: Path) -> None:
    """There are never more bins than can be seen, and the caption says that the rule asks more."""
    counts = [*range(1, 60), 20_000]
    cost = cost_of(constant_log(tmp_path / "log.jsonl", looks(*counts)))
    assert len(cost.edges) - 1 <= MOST_BINS
    assert "asks for narrower ones" in cost.bins_by


def test_bins_hold_everything() -> None:
    """Whatever the costs, every one is in a bin, bins are even, and there are at most 60."""
    rng = random.Random(0)
    for _ in range(400):
        scale = 10.0 ** rng.randint(-9, 6)
        offset = rng.choice([0, 0, 1, 30])
        costs = []
        for n in (rng.randint(1, 60), rng.randint(1, 5)):
            own = [rng.choice([rng.random(), rng.randrange(5)]) for _ in range(n)]
            costs.append(np.sort(scale * (offset + np.array(own))))
        edges, width, _ = shared_bins(costs)
        assert 2 <= len(edges) <= MOST_BINS + 2
        assert edges[0] >= 0
        gaps = np.diff(edges)
        assert gaps == pytest.approx(np.full(len(gaps), width))
        for own in costs:
            assert np.histogram(own, edges)[0].sum() == len(own)
            assert own[-1] < edges[-1]


def test_widths_that_read_well() -> None:
    """A width is one of a few digits times a power of ten."""
    assert nice(5.6) == 6.0
    assert nice(0.0121) == 0.01
    assert nice(410.0) == 400.0
    assert nice(410.0, up=True) == 500.0
    assert nice(4.0, up=True) == 4.0
    assert four_digits(17.0) == "17.00"
    assert four_digits(1234.0) == "1234"
    assert four_digits(0.0) == "0"


def test_runs_share_bins(tmp_path: Path) -> None:
    """All runs are counted in the same bins, as narrow as any of them asks for."""
    near = constant_log(tmp_path / "near.jsonl", looks(*range(10, 30)))
    far = constant_log(tmp_path / "far.jsonl", looks(*range(100, 140, 2)))
    cost = cost_of([near, far], cumulative=False)
    assert all(len(run.counts) == len(cost.edges) - 1 for run in cost.runs)
    assert [run.name for run in cost.runs] == ["near", "far"]
    assert len(cost.table.rows) == 2 * (len(cost.edges) - 1)
    assert sum(row[3] for row in cost.table.rows) == 40  # type: ignore[misc]


def test_refused(tmp_path: Path) -> None:
    """A table of shares has no videos; runs under two rules cannot be compared."""
    table = tmp_path / "shares.csv"
    table.write_text("action,share\nresnet50@224,0.5\nskip 4,0.5\n", encoding="utf-8")
    choices = Choices(table=CHOICES.table, preset="arnet-resnet", steps=16, may_measure=False)
    with pytest.raises(
        InputError, match="table of shares: it has a mean, but no costs of individual"
    ):
        cost_of(table, choices=choices)
    runs = [
        run_of_log([LOGS[0]], Choices(table=CHOICES.table, may_measure=False, rule=rule))
        for rule in ("exact", "published")
    ]
    with pytest.raises(InputError, match="rules exact and published"):
        cost_of(runs, names=["a", "b"])
    with pytest.raises(InputError, match="at most 8"):
        cost_of([run_of_log([LOGS[0]], CHOICES)] * 9)


def test_clusters_are_named(tmp_path: Path) -> None:
    """Where whole clusters were drawn, the caption says so; a single one has no interval."""
    header = {"components": {"net": "value:1e9"}, "actions": [{"name": "run", "costs": {"net": 1}}]}
    samples = [
        {"id": f"{n}", "actions": [0] * (1 + n % 5), "extra": {"clip": n // 3, "set": 0}}
        for n in range(36)
    ]
    path = write_log(tmp_path / "run.jsonl", {**header, "steps": "varies"}, samples)
    over = cost_of(path, choices=Choices(cluster="clip")).caption.sentences
    how = "percentile bootstrap over 12 clusters (clip), 1,000 resamples, seed 0."
    assert f"Intervals of means: 95 %, {how}" in over
    one = cost_of(path, choices=Choices(cluster="set")).caption.sentences
    assert "A single cluster has no interval." in one
