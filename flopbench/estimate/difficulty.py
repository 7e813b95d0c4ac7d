"""How difficult a video is: the measures by which a run's cost can be broken down.

* ``cost``: by the run's own cost, as AR-Net's figures do. Circular: "harder videos cost more" holds
  by construction.
* ``margin``: by the softmax probability of the top class minus that of the second; a small margin
  is hard.
* ``correct``: videos that were classified correctly and videos that were not.
* any column of the log's ``extra``: by thirds of a number, or by the values of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.core.errors import InputError, distinct, near_match
from flopbench.core.units import number_of
from flopbench.estimate.scores import powers
from flopbench.policy.counts import LogCounts, objects

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block

COST, MARGIN, CORRECT = "cost", "margin", "correct"
MEASURES = (COST, MARGIN, CORRECT)
LEVELS = ("easy", "medium", "hard")
MOST_VALUES = 50
"""A column with more distinct texts than this holds names, not levels."""


def difficulty_needs(
    measure: str, class_names: Sequence[str] | None = None
) -> tuple[dict[str, Callable[[Block], Any]], list[str]]:
    """Return what to gather while reading: makers of columns, and the fields that they need."""
    if measure == COST:
        return {}, []
    if measure == MARGIN:
        return {MARGIN: _margins}, ["scores"]
    if measure == CORRECT:
        number = {name: i for i, name in enumerate(class_names or ())}
        return {CORRECT: lambda block: _corrects(block, number)}, ["scores", "prediction"]
    # The type of the column is known only after the whole log.
    return {
        measure: lambda block: objects((e or {}).get(measure) for e in block.columns["extra"])
    }, ["extra"]


class Levels(Struct, frozen=True, kw_only=True):
    """The records of a log by the difficulty of their videos.

    ``groups`` has the indices of each level's records; ``thirds`` says whether a number was cut
    into thirds, else each value is a level.
    """

    groups: Mapping[str, Any]
    note: str
    thirds: bool


def difficulty_groups(counts: LogCounts, measure: str, costs_macs: Any) -> Levels:
    """Sort records into groups by one measure; ``costs_macs`` (videos,) is each video's cost.

    Raises:
        InputError: the log lacks what the measure needs, or the views of one video differ in it.
    """
    levels = _levels(counts, measure, costs_macs)
    if counts.video is not None and measure != COST:
        _check_views(counts, measure, list(levels.groups.values()))
    return levels


def _levels(counts: LogCounts, measure: str, costs_macs: Any) -> Levels:
    import numpy as np

    if measure == COST:
        note = "circular: the groups are made from the cost itself, so harder must cost more"
        groups, ties = _thirds(costs_macs, LEVELS, counts)
        if counts.video is not None:
            groups = {k: np.flatnonzero(np.isin(counts.video, v)) for k, v in groups.items()}
        return Levels(groups=groups, note=_joined(note, ties), thirds=True)
    _require(measure in counts.columns, counts, "samples", measure)
    values = counts.columns[measure]
    if measure == CORRECT:
        known = {"right": values == 1, "wrong": values == 0}
        missing = int((values < 0).sum())
        _require(missing < len(values), counts, "predictions or scores, and labels", measure)
        note = f"right: the prediction is one of the {counts.plan.words.sample}'s labels"
        groups = {name: np.flatnonzero(mask) for name, mask in known.items() if mask.any()}
        return Levels(groups=groups, note=_joined(note, _left_out(missing)), thirds=False)
    if measure == MARGIN:
        known_at = np.flatnonzero(~np.isnan(values))
        _require(len(known_at) > 0, counts, "scores of two classes or more", measure)
        thirds, ties = _thirds(-values[known_at], LEVELS)
        note = "thirds by the softmax margin between the first and the second class"
    else:
        present = np.array([v is not None for v in values], bool)
        known_at = np.flatnonzero(present)
        _require(len(known_at) > 0, counts, f"column {measure!r} in 'extra'", measure)
        if any(isinstance(v, (str, bool)) for v in values[known_at]):
            return _by_value(counts, measure, values, present)
        thirds, ties = _thirds(values[known_at].astype(np.float64), ("low", "middle", "high"))
        note = f"thirds by the column {measure!r}"
    return Levels(
        groups={k: known_at[v] for k, v in thirds.items()},
        note=_joined(note, ties, _left_out(len(values) - len(known_at))),
        thirds=True,
    )


def _check_views(counts: LogCounts, measure: str, groups: Sequence[Any]) -> None:
    import numpy as np

    among = [counts.video[chosen] for chosen in groups]
    videos = sum(len(np.unique(own)) for own in among)
    if videos > len(np.unique(np.concatenate(among))):
        one = counts.plan.words.sample
        raise InputError(
            f"{counts.source}: views of one {one} differ in {measure!r}: --by difficulty needs one "
            f"value per {one}",
            f"--difficulty {COST} has one value per {one}",
        )


def _thirds(
    values: Any, names: Sequence[str], counts: LogCounts | None = None
) -> tuple[dict[str, Any], str]:
    """Cut (n,) values into thirds; return the indices of each, and a note on ties."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    parts = [part for part in np.array_split(order, len(names)) if len(part)]
    tied = {values[a[-1]] for a, b in pairwise(parts) if values[a[-1]] == values[b[0]]}
    for value in tied:
        if counts is None:
            break
        same = np.flatnonzero(values[order] == value)
        among = order[same]
        order[same] = among[np.lexsort(_told_apart(counts, among))]  # the parts are views of it
    how = "in the order of the log" if counts is None else "sorted by their decisions"
    ties = f"equal values fall on both sides of a cut, {how}" if tied else ""
    groups = {k: np.sort(part) for k, part in zip(names, parts, strict=False)}
    return groups, ties


