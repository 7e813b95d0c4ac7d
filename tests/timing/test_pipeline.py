"""Stages of a pipeline on clips that are made here: what a call holds, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

import numpy as np
import torch
from clips import noise, save_folder, save_video
from conftest import RunCli, assert_refused

from flopbench.timing.file import TimingFile
from flopbench.timing.measure import pipeline, sampling
from flopbench.timing.measure.jobs import run_fields

pytestmark = pytest.mark.usefixtures("warm_workers")

FRAMES, HEIGHT, WIDTH = 20, 48, 64


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A video of 20 frames; its decoder holds some back until the end."""
    path = tmp_path_factory.mktemp("clips") / "v.mp4"
    save_video(path, noise(FRAMES, HEIGHT, WIDTH))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of three images."""
    path = tmp_path_factory.mktemp("clips") / "images"
    save_folder(path, noise(3, HEIGHT, WIDTH), ".jpg")
    return str(path)


def calls(path: str, stage: str, size: str) -> tuple[Any, int]:
    """Return the call of a stage, and its number of frames."""
    return pipeline._stage_call(path, stage, size, threads=1)


def test_a_call_decodes_all_frames_again(video: str) -> None:
    """Also those that the decoder holds back, and also the second time."""
    call, frames = calls(video, "decode", "48x64")
    assert frames == FRAMES
    assert [call() for _ in range(3)] == [FRAMES] * 3
    assert [pipeline._Video(Path(video), 2).lap() for _ in range(2)] == [FRAMES] * 2


def test_other_stages_take_some_frames_in_turn(
    video: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 8 frames, fewer where they are large; every image of a small folder."""
    counts = [calls(video, stage, "8x6")[1] for stage in ("colour", "resize", "normalise")]
    assert counts == [8, 8, 8]
    assert calls(folder, "resize", "8")[1] == 3
    monkeypatch.setattr(pipeline, "MOST_KEPT_BYTES", 2 * 3 * HEIGHT * WIDTH)
    assert calls(video, "colour", "48x64")[1] == 2


def test_stages_do_what_they_are_called(video: str) -> None:
    """Height comes first; the normalised mean colour is zero."""
    from PIL import Image

    (frame, *_) = pipeline._Video(Path(video), 1).kept()
    image = pipeline._to_rgb(frame, 1)
    assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
    assert pipeline._resized(image, width=8, height=6).size == (8, 6)
    grey = Image.fromarray(np.full((2, 3, 3), 51, np.uint8))  # 51 / 255 = 0.2
    assert torch.equal(pipeline.tensor_of(grey), torch.full((3, 2, 3), 51.0) / 255)
    mean, std = torch.full((3, 1, 1), 0.2), torch.full((3, 1, 1), 0.5)
    assert pipeline._normalised(grey, mean, std).abs().max() < 1e-6


def test_times_are_those_of_one_frame() -> None:
    """A call of 20 frames that takes 0.4 s: 20 ms a frame, each sample the mean of 40 of them."""
    sampled = sampling.Sampled(
        warm_up_calls=12, calls_per_sample=2, columns={"cpu_s": [0.4], "wall_s": [0.5]}
    )
    run = run_fields(sampled, 0.8, 20)
    assert run["columns"] == {"cpu_s": [0.02], "wall_s": [0.025]}
    assert (run["calls_per_sample"], run["warm_up_calls"], run["first_s"]) == (40, 240, 0.04)


def test_a_clip_is_described(video: str, folder: str) -> None:
    """Codec, pixel format, size and versions of a video; formats and size of images."""
    found = pipeline.inspect_clip({"path": video})
    facts = found["facts"]["facts"]
    assert (found["codec"], found["colours"], found["size"]) == ("mpeg4", "yuv420p", "48x64")
    assert found["frames"] == FRAMES
    assert {"av.version", "av.libavcodec", "pillow.version", "cpu.model"} <= facts.keys()
    found = pipeline.inspect_clip({"path": folder})
    assert (found["codec"], found["colours"], found["size"]) == ("jpeg", "", "48x64")
    assert "av.version" not in found["facts"]["facts"]
    from PIL import Image

    Image.new("RGB", (5, 4)).save(Path(folder) / "img_3.jpg")
    assert pipeline.inspect_clip({"path": folder})["size"] == "mixed sizes"
    (Path(folder) / "img_3.jpg").unlink()


def test_a_pipeline_is_timed_and_shown(run_cli: RunCli, tmp_path: Path, folder: str) -> None:
    """Rows of each stage with a verdict, in one file with a network; printed again from it."""
    quick = ("--budget", "0.1", "--samples", "6", "--processes", "1", "--device", "cpu")
    given = ("--pipeline", folder, "--resize", "6x9", "-o", "t.json")
    done = run_cli("latency", "linear:4x2", *given, *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file = TimingFile.load(tmp_path / "t.json")
    assert [row.what.spec for row in file.rows] == [
        "linear:4x2",
        "decode: jpeg 48x64",
        "resize: 48x64 to 6x9",
        "normalise: 6x9",
    ]
    assert not any(row.failed for row in file.rows)
    assert file.rows[1].processes[0].calls_per_sample % 3 == 0
    assert folder not in (tmp_path / "t.json").read_text()
    shown = run_cli("latency", "--from", "t.json", "--wide", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Pipeline, each frame, on" in shown.stdout
    assert "A frame through all of them" in shown.stdout
    assert "3 frames of" in shown.stdout


def test_what_cannot_be_decoded_is_one_message(run_cli: RunCli, tmp_path: Path, video: str) -> None:
    """Each names the file or the option, and nothing is written."""
    (tmp_path / "v.mp4").write_bytes(b"no video")
    whole = Path(video).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "empty" / "folder.png").mkdir()
    for name in ("bad/1.png", "one.png"):
        (tmp_path / name).write_bytes(b"no image")
    before = sorted(path.name for path in tmp_path.iterdir())
    for given, *said in (
        (("nowhere.mp4",), "nowhere.mp4: there is no such file or folder"),
        (("v.mp4",), "v.mp4 cannot be read"),
        (("cut.mp4",), "cut.mp4 cannot be read"),
        (("empty",), "empty holds no images", ".jpg"),
        (("bad",), "1.png cannot be read"),
        (("one.png",), "one.png is a single image", "its folder"),
        (("bad", "--batch", "2", "--compile"), "times no models: --batch, --compile cannot apply"),
    ):
        done = run_cli(
            "latency", "--pipeline", *given, "--resize", "8", "-o", "t.json", cwd=tmp_path
        )
        assert_refused(done, *said)
    for given, *said in (
        (("--pipeline", "v.mp4"), "--pipeline needs --resize", "--resize 224,168"),
        (("--pipeline", "v.mp4", "--resize", "8x"), "'8x' is not a size of a frame", "112x168"),
        (("resnet18@32", "--resize", "8"), "--resize belongs to --pipeline"),
        (
            ("--pipeline", "v.mp4", "--resize", "8", "--device", "cuda"),
            "--device cuda is for models",
        ),
        (("--from", "t.json", "--pipeline", "v.mp4"), "--pipeline cannot apply"),
    ):
        assert_refused(run_cli("latency", *given, cwd=tmp_path), *said)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_pyav_the_extra_is_named(video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what does without it."""
    from flopbench.core.errors import InputError

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="needs PyAV") as caught:
        pipeline.inspect_clip({"path": video})
    assert caught.value.hint == "pip install 'flopbench[video]', or name a folder of images"
