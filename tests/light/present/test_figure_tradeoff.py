"""Points of accuracy against cost as data: reading tables, joining replays, the front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from logs import write_log

from flopbench.core.errors import DataError, FlopbenchError, InputError, NotComparableError
from flopbench.counting.table import CostTable
from flopbench.estimate.compare import compare
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.present.figures.inputs.points import read_points
from flopbench.present.figures.tradeoff import tradeoff
from flopbench.replay.figures import figures_of
from flopbench.replay.records import load_replay

tradeoff_of = tradeoff.make

LOGS = [ROOT / "tests/data/selective.jsonl", ROOT / "tests/data/steady.jsonl"]
TABLE = ROOT / "tests/data/table-schema1.json"
REPLAY = ROOT / "reports/replay-amd-epyc.json"
PUBLISHED = """approach,metric,percent,gflops_per_video,ms_per_video,source
AR-Net,mAP,73.8,33.5,,"Meng et al., ECCV 2020"
LiteEval,mAP,72.7,95.1,40,"Wu et al., NeurIPS 2019"
SCSampler,mAP,72.9,42.0,,
"""


def choices(**other: Any) -> Choices:
    """Return choices whose prices come from a file; for logs with mAP."""
    pytest.importorskip("sklearn")
    return Choices(
        table=CostTable.load(TABLE),
        table_source=TABLE.name,
        resamples=50,
        may_measure=False,
        **other,
    )


def points(folder: Path, text: str = PUBLISHED) -> Path:
    """Write a table of points."""
    path = folder / "points.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_logs_have_the_accuracy_and_cost_of_compare() -> None:
    """Centres and intervals of logs are those of ``compare``, unrounded."""
    runs = [run_of_log([path], choices(), keep_scores=True) for path in LOGS]
    expected = compare(runs, choices())
    figure = tradeoff_of(LOGS, choices=choices())
    assert [s.name for s in figure.points] == ["selective", "steady"]
    for point, approach in zip(figure.points, expected.methods, strict=True):
        assert point.percent == approach.percent
        assert approach.accuracy is not None
        assert point.percent_ends == approach.accuracy.ci95_percent
        assert point.cost == approach.run.primary.gflops_per_video
        ends = approach.run.interval
        assert ends is not None
        assert point.cost_ends == (ends.low, ends.high)
        assert point.on_front == (approach.name in expected.front)
    assert "thop-2020" in " ".join(figure.caption.sentences)


def test_one_log_alone_is_drawn() -> None:
    """A single log, which ``compare`` refuses, gives the same point."""
    both, one = tradeoff_of(LOGS, choices=choices()), tradeoff_of(LOGS[1], choices=choices())
    assert one.metric == "mAP"
    assert one.points[0].percent == both.points[1].percent
    assert one.front == one.points


def test_points_alone_need_no_log(tmp_path: Path) -> None:
    """Published points can be drawn alone; the caption names the papers."""
    figure = tradeoff_of(points=points(tmp_path))
    assert [(s.name, s.cost, s.percent) for s in figure.points] == [
        ("AR-Net", 33.5, 73.8),
        ("LiteEval", 95.1, 72.7),
        ("SCSampler", 42.0, 72.9),
    ]
    assert [s.name for s in figure.front] == ["AR-Net"]
    sentences = " ".join(figure.caption.sentences)
    assert "AR-Net: Meng et al., ECCV 2020" in sentences
    assert "SCSampler: source not stated" in sentences
    said = "line 4: SCSampler: source not stated"
    assert any(said in str(w) for w in figure.caption.warnings)


def test_the_front_goes_over_logs_and_points(tmp_path: Path) -> None:
    """A point is off the front as soon as any other is as accurate and as cheap."""
    text = (
        "approach,metric,percent,gflops_per_video\nbest,mAP,99,1\ntwin,mAP,99,1\nworse,mAP,99,2\n"
    )
    figure = tradeoff_of(LOGS, choices=choices(), points=points(tmp_path, text))
    assert [s.name for s in figure.front] == ["best", "twin"]


def test_numbers_are_what_is_drawn(tmp_path: Path) -> None:
    """Every point is a row with its ends, kind and file, as the columns say."""
    figure = tradeoff_of(LOGS, choices=choices(), points=points(tmp_path))
    table = figure.table
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["approach"] for row in rows] == [s.name for s in figure.points]
    assert rows[0]["gflops_per_video"] == figure.points[0].cost
    assert (rows[0]["percent_low"], rows[0]["percent_high"]) == figure.points[0].percent_ends
    assert [row["kind"] for row in rows] == ["log", "log", *["published"] * 3]


def test_what_compare_writes_is_read_back(tmp_path: Path) -> None:
    """The CSV of ``flopbench compare`` is a table of points: same centres and intervals."""
    from flopbench.estimate.comparison_text import comparison_csv

    runs = [run_of_log([path], choices(), keep_scores=True) for path in LOGS]
    path = points(tmp_path, comparison_csv(compare(runs, choices())))
    again, logs = tradeoff_of(points=path), tradeoff_of(LOGS, choices=choices())
    for a, b in zip(again.points, logs.points, strict=True):
        assert (a.percent, a.percent_ends, a.cost, a.cost_ends) == (
            b.percent, b.percent_ends, b.cost, b.cost_ends
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("approach,percent,gflops\na,1,2\n", "line 1: unknown column 'gflops'"),
        ("approach,percent,percent,videos\n", "line 1: the column 'percent' appears twice"),
        ("approach,percent,videos\na,1,2\n", "line 1: there is no cost"),
        ("approach,percent,gflops_per_video\n", "a header but no rows"),
        ("approach,percent,gflops_per_video\na,1\n", "line 2: 2 fields where the header has 3"),
        ("approach,percent,gflops_per_video\na,x,2\n", "line 2, column 'percent': 'x'"),
        (
            "approach,percent,gflops_per_video\na,101,2\n",
            "a number from 1e-12 to 100",
        ),
        ("approach,percent,gflops_per_video\na,,2\n", "line 2, column 'percent': empty"),
        ("approach,percent,gflops_per_video\na,1,nan\n", "column 'gflops_per_video': 'nan'"),
        ("approach,percent,gflops_per_video\na,1,-2\n", "a number from 1e-12 to 1e+15"),
        ("approach,percent,gflops_per_video\na,1,1e308\n", "a number from 1e-12 to 1e+15"),
        ("approach,percent,gflops_per_video\na,1,5e-324\n", "a number from 1e-12 to 1e+15"),
        ("approach,percent,gflops_per_video\na,1,\n", "column 'gflops_per_video': empty"),
        ("approach,percent,gflops_per_video\n,1,2\n", "line 2, column 'approach': empty"),
        (
            "approach,percent,percent_low,gflops_per_video\na,1,1,2\n",
            "column 'percent_high': empty, expected both ends",
        ),
        (
            "approach,percent,gflops_per_video,gflops_low,gflops_high\na,1,2,3,1\n",
            "column 'gflops_low': '3', expected at most 1",
        ),
        ("approach,metric,percent,gflops_per_video\na,maP@5,1,2\n", "column 'metric': 'maP@5'"),
        ('approach,percent,gflops_per_video\n"a"b,1,2\n', "line 2: not CSV"),
    ],
)
def test_a_defect_in_points_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """The message names file, line and column."""
    path = points(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_points(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message


def test_metrics_must_agree(tmp_path: Path) -> None:
    """Rows of another metric are refused; rows that name none give a remark."""
    mixed = "approach,metric,percent,gflops_per_video\na,mAP,1,2\nb,top-1,1,2\n"
    with pytest.raises(DataError, match="line 3, column 'metric': top-1, expected mAP"):
        tradeoff_of(points=points(tmp_path, mixed))
    silent = "approach,percent,gflops_per_video\na,1,2\n"
    with pytest.raises(InputError, match="does not say which accuracy"):
        tradeoff_of(points=points(tmp_path, silent))
    figure = tradeoff_of(points=points(tmp_path, silent), metric="top1")
    assert figure.metric == "top-1"
    assert any("taken as top-1" in w for w in map(str, figure.warnings))


def test_points_decide_the_metric_of_logs(tmp_path: Path) -> None:
    """Logs together with top-1 points are drawn by top-1, which they also have."""
    text = "approach,metric,percent,gflops_per_video\na,top-1,1,2\n"
    assert tradeoff_of(LOGS, choices=choices(), points=points(tmp_path, text)).metric == "top-1"


def test_rows_without_this_cost_are_left_out_and_told(tmp_path: Path) -> None:
    """A table may hold GFLOPS for some rows and ms for others."""
    figure = tradeoff_of(points=points(tmp_path), cost="ms")
    assert [(s.name, s.cost) for s in figure.points] == [("LiteEval", 40.0)]
    assert sum("has no ms/video and is left out" in w for w in map(str, figure.warnings)) == 2
    assert not any(text.startswith("Logs") for text in figure.caption.sentences)


def test_a_log_without_accuracy_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Neither scores nor a quoted metric: the message names the log, the hint the header."""
    header = {"method": "bare", "preset": "arnet-resnet"}
    bare = write_log(tmp_path / "bare.jsonl", header, [{"actions": [0] * 16}])
    with pytest.raises(InputError) as caught:
        tradeoff_of(bare, choices=choices())
    assert "bare.jsonl has no mAP" in caught.value.message
    assert '"metrics"' in caught.value.hint


