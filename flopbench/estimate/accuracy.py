"""How often a method is right: top-1 and mean average precision, with intervals over videos.

mAP is AR-Net's: softmax over the classes, per class the mean of the precisions at its positive
videos, mean over classes, times 100 (``cal_map`` in https://github.com/mengyuest/AR-Net). Three
things differ from that script, on purpose: a label id is a column and is never renumbered, a class
without a positive video is left out and listed instead of counting as 0, and equal scores are one
threshold (as in scikit-learn), so the order of the videos in a file does not change the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.core.bootstrap import (
    MAP_RESAMPLES,
    RESAMPLES,
    drawn_means,
    drawn_units,
    ends_of,
    resampled_counts,
)
from flopbench.core.errors import InputError
from flopbench.core.statistics import Ends
from flopbench.estimate.average_precision import RankedClass, rank, resampled_maps
from flopbench.estimate.scores import powers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

NOTED_SHIFT = 0.25
"""Share of an interval's width by which the resamples' mean may miss the value without a note."""

_ROUNDING = 1e-9
"""In percentage points: above the rounding error of float64 sums over classes."""

_NO_WIDTH = "all resamples agree, so the interval has no width and does not show its size"
_LABEL_HINT = "a label id is a column of the scores, counted from 0; leave out padding such as -1"
_LOGS_HINT = "python -m pip install 'flopbench[logs]'"


class Accuracy(Struct, frozen=True, kw_only=True):
    """One accuracy of one method on one set of videos.

    Attributes:
        metric: ``top-1`` or ``mAP``.
        percent: the value, 0 to 100, not rounded.
        ci95_percent: 95 % bootstrap interval over videos, or over clusters of them; None without
            resamples, and with one video or cluster.
        videos: how many videos were scored.
        classes: how many classes entered the mean; None for top-1.
        absent_classes: columns without a positive video, left out of the mean.
        notes: what qualifies the number.
    """

    metric: str
    percent: float
    ci95_percent: Ends | None
    videos: int
    classes: int | None = None
    absent_classes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def top1(
    scores_or_predictions: ArrayLike,
    labels: ArrayLike,
    *,
    clusters: Any = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Accuracy:
    """Compute the share of videos whose first label is the predicted class.

    Args:
        scores_or_predictions: (N, C) scores or (N,) class indices; see `top1_correct`.
        labels: (N,) the first label of each video, a class index.
        clusters: (N,) the cluster of each video, counted from 0, where whole clusters are drawn.
        resamples: bootstrap resamples of the N videos; 0 for no interval.
        seed: seed of the resamples.

    Raises:
        InputError: as `top1_correct`; a negative ``resamples``.
    """
    import numpy as np

    _check_resamples(resamples)
    correct = top1_correct(scores_or_predictions, labels)
    videos, right = len(correct), int(np.count_nonzero(correct))
    if clusters is None:
        counts = resampled_counts([right, videos - right], resamples=resamples, seed=seed)
        drawn = 100.0 * counts[:, 0] / videos
    else:
        drawn = drawn_means(100.0 * correct, clusters, resamples=resamples, seed=seed)
    interval = _interval(drawn, videos, clusters)
    notes = []
    given = np.asarray(scores_or_predictions)
    if given.ndim == 2:
        at_top = np.count_nonzero(given == given.max(axis=1, keepdims=True), axis=1)
        if tied := int(np.count_nonzero(at_top > 1)):
            taken = "the lowest class index among the tied is the prediction"
            notes.append(f"{tied:,} of {videos:,} have a tied highest score: {taken}")
    if interval is not None and right in (0, videos):
        notes.append(_NO_WIDTH)
    return Accuracy(
        metric="top-1",
        percent=100.0 * right / videos,
        ci95_percent=interval,
        videos=videos,
        notes=tuple(notes),
    )


def top1_correct(scores_or_predictions: ArrayLike, labels: ArrayLike) -> NDArray[Any]:
    """Return (N,) bool: whether each video's first label is the predicted class.

    Args:
        scores_or_predictions: (N, C) scores, of which the highest predicts (the lowest class index
            among equals); or (N,) predicted class indices.
        labels: (N,) the first label of each video, a class index.

    Raises:
        InputError: NaN or infinite scores, ids out of range.
    """
    import numpy as np

    predicted, classes = np.asarray(scores_or_predictions), None
    if predicted.ndim == 2:
        classes = predicted.shape[1]
        predicted = _score_matrix(scores_or_predictions, "scores").argmax(axis=1)
    _check_ids(predicted, "predictions")
    truth = np.asarray(labels)
    _check_ids(truth, "labels", classes)
    correct: NDArray[Any] = predicted == truth
    return correct


def mean_average_precision(
    scores: ArrayLike,
    label_codes: ArrayLike,
    label_offsets: ArrayLike,
    *,
    softmax: bool = True,
    clusters: Any = None,
    resamples: int = MAP_RESAMPLES,
    seed: int = 0,
) -> Accuracy:
    """Compute mAP, by AR-Net's definition, over videos with any number of labels each.

    The interval holds the 2.5th to 97.5th percentile of the resamples, shifted so that their mean
    falls on the value. A video drawn twice is two positives with one score, which raises the AP of
    classes with few positives; without the shift, the interval can miss the value altogether. It
    is about the expected mAP of a split of N videos, which is above that of all videos.

    Args:
        scores: (N, C) logits, or probabilities with ``softmax=False``.
        label_codes: (M,) the label ids of all videos, video by video.
        label_offsets: (N + 1,) video i has ``label_codes[label_offsets[i]:label_offsets[i + 1]]``;
            a video without labels is a negative of every class.
        softmax: turn each row into probabilities first; this can reorder videos within a class.
        clusters: as for `top1`.
        resamples: bootstrap resamples of the N videos; 0 for no interval. A class without a
            positive in a resample is left out of that resample's mean.
        seed: seed of the resamples.

    Raises:
        InputError: NaN or infinite scores, label ids out of range, a negative ``resamples``, or
            scikit-learn not installed.
    """
    import numpy as np

    _check_resamples(resamples)
    matrix = _score_matrix(scores, "scores")
    videos = len(matrix)
    positive = _positives(label_codes, label_offsets, matrix.shape)
    percent, ranked = _score_and_rank(matrix, positive, softmax)
    means = resampled_maps([ranked], videos, resamples, seed, clusters)[0]
    interval = _interval(means, videos, clusters, centre=percent)
    notes = []
    if unlabelled := int(np.count_nonzero(~positive.any(axis=1))):
        notes.append(f"{unlabelled:,} of {videos:,} have no label: negatives of every class")
    if interval is not None:
        shift, width = float(np.nanmean(means)) - percent, interval[1] - interval[0]
        if width < _ROUNDING:
            notes.append(_NO_WIDTH)
        elif abs(shift) > NOTED_SHIFT * width:
            notes.append(f"resamples average {shift:+.2f} points off the value: interval recentred")
        interval = max(interval[0], 0.0), min(interval[1], 100.0)
    return Accuracy(
        metric="mAP",
        percent=percent,
        ci95_percent=interval,
        videos=videos,
        classes=len(ranked),
        absent_classes=tuple(np.flatnonzero(~positive.any(axis=0)).tolist()),
        notes=tuple(notes),
    )


def paired_top1_difference(
    correct_a: NDArray[Any],
    correct_b: NDArray[Any],
    *,
    clusters: Any = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Ends | None]:
    """Compare two methods' top-1 on the same videos, both on each resample.

    Args:
        correct_a: (N,) bool, from `top1_correct`.
        correct_b: (N,) bool, the same videos in the same order.
        clusters: as for `top1`.
        resamples: as for `top1`.
        seed: seed of the resamples.

    Returns:
        Top-1 of a minus top-1 of b in percentage points, and its 95 % interval.
    """
    import numpy as np

    a, b = correct_a, correct_b
    videos, only_a, only_b = len(a), int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    if clusters is None:
        # Right by a alone, by b alone, or neither: a resample changes only these three counts.
        counts = [only_a, only_b, videos - only_a - only_b]
        drawn = resampled_counts(counts, resamples=resamples, seed=seed)
        differences = 100.0 * (drawn[:, 0] - drawn[:, 1]) / videos
    else:
        more = 100.0 * a - 100.0 * b
        differences = drawn_means(more, clusters, resamples=resamples, seed=seed)
    return float(100.0 * (only_a - only_b) / videos), _interval(differences, videos, clusters)


def paired_map_difference(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    label_codes: ArrayLike,
    label_offsets: ArrayLike,
    *,
    softmax: bool = True,
    clusters: Any = None,
    resamples: int = MAP_RESAMPLES,
    seed: int = 0,
) -> tuple[float, Ends | None]:
    """Compare two methods' mAP on the same videos, both on each resample.

    The arguments are those of `mean_average_precision`, with the (N, C) scores of both methods for
    the same videos in the same order.

    Returns:
        mAP of a minus mAP of b in percentage points, and its 95 % interval, shifted as there.

    Raises:
        InputError: as `mean_average_precision`; score matrices of different shapes.
    """
    a, b = _score_matrix(scores_a, "scores_a"), _score_matrix(scores_b, "scores_b")
    if a.shape != b.shape:
        raise InputError(f"scores_a is {a.shape} and scores_b is {b.shape}: expected one shape")
    positive = _positives(label_codes, label_offsets, a.shape)
    (percent_a, ranked_a), (percent_b, ranked_b) = (
        _score_and_rank(matrix, positive, softmax) for matrix in (a, b)
    )
    means = resampled_maps([ranked_a, ranked_b], len(a), resamples, seed, clusters)
    difference = percent_a - percent_b
    return difference, _interval(means[0] - means[1], len(a), clusters, centre=difference)


def _score_and_rank(
    scores: NDArray[Any], positive: NDArray[Any], softmax: bool
) -> tuple[float, list[RankedClass]]:
    """Return mAP in percent, computed by scikit-learn, and the rankings of its classes."""
    import numpy as np

    try:
        from sklearn.metrics import average_precision_score
    except ModuleNotFoundError as error:
        raise InputError(f"mAP needs scikit-learn: {error}", _LOGS_HINT) from None
    if softmax:
        scores, sums = powers(scores)
        scores /= sums
    columns = [(scores[:, c], positive[:, c]) for c in np.flatnonzero(positive.any(axis=0))]
    mean = np.mean([average_precision_score(hits, column) for column, hits in columns])
    return float(100.0 * mean), [rank(column, hits) for column, hits in columns]


def _interval(
    values: NDArray[Any], videos: int, clusters: Any = None, *, centre: float | None = None
) -> Ends | None:
    """Return the middle 95 % of resampled values, shifted so that their mean is ``centre``."""
    import numpy as np

    values = values[~np.isnan(values)]
    if drawn_units(videos, clusters) < 2 or not values.size:
        return None
    shift = 0.0 if centre is None else centre - float(values.mean())
    low, high = ends_of(values, clusters)
    return low + shift, high + shift


def _check_resamples(resamples: int) -> None:
    if resamples < 0:
        raise InputError(f"resamples is {resamples}: expected 0 (no interval) or more")


def _score_matrix(scores: ArrayLike, name: str) -> NDArray[Any]:
    """Return scores as (N, C) float64; refuse any that are not finite."""
    import numpy as np

    matrix = np.asarray(scores, dtype=np.float64)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        hint = f"score row {row} again or leave out its video; a diverged network gives NaN"
        raise InputError(f"{name} hold NaN or infinity, first in row {row}", hint)
    return matrix


def _check_ids(
    ids: NDArray[Any], name: str, classes: int | None = None, rows: NDArray[Any] | None = None
) -> None:
    """Refuse class ids outside [0, classes); ``rows`` holds the row of each, if not its index."""
    import numpy as np

    wrong = (ids < 0) | (ids >= (np.inf if classes is None else classes))
    if wrong.any():
        first = int(wrong.argmax())
        row = first if rows is None else int(rows[first])
        expected = "0 or more" if classes is None else f"0 to {classes - 1}"
        raise InputError(
            f"{name}: row {row} has the class id {ids[first]}, expected {expected}", _LABEL_HINT
        )


def _positives(
    label_codes: ArrayLike, label_offsets: ArrayLike, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return (N, C) bool: which video has which label."""
    import numpy as np

    codes = np.asarray(label_codes)
    rows: NDArray[Any] = np.repeat(np.arange(shape[0]), np.diff(np.asarray(label_offsets)))
    _check_ids(codes, "label_codes", shape[1], rows)
    positive: NDArray[Any] = np.zeros(shape, dtype=bool)
    positive[rows, codes] = True
    return positive
