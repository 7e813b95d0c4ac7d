"""Sources of a video's frames: an array, a folder of images, a video file, image files."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flopbench.core.errors import InputError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff")
EXPECTED = "expected (T, H, W, 3) of uint8, or (T, H, W) in grey"


class Unreadable(Exception):
    """Frames that are missing or cannot be read; the message names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """The frames of one video.

    Attributes:
        name: the file, for messages.
        count: how many frames it has.
        read: numbers of frames -> number -> (H, W, 3) uint8, for those that could be read, and a
            reason for each of the others.
    """

    name: str
    count: int
    read: Callable[[Sequence[int]], Mapping[int, Any]]


def inside(folder: Path, name: str) -> Path | None:
    """Return ``folder/name``, None where that leads out of the folder or is the folder itself."""
    base = os.path.abspath(folder)
    found = os.path.normpath(os.path.join(base, name))
    if found == base or os.path.commonpath([base, found]) != base:
        return None
    return folder / os.path.relpath(found, base)


def find_medium(id: str, media: Path) -> Medium:
    """Open the frames of a video by its id.

    Args:
        id: of the video.
        media: a folder with ``ID.npy``, ``ID.mp4`` (or another video file) or ``ID/`` with images,
            or a ``.npz`` file whose keys are ids.

    Raises:
        InputError: an id that leads out of the folder, or a video file without PyAV.
        Unreadable: there are none, or they cannot be read.
    """
    if not media.is_dir():
        return _from_archive(id, media)
    path = inside(media, id)
    if path is None:
        raise InputError(
            f"the id {id!r} leads out of the folder of frames {media}: it is not read",
            "a .npz file takes any id as a key; in Python, frames={id: array}",
        )
    if path.suffix.lower() in VIDEO_SUFFIXES and os.path.isfile(path):
        return _video(path)
    array = path.with_name(path.name + ".npy")
    if os.path.isfile(array):
        return _from_array_file(array)
    for suffix in VIDEO_SUFFIXES:
        video = path.with_name(path.name + suffix)
        if os.path.isfile(video):
            return _video(video)
    if os.path.isdir(path):
        return _folder(path)
    tried = ", ".join(f"{path.name}{suffix}" for suffix in (".npy", *VIDEO_SUFFIXES))
    raise Unreadable(f"{path.parent} has none of {tried} and {path.name}/")


def given_medium(id: str, frames: Any) -> Medium:
    """Wrap frames that are in memory: an array, or a list of arrays or Pillow images.

    Raises:
        InputError: anything else.
    """
    name = f"frames[{id!r}]"
    try:
        if hasattr(frames, "ndim"):
            return _array(frames, name)
        listed = list(frames)
    except Unreadable as error:
        raise InputError(str(error)) from None
    except TypeError:
        raise InputError(
            f"{name} is of type {type(frames).__name__}",
            "expected an array (T, H, W, 3) of uint8, or a list of images",
        ) from None
    images = {}
    for number, image in enumerate(listed):
        try:
            images[number] = _rgb(image, f"{name}[{number}]")
        except Unreadable as error:
            raise InputError(str(error)) from None
    return Medium(
        name=name, count=len(images), read=lambda numbers: {n: images[n] for n in numbers}
    )


def _from_archive(id: str, path: Path) -> Medium:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            if id not in archive.files:
                raise Unreadable(f"{path} has no key {id!r}")
            return _array(archive[id], f"{path}, {id}")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Unreadable(f"{path} cannot be read: {_said(error)}") from None


def _from_array_file(path: Path) -> Medium:
    import numpy as np

    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Unreadable(f"{path} cannot be read: {_said(error)}") from None
    return _array(array, str(path))


def _array(array: Any, name: str) -> Medium:
    import numpy as np

    grey = array.ndim == 3 and array.shape[2] not in {1, 3, 4}
    colour = array.ndim == 4 and array.shape[3] in {1, 3}
    if array.dtype != np.uint8 or not (grey or colour) or 0 in array.shape:
        raise Unreadable(f"{name} has shape {array.shape} of {array.dtype}: {EXPECTED}")

    def read(numbers: Sequence[int]) -> dict[int, Any]:
        return {number: _rgb(np.asarray(array[number]), name) for number in numbers}

    return Medium(name=name, count=len(array), read=read)


def _rgb(image: Any, name: str) -> Any:
    """Return one image as (H, W, 3) uint8."""
    import numpy as np

    if hasattr(image, "convert"):  # Pillow's
        image = np.asarray(image.convert("RGB"))
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise Unreadable(
            f"{name} has shape {image.shape} of {image.dtype}: expected (H, W, 3) of uint8"
        )
    return image


def _folder(path: Path) -> Medium:
    try:
        files = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {_said(error)}") from None
    if not files:
        raise Unreadable(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    files.sort(key=lambda p: natural(p.name))

    def read(numbers: Sequence[int]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for number in numbers:
            try:
                found[number] = read_image(files[number])
            except Unreadable as error:
                found[number] = error
        return found

    return Medium(name=str(path), count=len(files), read=read)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``img_2`` before ``img_10``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p] + [(2, 0, name)]


def read_image(path: Path) -> Any:
    """Return an image file as (H, W, 3) uint8, rotated by its EXIF orientation.

    Raises:
        Unreadable: no such file, or not one that Pillow can read.
        InputError: Pillow is not installed.
    """
    if not os.path.isfile(path):
        raise Unreadable(f"{path} does not exist")
    require_pillow()
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise Unreadable(f"{path} cannot be read: {_said(error)}") from None


def require_pillow() -> None:
    """Refuse where Pillow is not installed.

    Raises:
        InputError: it is not.
    """
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "frames need Pillow, which is not installed", "pip install 'flopbench[plots]'"
        ) from None


def _video(path: Path) -> Medium:
    try:
        import av
    except ModuleNotFoundError:
        raise InputError(
            f"{path} needs PyAV, which is not installed",
            "pip install 'flopbench[video]', or give the frames as images or as .npy",
        ) from None

    def broken(error: Exception) -> Unreadable:
        return Unreadable(f"{path} cannot be read: {_said(error)}")

    def read(numbers: Sequence[int]) -> dict[int, Any]:
        left, found = set(numbers), dict[int, Any]()
        try:
            with av.open(str(path)) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number in left:
                        found[number] = frame.to_ndarray(format="rgb24")
                        left.remove(number)
                    if not left:
                        break
        except (av.FFmpegError, OSError, ValueError) as error:
            found |= dict.fromkeys(left, broken(error))
        return found

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable(f"{path} holds no video")
            stream = container.streams.video[0]
            # Some containers do not say how many frames they have; then their packets are counted.
            count = stream.frames or sum(1 for p in container.demux(stream) if p.size)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise broken(error) from None
    return Medium(name=str(path), count=count, read=read)


def _said(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
