"""Figures of accuracy against cost: labels, axes, front, and bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

pytest.importorskip("matplotlib")

import matplotlib as mpl
from conftest import ROOT
from figures import assert_names_apart, box_of
from matplotlib.figure import Figure

from flopbench.cli import main
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.tradeoff import tradeoff_drawing
from flopbench.present.draw.legend import spread
from flopbench.present.draw.parts import plain_log_ticks, tick_text
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


@pytest.mark.parametrize("count", [3, 9, 15, 40])
def test_every_point_is_named_at_column_width(count: int) -> None:
    """Names are complete, next to the axes, apart, and inside the figure, however many they are."""
    tradeoff = scattered(count, seed=count)
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(tradeoff))
        assert_names_apart(ax)
    by_height = sorted(tradeoff.points, key=lambda point: point.percent)
    assert [text.get_text() for text in ax.texts] == [point.name for point in by_height]


def test_points_in_one_place_have_their_own_names() -> None:
    """However close points are, their names keep a line's distance."""
    points = [point(f"a method with a long name {n}", 10, 70) for n in range(24)]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points)))
        assert_names_apart(ax)
    assert len({text.get_text() for text in ax.texts}) == 24


def test_names_fit_the_callers_own_axes() -> None:
    """Axes that no layout moves become narrower, as with a colour bar, and names fit."""
    left, right = Figure(figsize=(9, 3.5), dpi=300).subplots(1, 2)
    before = dict(mpl.rcParams)
    for ax in (left, right):
        end = ax.get_position().x1
        assert on_axes(tradeoff_drawing(scattered(8, seed=3)), ax) is ax
        assert_names_apart(ax)
        width: Any = ax.get_figure(root=True).bbox.width  # type: ignore[union-attr]
        assert max(box_of(text).x1 for text in ax.texts) <= end * width + 6  # 0.02 in
    assert dict(mpl.rcParams) == before


def test_axes_are_named_with_units_and_plain_ticks() -> None:
    """Accuracy in percent against GFLOPS = GMACs a video, a log axis with plain numbers."""
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(scattered(6, seed=1)))
        ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
        ticks = [t.get_text() for t in ax.get_xticklabels() if t.get_text()]
        linear = on_axes(
            tradeoff_drawing(replace(scattered(6, seed=1), log_scale=False, cost="ms"))
        )
        times = ["predicted", "predicted", "measured"]
        marked = of(
            [point(f"m{n}", 10 + n, 50 + n, time=time) for n, time in enumerate(times)], cost="ms"
        )
        mixed = on_axes(tradeoff_drawing(marked))
    assert mixed.get_xlabel() == "time (ms/video, measured or predicted)"
    assert [marked.label(one) for one in marked.points] == ["m0", "m1", "m2 (measured)"]
    assert {"m0", "m2 (measured)"} <= {text.get_text() for text in mixed.texts}
    assert ax.get_xlabel() == "cost (GFLOPS/video = GMACs/video)"
    assert ax.get_ylabel() == "mAP (%)"
    assert ax.get_xscale() == "log"
    assert {"10", "20", "50"} <= set(ticks)
    assert (linear.get_xscale(), linear.get_xlabel()) == ("linear", "time (ms/video, measured)")
    assert [tick_text(v) for v in (0.001, 2.5, 1e6, 1e-7)] == ["0.001", "2.5", "1,000,000", "1e-07"]


@pytest.mark.parametrize(
    ("limits", "inches", "shown"),
    [
        ((8, 150), 4, "10 20 50 100"),
        ((8, 150), 0.9, "10 30 100"),
        ((0.07, 1500), 0.6, "0.1 100"),  # every third of 0.1, 1, 10, 100, 1,000
        ((15, 26), 4, "15 17.5 20 22.5 25"),
        ((11, 60), 0.6, "25 50"),
    ],
)
def test_a_logarithmic_axis_has_a_few_plain_numbers(
    limits: tuple[float, float], inches: float, shown: str
) -> None:
    """As many as fit; where it spans less than a decade, rounded numbers."""
    ax = Figure(figsize=(inches, 3)).add_axes((0, 0, 1, 1))
    ax.set_xscale("log")
    ax.set_xlim(*limits)
    plain_log_ticks(ax)
    assert " ".join(tick_text(value) for value in ax.get_xticks()) == shown


