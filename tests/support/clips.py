"""Short videos and folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def noise(frames: int, height: int, width: int) -> Any:
    """Return (T, H, W, 3): the same noise each time, moving to the right."""
    still = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.stack([np.roll(still, 2 * t, axis=1) for t in range(frames)])


def save_video(path: Path, video: Any, codec: str = "mpeg4") -> None:
    """Write a video file of (T, H, W, 3), with frames that refer to later ones."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = video.shape[2], video.shape[1], "yuv420p"
        stream.options = {"bf": "2"}
        for frame in video:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def save_folder(folder: Path, video: Any, suffix: str = ".png") -> None:
    """Write frames as images under names that sort wrongly as text."""
    image = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True)
    for n, frame in enumerate(video):
        image.fromarray(frame).save(folder / f"img_{n}{suffix}")
