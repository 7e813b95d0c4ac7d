"""The frames of a video, from any medium, as a network saw them.

A frame comes from an image file that the log names, or by number from a medium under the video's
id: an array, a folder of images, a video file. It is cropped to the shape of the network's input,
at its number of pixels. A frame that is missing or unreadable has no pixels, and a reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from flopbench.core.errors import FlopbenchError, InputError
from flopbench.core.media import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Unreadable,
    image_files,
    open_video,
    read_image,
    require_pillow,
)
from flopbench.policy.forms.npz_form import DAMAGE, load_array
from flopbench.policy.samples import Sample

INSTEAD = "give the frames as images or as .npy"
"""What does without PyAV."""

SIZE_UNKNOWN_PX = 224
"""Longest side of a frame, px, where the log does not say at which size it was seen."""
MOST_PX = 1024
"""Longest side of any image, px: larger ones are drawn with fewer pixels than their network saw."""

Size: TypeAlias = "tuple[int, int] | None"
"""(height_px, width_px), None where the log does not say."""


class Picture(Struct, frozen=True, kw_only=True, eq=False):
    """One frame: (H, W, 3) uint8 at the size of the action, None where there is none.

    Its origin is the file, or the medium and the frame's number; empty where nothing was found.
    """

    origin: str
    pixels: Any


class Medium(Struct, frozen=True, kw_only=True):
    """The frames of one video: its file, how many there are, and how to read some by number.

    ``read`` returns number -> (H, W, 3) uint8, or the reason why there is none.
    """

    name: str
    count: int
    read: Callable[[Sequence[int]], Mapping[int, Any]]


class FrameSource(Struct, frozen=True, kw_only=True):
    """Where frames come from.

    Attributes:
        names_in: file names in a log are relative to this folder, and inside it.
        media: folder or ``.npz`` file with a video's frames under its id; None where not given.
        given: id -> frames, in memory.
    """

    names_in: Path
    media: Path | None = None
    given: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        """Where frames come from, as text."""
        files = f"files that the log names, in {self.names_in}"
        return "given by the caller" if self.given else str(self.media or files)


def source_of(frames: str | Path | Mapping[str, Any] | None, log: Path) -> FrameSource:
    """Return where frames come from; without a choice it is the folder of the log."""
    if frames is None or isinstance(frames, Mapping):
        return FrameSource(names_in=log.parent, given=frames or {})
    path = Path(frames)
    if path.is_dir():
        return FrameSource(names_in=path, media=path)
    if not path.exists():
        raise InputError(f"the folder of frames {path} does not exist")
    if path.suffix.lower() != ".npz":
        raise InputError(
            f"{path} does not hold frames by the ids of videos",
            "expected a folder (with ID.npy, ID.mp4, or ID/ full of images), or a .npz file whose "
            "keys are ids",
        )
    return FrameSource(names_in=log.parent, media=path)


def pictures_of(
    sample: Sample, steps: int, wanted: Iterable[tuple[int, Size]], source: FrameSource
) -> tuple[dict[tuple[int, Size], Picture], bool, str]:
    """Read the frames of one sample, (step, size) -> image for all that are wanted.

    Returns with it whether evenly spaced frames were taken, for lack of numbers, and what was not
    found or could not be read, empty for nothing.
    """
    asked = set(wanted)
    names = list(sample.frames or ())[:steps]
    named = [] if sample.id in source.given else names
    in_files = {step: name for step, name in enumerate(named) if isinstance(name, str)}
    by_number = sorted({step for step, _ in asked} - in_files.keys())
    found, even = _read_numbers(sample.id, names, steps, by_number, source)
    for step in sorted({step for step, _ in asked} & in_files.keys()):
        found[step] = _read_named(in_files[step], sample.id, source)
    pictures = {}
    for step, size in asked:
        origin, image = found[step]
        pixels = None if isinstance(image, Unreadable) else shaped(image, size)
        pictures[step, size] = Picture(origin=origin, pixels=pixels)
    return pictures, even, _warning(sample.id, [image for _, image in found.values()])


def _read_numbers(
    id: str, names: Sequence[int | str], steps: int, wanted: Sequence[int], source: FrameSource
) -> tuple[dict[int, tuple[str, Any]], bool]:
    """Return the origin and the image, or the reason for none, of each wanted step."""
    if not wanted:
        return {}, False
    try:
        medium = _medium(id, source)
    except Unreadable as error:
        return dict.fromkeys(wanted, ("", error)), False
    numbers, even = _numbers(names, steps, medium.count)
    known = {numbers[step] for step in wanted if 0 <= numbers[step] < medium.count}
    images = medium.read(sorted(known))
    found: dict[int, tuple[str, Any]] = {}
    for step in wanted:
        n = numbers[step]
        why = f"{medium.name} has no frame {n}, counted from 0: it has {medium.count:,}"
        if n < 0:
            why = f"the log has no frame number for step {step}"
        found[step] = f"{medium.name}, frame {n}", images.get(n, Unreadable(why))
    return found, even


def _numbers(names: Sequence[int | str], steps: int, count: int) -> tuple[list[int], bool]:
    """Return the number of the frame of each step, and whether they are evenly spaced."""
    said = {step: n for step, n in enumerate(names) if isinstance(n, int)}
    in_range = all(0 <= n < count for n in said.values())
    if said and (in_range or count != steps):
        # Steps without a number get one that no medium contains.
        return [said.get(step, -1) for step in range(steps)], False
    return [(2 * step + 1) * count // (2 * steps) for step in range(steps)], count != steps


def _read_named(name: str, id: str, source: FrameSource) -> tuple[str, Any]:
    """Read an image file that a log names: in the folder, else in the video's subfolder."""
    paths = [inside(source.names_in, name), inside(source.names_in, f"{id}/{name}")]
    found = [path for path in paths if path is not None]
    if paths[0] is None:
        said = f"{name} is outside {source.names_in} and is not read"
        if source.media is not None and source.media.is_dir():  # the user named it
            raise InputError(f"{id}: frames: {said}", "name the folder that holds all frames")
        return name, Unreadable(f"{said} (--frames says which folder may be read)")
    path = next((path for path in found if path.is_file()), found[0])
    return str(path), _image_or_reason(path)


