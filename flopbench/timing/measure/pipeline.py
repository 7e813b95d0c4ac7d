"""The stages before the networks as calls that can be timed, by PyAV, Pillow and torch.

Compressed frames are in memory, so that no disk is timed. A call goes through all frames that it
has: decoding one frame of a video says little, since key frames cost more than those between them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from msgspec import to_builtins

from flopbench.core.errors import DataError, FlopbenchError, InputError
from flopbench.core.media import (
    IMAGE_SUFFIXES,
    Unreadable,
    images_of,
    open_video,
    read_image,
    require_pillow,
)
from flopbench.models.build.built import reason
from flopbench.timing.measure.clocks import CpuClock
from flopbench.timing.measure.device import device_facts
from flopbench.timing.measure.jobs import peak_bytes, run_fields
from flopbench.timing.measure.precision import precision_facts
from flopbench.timing.measure.sampling import first_call, sample

MOST_DECODED = 96
"""Frames of a call that decodes: four seconds of a video, so that key frames have their share."""

MOST_KEPT = 8
"""Frames of a call of the other stages, which take as long for each: 22 MB at 720p."""

MOST_KEPT_BYTES = 1 << 28
"""Of larger frames fewer are kept."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels, as networks trained on ImageNet expect."""

Call = Callable[[], Any]


def inspect_clip(job: Mapping[str, Any]) -> dict[str, Any]:
    """Decode what is decoded to time it, by its path; return the fields of ``pipeline.Clip``."""
    require_pillow()
    try:
        clip = _opened(job["path"], 1)
        shapes = [(frame.height, frame.width) for frame in clip.decoded()]
        (first, *_) = clip.kept()
    except Unreadable as error:
        raise DataError(str(error)) from None
    import PIL

    facts = device_facts("cpu")
    versions = {**facts.facts, "pillow.version": PIL.__version__, **clip.versions()}
    size = "x".join(map(str, shapes[0])) if len(set(shapes)) == 1 else "mixed sizes"
    return {
        "path": job["path"],
        "kind": clip.kind,
        "codec": clip.codec,
        "colours": first.format.name if clip.kind == "video" else "",
        "size": size,
        "frames": len(shapes),
        "bytes_per_frame": clip.size_bytes // len(shapes),
        "facts": {**to_builtins(facts), "facts": versions},
    }


