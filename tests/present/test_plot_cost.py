"""The distribution of costs, drawn: bars, outlines, steps, centres, and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
from figures import assert_nothing_clipped
from logs import write_log
from matplotlib.patches import StepPatch

from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.cost import cost_drawing
from flopbench.present.draw.style import paper_style
from flopbench.present.figures.cost import Cost, cost

cost_of = cost.make

DATA = ROOT / "tests" / "data"
LOGS = [str(DATA / "selective.jsonl"), str(DATA / "steady.jsonl")]
TABLE = str(DATA / "table-schema1.json")
CHOICES = Choices(table=CostTable.load(TABLE), may_measure=False)
XLABEL = "cost (GFLOPS/video = GMACs/video)"


def drawn(cost: Cost) -> Any:
    """Return the axes."""
    return on_axes(cost_drawing(cost))


def free_log(folder: Path, method: str = "free") -> Path:
    """Write a log of videos that cost nothing."""
    header = {"method": method, "actions": [{"name": "skip", "kind": "skip"}]}
    return write_log(folder / f"{len(method)}.jsonl", header, [{"actions": [0]}] * 1)


def test_bars_of_one_run() -> None:
    """Bars from 0, as high as the share of videos in each bin, with labels and units."""
    cost = cost_of(LOGS[0], choices=CHOICES)
    ax = drawn(cost)
    (bars,) = ax.containers
    assert [bar.get_height() for bar in bars] == [100 * share for share in cost.runs[0].shares]
    assert [bar.get_x() for bar in bars] == pytest.approx(cost.edges[:-1])
    assert ax.get_ylim()[0] == 0
    assert ax.get_xlabel() == XLABEL
    assert ax.get_ylabel() == "share of videos (%)"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0].startswith("mean 18.66 [")
    assert texts[1].startswith("median 16.8")


def test_outlines_of_several_runs() -> None:
    """One outline a run over the same bins, distinguished by its dash too."""
    cost = cost_of(LOGS, choices=CHOICES, cumulative=False)
    ax = drawn(cost)
    outlines = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
    assert len(outlines) == 2
    for outline, run in zip(outlines, cost.runs, strict=True):
        values, edges, _ = outline.get_data()
        assert list(values) == [100 * share for share in run.shares]
        assert list(edges) == list(cost.edges)
    assert len({str(outline.get_linestyle()) for outline in outlines}) == 2
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["selective", "steady", "mean, 95 % interval", "median"]


def test_bars_stand_at_their_costs(tmp_path: Path) -> None:
    """One run's bars are centred at its costs, with shares; those of two are side by side."""
    exits = [{"name": f"exit {n}", "costs": {f"net{n}": 1}} for n in (1, 2)]
    nets = {"net1": 'value:1e9 "a test"', "net2": 'value:3e9 "a test"'}
    logs = [
        write_log(
            tmp_path / f"{name}.jsonl",
            {"method": name, "exits": exits, "components": nets, "steps": 1},
            [{"exit": n} for n in taken],
        )
        for name, taken in (("a", (0, 0, 0, 1)), ("b", (0, 1, 1, 1)))
    ]
    ax = drawn(cost_of(logs[0]))
    places = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches]
    assert places == [(1.0, 75.0), (3.0, 25.0)]
    assert [text.get_text() for text in ax.texts] == ["75 %", "25 %"]
    assert list(ax.get_xticks()) == [1.0, 3.0]
    assert_nothing_clipped(ax)
    ax = drawn(cost_of(logs))
    assert [bar.get_height() for bar in ax.patches] == [75, 25, 25, 75]
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert (ends[0][1], ends[1][1]) == pytest.approx((ends[2][0], ends[3][0])) == (1.0, 3.0)
    assert len({bar.get_hatch() for bar in ax.patches}) == 2


def test_means_and_medians_are_marked() -> None:
    """Above the axes are each run's interval, mean and median, at their costs."""
    cost = cost_of(LOGS, choices=CHOICES)
    places = [[float(x) for x in line.get_xdata()] for line in drawn(cost).lines]
    for run in cost.runs:
        assert run.interval is not None
        assert [run.interval.low, run.interval.high] in places
        assert [run.mean] in places
        assert [run.median] in places


def test_cumulative_form() -> None:
    """Steps from 0 to 100 % at the costs of videos."""
    cost = cost_of(LOGS[0], choices=CHOICES, cumulative=True)
    ax = drawn(cost)
    line = ax.lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert list(line.get_xdata()[1:-1]) == [at for at, _ in cost.runs[0].steps]
    shares = np.asarray(line.get_ydata())
    assert shares[0] == 0
    assert shares[-1] == 100
    assert (np.diff(shares) >= 0).all()
    assert ax.get_ylabel() == "videos up to this cost (%)"
    assert ax.get_ylim() == (0, 100)


def test_nothing_is_clipped(tmp_path: Path) -> None:
    """One free video, many runs, names of any kind: all text is inside the figure."""
    free = free_log(tmp_path)
    long = free_log(tmp_path, "_$a$ method whose name is <b>long</b>, " * 4)
    for logs in ([free], LOGS, [free, long, *LOGS]):
        for cumulative in (False, True, None):
            with paper_style():
                assert_nothing_clipped(drawn(cost_of(logs, choices=CHOICES, cumulative=cumulative)))


def test_a_name_that_begins_with_an_underscore(tmp_path: Path) -> None:
    """It is in the legend; dollar signs do not make it a formula."""
    log = free_log(tmp_path, "_$m$")
    legend = drawn(cost_of([log, LOGS[0]], choices=CHOICES)).get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[:2] == [r" _\$m\$", "selective, simulated validation"]
