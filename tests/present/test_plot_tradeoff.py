"""Figures of accuracy against cost: labels, axes, front, and bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl
import numpy as np
from conftest import ROOT
from matplotlib.figure import Figure

from flopbench.cli import main
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import bytes_of, on_axes
from flopbench.present.draw.kinds.tradeoff import number, tradeoff_drawing
from flopbench.present.draw.labels import Haloed
from flopbench.present.draw.placing import LabelledPoints, found_places
from flopbench.present.draw.style import paper_style
from flopbench.present.figures.tradeoff import Tradeoff, tradeoff
from flopbench.present.figures.tradeoff_points import TradeoffPoint

tradeoff_of = tradeoff.make

LOGS = [ROOT / "tests/data/selective.jsonl", ROOT / "tests/data/steady.jsonl"]
TABLE = ROOT / "tests/data/table-schema1.json"
NAMES = (
    "AR-Net", "AdaFrame-10", "LiteEval", "SCSampler", "FrameExit (ResNet-50)", "Ours",
    "uniform, 16 frames", "VideoIQ", "AdaFuse", "AdaMML (RGB+Flow)", "ListenToLook", "MARL",
    "Dynamic-STE", "OCSampler", "TSQNet",
)  # fmt: skip


def of(points: list[TradeoffPoint], **fields: Any) -> Tradeoff:
    """Return spots as a figure's data; the front is the most accurate point."""
    best = max(points, key=lambda point: point.percent)
    whole: dict[str, Any] = {"metric": "mAP", "cost": "gflops", "log_scale": True, **fields}
    return Tradeoff(
        points=tuple(replace(point, on_front=point is best) for point in points),
        terms=(),
        notes=(),
        warnings=(),
        **whole,
    )


def point(name: str, cost: float, percent: float, **fields: Any) -> TradeoffPoint:
    """Return one point without intervals."""
    whole: dict[str, Any] = {
        "file": "f", "published": False, "source": "", "percent_ends": None, "quoted": False,
        "cost_ends": None, **fields,
    }  # fmt: skip
    return TradeoffPoint(name=name, cost=cost, percent=percent, **whole)


def scattered(count: int, seed: int) -> Tradeoff:
    """Return seeded points over a decade and a half of cost, half of them with intervals."""
    draw = random.Random(seed)
    points = []
    for i in range(count):
        cost, percent = 10 ** draw.uniform(0.8, 2.2), draw.uniform(65, 82)
        sure = draw.random() < 0.5
        points.append(
            point(
                NAMES[i % len(NAMES)] + ("" if i < len(NAMES) else f" {i}"),
                cost,
                percent,
                published=draw.random() < 0.5,
                percent_ends=None if sure else (percent - 1, percent + 1),
                cost_ends=None if sure else (cost * 0.93, cost * 1.07),
            )
        )
    return of(points)


def boxes_of(ax: Any) -> list[tuple[str, Any]]:
    """Return the labels of points with their boxes, laid out as for a file."""
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    renderer = figure._get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in ax.texts if t.get_text()]


def check_free(ax: Any, tradeoff: Tradeoff) -> None:
    """Assert that labels overlap neither each other nor points, and stay inside the axes."""
    boxes = boxes_of(ax)
    around = ax.get_window_extent()
    centres = [ax.transData.transform((s.cost, s.percent)) for s in tradeoff.points]
    for i, (text, box) in enumerate(boxes):
        for other, theirs in boxes[:i]:
            assert not box.overlaps(theirs), (text, other)
        for x, y in centres:
            assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1), text
        assert around.x0 <= box.x0 < box.x1 <= around.x1, text
        assert around.y0 <= box.y0 < box.y1 <= around.y1, text


@pytest.mark.parametrize("count", range(3, 16))
def test_labels_do_not_overlap_at_column_width(count: int) -> None:
    """Names of 3 to 15 scattered points are complete, apart, inside the axes, even when saved."""
    tradeoff = scattered(count, seed=count)
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(tradeoff))
        assert [text for text, _ in boxes_of(ax)] == [s.name for s in tradeoff.points]
        check_free(ax, tradeoff)


def test_labels_without_room_become_numbers_with_a_key() -> None:
    """Points in one place cannot all be named there: numbers are drawn there, names below."""
    points = [
        point(f"a method with a long name {n}", 10 + n * 1e-4, 70 + n * 1e-4) for n in range(24)
    ]
    tradeoff = of(points)
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(tradeoff))
        assert [text for text, _ in boxes_of(ax)] == [str(n) for n in range(1, 25)]
        legend: Any = ax.get_legend()
        key = [text.get_text() for text in legend.get_texts()]
    assert key == [f"{n}  {s.name}" for n, s in enumerate(points, 1)]


