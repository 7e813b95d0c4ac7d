"""One sample of a policy log: the row type that every form of file is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from flopbench.core.errors import DataError, describe, near_match

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
    """What a policy decided on one video, image or sequence.

    Attributes:
        id: the sample's name, unique within its view.
        view: which crop or clip of the sample this is, if there are several.
        labels: class indices or names.
        prediction: the predicted class.
        scores: one number per class.
        actions: decisions in order; with streams, an object of such lists.
        spans: steps each decision covers, only with encoding ``per_decision``.
        exit: id or name of the exit taken.
        counts: component -> how often it ran, beyond what actions and charges imply.
        steps: how many steps the sample has.
        frames: file names or indices of the steps, for figures.
        latency_ms: a measured time, carried along.
        extra: the user's own columns.
    """

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


def sample_of(values: Mapping[str, Any], where: str) -> Sample:
    """Make a sample of plain values.

    Raises:
        DataError: a value of the wrong type; the message names its field.
    """
    try:
        return msgspec.convert(values, Sample)
    except msgspec.ValidationError as error:
        raise sample_error(error, where) from None


def raise_first(error: DataError) -> NoReturn:
    """Stop at the first defect."""
    raise error


def sample_error(error: msgspec.MsgspecError, where: str) -> DataError:
    """Turn msgspec's error about one sample into ours."""
    if not isinstance(error, msgspec.ValidationError):
        text = str(error)
        if text == "Input data was truncated":
            return DataError(f"{where} is cut off: the sample does not end", CUT_HINT)
        return DataError(
            f"{where} is not JSON: {text.replace('JSON is malformed: ', '')}",
            "NaN and Infinity are not valid JSON either; one JSON object per line is expected",
        )
    text, hint = describe(error), ""
    unknown = text.partition("unknown field '")[2]
    if unknown:
        name = unknown.split("'")[0]
        text = f"unknown field {name!r}"
        hint = f"{near_match(name, FIELDS, 'fields')}; columns of your own go into 'extra'"
    return DataError(f"{where}: {text}", hint)
