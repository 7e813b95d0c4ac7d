"""Average precision of one class under many weightings of the same videos, for the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flopbench.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CHUNK_DRAWS = 4_000_000
"""Draws (resamples x videos) held at once: 4 bytes each, and as much again while in use."""

RankedClass = Callable[[Any], Any]
"""One class, its videos sorted once: (R, N) weights -> (R,) average precisions."""


def weighted_average_precision(
    scores: ArrayLike, positive: ArrayLike, weights: ArrayLike
) -> NDArray[Any]:
    """Compute one class's average precision under many weightings of the same videos.

    Equal to scikit-learn's ``average_precision_score`` with ``sample_weight``, but sorts once: the
    precision at a positive counts every video that scores as high, its ties included.

    Args:
        scores: (N,) finite.
        positive: (N,) bool.
        weights: (R, N), not negative; a resample's weight is how often it drew the video.

    Returns:
        (R,) average precisions, 0 to 1; NaN where no positive has weight.

    Raises:
        InputError: shapes that do not fit.
    """
    import numpy as np

    one, many = np.asarray(scores, dtype=np.float64), np.asarray(weights)
    hits = np.asarray(positive, dtype=bool)
    if one.ndim != 1 or hits.shape != one.shape or many.ndim != 2 or many.shape[1:] != one.shape:
        shapes = f"scores {one.shape}, positive {hits.shape}, weights {many.shape}"
        raise InputError(f"{shapes} do not fit: expected (N,), (N,), (R, N)")
    if not hits.any():
        return np.full(len(many), np.nan)
    return rank(one, hits)(many)


def rank(scores: NDArray[Any], positive: NDArray[Any]) -> RankedClass:
    """Sort one class's videos; return its average precisions (R,) as a function of (R, N)."""
    import numpy as np

    order = np.argsort(-scores, kind="stable").astype(np.int32)
    by_score, hits = scores[order], np.flatnonzero(positive[order])
    tie_ends: NDArray[Any] = np.flatnonzero(np.append(by_score[1:] != by_score[:-1], True)) + 1
    hit_ends = tie_ends[np.searchsorted(tie_ends, hits, side="right")]
    # Only tie groups with a positive matter; what lies between two of them is summed as one.
    ends, first_hits = np.unique(hit_ends, return_index=True)
    starts: NDArray[Any] = np.append(0, ends[:-1])
    order, hits = order[: ends[-1]], order[hits]

    def average_precisions(weights: NDArray[Any]) -> NDArray[Any]:
        seen = np.add.reduceat(weights.take(order, axis=1), starts, axis=1).cumsum(axis=1)
        found = np.add.reduceat(weights.take(hits, axis=1), first_hits, axis=1)
        so_far = found.cumsum(axis=1)
        precision = np.divide(so_far, seen, out=np.zeros(seen.shape), where=seen > 0)
        total, none = so_far[:, -1], np.full(len(weights), np.nan)
        return np.divide((precision * found).sum(axis=1), total, out=none, where=total > 0)

    return average_precisions


def resampled_maps(
    methods: Sequence[Sequence[RankedClass]], videos: int, resamples: int, seed: int
) -> NDArray[Any]:
    """Return (methods, resamples) mAP in percent over videos drawn with replacement."""
    import numpy as np

    rng = np.random.default_rng(seed)
    maps = np.empty((len(methods), resamples))
    step = max(1, CHUNK_DRAWS // videos)
    for first in range(0, resamples, step):
        weights: NDArray[Any] = np.empty((min(step, resamples - first), videos), dtype=np.int32)
        for row in weights:
            row[:] = np.bincount(rng.integers(videos, size=videos), minlength=videos)
        for method, ranked_classes in enumerate(methods):
            each = np.stack([ranked(weights) for ranked in ranked_classes])
            mean = np.ma.masked_invalid(each).mean(axis=0).filled(np.nan)
            maps[method, first : first + step] = 100.0 * mean
    return maps