def test_points_in_one_place_share_a_number() -> None:
    """The label of equal points lists their numbers."""
    points = [point(f"a method with a long name {n}", 10, 70) for n in range(40)]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points)))
        ((text, _),) = boxes_of(ax)
    assert text.startswith("1, 2, 3")


def test_labels_fit_the_callers_own_axes() -> None:
    """On the caller's axes, labels are placed for the current layout."""
    tradeoff = scattered(8, seed=3)
    ax = Figure(figsize=(5, 3.5)).subplots()
    before = dict(mpl.rcParams)
    assert on_axes(tradeoff_drawing(tradeoff), ax) is ax
    assert dict(mpl.rcParams) == before
    check_free(ax, tradeoff)


def test_axes_are_named_with_units_and_plain_ticks() -> None:
    """Accuracy in percent against GFLOPS = GMACs a video, a log axis with plain numbers."""
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(scattered(6, seed=1)))
        ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
        ticks = [t.get_text() for t in ax.get_xticklabels() if t.get_text()]
        linear = on_axes(
            tradeoff_drawing(replace(scattered(6, seed=1), log_scale=False, cost="ms"))
        )
    assert ax.get_xlabel() == "cost (GFLOPS/video = GMACs/video)"
    assert ax.get_ylabel() == "mAP (%)"
    assert ax.get_xscale() == "log"
    assert {"10", "20", "50"} <= set(ticks)
    assert (linear.get_xscale(), linear.get_xlabel()) == ("linear", "time (ms/video, measured)")
    assert [number(v) for v in (0.001, 2.5, 1e6, 1e-7)] == ["0.001", "2.5", "1,000,000", "1e-07"]


def test_points_stand_where_the_numbers_say() -> None:
    """Markers of logs and of hollow points, interval bars and the front are at their figures."""
    choices = Choices(
        table=CostTable.load(TABLE), table_source="t", resamples=50, may_measure=False
    )
    data = tradeoff_of(LOGS, choices=choices)
    published = point("theirs", 30.0, 90.0, published=True)
    data = replace(data, points=(*data.points, replace(published, on_front=True)))
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(data))
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    xy = lines["from a log"].get_xydata()
    assert xy.tolist() == [[s.cost, s.percent] for s in data.points[:2]]
    assert lines["as published"].get_xydata().tolist() == [[30.0, 90.0]]
    assert lines["as published"].get_markerfacecolor() == "white"
    front = [[s.cost, s.percent] for s in data.front]
    drawn = lines["Pareto front"].get_xydata().tolist()
    assert drawn == [*front, [ax.get_xlim()[1], front[-1][1]]]
    bars = [line.get_xydata().tolist() for line in ax.get_lines()]
    ends = data.points[0].percent_ends
    assert ends is not None
    assert [[data.points[0].cost, ends[0]], [data.points[0].cost, ends[1]]] in bars


def test_text_of_logs_is_not_parsed() -> None:
    """Names with $, backslashes and newlines are drawn as text; long ones are shortened."""
    names = ["$\\frac{a}{b}$", "<script>", "a\nb", "x" * 200, "", "_^{2}"]
    points = [point(name, 10.0 * (n + 1), 70 + n) for n, name in enumerate(names)]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points)))
        texts = [text for text, _ in boxes_of(ax)]
    assert texts[0] == "\\$\\frac{a}{b}\\$"
    assert texts[2] == "a b"
    assert "…" in texts[3]


def test_places_are_none_where_there_is_no_room() -> None:
    """A label wider than the axes has no place; the others have theirs."""
    points = LabelledPoints(
        xy=np.array([[50.0, 50.0], [20.0, 20.0]]), lines=np.empty((0, 4)), radius=2.0
    )
    sizes = np.array([[200.0, 8.0], [20.0, 8.0]])
    places = found_places(points, sizes, (0, 0, 100, 100), gap=2.0, pad=1.0)
    assert places[0] is None
    assert places[1] is not None


def test_a_label_without_a_place_chooses_earlier_next_time() -> None:
    """Ten names on a small figure: in the first order one finds no place, in a later one all do."""
    draw = random.Random(29)
    xy = np.array([[draw.uniform(15, 225), draw.uniform(10, 140)] for _ in range(10)])
    sizes = np.array([[draw.choice([30, 45, 60, 75]), 8.0] for _ in range(10)])
    points = LabelledPoints(xy=xy, lines=np.empty((0, 4)), radius=3.0)
    assert None not in found_places(points, sizes, (0, 0, 240, 150), gap=2.0, pad=1.0)


