"""MACs against time as drawn: points, lines, residuals, error bars, names with factors, bytes."""

from __future__ import annotations

import pytest
from conftest import ROOT
from msgspec.structs import replace

mpl = pytest.importorskip("matplotlib")

from matplotlib.axes import Axes  # noqa: E402

from flopbench.present.draw.drawing import on_axes  # noqa: E402
from flopbench.present.draw.kinds.theory import theory_drawing  # noqa: E402
from flopbench.present.figures.theory import Theory, theory  # noqa: E402
from flopbench.timing.file import TimingFile  # noqa: E402

theory_of = theory.make

REPORT = ROOT / "reports/latency-amd-epyc.json"


@pytest.fixture(scope="module")
def drawn() -> tuple[Theory, Axes]:
    """Seven networks on one CPU with their line."""
    figure = theory_of(REPORT)
    return figure, on_axes(theory_drawing(figure))


def lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """Return the points of every line that is drawn."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]  # type: ignore[arg-type]


def test_axes_have_units_and_plain_numbers(drawn: tuple[Theory, Axes]) -> None:
    """GMACs and milliseconds, with what the time is; no powers of ten."""
    _, ax = drawn
    assert ax.get_xlabel() == "dense GMACs an image"
    assert ax.get_ylabel() == "CPU time (ms a call)"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ticks = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    assert {"0.1", "1", "10", "100"} <= set(ticks)
    assert not any("$" in text or "e" in text for text in ticks)


def test_points_residuals_and_line_are_where_the_numbers_are(drawn: tuple[Theory, Axes]) -> None:
    """A point at (GMACs, ms), a thin line from it to the fitted one."""
    figure, ax = drawn
    (group,) = figure.groups
    assert group.line is not None
    found = lines(ax)
    for point in group.points:
        x, y = point.one.dense_macs / 1e9, 1e3 * point.one.seconds
        assert ([x], [y]) in found
        assert point.factor is not None
        ends = [ys for xs, ys in found if xs == [x, x] and ys[0] == y]
        assert ends[0][1] == pytest.approx(1e3 * group.line.at(point.one.dense_macs))
    xs, ys = found[0]
    for x, y in zip(xs, ys, strict=True):
        assert y == pytest.approx(1e3 * group.line.at(x * 1e9))


def test_error_bars_are_the_intervals(drawn: tuple[Theory, Axes]) -> None:
    """One bar a point, from end to end of where a repeat is expected."""
    figure, ax = drawn
    ends = {
        tuple(segment[:, 1])
        for container in ax.containers
        for segment in container[2][0].get_segments()  # type: ignore[index,attr-defined]
    }
    wanted = [point.one.summary.interval_s for point in figure.groups[0].points]
    for interval, end in zip(sorted(i for i in wanted if i), sorted(ends), strict=True):
        assert end == pytest.approx([1e3 * seconds for seconds in interval])


def test_names_carry_their_factor(drawn: tuple[Theory, Axes]) -> None:
    """``mobilenet_v2@84  2.7×``; the legend has the line as a formula."""
    _, ax = drawn
    texts = [text.get_text() for text in ax.texts]
    assert "mobilenet_v2@84  2.7×" in texts
    assert "resnet50@224  0.45×" in texts
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "fit: 55.8 ms/GMAC (35.8 GFLOP/s)"


def test_groups_differ_in_marker_and_dash() -> None:
    """Two batches: two lines of different dashes, two markers, names of the groups."""
    file = TimingFile.load(REPORT)
    rows = tuple(
        replace(row, what=replace(row.what, batch=n), roofs={}) for n in (1, 8) for row in file.rows
    )
    ax = on_axes(theory_drawing(theory_of(replace(file, rows=rows))))
    assert ax.get_xlabel() == "dense GMACs a call (batch × image)"
    assert {line.get_marker() for line in ax.lines} >= {"o", "s"}
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    assert [text.partition(":")[0] for text in texts] == ["batch 1", "batch 8"]


def test_one_point_and_no_interval_are_drawn() -> None:
    """One row of one process: a point, no line, no bar, ticks that frame it."""
    file = TimingFile.load(REPORT)
    row = replace(file.rows[0], processes=file.rows[0].processes[:1])
    ax = on_axes(theory_drawing(theory_of(replace(file, rows=(row,)))))
    assert not ax.containers
    assert [text.get_text() for text in ax.texts] == ["mobilenet_v2@84"]
    assert len(ax.get_xticks()) > 1


def test_the_layout_holds_with_long_names_of_groups() -> None:
    """A legend wider than the axes does not press them to nothing."""
    file = TimingFile.load(REPORT)
    other = replace(file.devices[0], device="cuda", name="NVIDIA H100 80GB HBM3 with a long name")
    rows = tuple(replace(row, device=1, roofs={}) for row in file.rows)
    both = TimingFile(rows=(*file.rows, *rows), devices=(*file.devices, other))
    ax = on_axes(theory_drawing(theory_of(both)))
    fig = ax.get_figure(root=True)
    assert fig is not None
    fig.draw_without_rendering()  # type: ignore[union-attr]
    assert ax.get_window_extent().width > 0.3 * fig.bbox.width
    legend = ax.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    assert box.x1 <= fig.bbox.x1
    assert box.y1 <= fig.bbox.y1 + 2
