"""Stages of a pipeline in a timing file: told from networks, shown by themselves, left out."""

from __future__ import annotations

import json

import pytest
from clocks import NoiseClock, some_device, timed

from flopbench.core.errors import InputError, NotComparableError
from flopbench.core.grid import Grid
from flopbench.timing.comparison import compare_files
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.pipeline import parse_sizes
from flopbench.timing.records import Timing, TimingSpec, Work
from flopbench.timing.text import timing_grids

MACHINE = some_device()
LIBRARIES = {"av__version": "18.1.0", "pillow__version": "13.0.0"}
DECODES = some_device(**LIBRARIES)
STAGES = {
    "decode: h264 720x1280": 4.0,
    "colour: yuv420p 720x1280": 11.2,
    "resize: 720x1280 to 224": 12.0,
    "resize: 720x1280 to 84": 9.7,
    "normalise: 224": 0.5,
}


def row(spec: str, ms: float, **changes: object) -> Timing:
    """Return a row without noise, of three processes."""
    clocks = [NoiseClock(ms / 1e3) for _ in range(3)]
    return timed(clocks, TimingSpec(spec=spec), **changes)


def pipeline(**more: float) -> TimingFile:
    """Return a file with the stages of one clip."""
    rows = [row(spec, ms) for spec, ms in {**STAGES, **more}.items()]
    return TimingFile(rows=tuple(rows), devices=(DECODES,))


def network(ms: float = 18.3) -> TimingFile:
    """Return a file with one network."""
    one = row("resnet18@112", ms, work=Work(dense_macs=485_000_000, input="112"))
    return TimingFile(rows=(one,), devices=(MACHINE,))


def text(grid: Grid) -> str:
    """Return what is below a grid."""
    return " ".join(grid.caption)


@pytest.mark.parametrize(
    ("spec", "stage"),
    [
        *((spec, spec.partition(":")[0]) for spec in STAGES),
        ("decode:h264@224", ""),
        ("resize.py:build@224", ""),
        ('value:1.8e9 "decode: a test"', ""),
        ("denoise: 224", ""),
        ("decode", ""),
    ],
)
def test_a_stage_is_told_from_a_network(spec: str, stage: str) -> None:
    """No specification of a model has a space after its first colon."""
    assert TimingSpec(spec=spec).stage == stage


def test_stages_have_a_table_of_their_own() -> None:
    """Without MACs, batch and dtype; what one frame takes is added up below."""
    both = merge([network(), pipeline()])
    assert TimingFile.from_json(json.loads(both.dumps())) == both
    networks, stages = timing_grids(both)
    assert [cells[0] for cells in stages.rows] == list(STAGES)
    titles = [column.title for column in stages.columns]
    assert titles[:3] == ["stage", "ms", "repeat within"]
    assert "frames/s" in titles
    assert not {"GMACs", "act. M", "batch", "dtype", "bound", "of roof"} & set(titles)
    assert len(networks.rows) == 1
    # 4 + 11.2 + (12 + 9.7) + 0.5
    assert (
        "37.40 ms (decode 4.000, colour 11.20, resize 21.70 (2 sizes), normalise 0.5000)"
        in text(stages)
    )
    assert "PyAV 18.1.0, Pillow 13.0.0, torch 2.15.0" in text(stages)


def test_frames_of_two_clips_are_not_added_up() -> None:
    """Nor is what lacks a stage."""
    two = pipeline(**{"decode: vp9 360x640": 2.0})
    assert "through all" not in text(timing_grids(two)[0])
    failed = TimingFile(
        rows=(*pipeline().rows[:4], row("normalise: 224", 1, failure="no memory")),
        devices=(DECODES,),
    )
    assert "through all" not in text(timing_grids(failed)[0])


def test_networks_are_found_with_their_machines() -> None:
    """The machine of a pipeline goes with its rows."""
    found = merge([pipeline(), network()]).networks
    assert [row.what.spec for row in found.rows] == ["resnet18@112"]
    assert found.devices == (MACHINE,)
    assert found.device_of(found.rows[0]) == MACHINE
    assert pipeline().networks.rows == ()


def test_pipelines_compare_under_one_library() -> None:
    """A stage is compared with the same one; another version of PyAV is another decoder."""
    slower = TimingFile(rows=(row("decode: h264 720x1280", 5.0),), devices=(DECODES,))
    (pair,) = compare_files(pipeline(), slower, names=("a", "b")).pairs
    assert pair.ratio == pytest.approx(1.25)
    assert pair.macs_ratio is None
    newer = some_device(**{**LIBRARIES, "av__version": "19.0"})
    other = TimingFile(rows=slower.rows, devices=(newer,))
    with pytest.raises(NotComparableError, match=r"av\.version: '18\.1\.0' and '19\.0'"):
        compare_files(pipeline(), other, names=("a", "b"))


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("224", ["224"]),
        ("224, 112x168,84x84,224", ["224", "112x168", "84"]),
        *((odd, None) for odd in ("", "0", "-4", "224,", "224x", "1x2x3", "big", "99999", "²")),
    ],
)
def test_sizes_are_sides_in_pixels(text: str, sizes: list[str] | None) -> None:
    """One side, or height x width; each once, anything else is refused."""
    if sizes is not None:
        assert parse_sizes(text) == sizes
        return
    with pytest.raises(InputError, match="is not a size of a frame"):
        parse_sizes(text)
