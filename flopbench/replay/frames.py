"""Images in place of random frames: the image files of a folder."""

from __future__ import annotations

from pathlib import Path

from flopbench.core.errors import InputError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder by name.

    Raises:
        InputError: no such folder, or no images in it.
    """
    if not folder.is_dir():
        raise InputError(f"--frames {folder}: there is no such folder")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        wanted = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(
            f"--frames {folder} holds no images", f"files ending in {wanted} are accepted"
        )
    return found