def _warning(id: str, images: Sequence[Any]) -> str:
    reasons = [str(image) for image in images if isinstance(image, Unreadable)]
    said = [reason for reason in dict.fromkeys(reasons) if reason]
    if not said:
        return ""
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return f"{id}: no image for {len(reasons)} of {len(images)} processed frames: {said[0]}{more}"


def inside(folder: Path, name: str) -> Path | None:
    """Return ``folder/name``, None where that leads out of the folder or is the folder itself."""
    base = os.path.abspath(folder)
    found = os.path.normpath(os.path.join(base, name))
    if found == base or os.path.commonpath([base, found]) != base:
        return None
    return folder / os.path.relpath(found, base)


def _medium(id: str, source: FrameSource) -> Medium:
    """Open the frames under an id; Unreadable says why that cannot be, if any were given."""
    if id in source.given:
        return _given(id, source.given[id])
    if source.media is None:
        raise Unreadable(f"no frames are given under {id!r}" if source.given else "")
    if not source.media.is_dir():
        return _array_file(source.media, key=id)
    path = inside(source.media, id)
    if path is None:
        raise InputError(
            f"the id {id!r} leads out of the folder of frames {source.media}: it is not read",
            "a .npz file takes any id as a key; in Python, frames={id: array}",
        )
    if path.suffix.lower() in VIDEO_SUFFIXES and os.path.isfile(path):
        return _video(path)
    for suffix in (".npy", *VIDEO_SUFFIXES):
        file = path.with_name(path.name + suffix)
        if os.path.isfile(file):
            return _array_file(file) if suffix == ".npy" else _video(file)
    if os.path.isdir(path):
        return _folder(path)
    tried = ", ".join(f"{path.name}{suffix}" for suffix in (".npy", *VIDEO_SUFFIXES))
    raise Unreadable(f"{path.parent} has none of {tried} and {path.name}/")


