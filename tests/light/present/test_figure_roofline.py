"""Models under their roofs as data: which rows, roofs and texts; rows chosen and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.present.figures.roofline import roofline
from flopbench.timing.file import TimingFile
from flopbench.timing.peaks import peak_of
from flopbench.timing.records import Operator, TimingSpec, Work
from flopbench.timing.verdicts import summarise

roofline_of = roofline.make

REPORT = ROOT / "reports/latency-amd-epyc.json"
H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture(scope="module")
def file() -> TimingFile:
    """The timings of seven networks on one CPU."""
    return TimingFile.load(REPORT)


def with_gpu(file: TimingFile, *dtypes: str) -> TimingFile:
    """Return the file with a row more a number format, on a GPU that has a data sheet."""
    gpu = replace(file.devices[0], device="cuda", name=H100)
    rows = [
        replace(
            file.rows[3],
            device=1,
            what=replace(file.rows[3].what, device="cuda", dtype=dtype),
            roofs={"flops_per_s": 5e13, "bytes_per_s": 2.5e12},
        )
        for dtype in dtypes
    ]
    return TimingFile(rows=(*file.rows, *rows), devices=(*file.devices, gpu))


def test_points_are_the_summaries_own(file: TimingFile) -> None:
    """Achieved FLOP/s and both bounds of the intensity are those of ``summarise``."""
    figure = roofline_of(REPORT)
    (group,) = figure.groups
    assert group.ridge == group.flops_per_s / group.bytes_per_s
    for point, row in zip(group.points, file.rows, strict=True):
        summary = summarise(row, file.device_of(row))
        assert (point.low, point.high) == summary.intensity
        assert point.flops_per_s == summary.achieved_flops_per_s
        assert group.flops_per_s == row.roofs["flops_per_s"]


def test_words_say_what_a_flop_is_and_how_roofs_were_made() -> None:
    """The caption has the convention, the bounds, the roofs, the processes, the shared option."""
    caption = roofline_of(REPORT).caption
    sentences = " ".join(caption.sentences)
    for needle in (
        "2 FLOPs a multiply-accumulate",
        "104.2 GFLOP/s, 29.3 GB/s, ridge at 3.6 FLOP/byte",
        "No data-sheet peak: vendors publish no peak for CPUs",
        "median of the medians of 3 fresh processes",
        "All with classes=200.",
        "counter torch",
        "None is stable: mobilenet_v2@84 (noisy",
    ):
        assert needle in sentences
    assert "resnet34@168 reaches most of its compute roof, 76 %" in caption.alt


def test_a_gpu_brings_the_peaks_of_its_data_sheet(file: TimingFile) -> None:
    """Each number format is a separate group, with the data sheet's peak and its source."""
    figure = roofline_of(with_gpu(file, "fp32", "bf16"))
    cpu, fp32, bf16 = figure.groups
    peak = peak_of(H100)
    assert peak is not None
    assert cpu.peak_flops_per_s is None
    assert fp32.peak_flops_per_s == peak.flops_per_s("fp32")
    assert bf16.peak_flops_per_s == peak.flops_per_s("bf16")
    assert [group.name for group in figure.groups] == [
        "AMD EPYC (2 cores visible), fp32",
        f"{H100}, fp32",
        f"{H100}, bf16",
    ]
    assert peak.source in " ".join(figure.caption.sentences)


def test_the_higher_of_two_measured_roofs_is_drawn(file: TimingFile) -> None:
    """Two files of one device may hold two measurements of one roof; the caption says so."""
    lower = replace(file.rows[0], roofs={"flops_per_s": 1e10, "bytes_per_s": 1e9})
    figure = roofline_of([file, replace(file, rows=(lower,))])
    assert figure.groups[0].flops_per_s == file.rows[0].roofs["flops_per_s"]
    assert "the highest is drawn" in " ".join(figure.caption.sentences)


def test_rows_that_cannot_be_drawn_are_left_out_and_said(file: TimingFile) -> None:
    """A failed row, one without roofs and one without known work are named with the reason."""
    rows = (
        file.rows[0],
        replace(file.rows[1], processes=(), failure="out of memory"),
        replace(file.rows[2], roofs={}),
        replace(file.rows[3], work=Work(input="224")),
    )
    figure = roofline_of(replace(file, rows=rows))
    assert [point.name for point in figure.groups[0].points] == ["mobilenet_v2@84"]
    (warning,) = map(str, figure.caption.warnings)
    for needle in ("(out of memory)", "(no measured roofs)", "parameters or activations are not"):
        assert needle in warning
    assert len(figure.table.rows) == 1


def test_what_the_operators_allow_is_drawn_where_it_is_known(file: TimingFile) -> None:
    """2 FLOPs a MAC of the whole batch over their least time; older files say nothing of it."""
    operators = tuple(
        Operator(name=name, family=name, least_s=0.002, calls=calls)
        for name, calls in (("convolution", 3), ("pooling", 4))
    )
    first = file.rows[0]
    batch = replace(first, operators=operators, what=replace(first.what, batch=4))
    figure = roofline_of(replace(file, rows=(batch, file.rows[1])))
    known, unknown = figure.groups[0].points
    # 2 · 50,612,992 MACs · 4 images in 7 · 2 ms
    assert known.ceiling_flops_per_s == pytest.approx(28921709714.3)
    assert unknown.ceiling_flops_per_s is None
    assert any("The stem above a marker" in line for line in figure.caption.sentences)
    assert figure.table.header[-1] == "operators_flops_per_s"
    assert "operators_flops_per_s" not in roofline_of(REPORT).table.header


