"""MACs and times as data: fits against sums by hand, residuals, ranks, captions."""

from __future__ import annotations

import math

import pytest
from conftest import ROOT
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.present.figures.theory import fitted_line, rank_correlation, theory
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.records import Work

theory_of = theory.make

REPORT = ROOT / "reports/latency-amd-epyc.json"


@pytest.fixture(scope="module")
def file() -> TimingFile:
    """The timings of seven networks on one CPU."""
    return TimingFile.load(REPORT)


def test_the_proportional_line_is_the_geometric_mean() -> None:
    """Times of 1, 2 and 4 s for 1 MAC each: 2 s a MAC, whatever the order."""
    line = fitted_line([(1, 1.0), (1, 4.0), (1, 2.0)], "proportional")
    assert line is not None
    assert line.s_per_mac == pytest.approx(2.0, rel=1e-12)
    assert (line.base_s, line.points) == (0.0, 3)


def test_the_affine_line_finds_an_exact_one() -> None:
    """Points on 3 ms + 2 ns · MACs give that line back."""
    points = [(n, 3e-3 + 2e-9 * n) for n in (10**6, 10**8, 10**9, 10**10)]
    line = fitted_line(points, "affine")
    assert line is not None
    assert line.base_s == pytest.approx(3e-3, rel=1e-9)
    assert line.s_per_mac == pytest.approx(2e-9, rel=1e-9)


def test_the_affine_line_is_the_least_of_its_neighbours() -> None:
    """No line close by has a smaller sum of squared relative residuals."""
    points = [(10**8, 0.01), (5 * 10**8, 0.02), (10**9, 0.07), (4 * 10**9, 0.1)]
    line = fitted_line(points, "affine")
    assert line is not None

    def loss(base: float, slope: float) -> float:
        return sum(((base + slope * macs) / seconds - 1) ** 2 for macs, seconds in points)

    own = loss(line.base_s, line.s_per_mac)
    for a in (0.99, 1.0, 1.01):
        for c in (0.99, 1.0, 1.01):
            assert own <= loss(line.base_s * a, line.s_per_mac * c) + 1e-15


@pytest.mark.parametrize(
    ("points", "fit"),
    [
        ([(5, 1.0)], "proportional"),
        ([(5, 1.0), (6, 2.0)], "affine"),
        ([(5, 1.0), (5, 2.0), (5, 3.0)], "affine"),
        ([(1, 3.0), (2, 2.0), (3, 1.0)], "affine"),
    ],
)
def test_no_line_where_there_is_none(points: list[tuple[int, float]], fit: str) -> None:
    """Too few points, one size only, or time that falls as MACs grow: no line."""
    assert fitted_line(points, fit) is None  # type: ignore[arg-type]


def test_rank_correlation_shares_ranks_among_equals() -> None:
    """By hand with a tie: ranks 1, 2.5, 2.5, 4, 5 against 1 to 5."""
    found = rank_correlation([10, 20, 20, 30, 40], [1, 2, 3, 4, 5])
    # Σxy of deviations: 4 + 0.5 + 0 + 1 + 4 = 9.5; Σx² = 4 + 0.25 + 0.25 + 1 + 4 = 9.5; Σy² = 10.
    assert found == pytest.approx(9.5 / math.sqrt(9.5 * 10))
    assert rank_correlation([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]) is None
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None


def test_residuals_are_factors_of_the_line(file: TimingFile) -> None:
    """measured / line; the factors of a proportional fit multiply to 1."""
    (group,) = theory_of(REPORT).groups
    assert group.line is not None
    factors = [point.factor for point in group.points]
    for point in group.points:
        assert point.factor == pytest.approx(
            point.one.seconds / (group.line.s_per_mac * point.one.dense_macs)
        )
    assert math.prod(f for f in factors if f is not None) == pytest.approx(1.0)
    assert group.line.text == "55.8 ms/GMAC (35.8 GFLOP/s)"


def test_words_say_which_fit_and_which_interval() -> None:
    """Fit, slope with what it means, n, ranks, processes, meaning of the bars, convention."""
    caption = theory_of(REPORT).caption
    sentences = " ".join(caption.sentences)
    for needle in (
        "time = c · MACs, least squares on the logarithms",
        "55.8 ms/GMAC (35.8 GFLOP/s), n = 7",
        "rank correlation of time with MACs 0.93, with activations 0.82",
        "where the same command run again is expected to land (95 %",
        "1 MAC = 2 FLOPs",
    ):
        assert needle in sentences
    assert "mobilenet_v2@84 at 2.71 times" in caption.alt
    assert "time = a + c · MACs" in " ".join(theory_of(REPORT, fit="affine").caption.sentences)


