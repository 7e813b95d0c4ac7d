"""One sample of a policy log: the row type that every form of file is read into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from flopbench.core.errors import DataError, near_match

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


def sample_of(values: Mapping[str, Any], where: str) -> Sample:
    """Make a sample of plain values; an error names the field of the wrong type."""
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


def describe(error: msgspec.ValidationError) -> str:
    """Return msgspec's message with the field first, as ours are."""
    text, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    text = text.replace("`", "'")
    text = text[:1].lower() + text[1:]
    return f"{place}: {text}" if place else text
