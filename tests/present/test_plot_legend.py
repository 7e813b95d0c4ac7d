"""Legends above the axes: as many columns as fit, inside the figure, distinct names."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flopbench.counting.table import CostTable
from flopbench.estimate.runs import Choices
from flopbench.present.draw.drawing import on_axes
from flopbench.present.draw.kinds.cost import cost_drawing
from flopbench.present.draw.legend import NO_BREAK, legend_above, legend_lines
from flopbench.present.draw.style import Style, chosen_style, paper_style
from flopbench.present.draw.text import drawn_width_in, fitting_names, short_names
from flopbench.present.figures.cost import cost

cost_of = cost.make

DATA = ROOT / "tests" / "data"
CHOICES = Choices(table=CostTable.load(DATA / "table-schema1.json"), may_measure=False)
LONG = [
    f"efficientnet_b3@300,classes=200 and a policy of resnet{n}@84 that skips" for n in (18, 34)
]


def rows_of(legend: Any) -> int:
    """Return the number of rows of a drawn legend."""
    return len({round(text.get_window_extent().y0) for text in legend.get_texts()})


def entries_of(texts: list[str]) -> list[tuple[Artist, str]]:
    """Return a key for each text."""
    return [(Line2D([], []), text) for text in texts]


def drawn(style: Style, texts: list[str], **options: Any) -> tuple[Any, Any]:
    """Draw a legend on axes as wide as a venue's column or page; return both."""
    figure = Figure(figsize=(style.width_in, 2.5))
    ax = figure.subplots()
    ax.set_ylabel("share of videos (%)")
    legend_above(ax, entries_of(texts), style, **options)
    figure.draw_without_rendering()
    return ax.get_legend(), ax


@pytest.mark.parametrize(("width", "rows"), [("column", 2), ("page", 1)])
def test_costs_of_two_runs_have_a_low_legend(width: str, rows: int) -> None:
    """Two runs, mean and median: one row at page width, two in a column; the figure is as low."""
    cost = cost_of([DATA / "selective.jsonl", DATA / "steady.jsonl"], choices=CHOICES)
    with paper_style(width) as style:
        drawing = cost_drawing(cost)
        ax = on_axes(drawing)
        figure: Any = ax.get_figure(root=True)
        figure.draw_without_rendering()
        legend: Any = ax.get_legend()
        assert rows_of(legend) == rows
        box, whole = legend.get_window_extent(), figure.bbox
        assert box.y1 <= whole.y1
        # Legend, lanes and axes: nothing else is high.
        assert ax.get_window_extent().height / whole.height > 0.45
        assert figure.get_size_inches()[1] == drawing.height_in(style)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize(
    "texts",
    [["a"], list("abcdefgh"), ["one", *LONG], LONG * 3, ["W" * 300], ["太" * 80, "$a$", "_b"]],
    ids=["one", "eight", "mixed", "long", "very long", "hostile"],
)
def test_legends_stay_inside_the_figure(width: str, texts: list[str]) -> None:
    """However long names are, they are drawn within the figure, in rows that are accounted for."""
    with paper_style(width) as style:
        legend, ax = drawn(style, texts)
        figure = ax.get_figure()
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        height_in = style.inches(legend_lines(entries_of(texts), style))
        assert 0.8 * height_in <= box.height / figure.dpi + style.inches(0.5)
        assert box.height / figure.dpi <= height_in + style.inches(0.5)
        assert len(legend.get_texts()) == len(texts)
        assert ax.get_window_extent().width > 0.7 * figure.bbox.width


def test_side_by_side_axes_of_the_callers_own() -> None:
    """On one of two axes side by side, without our style, a legend stays in its half."""
    with mpl.rc_context({**mpl.rcParamsDefault, "backend": mpl.rcParams["backend"]}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        legend_above(right, entries_of(LONG), chosen_style(right))
        figure.draw_without_rendering()
        legend: Any = right.get_legend()
        assert legend.get_window_extent().x0 > left.get_window_extent().x1
        assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_no_column_more_than_the_rows_need() -> None:
    """Texts take the fewest rows that fit, and no more columns than those rows need."""
    with paper_style() as style:
        legend, _ = drawn(style, [f"method {n}" for n in "abcde"])
        assert rows_of(legend) == 2
        assert len({round(t.get_window_extent().x0) for t in legend.get_texts()}) == 3


def test_names_that_differ_stay_apart() -> None:
    """Long names that differ in the middle only do not become one when they are shortened."""
    with paper_style() as style:
        legend, _ = drawn(style, [f"{'x' * 60}{n}{'y' * 60}" for n in range(3)])
    assert len({text.get_text() for text in legend.get_texts()}) == 3


def test_sentences_break_into_lines() -> None:
    """A sentence breaks where it must, never between a number and its unit; none is shortened."""
    text = f"a device with a name of many words: 55.8{NO_BREAK}ms/GMAC (35.8{NO_BREAK}GFLOP/s)"
    with paper_style() as style:
        legend, _ = drawn(style, [text, "hollow"], sentences=True)
        lines = legend_lines(entries_of([text, "hollow"]), style, sentences=True)
    shown = legend.get_texts()[0].get_text()
    assert shown.replace("\n", " ") == text.replace(NO_BREAK, " ")
    assert shown.count("\n") == 1
    assert lines == pytest.approx(1.2 * 3 + 0.4)


def test_endings_are_never_shortened() -> None:
    """Names are shortened to fit with their endings, whatever their letters."""
    for letter in "iW太":
        (name,) = fitting_names([letter * 90], 1.6, 8, ["  0.45×"])
        assert drawn_width_in(f"{name}  0.45×", 8) <= 1.6
        assert name.count(letter) > 5


def test_a_common_start_is_left_out_where_middles_are_not_enough() -> None:
    """What names differ in is kept."""
    names = [f"efficientnet at {n} pixels in all" for n in (224, 112)]
    assert short_names(names, 14) == ["…224 pi…in all", "…112 pi…in all"]
