"""Figures of the waterfall: bars, connections, texts, and bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from clocks import times_of
from conftest import ROOT
from matplotlib.colors import to_hex

from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.waterfall import waterfall_drawing
from flopbench.present.draw.style import paper_style
from flopbench.present.figures.waterfall import waterfall
from flopbench.replay.records import load_replay, read_replay

waterfall_of = waterfall.make

REPLAY = ROOT / "reports/replay-amd-epyc.json"


def drawn(**options: Any) -> Any:
    """Draw the committed replay at column width."""
    with paper_style("column"):
        return on_axes(waterfall_drawing(waterfall_of(REPLAY, **options)))


def test_bars_are_the_steps_in_ms() -> None:
    """Each bar begins and ends at its step's times; whole times begin at 0."""
    figure = waterfall_of(REPLAY)
    bars = [bar for group in drawn().containers for bar in group]
    steps = [step for chain in figure.chains for step in chain.steps]
    assert len(bars) == len(steps)
    for bar, step in zip(bars, steps, strict=True):
        ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()))
        assert ends == pytest.approx(sorted((1e3 * step.start_s, 1e3 * step.end_s)))
        assert step.is_whole == (step.start_s == 0)


def test_axes_ticks_and_speed_ups_are_written() -> None:
    """The unit, the steps' names from the top, and the three speed-ups with the interval."""
    ax = drawn(modes=["split"])
    assert ax.get_xlabel() == "time (ms/video)"
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "uniform baseline", "theory", "arms", "fragmentation", "policy", "synchronisation",
        "measured",
    ]  # fmt: skip
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    texts = [t.get_text() for t in ax.texts]
    assert "split" in texts
    # 3.684, 95 % from 3.495 to 3.990: a half-width of 0.25, or 38 of 559.9 ms.
    assert {"2063 ms", "646 ms, 3.19×", "560 ms, 3.68×", "95 %: 3.50 to 3.99×"} <= set(texts)
    assert {"−39 ms (×1.064)", "+36 ms (×0.935)"} <= set(texts)


def test_a_prediction_is_a_hollow_bar(tmp_path: Path) -> None:
    """Below the measured one, with how far it is off and its own interval; all texts apart."""
    times = times_of(load_replay(REPLAY), 0.015, tmp_path / "t.json")
    ax = drawn(modes=["split"], predicted=[times])
    assert [t.get_text() for t in ax.get_yticklabels()][-2:] == ["measured", "predicted"]
    bars = [bar for group in ax.containers for bar in group]
    assert to_hex(bars[-1].get_facecolor()) == "#ffffff"
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    texts = [t.get_text() for t in ax.texts]
    assert re.fullmatch(r"−\d\d\.\d %; 95 %: \d+ to \d+ ms", texts[-1])
    boxes = [t.get_window_extent(figure._get_renderer()) for t in ax.texts]
    assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])


def test_bars_take_the_whole_axis() -> None:
    """The longest bar ends within 5 % of the axis' end, its text inside it."""
    ax = drawn()
    longest = max(bar.get_x() + bar.get_width() for group in ax.containers for bar in group)
    assert longest <= ax.get_xlim()[1] <= 1.05 * longest


def test_what_saves_and_what_costs_time_differ_in_colour_and_hatch() -> None:
    """Orange costs and green saves, as docs/figures.md and the legend say."""
    ax = drawn(modes=["split"])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["costs time", "saves time"]
    bars = [bar for group in ax.containers for bar in group]
    saves, costs = bars[2], bars[4]
    assert to_hex(costs.get_facecolor()).upper() == "#E69F00"
    assert to_hex(saves.get_facecolor()).upper() == "#009E73"
    assert costs.get_hatch() != saves.get_hatch()


@pytest.mark.parametrize("width", ["column", "page"])
def test_texts_stay_inside_and_apart(width: str) -> None:
    """Text next to bars fits the axes, and no two texts overlap."""
    with paper_style(width):
        ax = on_axes(waterfall_drawing(waterfall_of(REPLAY)))
        figure: Any = ax.get_figure(root=True)
        figure.draw_without_rendering()
        boxes = [t.get_window_extent(figure._get_renderer()) for t in ax.texts]
    right = ax.get_window_extent().x1
    for i, box in enumerate(boxes):
        assert box.x1 <= right
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_a_measured_time_as_long_as_the_baselines_has_room_for_its_interval() -> None:
    """The longest bar with the longest text still fits, and one process has no interval."""
    data = json.loads(REPLAY.read_text(encoding="utf-8"))
    for run in data["runs"]:
        mode = run["modes"]["split"]
        mode["full"] = [[*row[:3], row[3] * 3.7, row[4]] for row in mode["full"]]
    with paper_style("column"):
        ax = on_axes(waterfall_drawing(waterfall_of(read_replay(data), modes=["split"])))
        figure: Any = ax.get_figure(root=True)
        figure.draw_without_rendering()
        ends = [t.get_window_extent(figure._get_renderer()).x1 for t in ax.texts]
    assert max(ends) <= ax.get_window_extent().x1
    data["runs"] = data["runs"][:1]
    ax = on_axes(waterfall_drawing(waterfall_of(read_replay(data), modes=["split"])))
    assert "no interval" in [t.get_text() for t in ax.texts]
