"""Average precision of one class under many weightings of its videos, for the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flopbench.core.bootstrap import resampled_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

RankedClass = Callable[[Any], Any]
"""One class, its videos already sorted: (R, N) weights -> (R,) average precisions."""


def rank(scores: NDArray[Any], positive: NDArray[Any]) -> RankedClass:
    """Sort one class's videos once; return its average precisions as a function of weights.

    Equal to scikit-learn's ``average_precision_score`` with ``sample_weight``: the precision at a
    positive counts every video that scores at least as high, so ties are included.

    Args:
        scores: (N,) finite.
        positive: (N,) bool, at least one.

    Returns:
        A function from (R, N) weights (how often each resample drew each video) to (R,) average
        precisions, 0 to 1; NaN where no positive has weight.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable").astype(np.int32)
    by_score, hits = scores[order], np.flatnonzero(positive[order])
    tie_ends: NDArray[Any] = np.flatnonzero(np.append(by_score[1:] != by_score[:-1], True)) + 1
    hit_ends = tie_ends[np.searchsorted(tie_ends, hits, side="right")]
    # Only tie groups with a positive matter; all videos between two of them are summed as one.
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
    methods: Sequence[Sequence[RankedClass]],
    videos: int,
    resamples: int,
    seed: int,
    clusters: Any = None,
) -> NDArray[Any]:
    """Return (methods, resamples) mAP in percent over videos drawn with replacement.

    ``clusters``: (videos,) the cluster of each video, where whole clusters are drawn.
    """
    import numpy as np

    maps = np.empty((len(methods), resamples))
    for piece, weights in resampled_weights(videos, clusters, resamples=resamples, seed=seed):
        for method, ranked_classes in enumerate(methods):
            each = np.stack([ranked(weights) for ranked in ranked_classes])
            mean = np.ma.masked_invalid(each).mean(axis=0).filled(np.nan)
            maps[method, piece] = 100.0 * mean
    return maps
