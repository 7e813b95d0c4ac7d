"""Places for labels next to points: overlapping neither each other nor the points.

A label is at one of 32 sides of its point, as near as there is room; if moved away, it has a line
to its point, which crosses no other line, label or point. Nothing is random: the same points give
the same places. Libraries for this (adjustText) push labels apart step by step,
and stop after a number of steps or seconds whether or not some still overlap; here a place is
free, or reported as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDES = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1),
    (1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0.5, 1), (-0.5, 1), (0.5, -1), (-0.5, -1),
    (1, 0.25), (1, -0.25), (-1, 0.25), (-1, -0.25), (1, 0.75), (1, -0.75), (-1, 0.75),
    (-1, -0.75), (0.25, 1), (-0.25, 1), (0.25, -1), (-0.25, -1), (0.75, 1), (-0.75, 1),
    (0.75, -1), (-0.75, -1),
)  # fmt: skip
"""Where a label may be, the easiest to associate with its point first."""
ATTEMPTS, FEW_ATTEMPTS, HOPEFUL = 24, 2, 0.85
"""Orders of placement that are tried; after a few, only if this share of labels has a place."""
RINGS = 22
"""Number of distances from a point that are tried."""
STEP = 0.55
"""Distance between rings, in heights of a label."""
SIDE_COST, CROSSING_COST, DOUBT_COST = 0.04, 1.3, 0.7
"""In rings: of each later side, of covering an error bar, its end or the front, and of being about
as near to another point."""


MOST_CROSSINGS = 4
"""Covering more than this many is no worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPoints:
    """Points and what is drawn around them, in pixels or in data coordinates.

    Attributes:
        xy: (n, 2) the points.
        lines: (m, 4) segments that a label should not cover: x0, y0, x1, y1.
        radius: of a marker, pixels or points.
    """

    xy: Any
    lines: Any
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """The candidates of one label, the best first.

    Attributes:
        boxes: (k, 4) x0, y0, x1, y1.
        leaders: (k, 4) from the point to the box; both ends equal where there is none.
        ring: (k,) how far away.
    """

    boxes: Any
    leaders: Any
    ring: Any


def found_places(
    points: LabelledPoints, sizes: Any, bounds: Any, *, gap: float, pad: float
) -> list[tuple[Any, bool] | None]:
    """Find a place for each label.

    A label without a place chooses first in the next attempt.

    Args:
        points: everything in pixels.
        sizes: (n, 2) width and height of each label, pixels.
        bounds: x0, y0, x1, y1 of the axes.
        gap: between a marker and its label.
        pad: around a label.

    Returns:
        Box and whether it needs a line to its point, or None, in the order of the points.
    """
    near = points.radius + gap / 2
    markers = np.hstack([points.xy - near, points.xy + near])
    choices = [
        _places_of(i, points, sizes[i], markers, bounds, points.radius + gap, pad)
        for i in range(len(sizes))
    ]
    # Points with the fewest places choose first.
    order = sorted(range(len(sizes)), key=lambda i: (len(choices[i].ring), i))
    best: list[tuple[Any, bool] | None] = [None] * len(sizes)
    for number in range(ATTEMPTS):
        found, failed = _one_attempt(order, choices, pad)
        if _placed(found) > _placed(best):
            best = found
        if number >= FEW_ATTEMPTS and _placed(best) < HOPEFUL * len(sizes):
            break
        if failed is None:
            break
        order.remove(failed)
        order.insert(0, failed)
    return best


def _placed(found: Sequence[object]) -> int:
    return sum(one is not None for one in found)


def _one_attempt(
    order: Sequence[int], choices: Sequence[_Places], pad: float
) -> tuple[list[tuple[Any, bool] | None], int | None]:
    found: list[tuple[Any, bool] | None] = [None] * len(choices)
    failed = None
    boxes, leaders = np.empty((0, 4)), np.empty((0, 4))
    for i in order:
        own = choices[i]
        padded = own.boxes + np.array([-pad, -pad, pad, pad])
        free = ~_overlap(padded, boxes).any(axis=1)
        free &= ~_hits(leaders, padded).any(axis=0)
        free &= ~_hits(own.leaders, boxes).any(axis=1)
        free &= ~_cross(own.leaders, leaders).any(axis=1)
        if not free.any():
            failed = i if failed is None else failed
            continue
        k = int(np.argmax(free))
        found[i] = (own.boxes[k], bool(own.ring[k] > 0))
        boxes = np.vstack([boxes, own.boxes[k]])
        if own.ring[k] > 0:
            leaders = np.vstack([leaders, own.leaders[k]])
    return found, failed


