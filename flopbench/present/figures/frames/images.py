"""Frames as a network saw them: cropped to the shape of its input, at its number of pixels.

A frame comes from an image file that the log names, or by number from a medium under the video's
id. A frame that is missing or unreadable is an image without pixels, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from flopbench.core.errors import InputError
from flopbench.present.figures.frames.media import (
    Medium,
    Unreadable,
    find_medium,
    given_medium,
    inside,
    read_image,
    require_pillow,
)

SIZE_UNKNOWN_PX = 224
"""Longest side of a frame, px, where the log does not say at which size it was seen."""
MOST_PX = 1024
"""Longest side of any image, px: larger ones are drawn with fewer pixels than their network saw."""

How = Literal["names", "numbers", "in order", "evenly spaced", "none"]
"""How steps were matched with frames."""

Size: TypeAlias = "tuple[int, int] | None"
"""(height_px, width_px), None where the log does not say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameImage:
    """One frame.

    Attributes:
        origin: the file, or the medium and the frame's number; empty where nothing was found.
        pixels: (H, W, 3) uint8 at the size of the action; None where there is none.
    """

    origin: str
    pixels: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameImages:
    """The frames of one sample.

    Attributes:
        at: (step, size) -> image, for all that were requested.
        how: how steps were matched with frames.
        warnings: at most one line: what was not found or could not be read.
    """

    at: Mapping[tuple[int, Size], FrameImage]
    how: How
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSource:
    """Where frames come from.

    Attributes:
        names_in: file names in a log are relative to this folder, and inside it.
        media: folder or ``.npz`` file with a video's frames under its id; None where not given.
        given: id -> frames, in memory.
        chosen: whether the user named the folder.
    """

    names_in: Path
    media: Path | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    chosen: bool = False

    @property
    def name(self) -> str:
        """Where frames come from, as text."""
        if self.given:
            return "given by the caller"
        return (
            f"files that the log names, in {self.names_in}" if not self.media else f"{self.media}"
        )


def source_of(frames: str | Path | Mapping[str, Any] | None, log: Path) -> FrameSource:
    """Return where frames come from.

    Args:
        frames: a folder, a ``.npz`` file, id -> frames, or None for the folder of the log.
        log: the log's file.

    Raises:
        InputError: no such folder, or a file of another kind.
    """
    if frames is None:
        return FrameSource(names_in=log.parent)
    if isinstance(frames, Mapping):
        return FrameSource(names_in=log.parent, given=frames)
    path = Path(frames)
    if path.is_dir():
        return FrameSource(names_in=path, media=path, chosen=True)
    if not path.exists():
        raise InputError(f"the folder of frames {path} does not exist")
    if path.suffix.lower() != ".npz":
        raise InputError(
            f"{path} does not hold frames by the ids of videos",
            "expected a folder (with ID.npy, ID.mp4, or ID/ full of images), or a .npz file whose "
            "keys are ids",
        )
    return FrameSource(names_in=log.parent, media=path)


def frame_images_of(
    id: str,
    named: Sequence[int | str] | None,
    steps: int,
    wanted: Iterable[tuple[int, Size]],
    source: FrameSource,
) -> FrameImages:
    """Read the frames of one sample.

    Args:
        id: of the sample.
        named: its ``frames``: file names, or numbers that count from 0; one a step.
        steps: how many steps it has.
        wanted: (step, size) of the images to make.
        source: where frames come from.

    Raises:
        InputError: a name or an id that leads out of the folder that the user named; a library
            that is not installed.
    """
    asked = sorted(set(wanted), key=lambda pair: (pair[0], pair[1] or (0, 0)))
    names = list(named or ())[:steps]
    files = {step for step, name in enumerate(names) if isinstance(name, str)}
    if id in source.given:
        files = set()
    medium, reason = _medium(id, source)
    how: How = "names" if files else "none"
    numbers: dict[int, int] = {}
    rest = sorted({step for step, _ in asked} - files)
    if medium is not None and rest:
        numbers, how = _numbers(names, steps, medium.count)
        numbers = {step: numbers[step] for step in rest}
    frames = dict.fromkeys(rest, Unreadable(reason)) | _by_number(numbers, medium)
    origins = {step: f"{medium.name}, frame {n}" for step, n in numbers.items() if medium}
    for step in sorted(files & {step for step, _ in asked}):
        origins[step], frames[step] = _named(str(names[step]), id, source)
    at = {}
    for step, size in asked:
        found = frames[step]
        missing = isinstance(found, Unreadable)
        at[step, size] = FrameImage(
            origin=origins.get(step, ""), pixels=None if missing else shaped(found, size)
        )
    return FrameImages(at=at, how=how, warnings=_warnings(id, frames))