def test_a_quoted_accuracy_is_drawn_and_told(tmp_path: Path) -> None:
    """A header's metric is enough; the caption says that it was not recomputed."""
    header = {"method": "quoted", "preset": "arnet-resnet", "metrics": {"mAP": 73.8}}
    log = write_log(tmp_path / "q.jsonl", header, [{"actions": [0] * 16}])
    figure = tradeoff_of(log, choices=choices())
    assert (figure.points[0].percent, figure.points[0].quoted) == (73.8, True)
    assert "not recomputed" in " ".join(figure.caption.sentences)


def test_other_datasets_are_refused_unless_asked(tmp_path: Path) -> None:
    """As ``compare`` does: exit status 4, and ``anyway`` draws them with a note."""
    other = tmp_path / "other.jsonl"
    head, rest = LOGS[0].read_text(encoding="utf-8").split("\n", 1)
    changed = {**json.loads(head), "dataset": "elsewhere"}
    other.write_text(json.dumps(changed) + "\n" + rest, encoding="utf-8")
    with pytest.raises(NotComparableError, match="dataset"):
        tradeoff_of([LOGS[1], other], choices=choices())
    figure = tradeoff_of([LOGS[1], other], choices=choices(), anyway=True)
    assert "the logs differ in 'dataset'" in " ".join(figure.caption.sentences)