def _places_of(
    i: int, points: LabelledPoints, size: Any, markers: Any, bounds: Any, nearest: float, pad: float
) -> _Places:
    """Return where a label may be: inside the axes, on no marker, the best first."""
    x, y = points.xy[i]
    width, height = size
    ring: Any = np.repeat(np.arange(RINGS), len(SIDES))
    side = np.tile(np.arange(len(SIDES)), RINGS)
    away = nearest + STEP * height * ring
    sides = np.array(SIDES)[side]
    cx = x + sides[:, 0] * (away + width / 2)
    cy = y + sides[:, 1] * (away + height / 2)
    boxes = np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], axis=1)
    leaders = np.stack(
        [
            np.full(len(ring), x),
            np.full(len(ring), y),
            np.clip(x, boxes[:, 0], boxes[:, 2]),
            np.clip(y, boxes[:, 1], boxes[:, 3]),
        ],
        axis=1,
    )
    leaders[ring == 0, 2:] = leaders[ring == 0, :2]
    others = np.delete(markers, i, axis=0)
    under = (others[:, :2] <= (x, y)).all(axis=1) & (others[:, 2:] >= (x, y)).all(axis=1)
    apart = others[~under]
    able = (boxes[:, :2] >= np.array(bounds[:2]) + pad).all(axis=1)
    able &= (boxes[:, 2:] <= np.array(bounds[2:]) - pad).all(axis=1)
    able &= ~_overlap(boxes, markers).any(axis=1)
    able &= ~(_hits(leaders, apart).any(axis=1) & (ring > 0))
    crossed = _hits(points.lines, boxes).sum(axis=0)
    cost = ring + SIDE_COST * side + CROSSING_COST * np.minimum(crossed, MOST_CROSSINGS)
    cost = cost + DOUBT_COST * _nearer(boxes, np.delete(points.xy, i, axis=0), points.xy[i])
    order = np.argsort(cost, kind="stable")
    order = order[able[order]]
    return _Places(boxes=boxes[order], leaders=leaders[order], ring=ring[order])


def _nearer(boxes: Any, others: Any, own: Any) -> Any:
    """Return (len(boxes),): which boxes are about as near to another point as to their own."""

    def away(points: Any) -> Any:
        inner = np.clip(points[None], boxes[:, None, :2], boxes[:, None, 2:])
        return np.hypot(*np.moveaxis(points[None] - inner, 2, 0))

    return (away(others) < 1.5 * away(own[None])).any(axis=1)


def _overlap(a: Any, b: Any) -> Any:
    """Return (len(a), len(b)): which boxes overlap."""
    a, b = a[:, None, :], b[None, :, :]
    return (
        (a[..., 0] < b[..., 2]) & (b[..., 0] < a[..., 2])
        & (a[..., 1] < b[..., 3]) & (b[..., 1] < a[..., 3])
    )  # fmt: skip


def _hits(lines: Any, boxes: Any) -> Any:
    """Return (len(lines), len(boxes)): which segments pass through which boxes."""
    start, way = lines[:, None, :2], lines[:, None, 2:] - lines[:, None, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (boxes[None, :, :2] - start) / way
        last = (boxes[None, :, 2:] - start) / way
    still = np.broadcast_to(way == 0, first.shape)
    inside = (boxes[None, :, :2] < start) & (start < boxes[None, :, 2:])
    enter = np.where(still, np.where(inside, -np.inf, np.inf), np.minimum(first, last))
    leave = np.where(still, np.where(inside, np.inf, -np.inf), np.maximum(first, last))
    return np.maximum(enter.max(axis=2), 0) < np.minimum(leave.min(axis=2), 1)


def _cross(a: Any, b: Any) -> Any:
    """Return (len(a), len(b)): which segments cross."""
    a, b = a[:, None, :], b[None, :, :]

    def turn(p: Any, q: Any, r: Any) -> Any:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (
            r[..., 0] - p[..., 0]
        )

    one = turn(a[..., :2], a[..., 2:], b[..., :2]) * turn(a[..., :2], a[..., 2:], b[..., 2:])
    two = turn(b[..., :2], b[..., 2:], a[..., :2]) * turn(b[..., :2], b[..., 2:], a[..., 2:])
    return (one < 0) & (two < 0)