def test_devices_formats_and_batches_are_fitted_apart(file: TimingFile) -> None:
    """Rows of two batches give two lines; MACs of a call grow with the batch."""
    batched = tuple(replace(row, what=replace(row.what, batch=4), roofs={}) for row in file.rows)
    figure = theory_of(replace(file, rows=(*file.rows, *batched)))
    one, four = figure.groups
    assert (one.name, four.name) == ("batch 1", "batch 4")
    assert one.line is not None
    assert four.line is not None
    assert four.line.s_per_mac == pytest.approx(one.line.s_per_mac / 4)
    assert four.points[0].one.dense_macs == 4 * 50612992
    assert "each group by itself" in " ".join(figure.caption.sentences)


def test_one_point_is_drawn_without_a_line(file: TimingFile) -> None:
    """One row: no line, and the caption says why."""
    figure = theory_of(replace(file, rows=file.rows[:1]))
    assert figure.groups[0].line is None
    assert figure.groups[0].points[0].factor is None
    sentences = " ".join(figure.caption.sentences)
    assert "No line is fitted." in sentences
    assert "1 point, and a line of this kind needs 2" in sentences
    assert figure.caption.alt == "1 timed model."


def test_one_process_has_no_error_bar_and_says_so(file: TimingFile) -> None:
    """Rows of one process have no interval."""
    rows = tuple(replace(row, processes=row.processes[:1]) for row in file.rows)
    sentences = " ".join(theory_of(replace(file, rows=rows)).caption.sentences)
    assert "No error bars: one process a row" in sentences
    assert "of 1 fresh process," in sentences
    mixed = theory_of(replace(file, rows=(*rows[:1], *file.rows[1:])))
    assert "1 to 3 fresh processes" in " ".join(mixed.caption.sentences)
    assert ", where there is one." in " ".join(mixed.caption.sentences)


def test_impossible_rows_are_drawn_and_not_fitted(file: TimingFile) -> None:
    """A row faster than the hardware can be stays visible and bends no line."""
    fast = replace(file.rows[0], roofs={"flops_per_s": 1.0, "bytes_per_s": 1.0})
    with_it = theory_of(replace(file, rows=(fast, *file.rows[1:])))
    without = theory_of(replace(file, rows=file.rows[1:]))
    assert with_it.groups[0].line == without.groups[0].line
    assert [point.fitted for point in with_it.groups[0].points] == [False, *[True] * 6]
    assert "drawn and not fitted" in " ".join(with_it.caption.sentences)


def test_rows_without_macs_are_left_out_and_said(file: TimingFile) -> None:
    """Unknown MACs and none at all have no place on the axis; all of them are refused."""
    unknown = replace(file.rows[0], work=Work(input="84"))
    none = replace(file.rows[1], work=replace(file.rows[1].work, dense_macs=0))
    figure = theory_of(replace(file, rows=(unknown, none, *file.rows[2:])))
    (warning,) = map(str, figure.caption.warnings)
    assert "its MACs are not known" in warning
    assert "no dense MACs" in warning
    assert len(figure.table.rows) == 5
    with pytest.raises(InputError, match="no row has both a time and MACs"):
        theory_of(replace(file, rows=(unknown, none)))


def test_an_unknown_fit_is_refused() -> None:
    """The hint lists the fits."""
    with pytest.raises(InputError, match="unknown fit 'cubic'") as caught:
        theory_of(REPORT, fit="cubic")  # type: ignore[arg-type]
    assert "proportional, affine" in caught.value.hint


def test_numbers_hold_activations_intervals_and_verdicts() -> None:
    """Beside the MACs the CSV has what else may explain the time, and how far to trust it."""
    table = theory_of(REPORT).table
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["activations_per_image"] == 1026392
    assert row["params"] == 2480072
    assert row["repeat_low_s"] < row["latency_s"] < row["repeat_high_s"]  # type: ignore[operator]
    assert row["verdict"] == "noisy"
    assert row["measured_over_line"] == row["latency_s"] / row["line_s"]  # type: ignore[operator]


def test_stages_of_a_pipeline_are_not_drawn(file: TimingFile) -> None:
    """Nor do their machine's libraries change the name of the networks' machine."""
    first, machine = file.rows[0], file.devices[0]
    stage = replace(first, what=replace(first.what, spec="decode: h264 720x1280"))
    facts = replace(machine, facts={**machine.facts, "av.version": "18.1.0"})
    alone = TimingFile(rows=(stage,), devices=(facts,))
    assert theory_of(merge([alone, file])) == theory_of(file)
    with pytest.raises(InputError, match="the rows are stages of a pipeline"):
        theory_of(alone)
