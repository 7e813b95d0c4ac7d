"""Images of a folder as the frames of a replay: decoded once, resized for each component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from flopbench.core.errors import DataError, InputError
from flopbench.models.build.built import Built, reason
from flopbench.replay.frames import image_files

MOST_IMAGES = 64
"""Most images kept decoded: calls cycle through them, and at 6 MB each (1080p) more would fill the
memory without changing a time."""


def open_images(folder: str) -> list[Any]:
    """Decode the images of a folder, in the order of their names.

    Raises:
        InputError: no such folder, no images in it, or no library that decodes them.
        DataError: a file that is not an image, or is too large to decode.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            f"images need Pillow, which cannot be imported ({error})",
            "python -m pip install Pillow",
        ) from None
    images = []
    for path in image_files(Path(folder))[:MOST_IMAGES]:
        try:
            with Image.open(path) as image:
                images.append(image.convert("RGB"))
        except Exception as error:  # Pillow's plugins raise many kinds, also for a huge image
            raise DataError(f"{path} cannot be decoded: {reason(error)}") from None
    return images


def frames_for(images: list[Any], built: Built) -> torch.Tensor | None:
    """Return (n, 3, height, width) floats in [0, 1] of a model's input size; None if not images."""
    sample = built.args[0] if built.args else next(iter(built.kwargs.values()), None)
    if not isinstance(sample, torch.Tensor) or sample.dim() != 4 or sample.shape[1] != 3:
        return None
    height, width = sample.shape[2:]
    return torch.stack([_tensor(image.resize((width, height))) for image in images])


def _tensor(image: Any) -> torch.Tensor:
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1).float() / 255
