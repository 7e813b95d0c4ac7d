"""Fields of a claims file: each is checked, and named when it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from flopbench.core.errors import DataError, near_match
from flopbench.core.toml_lines import shown_value

LARGEST_AMOUNT = 10**12
"""A count, a share or a number of frames above this is a typing error."""
MOST_DIGITS = 30
"""Exact arithmetic takes any number of digits; this keeps it quick."""

_FIGURE = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}(\.[0-9]{{1,{MOST_DIGITS}}})?")


def known_keys(data: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    """Refuse a key that is not one of ``keys``.

    Raises:
        DataError: with a near match.
    """
    names = list(keys)
    for key in data:
        if key not in names:
            raise DataError(f"{where}: unknown key {key!r}", near_match(key, names, "keys"))


def text_of(data: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """Return a text, its white space collapsed.

    Raises:
        DataError: missing without a default, not a text, empty, or with control characters.
    """
    if key not in data and default is not None:
        return default
    value = _value(data, key, where)
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text or not text.isprintable():
        raise DataError(
            f"{where}: {key!r} is {shown_value(value)} where text in quotes was expected"
        )
    return text


def table_of(
    data: Mapping[str, Any], key: str, where: str, default: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a table; without a default it must not be empty.

    Raises:
        DataError: missing without a default, not a table, or empty.
    """
    if key not in data and default is not None:
        return default
    value = _value(data, key, where)
    if not isinstance(value, dict) or not (value or default is not None):
        raise DataError(
            f"{where}: {key!r} is {shown_value(value)} where a table {{ name = ... }} was expected"
        )
    return value


def figure_of(data: Mapping[str, Any], key: str, where: str) -> Decimal:
    """Return a printed number with its digits: ``1.8000`` keeps its zeros.

    Raises:
        DataError: missing, not in quotes, or not a number.
    """
    value = _value(data, key, where)
    if not isinstance(value, str) or not _FIGURE.fullmatch(value):
        raise DataError(
            f"{where}: {key!r} is {shown_value(value)} where a number was expected, in quotes and "
            'with its digits as printed, such as "41.95"'
        )
    return Decimal(value)


def whole_of(data: Mapping[str, Any], key: str, where: str, default: int | None = None) -> int:
    """Return a whole number of at least 1.

    Raises:
        DataError: missing without a default, or anything else.
    """
    value = data.get(key, default) if default is not None else _value(data, key, where)
    if type(value) is not int or not 1 <= value <= LARGEST_AMOUNT:
        raise DataError(
            f"{where}: {key!r} is {shown_value(value)} where a whole number of at least 1 was "
            "expected"
        )
    return value


def amount_of(value: Any, where: str) -> int | Decimal:
    """Return a number from 0 to ``LARGEST_AMOUNT`` as it was written.

    Raises:
        DataError: anything else.
    """
    right = (type(value) is int or isinstance(value, Decimal)) and _fits(value)
    if not right:
        raise DataError(
            f"{where} is {shown_value(value)} where a number from 0 upward was expected"
        )
    return value  # type: ignore[no-any-return]


def _value(data: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in data:
        raise DataError(f"{where}: the key {key!r} is missing")
    return data[key]


def _fits(value: int | Decimal) -> bool:
    """Whether a number is within the limits of amounts and digits."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return False
        digits = value.as_tuple()
        if len(digits.digits) > MOST_DIGITS or not -MOST_DIGITS <= int(digits.exponent) <= 12:
            return False
    return 0 <= value <= LARGEST_AMOUNT
