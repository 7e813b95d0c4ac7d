"""Ratios by class, drawn: dots, intervals, lines of the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
from logs import write_log

from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.classes import classes_drawing
from flopbench.present.figures.class_choice import HIGH, USAGE
from flopbench.present.figures.class_ratios import Classes, ratio_in
from flopbench.present.figures.classes import classes

classes_of = classes.make

DATA = ROOT / "tests" / "data"
LOG = str(DATA / "selective.jsonl")


def drawn(classes: Classes) -> Any:
    """Return the axes."""
    return on_axes(classes_drawing(classes))


def dots(ax: Any) -> list[Any]:
    """Return the dots of each ratio."""
    return [line for line in ax.lines if line.get_linestyle() == "None" and len(line.get_xdata())]


def test_dots_are_the_ratios() -> None:
    """Two dots a class at its ratios in percent below the whole run's, n next to each name."""
    classes = classes_of(LOG)
    ax = drawn(classes)
    for line, series in zip(dots(ax), (HIGH, USAGE), strict=True):
        ratios = [ratio_in(one, series) for one in classes.classes]
        whole = ratio_in(classes.whole, series)
        assert list(line.get_xdata()) == [100 * ratio.share for ratio in (whole, *ratios) if ratio]
        assert [round(y) for y in line.get_ydata()] == [-1, *range(10)]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["whole run (200)", *(f"{o.name} ({o.videos})" for o in classes.classes)]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_xlim() == (0, 100)
    assert ax.get_xlabel() == "share of frames (%)"
    assert ax.get_ylabel() == "class (number of videos)"


def test_intervals_are_drawn() -> None:
    """Each interval is a line from its lower to its upper end."""
    classes = classes_of(LOG, ratio="high")
    lines = [[float(x) for x in line.get_xdata()] for line in drawn(classes).lines]
    for one in classes.classes:
        assert one.high is not None
        assert one.high.low is not None
        assert one.high.high is not None
        assert [100 * one.high.low, 100 * one.high.high] in lines


def test_the_whole_run_and_the_legend() -> None:
    """A dashed line leads down from each of its dots, inside the axes; markers differ."""
    classes = classes_of(LOG)
    ax = drawn(classes)
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [100 * 719 / 1152, 100 * 1152 / 3200]
    assert len({line.get_marker() for line in dots(ax)}) == 2
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["relative high-resolution usage", "resolution usage"]
    low, high = sorted(ax.get_ylim())
    assert all(low <= y <= high for line in ax.lines for y in line.get_ydata())


def test_one_ratio() -> None:
    """Asked for one, the other is neither drawn nor in the legend."""
    ax = drawn(classes_of(LOG, ratio="usage"))
    assert len(dots(ax)) == 1
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["resolution usage"]


def test_undefined_ratios_have_no_dot(tmp_path: Path) -> None:
    """A class without a frame at any resolution has a dot of resolution usage only."""
    samples = [{"labels": ["a"], "actions": [3] * 16}, {"labels": ["b"], "actions": [0] * 16}]
    ax = drawn(classes_of(write_log(tmp_path / "l.jsonl", {"preset": "arnet-resnet"}, samples)))
    # Of all 32 frames 16 are at 224 px, and none at 168 or 112.
    assert [list(line.get_xdata()) for line in dots(ax)] == [[100.0, 100.0], [50.0, 100.0, 0.0]]


def test_two_logs_have_a_look_each() -> None:
    """Dots of one ratio, a look for each log, side by side in the same rows."""
    ax = drawn(classes_of([LOG, str(DATA / "steady.jsonl")], classes=3))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["selective", "steady"]
    assert ax.get_xlabel() == "rel. high-resolution usage (%)"
    first, second = dots(ax)
    assert first.get_marker() != second.get_marker()
    assert [round(y) for y in first.get_ydata()] == [round(y) for y in second.get_ydata()]
    assert all(a < b for a, b in zip(first.get_ydata(), second.get_ydata(), strict=True))


@pytest.mark.parametrize("bars", ["share", "cost"])
def test_segments_are_the_parts(bars: Any, tmp_path: Path) -> None:
    """Segments of a bar add up from 0; two logs have two bars a class, the first one on top."""
    prices = Choices(counter="published", alone=True)
    logs = [LOG, str(DATA / "steady.jsonl")]
    found = classes_of(logs, bars=bars, classes=2, choices=prices)
    ax = drawn(found)
    rows: dict[float, list[Any]] = {}
    for box in (box for group in ax.containers for box in group):
        rows.setdefault(round(box.get_y(), 6), []).append(box)
    every = [bar for own in (found.whole, *found.classes) for bar in own]
    unit = 100 if bars == "share" else 1
    for (_, boxes), bar in zip(sorted(rows.items()), every, strict=True):
        end = 0.0
        for box in boxes:
            assert box.get_x() == pytest.approx(end)
            end += box.get_width()
        assert end == pytest.approx(unit * bar.length)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [*found.stacked, "upper bar: selective", "lower bar: steady"]
    assert ax.get_xlabel() == {"share": "share of frames (%)", "cost": "cost (GMACs/video)"}[bars]


def test_a_class_without_a_name_is_seen(tmp_path: Path) -> None:
    """An empty name is written out; the table keeps it empty."""
    header = {"preset": "arnet-resnet", "class_names": ["", "a"]}
    samples = [{"labels": [n % 2], "actions": [0] * 8 + [1] * 8} for n in range(4)]
    classes = classes_of(write_log(tmp_path / "log.jsonl", header, samples))
    shown = {text.get_text() for text in drawn(classes).get_yticklabels()}
    assert shown == {"whole run (4)", "(empty name) (2)", "a (2)"}
    assert {row[1] for row in classes.table.rows if row[0] == "class"} == {"", "a"}