def test_replays_give_ms_joined_by_method_and_dataset() -> None:
    """A log's time is that of its replay; a log without one is left out, with a warning."""
    figure = tradeoff_of(LOGS, choices=choices(), replays=REPLAY, cost="ms", mode="split")
    chain = figures_of(load_replay(REPLAY), "split").waterfall
    assert [s.name for s in figure.points] == ["steady"]
    point = figure.points[0]
    assert point.cost == pytest.approx(1e3 * chain.baseline_s / chain.measured)
    assert chain.interval is not None
    assert point.cost_ends == (
        1e3 * chain.baseline_s / chain.interval[1],
        1e3 * chain.baseline_s / chain.interval[0],
    )
    warnings = " ".join(map(str, figure.warnings))
    assert "selective: no replay of method 'selective'" in warnings
    assert "the time is of 64 videos, the accuracy of 200" in warnings
    sentences = " ".join(figure.caption.sentences)
    assert "AMD EPYC" in sentences
    assert "Logs: steady: 200 videos, " in sentences
    assert "Note: steady: the time is of 64 videos, the accuracy of 200." in sentences


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cost": "ms"}, "modes online, split and bucketed"),
        ({"cost": "ms", "mode": "splt"}, "no replay has the mode 'splt'"),
        ({}, "--cost ms draws them"),
        ({"cost": "joules"}, "there is no cost 'joules'"),
        ({"cost": "ms", "mode": "split", "replays": [REPLAY, REPLAY]}, "both replays of steady"),
    ],
)
def test_a_replay_must_be_usable(options: dict[str, Any], said: str) -> None:
    """A mode must be chosen and exist, and replays are for times only."""
    with pytest.raises(InputError) as caught:
        tradeoff_of(LOGS, choices=choices(), **{"replays": REPLAY, **options})
    assert said in caught.value.line


def test_times_of_unlike_machines_are_refused_unless_asked(tmp_path: Path) -> None:
    """Key and both values are named; ``anyway`` draws and warns."""
    other = json.loads(REPLAY.read_text(encoding="utf-8"))
    other["method"] = "selective"
    other["device"]["name"] = "another"
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    given: dict[str, Any] = {"replays": [REPLAY, path], "cost": "ms", "mode": "split"}
    with pytest.raises(NotComparableError, match=r"'device': .*'another'"):
        tradeoff_of(LOGS, choices=choices(), **given)
    figure = tradeoff_of(LOGS, choices=choices(), **given, anyway=True)
    assert len(figure.points) == 2
    assert any("differ in 'device'" in w for w in map(str, figure.warnings))


def test_a_log_axis_refuses_a_cost_of_zero(tmp_path: Path) -> None:
    """The message names the point, and the way out."""
    path = points(tmp_path, "approach,metric,percent,gflops_per_video\nfree,mAP,1,0\n")
    with pytest.raises(InputError) as caught:
        tradeoff_of(points=path)
    assert "free" in caught.value.message
    assert "--linear" in caught.value.hint
    assert tradeoff_of(points=path, log_scale=False).points[0].cost == 0


def test_nothing_to_draw_and_wrong_files_are_refused(tmp_path: Path) -> None:
    """No file, a replay where points were expected, a file that is not there."""
    for given in ({}, {"points": REPLAY}, {"points": tmp_path / "none.csv"}):
        with pytest.raises(FlopbenchError):
            tradeoff_of(**given)  # type: ignore[arg-type]
