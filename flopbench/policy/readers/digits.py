"""Decisions straight from JSON text, where every list looks like every other: ``[0,1,6,6]``.

Lists of one length and of one-digit ids are a matrix of bytes: numpy checks that every row has the
first row's brackets, commas and blanks, and that the rest are digits. No Python number is made, and
a log of ten million decisions is read in half the time. Anything else is left to the typed decoder.

Lives here: that matrix. Does not live here: reading files (``json_forms``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_ROW = re.compile(rb"\[\d(?:, ?\d)*\]")
_ZERO = ord("0")


def digit_rows(texts: Sequence[Any]) -> Any:
    """Turn texts of lists into a matrix of ids.

    Args:
        texts: n pieces of JSON, bytes-like.

    Returns:
        (n, steps) uint8, or None where the lists are not all of this simple form.
    """
    first = bytes(texts[0])
    if _ROW.fullmatch(first) is None:
        return None
    joined = b"".join(texts)
    width = len(first)
    if len(joined) != width * len(texts):
        return None
    rows = np.frombuffer(joined, np.uint8).reshape(len(texts), width)
    pattern = rows[0]
    is_digit = (pattern >= _ZERO) & (pattern <= _ZERO + 9)
    if not (rows[:, ~is_digit] == pattern[~is_digit]).all():
        return None
    ids = rows[:, is_digit] - np.uint8(_ZERO)  # a byte below "0" wraps around to a large number
    return ids if ids.max() <= 9 else None