def _given(id: str, frames: Any) -> Medium:
    """Wrap frames that are in memory: an array, or a list of arrays or Pillow images."""
    name = f"frames[{id!r}]"
    try:
        if hasattr(frames, "ndim"):
            return _array(frames, name)
        images = [_rgb(image, f"{name}[{number}]") for number, image in enumerate(frames)]
    except Unreadable as error:
        raise InputError(str(error)) from None
    except TypeError:
        raise InputError(
            f"{name} is of type {type(frames).__name__}",
            "expected an array (T, H, W, 3) of uint8, or a list of images",
        ) from None
    return Medium(
        name=name, count=len(images), read=lambda numbers: {n: images[n] for n in numbers}
    )


def _array_file(path: Path, key: str | None = None) -> Medium:
    """Open a ``.npy`` file, or one key of a ``.npz`` file."""
    import numpy as np

    try:
        if key is None:
            return _array(np.load(path, mmap_mode="r", allow_pickle=False), str(path))
        return _array(load_array(path, key), f"{path}, {key}")
    except FlopbenchError as error:
        raise Unreadable(error.line) from None
    except DAMAGE as error:
        raise Unreadable(path, error) from None


def _array(array: Any, name: str) -> Medium:
    import numpy as np

    grey = array.ndim == 3 and array.shape[2] not in {1, 3, 4}
    colour = array.ndim == 4 and array.shape[3] in {1, 3}
    if array.dtype != np.uint8 or not (grey or colour) or 0 in array.shape:
        expected = "expected (T, H, W, 3) of uint8, or (T, H, W) in grey"
        raise Unreadable(f"{name} has shape {array.shape} of {array.dtype}: {expected}")

    def read(numbers: Sequence[int]) -> dict[int, Any]:
        return {number: _rgb(np.asarray(array[number]), name) for number in numbers}

    return Medium(name=name, count=len(array), read=read)


def _rgb(image: Any, name: str) -> Any:
    """Return one image as (H, W, 3) uint8."""
    import numpy as np

    if hasattr(image, "convert"):  # Pillow's
        image = image.convert("RGB")
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
        files = image_files(path)
    except OSError as error:
        raise Unreadable(path, error) from None
    if not files:
        raise Unreadable(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return Medium(
        name=str(path),
        count=len(files),
        read=lambda numbers: {number: _image_or_reason(files[number]) for number in numbers},
    )


def _video(path: Path) -> Medium:
    def read(numbers: Sequence[int]) -> dict[int, Any]:
        left, found = set(numbers), dict[int, Any]()
        try:
            with open_video(path, INSTEAD) as (container, stream):
                for number, frame in enumerate(container.decode(stream)):
                    if number in left:
                        found[number] = frame.to_ndarray(format="rgb24")
                        left.remove(number)
                    if not left:
                        break
        except Unreadable as error:
            found |= dict.fromkeys(left, error)
        return found

    with open_video(path, INSTEAD) as (container, stream):
        # Some containers do not say how many frames they have; then their packets are counted.
        count = stream.frames or sum(1 for p in container.demux(stream) if p.size)
    return Medium(name=str(path), count=count, read=read)


def _image_or_reason(path: Path) -> Any:
    """Return an image file as (H, W, 3) uint8, or why it cannot be read."""
    if not os.path.isfile(path):
        return Unreadable(f"{path} does not exist")
    import numpy as np

    try:
        return np.asarray(read_image(path))
    except Unreadable as error:
        return error


def shaped(image: Any, size: Size) -> Any:
    """Return an image, (H, W, 3) uint8, at the pixels of a network's input.

    It is cropped at its centre to the shape of the input and then resampled (bilinear, antialiased
    by Pillow), as most evaluation pipelines do. Without a size it keeps its shape, with sides of at
    most ``SIZE_UNKNOWN_PX``.
    """
    require_pillow()
    import numpy as np
    from PIL import Image

    height, width = image.shape[:2]
    asked = size or (height, width)
    shrink = min(1.0, (MOST_PX if size else SIZE_UNKNOWN_PX) / max(asked))
    size = max(1, round(asked[0] * shrink)), max(1, round(asked[1] * shrink))
    scale = min(height / size[0], width / size[1])
    kept = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    cropped = np.ascontiguousarray(image[top : top + kept[0], left : left + kept[1]])
    resampled = Image.fromarray(cropped).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resampled)
