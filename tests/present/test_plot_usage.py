"""Usage, drawn: lengths, names, dashes, and separators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
from figures import assert_nothing_clipped
from logs import write_log

from flopbench.cli import main
from flopbench.core.errors import EXIT_INPUT
from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices, run_of_log
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.usage import percent_text, usage_drawing
from flopbench.present.draw.style import LOOKS
from flopbench.present.draw.text import fitting_names
from flopbench.present.figures.caption import MOST_LOOKS
from flopbench.present.figures.usage import usage

usage_of = usage.make

DATA = ROOT / "tests" / "data"
LOGS = [str(DATA / "selective.jsonl"), str(DATA / "steady.jsonl")]


def drawn(logs: Any, **options: Any) -> Any:
    """Return the axes."""
    return on_axes(usage_drawing(usage_of(logs, **options)))


def labels_of(ax: Any) -> list[str]:
    """Return the names next to the bars, from top to bottom, as drawn."""
    return [text.get_text() for text in ax.get_yticklabels()]


@pytest.mark.parametrize("of", ["frames", "decisions"])
def test_bars_are_as_long_as_the_estimator_says(of: Any) -> None:
    """One container of bars a run; lengths are its shares in percent, in the log's order."""
    choices = Choices(table=CostTable.load(DATA / "table-schema1.json"), may_measure=False)
    ax = drawn(LOGS, of=of)
    assert len(ax.containers) == 2
    for bars, log in zip(ax.containers, LOGS, strict=True):
        by_action = run_of_log([log], choices).primary.by_action
        share = [getattr(cost, f"share_of_{of}") for cost in by_action.values()]
        assert [bar.get_width() for bar in bars] == [100 * s for s in share]
        assert labels_of(ax) == list(by_action)
    assert ax.get_xlabel() == f"share of {of} (%)"
    assert ax.get_ylabel() == "action"
    low, high = ax.get_xlim()
    assert low == 0
    assert high <= 100
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["selective", "steady"]


def test_each_bar_says_its_length() -> None:
    """The numbers next to the bars match the bars; nothing rounds to 0 or 100."""
    ax = drawn(LOGS[0])
    widths = [bar.get_width() for bar in ax.containers[0]]
    assert [text.get_text() for text in ax.texts] == [f"{width:.1f}" for width in widths]
    assert ax.get_legend() is None
    assert percent_text(0) == "0"
    assert percent_text(0.0004) == "< 0.1"
    assert percent_text(0.9996) == "> 99.9"
    assert percent_text(1) == "100.0"


def test_runs_differ_without_colour() -> None:
    """Each run has its own hatch, up to the largest number of runs."""
    ax = drawn(LOGS)
    first, second = (bars.patches[0].get_hatch() for bars in ax.containers)
    assert first != second
    assert len({look.hatch for look in LOOKS}) == MOST_LOOKS


def test_an_action_that_a_run_lacks(tmp_path: Path) -> None:
    """It has a dash in the place of its bar, and no bar."""
    other = write_log(tmp_path / "log.jsonl", {"preset": "uniform"}, [{"actions": [0] * 8}])
    ax = drawn([LOGS[0], other])
    assert [len(bars) for bars in ax.containers] == [7, 1]
    assert [text.get_text() for text in ax.texts].count("–") == 6


def test_small_ones_together() -> None:
    """The group is the last bar, and named for what it is."""
    ax = drawn(LOGS, group_below=0.08)
    assert labels_of(ax)[-1] == "3 others (< 8 % each)"
    assert len(ax.containers[0]) == 5


def test_streams_are_set_apart(tmp_path: Path) -> None:
    """A line separates the bars of two streams."""
    actions = [{"name": n, "stream": s} for s in ("rgb", "flow") for n in ("a", "b")]
    header = {"streams": ["rgb", "flow"], "actions": actions}
    log = write_log(tmp_path / "l.jsonl", header, [{"actions": {"rgb": [0, 1], "flow": [1, 1]}}])
    ax = drawn(log)
    assert [list(line.get_ydata()) for line in ax.lines] == [[1.5, 1.5]]
    assert ax.get_xlabel() == "share of the stream's frames (%)"


def test_a_single_bar_has_room_for_the_label(tmp_path: Path) -> None:
    """However few the bars, all text is inside the figure."""
    header = {"actions": [{"name": "x" * 99}]}
    assert_nothing_clipped(drawn(write_log(tmp_path / "one.jsonl", header, [{"actions": [0]}])))


def test_long_names_are_shortened() -> None:
    """In the middle, and only where they do not fit; of wide letters fewer fit."""
    short, long, wide, narrow = fitting_names(
        ["resnet50@224", "timm:efficientnet_b3@300,classes=200", "W" * 40, "i" * 90], 1.0, 8
    )
    assert short == "resnet50@224"
    assert "…" in long
    assert long.startswith("timm:")
    assert long.endswith("=200")
    assert len(wide) < len(narrow)


@pytest.mark.parametrize("below", ["0", "100", "-3", "few"])
def test_what_is_no_percentage_is_refused(below: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--group-below`` takes what is between 0 and 100."""
    with pytest.raises(SystemExit) as done:
        main(["plot", "usage", LOGS[0], "-o", "x.svg", f"--group-below={below}"])
    assert done.value.code == EXIT_INPUT
    said = f"--group-below: {below} where a percentage between 0 and 100 was expected"
    assert said in capsys.readouterr().err
