"""The roofline as drawn: roofs and points where the numbers are, labels, legend, bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from conftest import ROOT
from msgspec.structs import replace

mpl = pytest.importorskip("matplotlib")

from matplotlib.axes import Axes  # noqa: E402

from flopbench.present.draw.drawing import on_axes  # noqa: E402
from flopbench.present.draw.kinds.roofline import roofline_drawing  # noqa: E402
from flopbench.present.figures.roofline import Roofline, roofline  # noqa: E402
from flopbench.timing.file import TimingFile  # noqa: E402
from flopbench.timing.records import Operator  # noqa: E402

roofline_of = roofline.make

REPORT = ROOT / "reports/latency-amd-epyc.json"


@pytest.fixture(scope="module")
def drawn() -> tuple[Roofline, Axes]:
    """Seven networks under the roofs of one CPU."""
    figure = roofline_of(REPORT)
    return figure, on_axes(roofline_drawing(figure))


def lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """Return the points of every line that is drawn."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]  # type: ignore[arg-type]


def test_axes_have_units_and_plain_numbers(drawn: tuple[Roofline, Axes]) -> None:
    """Both logarithmic; the label says 2 FLOPs a MAC; ticks are plain numbers."""
    _, ax = drawn
    assert ax.get_xlabel() == "arithmetic intensity (FLOP/byte)"
    assert ax.get_ylabel() == "GFLOP/s (1 MAC = 2 FLOPs)"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ticks = [tick.get_text() for tick in ax.get_yticklabels()]
    assert ticks == ["10", "20", "50", "100"]


def test_roofs_bend_at_the_ridge(drawn: tuple[Roofline, Axes]) -> None:
    """The slanted roof is the copy's bandwidth, the flat one the matrix product's rate."""
    figure, ax = drawn
    (group,) = figure.groups
    xs, ys = lines(ax)[0]
    assert xs[1] == group.ridge
    assert ys[1] == ys[2] == group.flops_per_s / 1e9
    assert ys[0] / xs[0] == pytest.approx(group.bytes_per_s / 1e9)
    assert ax.get_xlim()[0] < group.ridge < ax.get_xlim()[1]
    assert xs[2] > ax.get_xlim()[1]


def test_points_are_drawn_from_bound_to_bound(drawn: tuple[Roofline, Axes]) -> None:
    """A line between the bounds of the intensity at the achieved rate, its marker at the lower."""
    figure, ax = drawn
    found = lines(ax)
    for point in figure.groups[0].points:
        y = point.flops_per_s / 1e9
        assert ([point.low, point.high], [y, y]) in found
        assert ([point.low], [y]) in found
        for x in (point.low, point.high):
            assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < y < ax.get_ylim()[1]


def test_every_point_is_named_and_no_names_overlap(drawn: tuple[Roofline, Axes]) -> None:
    """Names are next to the axes in the order of the points, a line apart, inside the figure."""
    figure, ax = drawn
    wanted = sorted(figure.groups[0].points, key=lambda point: point.flops_per_s)
    texts = {text.get_text(): text for text in ax.texts if text.get_text()}
    assert list(texts) == [point.name for point in wanted]
    fig = ax.get_figure(root=True)
    assert fig is not None
    fig.draw_without_rendering()  # type: ignore[union-attr]
    boxes = [text.get_window_extent() for text in texts.values()]
    for lower, upper in pairwise(boxes):
        assert lower.y1 <= upper.y0 + 1
    assert all(box.x0 >= 0 and box.x1 <= fig.bbox.x1 for box in boxes)


def test_the_legend_says_roofs_and_hollow_marks(drawn: tuple[Roofline, Axes]) -> None:
    """Roofs in numbers; marks are hollow only where that tells rows apart."""
    _, ax = drawn
    file = TimingFile.load(REPORT)
    first, *others = file.rows
    steady = replace(first, processes=(first.processes[0],) * 3)  # a repeat is the same
    mixed = roofline_of(replace(file, rows=(steady, *others)))
    for axes, said, faces in (
        (ax, [], ["#0072B2"] * 7),  # none is stable
        (
            on_axes(roofline_drawing(mixed)),
            ["hollow: noisy or unstable"],
            ["#0072B2", *["white"] * 6],
        ),
    ):
        legend = axes.get_legend()
        assert legend is not None
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts == ["measured roofs: 104 GFLOP/s, 29.3 GB/s", *said]
        marks = [line for line in axes.lines if line.get_marker() == "o"]
        assert [line.get_markerfacecolor() for line in marks] == faces
    assert "Hollow, verdict other than stable: resnet18@112 (" in " ".join(mixed.caption.sentences)


def test_a_stem_reaches_what_the_operators_allow() -> None:
    """From the marker to the rate of their least time, within the axes, and in the legend."""
    file = TimingFile.load(REPORT)
    operators = (Operator(name="x", family="x", least_s=1e-3),)
    figure = roofline_of(replace(file, rows=(replace(file.rows[0], operators=operators),)))
    ax = on_axes(roofline_drawing(figure))
    (point,) = figure.groups[0].points
    top = 2 * 50612992 / 1e-3 / 1e9
    assert ([point.low] * 2, [point.flops_per_s / 1e9, pytest.approx(top)]) in lines(ax)
    assert ax.get_ylim()[1] > top
    legend = ax.get_legend()
    assert legend is not None
    assert "up to what its operators allow" in [text.get_text() for text in legend.get_texts()]


def test_a_data_sheet_is_dashed_and_groups_differ_in_marker() -> None:
    """On a GPU the sheet's peak is a dashed roof; two formats have two markers."""
    file = TimingFile.load(REPORT)
    gpu = replace(file.devices[0], device="cuda", name="NVIDIA H100 80GB HBM3")
    roofs = {"flops_per_s": 5e13, "bytes_per_s": 2.5e12}
    rows = tuple(
        replace(row, what=replace(row.what, device="cuda", dtype=dtype), roofs=roofs)
        for row in file.rows[:2]
        for dtype in ("fp32", "bf16")
    )
    figure = roofline_of(replace(file, rows=rows, devices=(gpu,)))
    ax = on_axes(roofline_drawing(figure))
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    heights = {float(line.get_ydata()[-1]) for line in dashed}  # type: ignore[index,arg-type]
    assert heights == {(group.peak_flops_per_s or 0) / 1e9 for group in figure.groups}
    assert all(max(line.get_xdata()) > ax.get_xlim()[1] for line in dashed)  # type: ignore[arg-type]
    assert {line.get_marker() for line in ax.lines} >= {"o", "s"}
    assert ax.get_ylim()[1] > max(heights)