def time_stage(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time one stage of a clip: ``run`` (``ProcessRun`` fields, of a frame), or why it ``failure``.

    The job is that of ``jobs.time_rows``, with one row, and ``clip``: its path, the stage, and the
    target size.
    """
    (row,) = job["rows"]
    torch.set_num_threads(row["threads"])
    clock = CpuClock(row["threads"])
    try:
        with torch.inference_mode():
            call, frames = _stage_call(*job["clip"], threads=row["threads"])
            first_s = first_call(clock, call)
            (sampled,) = sample(
                clock,
                [call],
                budget_s=job["budget_s"],
                fewest=job["fewest"],
                best_pace_s=job["best_pace_s"],
            )
    except FlopbenchError as error:
        return [{"failure": error.line}]
    except Exception as error:  # of a library, or of a file that has changed
        return [{"failure": f"it failed: {reason(error)}"}]
    run = run_fields(sampled, first_s, frames)
    return [{"run": {**run, "peak_bytes": peak_bytes("cpu"), "flags": precision_facts()}}]


def _stage_call(path: str, stage: str, size: str, *, threads: int) -> tuple[Call, int]:
    """Return a call that takes frames of a clip through one stage, and how many they are."""
    clip = _opened(path, threads)
    if stage == "decode":
        return clip.lap, clip.lap()
    frames = clip.kept()
    if stage == "colour":
        return _each(lambda frame: _to_rgb(frame, threads), frames)
    images = [_to_rgb(frame, threads) for frame in frames] if clip.kind == "video" else frames
    height, _, width = size.partition("x")
    resize = partial(_resized, width=int(width or height), height=int(height))
    if stage == "resize":
        return _each(resize, images)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    normalise = partial(_normalised, mean=mean, std=std)
    return _each(normalise, [resize(image) for image in images])


def _resized(image: Any, width: int, height: int) -> Any:
    from PIL import Image

    return image.resize((width, height), Image.Resampling.BILINEAR)


def _normalised(image: Any, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    return tensor_of(image).sub_(mean).div_(std)


def tensor_of(image: Any) -> torch.Tensor:
    """Return a Pillow image as (3, height, width) floats in [0, 1]."""
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1).float() / 255


def _each(stage: Callable[[Any], Any], frames: list[Any]) -> tuple[Call, int]:
    def call() -> None:
        for frame in frames:
            stage(frame)

    return call, len(frames)


def _to_rgb(frame: Any, threads: int) -> Any:
    """Return a decoded frame as a Pillow image in RGB."""
    try:
        return frame.to_image(threads=threads)
    except TypeError:  # older PyAV, which takes one thread
        return frame.to_image()


def _opened(path: str, threads: int) -> _Video | _Images:
    place = Path(path)
    if not place.exists():
        raise InputError(f"--pipeline {path}: there is no such file or folder")
    if place.is_dir():
        return _Images(place)
    if place.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"--pipeline {path} is a single image", "name a video, or its folder")
    return _Video(place, threads)


def _most_kept(image_bytes: int) -> int:
    return max(1, min(MOST_KEPT, MOST_KEPT_BYTES // max(image_bytes, 1)))


class _Video:
    """The first packets of a video, decoded again and again; its decoder outlives its file."""

    kind = "video"

    def __init__(self, path: Path, threads: int) -> None:
        with open_video(path, "name a folder of images") as (container, stream):
            self._context = stream.codec_context
            self._context.thread_count = threads
            self._context.thread_type = "AUTO" if threads > 1 else "NONE"
            self.codec = str(self._context.name)
            filled = (packet for packet in container.demux(stream) if packet.size)
            self._packets = list(islice(filled, MOST_DECODED))
            self.size_bytes = sum(packet.size for packet in self._packets)
            if not self.lap():
                raise Unreadable(f"{path} cannot be decoded: it gives no frame")

    def lap(self) -> int:
        """Decode all packets from the first one on; return the number of frames."""
        return sum(1 for _ in self.decoded())

    def kept(self) -> list[Any]:
        """Return the first frames, decoded."""
        frames = list(islice(self.decoded(), MOST_KEPT))
        self._context.flush_buffers()
        first = frames[0]
        return frames[: _most_kept(3 * first.width * first.height)]

    def versions(self) -> dict[str, str]:
        """Return the versions of what decodes and converts."""
        import av

        libraries = {
            f"av.{name}": ".".join(map(str, av.library_versions[name]))
            for name in ("libavcodec", "libswscale")
        }
        return {"av.version": av.__version__, **libraries}

    def decoded(self) -> Iterator[Any]:
        """Yield all frames, decoded."""
        for packet in (*self._packets, None):  # None gives the frames that the decoder holds back
            yield from self._context.decode(packet)
        self._context.flush_buffers()


class _Images:
    """The images of a folder, in memory as they are in their files."""

    kind = "images"

    def __init__(self, folder: Path) -> None:
        paths = images_of(folder, "--pipeline")[:MOST_DECODED]
        self._files = []
        for path in paths:
            try:
                self._files.append((io.BytesIO(path.read_bytes()), path))
            except OSError as error:
                raise Unreadable(path, error) from None
        self.size_bytes = sum(len(file.getbuffer()) for file, _ in self._files)
        formats = {path.suffix.lower().lstrip(".") for path in paths}
        self.codec = " and ".join(sorted({"jpeg" if f == "jpg" else f for f in formats}))

    def lap(self) -> int:
        """Decode all of them; return how many."""
        return sum(1 for _ in self.decoded())

    def kept(self) -> list[Any]:
        """Return the first images, decoded."""
        frames = list(islice(self.decoded(), MOST_KEPT))
        return frames[: _most_kept(3 * max(frame.width * frame.height for frame in frames))]

    def versions(self) -> dict[str, str]:
        """Return the versions of what decodes."""
        from PIL import features

        jpeg = features.version("libjpeg_turbo") or features.version("jpg")
        return {"pillow.libjpeg": str(jpeg)}

    def decoded(self) -> Iterator[Any]:
        """Yield all frames, decoded."""
        for file, path in self._files:
            yield read_image(file, path)
