"""Labelled videos, drawn from a seed: real handwritten digits over moving textures.

The digits are scikit-learn's 1,797 (8 x 8 pixels, from the UCI repository); training, validation
and test videos share none of them. The fourteen classes differ in what it takes to tell them:

    one coarse frame        a large digit
    one finer frame         a digit of about half the size
    one fine frame          a digit of about a quarter of the size
    two or more frames      whether one digit becomes another; which way a digit moves from the
                            middle, which a late frame nearly tells alone
    a later frame           a digit that appears halfway

so that a policy that spends evenly either misses classes or wastes work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

STEPS = 8
"""Frames in a video."""
CANVAS_PX = 48
SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}
"""Share of the digits in each split."""
TEXTURE_PX = (9, 17)
"""Sizes of the coarse grids that are stretched into a background."""
VIDEOS_AT_ONCE = 256
TRAIN_SEED, VAL_SEED, TEST_SEED = 1, 2, 3
"""Of the videos: the same for every seed of training, so that logs of seeds are paired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One class of videos.

    Attributes:
        name: says what the class needs.
        digits: what is shown: one digit, or the first and the second.
        size_px: height and width of the digit on the canvas.
        drift: -1 or 1 for a digit that moves left or right, 0 for one that moves up or down.
        late: whether nothing is to be seen in the first half.
        look_px: the coarsest frame in which a digit of this size can be read.
        looks: how many processed frames it takes.
    """

    name: str
    digits: tuple[int, ...]
    size_px: int
    look_px: int
    looks: int = 1
    drift: int = 0
    late: bool = False


KINDS = (
    Kind(name="large 0", digits=(0,), size_px=28, look_px=12),
    Kind(name="large 1", digits=(1,), size_px=28, look_px=12),
    Kind(name="half size 2", digits=(2,), size_px=16, look_px=24),
    Kind(name="half size 6", digits=(6,), size_px=16, look_px=24),
    Kind(name="small 3", digits=(3,), size_px=8, look_px=48),
    Kind(name="small 7", digits=(7,), size_px=8, look_px=48),
    Kind(name="4 moves left", digits=(4,), size_px=24, look_px=12, looks=2, drift=-1),
    Kind(name="4 moves right", digits=(4,), size_px=24, look_px=12, looks=2, drift=1),
    Kind(name="5 stays", digits=(5,), size_px=28, look_px=12, looks=2),
    Kind(name="8 stays", digits=(8,), size_px=28, look_px=12, looks=2),
    Kind(name="5 then 8", digits=(5, 8), size_px=28, look_px=12, looks=2),
    Kind(name="8 then 5", digits=(8, 5), size_px=28, look_px=12, looks=2),
    Kind(name="late 9, half size", digits=(9,), size_px=16, look_px=24, late=True),
    Kind(name="late 0, half size", digits=(0,), size_px=16, look_px=24, late=True),
)
"""The classes, in the order of their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Videos:
    """Videos in memory.

    Attributes:
        frames: (N, T, 3, H, W) uint8.
        labels: (N,) int64, positions in ``KINDS``.
        ids: N names.
    """

    frames: Any
    labels: Any
    ids: tuple[str, ...]


def draw_videos(split: Literal["train", "val", "test"], n: int, *, seed: int) -> Videos:
    """Draw n videos of a split, classes in turn; the same seed gives the same pixels.

    Raises:
        ValueError: n is not positive, or there is no such split.
    """
    if n < 1:
        raise ValueError(f"{n} videos where at least 1 was expected")
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: {', '.join(SPLITS)}")
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    digits = _digits(split)
    labels: Any = np.arange(n) % len(KINDS)
    rng.shuffle(labels)
    frames: Any = np.empty((n, STEPS, 3, CANVAS_PX, CANVAS_PX), np.uint8)
    for first in range(0, n, VIDEOS_AT_ONCE):
        canvas = _textures(rng, min(VIDEOS_AT_ONCE, n - first))
        for number, picture in enumerate(canvas):
            _show(rng, picture, KINDS[labels[first + number]], digits)
        frames[first : first + len(canvas)] = np.clip(canvas * 255, 0, 255)
    return Videos(
        frames=frames,
        labels=labels.astype(np.int64),
        ids=tuple(f"{split}-{number:05d}" for number in range(n)),
    )


@lru_cache
def _digits(split: str) -> dict[int, Any]:
    """Return the split's images of each digit, (n, 8, 8), ink in [0, 1]."""
    from sklearn.datasets import load_digits

    images, values = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(values))
    ends = np.cumsum([0.0, *SPLITS.values()])
    place = list(SPLITS).index(split)
    own = order[int(ends[place] * len(order)) : int(ends[place + 1] * len(order))]
    return {d: images[own][values[own] == d].reshape(-1, 8, 8) / 16 for d in range(10)}


@lru_cache
def _stretch(size: int, to: int) -> Any:
    """Return the (to, size) matrix of linear interpolation, pixel centres on pixel centres."""
    place = np.clip((np.arange(to) + 0.5) * size / to - 0.5, 0, size - 1)
    return np.clip(1 - np.abs(place[:, None] - np.arange(size)), 0, None).astype(np.float32)


def _textures(rng: Any, n: int) -> Any:
    """Return (n, T, 3, H, W) backgrounds in [0, 0.55]: two textures that drift over each other."""
    total: Any = np.zeros((n, STEPS, 3, CANVAS_PX, CANVAS_PX), np.float32)
    for cells in TEXTURE_PX:
        margin = CANVAS_PX + 2 * STEPS
        matrix = _stretch(cells, margin)
        wide = matrix @ rng.random((n, 3, cells, cells), np.float32) @ matrix.T
        starts = rng.integers(0, 2 * STEPS + 1, (n, 2))
        moves = rng.integers(-1, 2, (n, 2))
        for number in range(n):
            for step in range(STEPS):
                y, x = np.clip(starts[number] + step * moves[number], 0, 2 * STEPS)
                total[number, step] += wide[number, :, y : y + CANVAS_PX, x : x + CANVAS_PX]
    return total * (0.55 / len(TEXTURE_PX))


def _show(rng: Any, canvas: Any, kind: Kind, digits: dict[int, Any]) -> None:
    """Draw the kind's digits into the (T, 3, H, W) frames of one video."""
    matrix = _stretch(8, kind.size_px)
    inks = [
        matrix @ digits[d][rng.integers(len(digits[d]))].astype(np.float32) @ matrix.T
        for d in kind.digits
    ]
    change = int(rng.integers(STEPS // 2 - 1, STEPS // 2 + 2))
    room = CANVAS_PX - kind.size_px
    colour = rng.uniform(0.8, 1.0, (3, 1, 1)).astype(np.float32)
    across, along = rng.uniform(0, 1, 2)
    speed = rng.uniform(0.8, 1.0) if kind.drift else rng.uniform(-0.4, 0.4)
    for step in range(STEPS):
        if kind.late and step < STEPS // 2:
            continue
        ink = inks[-1 if step >= change else 0]
        if kind.drift:  # from the middle, so that one early frame does not tell
            share = 0.3 + 0.4 * across + kind.drift * 0.3 * speed * step / (STEPS - 1)
            x, y = share * room, along * room
        else:
            x, y = across * room, np.clip(along + speed * step / (STEPS - 1), 0, 1) * room
        rows, columns = slice(int(y), int(y) + len(ink)), slice(int(x), int(x) + len(ink))
        part = canvas[step, :, rows, columns]
        part += ink * (colour - part)
