"""Hashes of samples' names, which show whether a log has one twice: equal names, equal hashes.

Every way of reading a form of text hashes alike, so that names compare across its blocks. DuckDB
hashes otherwise: ``Block.hashed_by``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

WORD = 8
"""Bytes that are mixed in at once; as many stand behind the last name of an array."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2 to the 64th over the golden ratio, odd: multiplying by it loses nothing."""
_HALF = np.uint64(32)
_KEPT = np.array([(1 << 8 * n) - 1 for n in range(WORD + 1)], np.uint64)
"""Number of bytes -> mask of a word that keeps the first so many."""


def hashes_of(names: Sequence[str]) -> Any:
    """Return (n,) int64 hashes of names."""
    text = "".join(names)
    encoded = text.encode("utf-8", "surrogatepass")
    sizes: Iterable[int] = map(len, names)
    if len(encoded) > len(text):
        sizes = (len(name.encode("utf-8", "surrogatepass")) for name in names)
    lengths = np.fromiter(sizes, np.int64, len(names))
    data = np.frombuffer(encoded + bytes(WORD), np.uint8)
    return hashes_in(data, np.cumsum(lengths) - lengths, lengths)


def hashes_in(data: Any, starts: Any, lengths: Any) -> Any:
    """Return (n,) int64 hashes of pieces of an array of bytes.

    Args:
        data: uint8; ``WORD`` bytes or more follow the last piece.
        starts: (n,) where each begins.
        lengths: (n,) its bytes.
    """
    words = np.ndarray((len(data) - WORD + 1,), "<u8", data, strides=(1,))
    hashes = lengths.astype(np.uint64)
    left, at = lengths, starts
    while True:
        word = words[np.minimum(at, len(words) - 1)] & _KEPT[np.clip(left, 0, WORD)]
        mixed = (hashes ^ word) * _ODD
        mixed ^= mixed >> _HALF
        # A name that has ended keeps its hash: it does not depend on its neighbours' lengths.
        hashes = np.where(left > 0, mixed, hashes)
        left, at = left - WORD, at + WORD
        if not (left > 0).any():
            return (hashes * _ODD).view(np.int64)