def _medium(id: str, source: FrameSource) -> tuple[Medium | None, str]:
    """Open the frames under an id; else return why there are none (empty where none were given)."""
    if id in source.given:
        return given_medium(id, source.given[id]), ""
    if source.media is None:
        return None, f"no frames are given under {id!r}" if source.given else ""
    try:
        return find_medium(id, source.media), ""
    except Unreadable as error:
        return None, str(error)


def _numbers(names: Sequence[int | str], steps: int, count: int) -> tuple[dict[int, int], How]:
    """Return the number of the frame of each step, and how it was found."""
    said = {step: n for step, n in enumerate(names) if isinstance(n, int)}
    in_range = all(0 <= n < count for n in said.values())
    if said and (in_range or count != steps):
        # Steps without a number get one that no medium contains.
        return {step: said.get(step, -1) for step in range(steps)}, "numbers"
    if count == steps:
        return {step: step for step in range(steps)}, "in order"
    return {step: (2 * step + 1) * count // (2 * steps) for step in range(steps)}, "evenly spaced"


def _by_number(numbers: Mapping[int, int], medium: Medium | None) -> dict[int, Any]:
    """Read frames; a step whose frame is missing gets the reason."""
    if medium is None:
        return {}
    known = {step: n for step, n in numbers.items() if 0 <= n < medium.count}
    read = medium.read(sorted(set(known.values())))
    found: dict[int, Any] = {}
    for step, n in numbers.items():
        why = f"{medium.name} has no frame {n}, counted from 0: it has {medium.count:,}"
        if n < 0:
            why = f"the log has no frame number for step {step}"
        found[step] = read.get(known.get(step, -1), Unreadable(why))
    return found


def _named(name: str, id: str, source: FrameSource) -> tuple[str, Any]:
    """Read an image file that a log names: in the folder, else in the video's subfolder."""
    paths = [inside(source.names_in, name), inside(source.names_in, f"{id}/{name}")]
    found = [path for path in paths if path is not None]
    if paths[0] is None:
        said = f"{name} is outside {source.names_in} and is not read"
        if source.chosen:
            raise InputError(f"{id}: frames: {said}", "name the folder that holds all frames")
        return name, Unreadable(f"{said} (--frames says which folder may be read)")
    path = next((path for path in found if path.is_file()), found[0])
    try:
        return str(path), read_image(path)
    except Unreadable as error:
        return str(path), error


def _warnings(id: str, frames: Mapping[int, Any]) -> tuple[str, ...]:
    reasons = [str(found) for found in frames.values() if isinstance(found, Unreadable)]
    said = [reason for reason in dict.fromkeys(reasons) if reason]
    if not said:
        return ()
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    of = f"{len(reasons)} of {len(frames)} processed frames"
    return (f"{id}: no image for {of}: {said[0]}{more}",)


def shaped(image: Any, size: Size) -> Any:
    """Return an image at the pixels of a network's input.

    It is cropped at its centre to the shape of the input and then resampled (bilinear, antialiased
    by Pillow), as most evaluation pipelines do.

    Args:
        image: (H, W, 3) uint8.
        size: (height_px, width_px); None keeps the shape, with sides of at most
            ``SIZE_UNKNOWN_PX``.

    Raises:
        InputError: Pillow is not installed.
    """
    require_pillow()
    import numpy as np
    from PIL import Image

    height, width = image.shape[:2]
    if size is None:
        shrink = min(1.0, SIZE_UNKNOWN_PX / max(height, width))
        size = max(1, round(height * shrink)), max(1, round(width * shrink))
    fewer = min(1.0, MOST_PX / max(size))
    size = max(1, round(size[0] * fewer)), max(1, round(size[1] * fewer))
    scale = min(height / size[0], width / size[1])
    kept = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    cropped = np.ascontiguousarray(image[top : top + kept[0], left : left + kept[1]])
    resampled = Image.fromarray(cropped).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resampled)
