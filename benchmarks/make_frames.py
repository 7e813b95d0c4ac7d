"""Frames for film strips, drawn procedurally: no dataset, no download, the same bytes each time.

    python benchmarks/make_frames.py v003 v010 v150 -o frames

Writes ``frames/<id>.npy`` for each video id: (16, 224, 224, 3) uint8. A ball rolls over striped
ground under a sky, fast or slow, large or small, near or hidden by a post: seeded by the id. Such
frames stand in for those of ``make_log.py``'s simulated videos.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 16
SIDE_PX = 224


def frames(name: str, steps: int = STEPS, side_px: int = SIDE_PX) -> Any:
    """Return (steps, side_px, side_px, 3) uint8 frames of one invented video."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    horizon = rng.uniform(0.45, 0.65)
    hue = rng.uniform(0.2, 1.0, size=(3, 3))
    radius, speed = rng.uniform(0.06, 0.16), rng.uniform(0.3, 0.9)
    start, post = rng.uniform(-0.1, 0.25), rng.uniform(0.3, 0.7)
    shots = np.empty((steps, side_px, side_px, 3), np.uint8)
    for n in range(steps):
        centre = start + speed * n / (steps - 1)
        stripes = 0.5 + 0.5 * np.sign(np.sin(40 * (x - centre / 3) / (0.4 + y)))
        ground = hue[0] * (0.45 + 0.25 * stripes[..., None])
        sky = hue[1] * (1 - 0.4 * y[..., None])
        picture = np.where((y > horizon)[..., None], ground, sky)
        far = np.hypot(x - centre, y - horizon + radius * 0.4)
        spin = 0.75 + 0.25 * np.sign(np.sin(3 * np.arctan2(y - horizon, x - centre) + 2 * n))
        shade = np.clip(1.2 - far / radius * 0.5, 0, 1) * spin
        picture = np.where((far < radius)[..., None], hue[2] * shade[..., None], picture)
        picture = np.where((abs(x - post) < 0.025)[..., None], hue[1] * 0.25, picture)
        shots[n] = (picture * 255).clip(0, 255)
    return shots


def main(argv: Sequence[str] | None = None) -> int:
    """Write the frames of each id."""
    parser = argparse.ArgumentParser(description="Draw frames for film strips.")
    parser.add_argument("ids", nargs="+", metavar="ID", help="video ids")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    for name in args.ids:
        np.save(args.output / f"{name}.npy", frames(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