def test_points_stand_where_the_numbers_say() -> None:
    """Markers of logs and of hollow points, interval bars and the front are at their figures."""
    choices = Choices(
        table=CostTable.load(TABLE), table_source="t", resamples=50, may_measure=False
    )
    data = tradeoff_of(LOGS, choices=choices)
    published = point("theirs", 30.0, 90.0, published=True)
    own = (replace(point, own=True) for point in data.points)
    data = replace(data, points=(*own, replace(published, on_front=True)))
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(data))
    marks = [line for line in ax.lines if line.get_marker() in {"o", "h"}]
    assert [line.get_xydata().tolist() for line in marks] == [
        [[s.cost, s.percent]] for s in data.points
    ]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, False, True]
    front = [[s.cost, s.percent] for s in data.front]
    assert ax.lines[0].get_xydata().tolist() == front
    legend: Any = ax.get_legend()
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["our evaluation", "as reported", "Pareto front"]
    bars = [line.get_xydata().tolist() for line in ax.get_lines()]
    ends = data.points[0].percent_ends
    assert ends is not None
    assert [[data.points[0].cost, ends[0]], [data.points[0].cost, ends[1]]] in bars


@pytest.mark.parametrize(
    ("heights", "places"),
    [
        ([0.2, 0.8], [0.2, 0.8]),  # apart already
        ([0.5, 0.5], [0.45, 0.55]),  # as far to each side
        ([0.4, 0.5, 0.5, 0.9], [0.3667, 0.4667, 0.5667, 0.9]),  # the block of three about its mean
        ([0.0, 0.0, 1.0], [0.05, 0.15, 0.95]),  # inside the axes
    ],
)
def test_names_move_apart_only_as_far_as_necessary(
    heights: list[float], places: list[float]
) -> None:
    """Each is a line from the next, as near to its point as all allow, and inside the axes."""
    assert spread(heights, [0.1] * len(heights)) == pytest.approx(places, abs=1e-4)


def test_names_of_two_lines_keep_a_greater_distance() -> None:
    """Middles are half of both heights apart: (0.2 + 0.1) / 2, about their own mean."""
    assert spread([0.5, 0.5], [0.2, 0.1]) == pytest.approx([0.425, 0.575])
    assert spread([0.0, 1.0], [0.2, 0.1]) == pytest.approx([0.1, 0.95])


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
    assert "--x ms" in capsys.readouterr().err


def test_the_front_is_thin_below_what_is_measured_and_optional() -> None:
    """A thin step line through two points or more, below intervals; it can be left out."""
    points = [
        point(f"m{n}", 5.0 + n, 60.0 + n, cost_ends=(4.0 + n, 6.0 + n), percent_ends=(55.0, 70.0))
        for n in range(4)
    ]
    data = of(points)
    data = replace(data, points=tuple(replace(point, on_front=True) for point in data.points))
    with paper_style("column"):
        drawn = [
            on_axes(tradeoff_drawing(one))
            for one in (data, of(points), replace(data, show_front=False))
        ]
    steps = [[line for line in ax.lines if line.get_drawstyle() == "steps-post"] for ax in drawn]
    assert [[len(line.get_xdata()) for line in own] for own in steps] == [[4], [1], []]
    assert [ax.get_legend() is not None for ax in drawn] == [True, False, False]
    (front,) = steps[0]
    bars = [line for line in drawn[0].lines if line.get_marker() in {"|", "_"}]
    assert len(bars) == 8
    for bar in bars:
        assert front.get_linewidth() <= bar.get_linewidth()
        assert front.get_zorder() < bar.get_zorder()
        assert front.get_color() != bar.get_color()


def test_series_are_lines_and_own_points_are_filled() -> None:
    """Each series has a line in its own colour, dash and marker; what is not own is hollow."""
    points = [
        *(point(f"a{n}", 10.0 * n, 60.0 + n, series="a", published=True) for n in (1, 2)),
        *(point(f"b{n}", 5.0 * n, 70.0 + n, series="b", own=True) for n in (1, 2)),
        point("alone", 30.0, 65.0, published=True),
    ]
    with paper_style("column"):
        ax = on_axes(tradeoff_drawing(of(points, reference="a1", own_named=True)))
        assert_names_apart(ax)
    lines = [
        line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_color() != "#777777"
    ]
    assert [line.get_xydata().tolist() for line in lines] == [
        [[10, 61], [20, 62]],
        [[5, 71], [10, 72]],
    ]
    assert len({(str(line.get_color()), str(line.get_linestyle())) for line in lines}) == 2
    marks = [line for line in ax.lines if line.get_marker() in {"o", "s", "h"}]
    assert [(m.get_marker(), m.get_markerfacecolor() == "white") for m in marks] == [
        *[("o", True)] * 2, *[("s", False)] * 2, ("h", True),
    ]  # fmt: skip
    legend: Any = ax.get_legend()
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["a", "b", "others", "reference: a1"]
    # Below the names of own points: 5 / 10 and 71 - 61; 10 / 10 and 72 - 61.
    named = [text.get_text() for text in ax.texts]
    assert {"b1\n−50 % at +10.0 mAP", "b2\n+0.0 % at +11.0 mAP", "alone", "a2"} <= set(named)