def test_a_label_does_not_stand_between_two_points() -> None:
    """There is room between them, where it might be either's; it is on the far side."""
    points = LabelledPoints(
        xy=np.array([[80.0, 50.0], [118.0, 50.0]]), lines=np.empty((0, 4)), radius=2.0
    )
    places = found_places(points, np.array([[30.0, 8.0]] * 2), (0, 0, 200, 100), gap=2.0, pad=1.0)
    left, right = (place[0] for place in places if place is not None)
    assert left[2] < 80
    assert right[0] > 118


def test_the_verb_sorts_files_by_kind_and_writes_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables of points are recognised; caption, warnings and CSV are written."""
    table = tmp_path / "points.csv"
    table.write_text(
        "approach,metric,percent,gflops_per_video,ms_per_video\na,top-1,70,10,\nb,top-1,60,20,5\n"
    )
    out, data = tmp_path / "out.svg", tmp_path / "data.csv"
    given = ["plot", "tradeoff", str(LOGS[1]), str(table), "--table", str(TABLE)]
    assert main([*given, "--resamples", "20", "-o", str(out), "--data", str(data)]) == 0
    said = capsys.readouterr()
    assert "Top-1 accuracy against GFLOPS/video." in said.out
    assert "line 2: a: source not stated" in said.err
    assert [row.split(",")[0] for row in data.read_text().splitlines()] == [
        "approach", "steady", "a", "b"
    ]  # fmt: skip
    assert out.stat().st_size > 0
    assert main(["plot", "tradeoff", str(table), "--mode", "online", "-o", str(out)]) == 2
    assert "--cost ms" in capsys.readouterr().err


def test_the_front_is_seen_beside_intervals_that_lie_along_it() -> None:
    """The front is a band below the intervals, several times as wide as they are."""
    points = [
        point(f"m{n}", 5.0 + n, 60.0 + n, cost_ends=(4.0 + n, 6.0 + n), percent_ends=(55.0, 70.0))
        for n in range(4)
    ]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points)))
    front = next(line for line in ax.lines if line.get_label() == "Pareto front")
    bars = [line for line in ax.lines if line.get_marker() in {"|", "_"}]
    assert len(bars) == 8
    for bar in bars:
        assert front.get_linewidth() >= 3 * bar.get_linewidth()
        assert front.get_zorder() < bar.get_zorder()
        assert front.get_color() != bar.get_color()


def test_labels_have_a_rim() -> None:
    """A label is readable across an interval: its letters have a white rim, then themselves."""
    tradeoff = of([point("Quixotic", 10, 70, cost_ends=(1, 100), percent_ends=(10, 90))])
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(tradeoff))
        (label,) = [text for text in ax.texts if text.get_text() == "Quixotic"]
        assert isinstance(label, Haloed)
        content, _ = bytes_of(tradeoff_drawing(tradeoff), "svg")
    assert b"stroke: #ffffff; stroke-width: 1.4" in content
    assert not label.get_path_effects()


def test_labels_that_differ_stay_apart() -> None:
    """Long names that differ in the middle only are not shortened to one."""
    names = [f"a method with {n} networks and one of the longest names there are" for n in (3, 4)]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of([point(names[0], 5, 60), point(names[1], 50, 80)])))
    shown = {text.get_text() for text in ax.texts if "…" in text.get_text()}
    assert len(shown) == 2


def test_labels_leave_the_ends_of_intervals_free() -> None:
    """A label that must cover some interval covers its middle: its end can still be read."""
    found = [
        (20.5, 80.0, (17.9, 23.1), (71.0, 86.3)),
        (18.4, 69.2, (15.9, 21.0), (59.2, 79.0)),
        (16.3, 65.7, (14.2, 18.5), (56.4, 75.1)),
        (15.2, 64.0, (13.1, 17.4), (53.4, 75.2)),
        (12.1, 54.9, (10.2, 14.1), (44.6, 65.0)),
        (10.4, 68.1, (8.8, 12.2), (57.5, 76.7)),
        (8.6, 40.1, (7.3, 9.9), (31.1, 51.8)),
        (6.6, 50.8, (5.2, 8.1), (40.3, 61.9)),
    ]
    points = [
        point(f"selective policy {n}", cost, percent, cost_ends=costs, percent_ends=percents)
        for n, (cost, percent, costs, percents) in enumerate(found)
    ]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points)))
        ends = [(x, one.percent) for one in points for x in one.cost_ends or ()]
        ends += [(one.cost, y) for one in points for y in one.percent_ends or ()]
        for text, box in boxes_of(ax):
            for x, y in ax.transData.transform(ends):
                assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1), text
