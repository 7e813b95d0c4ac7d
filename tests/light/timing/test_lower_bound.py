"""The least time of operators on roofs, by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clocks import NoiseClock, some_device, timed
from msgspec.structs import replace

from flopbench.timing.as_csv import timings_csv
from flopbench.timing.file import TimingFile
from flopbench.timing.lower_bound import charged, stream, stream_s
from flopbench.timing.records import Operator
from flopbench.timing.roofs import FamilyRoof
from flopbench.timing.text import timing_grids
from flopbench.timing.verdicts import summarise

KIB = 2**10


def roof(family: str, flops_per_s: float | None = None, **streams: float) -> FamilyRoof:
    """Return a roof; streams by KiB: ``k16=6e10``."""
    sizes = tuple((int(name[1:]) * KIB, rate) for name, rate in streams.items())
    return FamilyRoof(dtype="fp32", family=family, flops_per_s=flops_per_s, streams=sizes)


ROOFS = (
    roof("convolution", 1e11),
    roof("matmul", 2e11),
    roof("depthwise convolution", 1e10),
    roof("copy", k16=16e9, k64=32e9, k256=8e9),
    roof("pooling", k16=4e9),
    replace(roof("softmax", k16=4e9), call_s=1e-6),
)


def least(family: str, macs: int = 0, read: int = 0, written: int = 0) -> tuple[float, str]:
    """Return the least time of one operator, and what limits it."""
    one = Operator(name="x", family=family, macs=macs, read_bytes=read, written_bytes=written)
    (found,) = charged([one], ROOFS)
    return found.least_s, found.limit


def test_rates_never_rise_with_the_size() -> None:
    """A small call is slowed by being a call: from 16 KiB on, 32 GB/s were reached at 64 KiB."""
    assert stream(ROOFS) == [(16 * KIB, 32e9), (64 * KIB, 32e9), (256 * KIB, 8e9)]


@pytest.mark.parametrize(
    ("count", "seconds"),
    [
        (0, 0.0),
        (8 * KIB, 8 * KIB / 32e9),  # below the smallest size: at its rate
        (256 * KIB, 256 * KIB / 32e9),
        # The first 256 KiB may be in a cache, the other 744 KiB cannot be.
        (1000 * KIB, 256 * KIB / 32e9 + 744 * KIB / 8e9),
    ],
)
def test_only_what_no_cache_holds_comes_from_memory(count: int, seconds: float) -> None:
    """Bytes between two sizes are charged at the rate of the smaller one."""
    assert stream_s(count, stream(ROOFS)) == pytest.approx(seconds, rel=1e-12)


def test_an_operator_takes_the_longer_of_computing_and_moving() -> None:
    """Each family at its own rate; both sides of the traffic may be in a cache."""
    # 2 · 1e6 / 1e11 = 20 µs; 64 KiB of each side at 32 GB/s = 4.1 µs.
    assert least("convolution", 10**6, 64 * KIB, 64 * KIB) == (2e-5, "compute")
    assert least("depthwise convolution", 10**6) == (2e-4, "compute")
    assert least("attention", 10**6) == least("matmul", 10**6) == (1e-5, "compute")
    # A family without a roof of its own may be as fast as the fastest.
    assert least("other", 10**6) == (1e-5, "compute")
    assert least("convolution", 10**3, 64 * KIB, 64 * KIB) == (128 * KIB / 32e9, "memory")
    # Pooling was never faster than 4 GB/s, though copies of that size are.
    assert least("pooling", 0, 64 * KIB, 16 * KIB) == (80 * KIB / 4e9, "memory")
    assert least("copy", 0, 16 * KIB, 16 * KIB) == (32 * KIB / 32e9, "memory")
    # 2 KB at 4 GB/s are half a microsecond, but no call took less than a whole one.
    assert least("softmax", 0, 1000, 1000) == (1e-6, "launch")


def row(**changes: Any) -> Any:
    """Return a row of 1/8 s whose operators take at least 3 · 10 + 20 = 50 ms."""
    operators = (
        Operator(name="aten.convolution", family="convolution", calls=3, macs=9, least_s=0.01),
        Operator(name="aten.relu", family="pointwise", read_bytes=4, written_bytes=4, least_s=0.02),
    )
    one = timed([NoiseClock(1 / 8)] * 3)
    return replace(one, **{"operators": operators, **changes})


def test_a_row_says_its_least_time_and_what_takes_it() -> None:
    """In the summary, in the table where space allows, in CSV; nothing where it is not known."""
    file = TimingFile(rows=(row(),), devices=(some_device(),))
    summary = summarise(row(), some_device())
    assert summary.least_s == pytest.approx(0.05)
    assert dict(summary.binding) == pytest.approx({"convolution": 0.6, "pointwise": 0.4})
    (grid,) = timing_grids(file)
    cells = dict(zip((column.title for column in grid.columns), grid.rows[0], strict=True))
    assert (cells["least ms"], cells["of least"]) == ("50.00", "convolution 60 %, pointwise 40 %")
    assert any(line.startswith("least ms: ") for line in grid.caption)
    header, line, *_ = timings_csv(file).splitlines()
    found = dict(zip(header.split(","), line.split(","), strict=True))
    assert float(found["least_s"]) == pytest.approx(0.05)
    assert found["least_by_family"] == "convolution 0.6000; pointwise 0.4000"
    bare = summarise(row(operators=()), some_device())
    assert (bare.least_s, bare.binding) == (None, ())
    (grid,) = timing_grids(replace(file, rows=(row(operators=()),)))
    assert "least ms" not in {column.title for column in grid.columns}


def test_operators_survive_the_file_and_older_files_have_none() -> None:
    """One a line; a row without any is written as it always was."""
    file = TimingFile(rows=(row(), row(operators=())), devices=(some_device(),))
    text = file.dumps()
    assert TimingFile.from_json(json.loads(text)) == file
    assert text.count("aten.relu") == text.count('"operators"') == 1
    assert "aten.relu" in next(line for line in text.splitlines() if "0.02" in line)
