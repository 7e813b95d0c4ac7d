"""Records out of JSON values, each defect named with its place.

Imports msgspec, which takes a while: import this module where files are read, not at start-up.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec

from flopbench.core.errors import DataError, describe

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
"""Finite: JSON as Python reads it may hold NaN and Infinity."""

_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.?([^.\[\]]+)")
_ANY_KEY = "[...]"
"""What msgspec writes in place of a key of a mapping."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strict record: unknown fields are refused."""


def decode(data: Any, kind: type[T], where: str, *, complete: bool = False) -> T:
    """Turn decoded JSON or TOML into a record.

    Args:
        data: plain values.
        kind: a ``Record``, a dataclass, or any type that msgspec knows.
        where: names the file, for the message.
        complete: whether a field that has a default must be there too.

    Raises:
        DataError: a field is missing, unknown, of another type or out of bounds; names the path to
            it, and what was expected.
    """
    try:
        record = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{where}: {_with_keys(describe(error), data, kind)}") from None
    for place in _missing(record, data, "") if complete else ():
        raise DataError(f"{where}: {place.lstrip('.')} is missing")
    return record


def _with_keys(text: str, data: Any, kind: Any) -> str:
    """Return msgspec's message with the keys of mappings in its path."""
    path, _, rest = text.partition(": ")
    if _ANY_KEY not in path or " " in path:  # nothing to look for, or not a path
        return text
    holder = data = copy.deepcopy(data)
    place = ""
    for step, name in _STEP.findall(path):
        name = name or (_wrong_key(holder, data, kind, text) if step == "..." else "")
        place += f".{name}" if name else f"[{step}]"
        holder = holder[name] if name else holder[int(step)]
    return f"{place.lstrip('.')}: {rest}"


def _wrong_key(holder: dict[str, Any], data: Any, kind: Any, text: str) -> str:
    """Return the key with the defect; those before it are taken out of ``holder``, in ``data``."""
    for key, value in list(holder.items()):
        del holder[key]
        try:
            msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            if describe(error) == text:
                continue
        holder[key] = value
        return key
    raise AssertionError(text)


def _missing(record: Any, data: Any, place: str) -> Iterator[str]:
    """Yield the place of every field that was left out in favour of its default."""
    if isinstance(record, msgspec.Struct):
        keys = record.__struct_encode_fields__
        for name, key in zip(record.__struct_fields__, keys, strict=True):
            if key in data:
                yield from _missing(getattr(record, name), data[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"
    elif isinstance(record, (tuple, list)) and record and isinstance(record[0], msgspec.Struct):
        for number, one in enumerate(record):
            yield from _missing(one, data[number], f"{place}[{number}]")
    elif isinstance(record, dict):
        for key, one in record.items():
            yield from _missing(one, data[key], f"{place}.{key}")
