"""Images and videos on disk: which files they are, and how Pillow and PyAV open them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flopbench.core.errors import InputError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".gif", ".tif", ".tiff")


class Unreadable(Exception):
    """Frames that are missing or cannot be read; the message names the file."""

    def __init__(self, what: object, error: Exception | None = None) -> None:
        lines = str(error).splitlines() or [type(error).__name__]
        super().__init__(what if error is None else f"{what} cannot be read: {lines[0]}")


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder, ``img_2`` before ``img_10``.

    Raises:
        OSError: no such folder.
    """
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    found = [path for path in files if not path.is_dir()]
    return sorted(found, key=lambda path: natural(path.name))


def images_of(folder: Path, option: str) -> list[Path]:
    """List the images of a folder that an option names.

    Raises:
        InputError: no such folder, or no images in it.
    """
    if not folder.is_dir():
        raise InputError(f"{option} {folder}: there is no such folder")
    found = image_files(folder)
    if not found:
        wanted = ", ".join(IMAGE_SUFFIXES)
        raise InputError(
            f"{option} {folder} holds no images", f"files ending in {wanted} are accepted"
        )
    return found


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``img_2`` before ``img_10``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p] + [(2, 0, name)]


def require_pillow() -> None:
    """Refuse to go on without Pillow."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"images need Pillow, which cannot be imported ({error})",
            "pip install 'flopbench[plots]'",
        ) from None


def read_image(file: Path | IO[bytes], name: object = "") -> Any:
    """Return an image as Pillow's, in RGB, rotated by its EXIF orientation.

    Raises:
        InputError: Pillow is not installed.
        Unreadable: a file that is no image, or is too large to decode.
    """
    require_pillow()
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # Pillow's plugins raise many kinds, also for a huge image
        raise Unreadable(name or file, error) from None


@contextmanager
def open_video(path: Path, instead: str) -> Iterator[tuple[Any, Any]]:
    """Open a video with PyAV; yield its container and its first video stream.

    What PyAV raises inside the block is told as of this file.

    Args:
        path: the file.
        instead: what does without PyAV, for the hint (``give the frames as images``).

    Raises:
        InputError: PyAV is not installed.
        Unreadable: no video, or a damaged one.
    """
    try:
        import av
    except ImportError:
        raise InputError(
            f"{path} needs PyAV, which is not installed",
            f"pip install 'flopbench[video]', or {instead}",
        ) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable(f"{path} holds no video")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(path, error) from None