def test_nothing_left_to_draw_is_refused(file: TimingFile) -> None:
    """The message says why, the hint which command measures roofs; so for failures alone."""
    bare = replace(file, rows=tuple(replace(row, roofs={}) for row in file.rows))
    with pytest.raises(InputError, match="no measured roofs") as caught:
        roofline_of(bare)
    assert "flopbench latency" in caught.value.hint
    failed = tuple(replace(row, processes=(), failure="no memory") for row in file.rows)
    with pytest.raises(InputError, match=r"no row was measured: .*no memory.*and 1 more"):
        roofline_of(replace(file, rows=failed))
    with pytest.raises(InputError, match="no timing file"):
        roofline_of([])
    with pytest.raises(InputError, match="holds no rows"):
        roofline_of(replace(file, rows=()))


def test_rows_are_chosen_by_device_dtype_and_batch(file: TimingFile) -> None:
    """A device is a kind or part of a machine's name; what no row has is refused by name."""
    both = with_gpu(file, "bf16")
    assert len(roofline_of(both, devices=["cpu"]).groups) == 1
    assert roofline_of(both, devices=["h100"]).groups[0].whole.startswith(H100)
    assert roofline_of(both, dtypes=["bf16"]).groups[0].points[0].one.row.what.dtype == "bf16"
    with pytest.raises(InputError, match="no row was timed on 'A100'") as caught:
        roofline_of(both, devices=["A100"])
    assert H100 in caught.value.hint
    with pytest.raises(InputError, match="no row was timed in 'fp16'"):
        roofline_of(both, dtypes=["fp16"])
    with pytest.raises(InputError, match="unknown dtype 'fp33'"):
        roofline_of(both, dtypes=["fp33"])
    with pytest.raises(InputError, match="no row has the batch 7"):
        roofline_of(both, batches=[7])
    with pytest.raises(InputError, match="no row matches all"):
        roofline_of(both, devices=["cpu"], dtypes=["bf16"])


def test_names_hold_what_differs(file: TimingFile) -> None:
    """One model at several batches is named by the batch; equal rows are numbered."""
    one = file.rows[0]

    def renamed(**changes: object) -> TimingFile:
        whats = [replace(one.what, **{k: v}) for k, vs in changes.items() for v in vs]  # type: ignore[attr-defined,arg-type]
        return replace(file, rows=tuple(replace(one, what=what) for what in whats))

    names = [p.name for p in roofline_of(renamed(batch=[1, 8])).groups[0].points]
    assert names == ["batch 1", "batch 8"]
    assert (
        "All with mobilenet_v2@84,classes=200."
        in roofline_of(renamed(batch=[1, 8])).caption.sentences
    )
    names = [p.name for p in roofline_of(renamed(batch=[1, 1])).groups[0].points]
    assert names == ["mobilenet_v2 #1", "mobilenet_v2 #2"]
    names = [p.name for p in roofline_of(renamed(spec=["a@1,classes=3", "b@1\n"])).groups[0].points]
    assert names == ["a,classes=3", "b"]
    same = roofline_of(renamed(spec=["a@64,classes=3", "nets.py:b@64,classes=3"]))
    assert [p.name for p in same.groups[0].points] == ["a", "nets.py:b"]
    assert "All with input 64, classes=3." in same.caption.sentences


def test_machines_that_cannot_be_compared_are_kept_apart(file: TimingFile) -> None:
    """Two machines of one name but another torch are two groups, named by what differs."""
    older = replace(file.devices[0], facts={**file.devices[0].facts, "torch.version": "2.1.0"})
    again = replace(file.devices[0], facts={**file.devices[0].facts, "memory.total_bytes": 1})
    figure = roofline_of([file, replace(file, devices=(older,)), replace(file, devices=(again,))])
    assert [len(group.points) for group in figure.groups] == [14, 7]
    assert figure.groups[1].name == "AMD EPYC (2 cores visible) (torch.version 2.1.0)"


def test_more_groups_than_can_be_told_apart_are_refused(file: TimingFile) -> None:
    """Nine thread counts are too many; the hint says how to choose."""
    rows = tuple(
        replace(file.rows[0], what=replace(file.rows[0].what, threads=n)) for n in range(1, 10)
    )
    with pytest.raises(InputError, match="fall into 9 groups by machine, threads and dtype"):
        roofline_of(replace(file, rows=rows))


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    """A cost table is recognised; the error of a damaged file names its path."""
    with pytest.raises(InputError, match=r"is a cost table; this figure takes a timing file"):
        roofline_of(ROOT / "tests/data/table-schema1.json")
    broken = tmp_path / "t.json"
    broken.write_text('{"schema": 1, "kind": "flopbench.timings", "rows": 3}')
    with pytest.raises(DataError, match=r"t\.json"):
        roofline_of(broken)


def test_numbers_hold_every_point_whole() -> None:
    """One row a point, unrounded, with both bounds and both roofs."""
    table = roofline_of(REPORT).table
    assert len(table.rows) == 7
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["spec"] == "mobilenet_v2@84,classes=200"
    assert row["dense_macs_per_image"] == 50612992
    assert row["measured_bytes_per_s"] == 29306330963.534874
    assert TimingSpec(spec="x").options == row["options"]
