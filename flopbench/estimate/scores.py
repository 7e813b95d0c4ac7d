"""Scores and labels of a counted log's videos as arrays, for accuracies.

The scores of several views of a video are averaged, as the standard protocol of video recognition
does: probabilities as they are, logits after the softmax of each view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.policy.counts import LogCounts, WithoutRecords, objects

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block


ROUNDED_SUM = 0.01
"""By so much the sum of printed probabilities may miss 1."""


def score_columns() -> dict[str, Callable[[Block], Any]]:
    """Return the functions that gather the columns which accuracies need."""
    return {
        "scores": _scores,
        "prediction": lambda block: objects(block.columns["prediction"]),
        "view": lambda block: None if block.views is None else objects(block.views),
    }


def _scores(block: Block) -> Any:
    """Return (n, classes) float64 where all rows are alike, else (n,) tuples or None."""
    rows = block.columns["scores"]
    alike = getattr(rows, "ndim", 0) == 2
    return rows if alike else objects(None if row is None else tuple(row) for row in rows)


def powers(scores: Any) -> tuple[Any, Any]:
    """Return softmax in two parts: its numerators and its denominators.

    Args:
        scores: (n, classes) float64.

    Returns:
        (n, classes) exponentials, 1 at each row's highest score; (n, 1) their sums.
    """
    import numpy as np

    exponentials = scores - scores.max(axis=1, keepdims=True)
    np.exp(exponentials, out=exponentials)
    return exponentials, exponentials.sum(axis=1, keepdims=True)


class Predictions(Struct, frozen=True, kw_only=True):
    """What accuracies are computed from, of n videos.

    Attributes:
        scores: (n, classes) float64; None where some record has none.
        classes: (n,) predicted class indices; None where some video has no prediction.
        codes: every label as a class index, video after video.
        offsets: (n + 1,) where each video's labels begin.
    """

    scores: Any
    classes: Any
    codes: Any
    offsets: Any

    @property
    def first(self) -> Any:
        """(n,) first label of each video."""
        return self.codes[self.offsets[:-1]]

    @property
    def predicted(self) -> Any:
        """What top-1 is computed from: predictions where there are any, else scores."""
        return self.scores if self.classes is None else self.classes

    def labels(self, i: int) -> list[int]:
        """The labels of one video, sorted."""
        return sorted(set(self.codes[self.offsets[i] : self.offsets[i + 1]].tolist()))

    def has_labels_of(self, other: Predictions, order: Sequence[int]) -> bool:
        """Whether video i has the labels of the other's video ``order[i]``, in their order."""
        import numpy as np

        lengths, theirs = np.diff(self.offsets), np.diff(other.offsets)[order]
        if (lengths != theirs).any():
            return False
        first: Any = np.repeat(other.offsets[:-1][order] - self.offsets[:-1], lengths)
        return bool((self.codes == other.codes[first + np.arange(len(self.codes))]).all())


class NoAccuracy(Exception):
    """A log from which no accuracy can be computed; its text says why."""


def predictions_of(counts: LogCounts | WithoutRecords) -> Predictions:
    """Return the scores, predictions and labels of a counted log.

    Raises:
        NoAccuracy: the log lacks what an accuracy needs.
    """
    import numpy as np

    if isinstance(counts, WithoutRecords):
        raise NoAccuracy(f"{counts.what} has no scores")
    if counts.at_random:
        raise NoAccuracy(
            "its decisions are dealt out at random: run the networks on them (flopbench log "
            "convert LOG --random -o FILE) and compare that log"
        )
    lengths = counts.label_lengths.astype(np.int64)
    if not len(lengths) or not lengths.all():
        raise NoAccuracy("some samples have no label" if lengths.any() else "no sample has a label")
    number = {name: i for i, name in enumerate(counts.plan.header.class_names or ())}
    values = _indices(counts.label_values, number)
    if values is None:
        raise NoAccuracy("labels are names, and the header has no class_names to number them")
    rows = counts.columns["scores"]
    scores = rows if rows.ndim == 2 else None
    classes = _indices(counts.columns["prediction"], number)
    if scores is None and classes is None:
        raise NoAccuracy("not every sample has scores of one length, or a prediction")
    found = Predictions(
        scores=scores,
        classes=classes,
        codes=values[counts.label_codes],
        offsets=np.append(0, np.cumsum(lengths)),
    )
    return found if counts.video is None else _of_videos(found, counts)


def _of_videos(views: Predictions, counts: LogCounts) -> Predictions:
    """Merge the views of each video: scores are averaged; predictions and labels must agree."""
    import numpy as np

    video, first = counts.video, counts.first_records
    for i, own in enumerate(first[video].tolist()):
        if views.labels(i) != views.labels(own):
            name = (counts.ids or ())[i]
            raise NoAccuracy(
                f"the views of {name!r} differ in their labels: {views.labels(own)} and "
                f"{views.labels(i)}"
            )
    scores, classes = None, None
    if views.scores is not None:
        scores = averaged_scores(views.scores, video)
    elif (views.classes != views.classes[first][video]).any():
        one = counts.plan.words.sample
        raise NoAccuracy(f"views of one {one} predict different classes: scores could be averaged")
    else:
        classes = views.classes[first]
    lengths = np.diff(views.offsets)
    chosen: Any = np.zeros(len(lengths), bool)
    chosen[first] = True
    return Predictions(
        scores=scores,
        classes=classes,
        codes=views.codes[np.repeat(chosen, lengths)],
        offsets=np.append(0, np.cumsum(lengths[first])),
    )


def averaged_scores(scores: Any, video: Any) -> Any:
    """Average the scores of views, (n, classes), over each of V videos.

    Args:
        scores: probabilities (no row below 0, sums of 1), or logits.
        video: (n,) index of the video of each view, none of 0 to V - 1 left out.

    Returns:
        (V, classes) means of probabilities; of logits, numbers whose softmax is the mean of the
        views' softmax.
    """
    import numpy as np

    order = np.argsort(video, kind="stable")
    ordered, views = scores[order], np.bincount(video)
    starts = np.cumsum(views) - views
    if (scores >= 0).all() and (abs(scores.sum(axis=1) - 1) < ROUNDED_SUM).all():
        return np.add.reduceat(ordered, starts, axis=0) / views[:, None]
    top = ordered.max(axis=1, keepdims=True)
    logs = ordered - top - np.log(np.exp(ordered - top).sum(axis=1, keepdims=True))
    # The logarithm of a mean, by way of the largest: a view's probability may be below 1e-308.
    largest = np.maximum.reduceat(logs, starts, axis=0)
    sums = np.add.reduceat(np.exp(logs - np.repeat(largest, views, axis=0)), starts, axis=0)
    return largest + np.log(sums / views[:, None])


def _indices(values: Iterable[Any], number: Mapping[str, int]) -> Any:
    """Return (n,) class indices; None where one is missing or a name without a number."""
    import numpy as np

    values = list(values)
    kinds = set(map(type, values))
    if str in kinds:
        values = [number.get(v, v) if isinstance(v, str) else v for v in values]
        kinds = set(map(type, values))
    return np.array(values, np.int64) if kinds <= {int} else None
