"""Images of a folder as the frames of a replay: decoded once, resized for each component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from flopbench.core.errors import DataError
from flopbench.core.media import Unreadable, images_of, read_image
from flopbench.models.build.built import Built
from flopbench.timing.measure.pipeline import tensor_of

MOST_IMAGES = 64
"""Most images kept decoded: calls cycle through them, and at 6 MB each (1080p) more would fill the
memory without changing a time."""


def open_images(folder: str) -> list[Any]:
    """Decode the images of a folder, in the order of their names."""
    try:
        return [read_image(path) for path in images_of(Path(folder), "--frames")[:MOST_IMAGES]]
    except Unreadable as error:
        raise DataError(str(error)) from None


def frames_for(images: list[Any], built: Built) -> torch.Tensor | None:
    """Return (n, 3, height, width) floats in [0, 1] of a model's input size; None if not images."""
    sample = built.args[0] if built.args else next(iter(built.kwargs.values()), None)
    if not isinstance(sample, torch.Tensor) or sample.dim() != 4 or sample.shape[1] != 3:
        return None
    height, width = sample.shape[2:]
    return torch.stack([tensor_of(image.resize((width, height))) for image in images])
