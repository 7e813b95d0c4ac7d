"""Points of accuracy against cost as data: reading tables, joining replays, the front."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from clocks import timing_file
from conftest import ROOT
from logs import LARGE, SMALL, TIMED_NETS, write_log
from msgspec.structs import replace

from flopbench.core.errors import DataError, FlopbenchError, InputError, NotComparableError
from flopbench.counting.table import CostTable
from flopbench.estimate.compare import compare
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.present.figures.inputs.points import read_points
from flopbench.present.figures.tradeoff import tradeoff
from flopbench.replay.figures import figures_of
from flopbench.replay.prediction import predict
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
    assert one.metric == "top-1"
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
        ({}, "--x ms draws them"),
        ({"cost": "joules"}, "there is no cost 'joules'"),
        ({"cost": "ms", "mode": "split", "replays": [REPLAY, REPLAY]}, "both replays of steady"),
    ],
)
def test_a_replay_must_be_usable(options: dict[str, Any], said: str) -> None:
    """A mode must be chosen and exist, and replays are for times only."""
    with pytest.raises(InputError) as caught:
        tradeoff_of(LOGS, choices=choices(), **{"replays": REPLAY, **options})
    assert said in caught.value.line


SECONDS = {
    "resnet50@224,classes=200": 0.008,
    "resnet34@168,classes=200": 0.016,
    "resnet18@112,classes=200": 0.005,
    "mobilenet_v2@84,classes=200": 0.030,
    "lstm:1280x512": 0.001,
}
"""Such that decisions are dear, and the networks that count most are cheap."""


def test_times_of_networks_predict_ms() -> None:
    """Costs are those of ``predict``, with intervals both ways; the caption says what it is."""
    times = timing_file(SECONDS, (0.99, 1, 1.01))
    figure = tradeoff_of(LOGS, choices=choices(), times=times, cost="ms", reference="steady")
    runs = [run_of_log([path], choices(), keep_scores=True) for path in LOGS]
    for point, run in zip(figure.points, runs, strict=True):
        expected = predict(run, times, choices())
        assert (point.cost, point.cost_ends) == (expected.ms_per_video, expected.interval_ms)
        assert point.percent_ends is not None
        assert figure.label(point) == point.name
    assert figure.clocks == "predicted"
    said = " ".join(figure.caption.sentences)
    assert "Predicted, not run" in said
    assert "AMD EPYC, cpu, fp32, 1 thread, batch 1" in said
    assert "Predicted" in figure.caption.short[0]
    assert "selective against steady: −" in said
    assert "ms/video (95 %" in said


def test_inversions_are_named_in_notes_and_data(tmp_path: Path) -> None:
    """0.2 GFLOPS in 32 ms against 0.5 in 20: a note and the row of the slower one say so."""
    logs = []
    for name, actions in (("many", [0, 0, 0, 0]), ("one", [1, 2, 2, 2])):
        videos = [{"id": f"{n}", "labels": [0], "prediction": n % 2} for n in range(6)]
        samples = [{**video, "actions": actions} for video in videos]
        path = tmp_path / f"{name}.jsonl"
        logs.append(write_log(path, {"method": name, **TIMED_NETS}, samples))
    for factors, sure, mark in (((1, 1, 1), "", ""), ((1,), "Not resolved", " (not resolved)")):
        times = timing_file({SMALL: 0.008, LARGE: 0.020}, factors)
        figure = tradeoff_of(logs, times=times, cost="ms")
        said = f"Note: {sure}.*many is cheaper in GFLOPS than one, slower in ms: -0.3000 GFLOPS/v"
        assert any(re.match(said, note) for note in figure.notes)
        rows = [dict(zip(figure.table.header, row, strict=True)) for row in figure.table.rows]
        assert [(row["time"], row["slower_but_cheaper_than"]) for row in rows] == [
            ("predicted", f"one{mark}"),
            ("predicted", None),
        ]


def test_predicted_points_are_marked_beside_replays() -> None:
    """A replay counts where a log has one; the others are predicted and named so; one machine."""
    times = timing_file(SECONDS)
    options: dict[str, Any] = {"replays": REPLAY, "mode": "split", "cost": "ms"}
    with pytest.raises(NotComparableError, match="the timing file and a replay differ in 'device'"):
        tradeoff_of(LOGS, choices=choices(), times=times, **options)
    times = replace(times, devices=(load_replay(REPLAY).device,))
    figure = tradeoff_of(LOGS, choices=choices(), times=times, **options)
    assert [figure.label(point) for point in figure.points] == ["selective (predicted)", "steady"]
    assert [point.time for point in figure.points] == ["predicted", "measured"]
    assert figure.clocks == "measured or predicted"
    assert figure.inverted == {}
    warnings = " ".join(map(str, figure.warnings))
    assert "selective: no replay of method 'selective' and dataset" in warnings
    assert "; predicted" in warnings
    assert "but are in what a replay measures" in " ".join(figure.caption.sentences)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"times": timing_file(SECONDS)}, "--cost ms draws them"),
        ({"cost": "ms", "batch": 8}, "which times to take, and none were given"),
        ({"cost": "ms", "times": timing_file({}, (1,))}, "flopbench latency --for"),
        ({"cost": "ms", "times": REPLAY}, "takes a timing file"),
    ],
)
def test_times_must_be_usable(options: dict[str, Any], said: str) -> None:
    """Times are for ms only, of every network of the logs."""
    with pytest.raises(InputError) as caught:
        tradeoff_of(LOGS, choices=choices(), **options)
    assert said in caught.value.line


def test_times_without_a_log_are_refused(tmp_path: Path) -> None:
    """Points of tables have their ms, if any: there is nothing to predict."""
    with pytest.raises(InputError, match="no policy log was given"):
        tradeoff_of(points=points(tmp_path), times=timing_file(SECONDS), cost="ms")


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
        tradeoff_of(points=path, log_scale=True)
    assert "free" in caught.value.message
    assert "--linear" in caught.value.hint
    assert tradeoff_of(points=path).points[0].cost == 0


@pytest.mark.parametrize(
    ("costs", "asked", "is_log"),
    [
        ((10, 39.9), None, False),
        ((10, 40), None, True),  # four times apart
        ((0, 10), None, False),
        ((10, 11), True, True),
        ((1, 100), False, False),
    ],
)
def test_the_axis_is_logarithmic_from_a_ratio_of_four(
    tmp_path: Path, costs: tuple[float, float], asked: bool | None, is_log: bool
) -> None:
    """Near costs are on a linear axis, unless another one is asked for."""
    text = "approach,metric,percent,gflops_per_video\n"
    path = points(tmp_path, text + "".join(f"m{c},mAP,1,{c}\n" for c in costs))
    assert tradeoff_of(points=path, log_scale=asked).log_scale is is_log


SETTINGS = """\
approach,metric,percent,gflops_per_video,frames_per_video,params_millions,series,source
4 frames,mAP,64.0,20,4,25.6,uniform,A
16 frames,mAP,72.0,80,16,25.6,uniform,A
8 frames,mAP,70.0,40,8,25.6,uniform,A
LiteEval,mAP,72.7,50,,,,B
small,mAP,84.6,28.8,6,11.7,,
large,mAP,85.6,36,,23.9,,
"""


UNIFORM = "4 frames, 8 frames, 16 frames"


def settings(folder: Path, **given: Any) -> Any:
    """Return the points of ``SETTINGS``."""
    return tradeoff_of(points=points(folder, SETTINGS), **given)


@pytest.mark.parametrize(
    ("given", "series"),
    [
        ((), {"uniform": UNIFORM}),
        ({"ours": ["large", "small"]}, {"uniform": UNIFORM, "ours": "small, large"}),
        (["ours=small,large"], {"uniform": UNIFORM, "ours": "small, large"}),
        (["few=[48] frames"], {"few": "4 frames, 8 frames", "uniform": "16 frames"}),
        (["all=uniform, LiteEval"], {"all": "4 frames, 8 frames, LiteEval, 16 frames"}),
    ],
)  # fmt: skip
def test_points_are_in_series_the_cheapest_first(
    tmp_path: Path, given: Any, series: dict[str, str]
) -> None:
    """By the column, or by name, series or pattern of what is asked, which comes first."""
    figure = settings(tmp_path, series=given)
    found = {name: ", ".join(p.name for p in own) for name, own in figure.series.items()}
    assert found == series
    rows = [dict(zip(figure.table.header, row, strict=True)) for row in figure.table.rows]
    assert [row["series"] or "" for row in rows] == [point.series for point in figure.points]
    assert "Lines join the points of one method" in " ".join(figure.caption.sentences)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"series": ["a=smal"]}, "--series a: no point is 'smal'\n  did you mean 'small'?"),
        ({"series": ["small"]}, "--series 'small': expected NAME=VALUE"),
        ({"series": ["a=small", "b=small"]}, "small is in the series a and b"),
        ({"series": ["a=small,"]}, "--series a: no point is ''"),
        ({"series": {str(n): ["small"] for n in range(2)}}, "small is in the series 0 and 1"),
        ({"own": ["our"]}, "--own: no point is 'our'"),
        ({"reference": "uniform"}, "--reference: 'uniform' is 3 points"),
        ({"reference": "none"}, "--reference: no point is 'none'"),
    ],
)
def test_what_names_no_point_is_told(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    """Unknown members, members of two series, several references."""
    with pytest.raises(InputError) as caught:
        settings(tmp_path, **given)
    assert said in str(caught.value)


def test_no_more_series_than_can_be_distinguished(tmp_path: Path) -> None:
    """Eight with the points that stand alone; one more is refused."""
    text = "approach,metric,percent,gflops_per_video,series\n"
    rows = [f"m{n},mAP,{n},{n + 1},s{n}\n" for n in range(9)]
    assert len(tradeoff_of(points=points(tmp_path, text + "".join(rows[:8]))).series) == 8
    with pytest.raises(InputError, match="9 series; at most 8"):
        tradeoff_of(points=points(tmp_path, text + "".join(rows)))


def test_own_points_are_set_against_the_reference(tmp_path: Path) -> None:
    """Cost as a share of the reference's, accuracy in points; others are not set against it.

    28.8 / 40 = 0.72, 84.6 - 70.0 = 14.6; 36 / 40 = 0.9, 85.6 - 70.0 = 15.6.
    """
    figure = settings(tmp_path, own=["small", "large"], reference="8 frames")
    assert figure.mixed
    own = {point.name: figure.against(point) for point in figure.points}
    assert own.pop("small") == "−28 % at +14.6 mAP"
    assert own.pop("large") == "−10 % at +15.6 mAP"
    assert set(own.values()) == {""}
    said = " ".join(figure.caption.sentences)
    assert "Filled: ours, small and large." in said
    assert "Below a name: GFLOPS and mAP relative to 8 frames." in said
    assert "source not stated" not in " ".join(map(str, figure.warnings)) + said
    # Where nothing is own, every other point is: 20 / 40 = 0.5, 64 - 70 = -6; 50 / 40 = 1.25.
    every = settings(tmp_path, reference="8 frames")
    texts = {point.name: every.against(point) for point in every.points}
    assert texts["4 frames"] == "−50 % at −6.0 mAP"
    assert texts["LiteEval"] == "+25 % at +2.7 mAP"
    assert texts["8 frames"] == ""
    assert not every.mixed
    top1 = points(tmp_path, SETTINGS.replace("mAP", "top-1"))
    again = tradeoff_of(points=top1, own=["small"], reference="large")
    # 28.8 / 36 = 0.8, 84.6 - 85.6 = -1
    assert [text for text in map(again.against, again.points) if text] == ["−20 % at −1.0 top-1"]


def test_small_costs_are_captioned_in_the_unit_of_their_axis(tmp_path: Path) -> None:
    """A thousandth of the costs is in MFLOPS: title, points and differences; data in GFLOPS."""
    table = SETTINGS.replace("28.8,", "0.0288,").replace("36,", "0.036,").splitlines(keepends=True)
    kept = points(tmp_path, "".join([table[0], *table[-2:]]))
    figure = tradeoff_of(points=kept, reference="large")
    assert figure.caption.title == "mAP against MFLOPS/video"
    assert "small: 84.60 % at 28.8; large: 85.60 % at 36." in figure.caption.alt
    assert "Below a name: MFLOPS and mAP relative to large." in figure.caption.sentences
    assert [row[5] for row in figure.table.rows] == [0.0288, 0.036]
    logs = []
    for name, looks in (("few", 1), ("many", 3)):
        nets = {"method": name, "actions": ["net", "skip 1"], "components": {"net": "value:4e6"}}
        samples = [{"labels": [0], "prediction": n % 2, "actions": [0] * looks} for n in range(4)]
        path = tmp_path / f"{name}.jsonl"
        logs.append(write_log(path, {**nets, "steps": "varies"}, samples))
    said = " ".join(tradeoff_of(logs, reference="few").caption.sentences)
    # 12 - 4 = 8 MMACs, and no interval reaches beyond it: all videos are alike
    assert "many against few: +8.0 MFLOPS/video (95 % +8.0 to +8.0)" in said
    assert "Intervals of MFLOPS: bootstrap over videos" in said
    assert "GFLOPS/" not in said


def test_logs_are_own_and_differences_have_their_intervals(tmp_path: Path) -> None:
    """The caption says how far apart logs are, from either side; tables are hollow beside them."""
    figure = tradeoff_of(LOGS, choices=choices(), points=points(tmp_path), reference="steady")
    assert [point.own for point in figure.points] == [True, True, False, False, False]
    assert (
        figure.against(figure.points[0]) == "−7.5 % at +4.5 mAP"
    )  # 18.659 / 20.176, 82.46 - 77.97
    (text,) = [text for text in figure.caption.sentences if text.startswith("selective against")]
    assert text.startswith("selective against steady: −1.5 GFLOPS/video (95 % −")
    assert text.endswith("videos resampled in pairs.")
    other = tradeoff_of(LOGS, choices=choices(), reference=str(LOGS[0]))
    assert other.reference == "selective"
    frames = tradeoff_of(LOGS, choices=choices(), reference="steady", cost="frames", metric="mAP")
    (text,) = [text for text in frames.caption.sentences if text.startswith("selective against")]
    assert text.startswith("selective against steady: +4.5 mAP points (95 % ")
    assert "steady against selective: +1.5 GFLOPS/video" in " ".join(other.caption.sentences)


def test_frames_are_an_axis(tmp_path: Path) -> None:
    """Of rows from their column, of logs by count: 719 + 261 + 172 + 40 frames of 200 videos."""
    figure = tradeoff_of(
        LOGS[0], choices=choices(), points=points(tmp_path, SETTINGS), cost="frames"
    )
    costs = {point.name: point.cost for point in figure.points}
    assert costs == {"selective": 5.96, "4 frames": 4, "16 frames": 16, "8 frames": 8, "small": 6}
    assert "frames_per_video" in figure.table.header
    assert "LiteEval has no processed frames/video and is left out" in str(figure.warnings)


def test_parameters_are_an_axis(tmp_path: Path) -> None:
    """Of all networks a log charges, in millions: 23,917,832 + 2,480,072; unknown ones are told."""
    header = {
        "actions": [{"name": name, "costs": {name: 1}} for name in ("big", "small")],
        "components": {
            "big": "resnet50@224,classes=200",
            "small": "mobilenet_v2@84,classes=200",
        },
        "metrics": {"mAP": 50.0},
        "steps": 1,
    }
    log = write_log(tmp_path / "log.jsonl", header, [{"actions": [0]}])
    figure = tradeoff_of([log], choices=choices(), cost="params")
    assert [point.cost for point in figure.points] == [26.397904]
    with pytest.raises(InputError) as caught:
        tradeoff_of(LOGS[0], choices=choices(), cost="params")
    with pytest.raises(InputError) as missing:
        tradeoff_of(points=points(tmp_path), cost="frames")
    assert missing.value.message.endswith("no point has processed frames/video")
    assert "a column frames_per_video; a log has it without that" in missing.value.hint
    assert "no point has parameters: selective: the parameters of" in caught.value.message
    assert "params_millions" in caught.value.hint


def test_nothing_to_draw_and_wrong_files_are_refused(tmp_path: Path) -> None:
    """No file, a replay where points were expected, a file that is not there."""
    for given in ({}, {"points": REPLAY}, {"points": tmp_path / "none.csv"}):
        with pytest.raises(FlopbenchError):
            tradeoff_of(**given)  # type: ignore[arg-type]