def _told_apart(counts: LogCounts, videos: Any) -> list[Any]:
    """Return arrays that tell some videos (k,) apart: their counts and, where known, their ids."""
    import numpy as np

    columns = [np.ones(counts.records), counts.steps, *counts.frames.T]
    columns += [] if counts.decisions is None else [*counts.decisions.T]
    columns += [] if counts.counts is None else [*counts.counts.T]
    if counts.exits is not None:
        columns += [counts.exits == i for i in range(len(counts.plan.exits))]
    keys = [counts.of_videos(column)[videos] for column in columns]
    names = counts.video_ids
    return keys if names is None else [np.array([names[i] for i in videos]), *keys]


def _by_value(counts: LogCounts, measure: str, values: Any, present: Any) -> Levels:
    import numpy as np

    texts = np.array([str(v) if known else "" for v, known in zip(values, present, strict=True)])
    names = sorted(set(texts[present].tolist()))
    if len(names) > MOST_VALUES:
        raise InputError(
            f"{counts.source}: the column {measure!r} has {len(names)} distinct texts",
            f"a column of levels has at most {MOST_VALUES}; a number is cut into thirds",
        )
    groups = {
        shown: np.flatnonzero((texts == name) & present)
        for shown, name in zip(distinct([n or "(empty)" for n in names]), names, strict=True)
    }
    return Levels(groups=groups, note=_left_out(int((~present).sum())), thirds=False)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _left_out(missing: int) -> str:
    return f"left out, without a value: {number_of(missing, 'record')}" if missing else ""


def _require(condition: bool, counts: LogCounts, what: str, measure: str) -> None:
    if not condition:
        raise InputError(
            f"{counts.source} has no {what}: --difficulty {measure} cannot be computed",
            near_match(measure, MEASURES, "measures") + ", or a column of 'extra'",
        )


def _margins(block: Block) -> Any:
    import numpy as np

    scores = block.columns["scores"]
    if isinstance(scores, np.ndarray) and scores.shape[1] > 1:
        return _softmax_margins(scores)
    widths = {0 if row is None else len(row) for row in scores}
    if len(widths) == 1 and max(widths) > 1:  # the usual case, without a loop over samples
        return _softmax_margins(list(scores))
    margins = np.full(block.size, np.nan)
    for i, row in enumerate(scores):
        if row is not None and len(row) > 1:
            margins[i] = _softmax_margins([row])[0]
    return margins


def _softmax_margins(scores: Sequence[Any]) -> Any:
    """Return (n,) margins of the top class over the second, for n rows of scores."""
    import numpy as np

    exponentials, sums = powers(np.asarray(scores, np.float64))
    top = np.partition(exponentials, -2, axis=1)[:, -2:]
    return (top[:, 1] - top[:, 0]) / sums[:, 0]


def _corrects(block: Block, number: Mapping[str, int]) -> Any:
    """Return (n,) 1 where the prediction is among the labels, 0 where not, -1 without one."""
    import numpy as np

    def class_of(value: Any) -> Any:
        return number.get(value, value) if isinstance(value, str) else value

    lengths = block.label_lengths
    ends: Any = np.zeros(block.size, np.int64) if lengths is None else np.cumsum(lengths)
    result: Any = np.full(block.size, -1, np.int8)
    for i in range(block.size):
        labels = block.labels[ends[i] - (0 if lengths is None else lengths[i]) : ends[i]]
        predicted = block.columns["prediction"][i]
        scores = block.columns["scores"][i]
        if predicted is None and scores is not None and len(scores):
            predicted = int(np.argmax(scores))
        if predicted is not None and len(labels):
            result[i] = class_of(predicted) in [class_of(label) for label in labels]
    return result
