"""One sample of a policy log: the row type that every form of file is read into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from flopbench.core.errors import DataError, near_match, nearest

Choice = int | str | list[float]
"""One decision: an action's id, its name, or a one-hot row over the actions."""

OnDefect = Callable[[DataError], None]
"""Called with each defect; the strict one, ``raise_first``, raises it."""

CUT_HINT = "if the run was killed while writing, --allow-truncated leaves this last line out"


class Sample(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """What a policy decided on one video, image or sequence: docs/policy-log.md, section 3."""

    id: str
    view: int | str | None = None
    labels: list[int | str] | None = None
    prediction: int | str | None = None
    scores: list[float] | None = None
    actions: list[Choice] | dict[str, list[Choice]] | None = None
    spans: list[int] | dict[str, list[int]] | None = None
    exit: int | str | None = None
    counts: dict[str, float] | None = None
    steps: int | None = None
    frames: list[int | str] | None = None
    latency_ms: float | None = None
    extra: dict[str, int | float | str | bool | None] | None = None


FIELDS = Sample.__struct_fields__

IDS = (
    *("id", "video", "video_id", "vid", "clip", "clip_id", "sample", "sample_id"),
    *("image", "image_id", "uid", "filename"),
)
"""Our name for the name of a sample, and those of others."""

SYNONYMS = dict.fromkeys((*IDS, "ids", "name", "names", "videos", "video_ids"), "id")
SYNONYMS |= dict.fromkeys(("decision", "decisions", "arm", "arms", "choice", "choices"), "action")
SYNONYMS |= dict.fromkeys(("class", "label", "target", "targets", "gt", "y"), "labels")
SYNONYMS |= dict.fromkeys(("pred", "preds", "predicted", "y_pred"), "prediction")
SYNONYMS |= dict.fromkeys(("logits", "probs", "probabilities", "softmax", "results"), "scores")
SYNONYMS |= dict.fromkeys(("frame", "frame_id", "t", "timestep"), "step")
SYNONYMS |= {"crop": "view", "exit_id": "exit", "time_ms": "latency_ms", "n_frames": "steps"}
"""What others call a field or column -> its name here."""


def sample_of(values: Mapping[str, Any], where: str) -> Sample:
    """Make a sample of plain values; an error names the field of the wrong type."""
    try:
        return msgspec.convert(values, Sample)
    except msgspec.ValidationError as error:
        raise sample_error(error, where, values) from None


def raise_first(error: DataError) -> NoReturn:
    """Stop at the first defect."""
    raise error


def sample_error(error: msgspec.MsgspecError, where: str, given: Iterable[str] = ()) -> DataError:
    """Turn msgspec's error about one sample into ours; ``given`` are the fields that it has."""
    if not isinstance(error, msgspec.ValidationError):
        text = str(error)
        if text == "Input data was truncated":
            return DataError(f"{where} is cut off: the sample does not end", CUT_HINT)
        return DataError(
            f"{where} is not JSON: {text.replace('JSON is malformed: ', '')}",
            "NaN and Infinity are not valid JSON either; one JSON object per line is expected",
        )
    unknown = [name for name in given if name not in FIELDS]
    return (
        unknown_names(unknown, FIELDS, where, "field")
        if unknown
        else DataError(f"{where}: {describe(error)}")
    )


def unknown_names(names: Sequence[str], known: Iterable[str], where: str, what: str) -> DataError:
    """Return the error for all unknown fields or columns, with those of like meaning or spelling.

    Args:
        names: the unknown ones, at least one.
        known: those that there are.
        where: the file and the place in it.
        what: ``field`` or ``column``.
    """
    of_yours = "columns of your own go into 'extra'"
    if what == "column":
        of_yours = "name columns of your own extra.NAME"
    if "" in names:
        of_yours += "; the one without a name may be pandas' index: to_csv(..., index=False)"
    alike = [SYNONYMS.get(name.lower(), name) for name in names]
    if len(names) == 1:
        problem, hint = f"{what} {names[0]!r}", near_match(alike[0], known, f"{what}s")
    else:
        near = [f" ({found!r}?)" if found else "" for found in (nearest(a, known) for a in alike)]
        listed = ", ".join(f"{name!r}{end}" for name, end in zip(names, near, strict=True))
        problem, hint = f"{what}s {listed}", near_match("", known, f"{what}s")
    return DataError(f"{where}: unknown {problem}", f"{hint}; {of_yours}")


def describe(error: msgspec.ValidationError) -> str:
    """Return msgspec's message with the field first, as ours are."""
    text, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    text = text.replace("`", "'")
    text = text[:1].lower() + text[1:]
    return f"{place}: {text}" if place else text
