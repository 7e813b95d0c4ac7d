"""Reads lines of one layout as arrays of bytes: the fast way through JSONL, without an object each.

Such a line has an id, decisions of one digit, and at most one label: ``{"id":"v1","labels":[3],
"actions":[0,1,6]}``. The first line of a piece shows the layout; all that may differ in the others
is the text of the id, the label, and the digits. Any other piece is left to the decoder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from flopbench.policy.blocks import IDS, Block, Place
from flopbench.policy.names import WORD, hashes_in

_ACTIONS = rb'"actions": ?\[(?P<actions>\d(?:,\d)*|\d(?:, \d)*)\]'
_LINE = re.compile(
    rb'\{"id": ?"(?P<id>[^"\\]*)"(?:, ?"labels": ?\[(?P<label>\d+)\])?, ?'
    + _ACTIONS
    + rb'(?:, ?"labels": ?\[(?P<late>\d+)\])?\}\n'
)
MOST_DIGITS = 9
"""Of a label; longer ones are left to the decoder."""
_NEWLINE, _QUOTE, _SPACE, _ZERO = b'\n" 0'


class _Layout(Struct, frozen=True, kw_only=True):
    """The first line, cut where others may differ.

    Attributes:
        head: up to the id.
        middle: from the id's end to the label.
        tail: from the label's end, the end of the line included; without labels, from the id's.
        late: whether the decisions are in the tail.
        digits: where in the middle or the tail they are.
        quotes: in a line.
    """

    head: bytes
    middle: bytes
    tail: bytes
    late: bool
    digits: slice
    quotes: int

    @classmethod
    def of(cls, piece: bytes) -> _Layout | None:
        """Return the layout of a piece's first line, None of another kind of line."""
        found = _LINE.match(piece)
        if found is None or (found["label"] and found["late"]):
            return None
        line, id_end = found[0], found.end("id")
        start, end = found.span("label" if found["label"] else "late")
        if start < 0:
            start = end = id_end
        first = found.start("actions")
        late = first >= end
        first -= end if late else id_end
        width = len(found["actions"])
        stride = 3 if b" " in found["actions"] else 2
        return cls(
            head=line[: found.start("id")],
            middle=line[id_end:start],
            tail=line[end:],
            late=late,
            digits=slice(first, first + width, stride),
            quotes=line.count(b'"'),
        )


def plain_block(
    piece: bytes, n: int, size: int, place: Place, columns: Sequence[str], named: int
) -> Block | None:
    """Return the block of a piece of n lines of one layout, None where any line has another.

    Args:
        piece: whole lines.
        n: how many.
        size: actions of the log.
        place: where each line is.
        columns: fields that are wanted besides; of these, such lines have only the id.
        named: how many names to give as ``first_ids``.
    """
    layout = _Layout.of(piece) if size else None
    if layout is None or not piece.isascii() or b"\\" in piece:
        return None
    data = np.frombuffer(piece + bytes(max(WORD, len(layout.head))), np.uint8)
    found = _fields(data, len(piece), n, layout)
    if found is None or (codes := _codes(data, found, layout)) is None or codes.max() >= size:
        return None
    labels = _numbers(data, found.middle + len(layout.middle), found.tail)
    if layout.middle and labels is None:
        return None
    wanted = n if IDS in columns else named
    bounds = zip(found.id[:wanted].tolist(), found.middle[:wanted].tolist(), strict=True)
    names = [piece[a:b].decode() for a, b in bounds]
    return Block(
        place=place,
        ids=names if IDS in columns else range(n),  # type: ignore[arg-type]
        hashes=hashes_in(data, found.id, found.middle - found.id),
        codes=codes.reshape(-1),
        lengths=np.full(n, codes.shape[1]),
        labels=() if labels is None else labels,
        label_lengths=np.full(n, int(labels is not None), np.uint8),
        columns={name: [None] * n for name in columns if name != IDS},
        first_ids=names,
    )


class _Fields(NamedTuple):
    """(n,) where the parts of each line begin; the id ends where the middle begins."""

    line: Any
    id: Any
    middle: Any
    tail: Any


def _fields(data: Any, size: int, n: int, layout: _Layout) -> _Fields | None:
    """Find the parts of n lines in ``size`` bytes; None where some line has others."""
    text = data[:size]
    ends: Any = np.flatnonzero(text == _NEWLINE) + 1
    at: Any = np.flatnonzero(text == _QUOTE)
    if len(ends) != n or ends[-1] != size or len(at) != n * layout.quotes:
        return None
    line: Any = np.append(0, ends[:-1])
    quotes = at.reshape(n, layout.quotes)
    apart = (quotes[:, 0] >= line).all() and (quotes[:, -1] < ends).all()
    if not apart or np.count_nonzero(text < _SPACE) != n:  # control characters besides line ends
        return None
    middle, tail = quotes[:, layout.head.count(b'"')], ends - len(layout.tail)
    room = tail - middle - len(layout.middle)
    if (room < 1).any() if layout.middle else room.any():
        return None
    return _Fields(line, line + len(layout.head), middle, tail)


def _codes(data: Any, found: _Fields, layout: _Layout) -> Any:
    """Return (n, steps) digits as uint8; None where anything around them differs."""
    parts = [(found.line, layout.head), (found.middle, layout.middle), (found.tail, layout.tail)]
    codes = None
    for number, (starts, text) in enumerate(parts):
        if not text:
            continue
        pieces = np.ndarray((len(data) - len(text) + 1,), f"V{len(text)}", data, strides=(1,))
        rows = pieces[starts].view(np.uint8).reshape(len(starts), len(text))
        pattern = np.frombuffer(text, np.uint8).copy()
        if number == 1 + layout.late:
            pattern[layout.digits] = _ZERO
            rows -= pattern  # a byte below "0" wraps around to a large number
            codes = rows[:, layout.digits].copy()
            rows[:, layout.digits] = 0
        else:
            rows -= pattern
        if rows.max():
            return None
    return codes


def _numbers(data: Any, starts: Any, ends: Any) -> Any:
    """Return (n,) whole numbers as JSON has them, None where any is not one."""
    widths = ends - starts
    most = int(widths.max())
    if widths.min() < 1 or most > MOST_DIGITS or ((data[starts] == _ZERO) & (widths > 1)).any():
        return None
    numbers: Any = np.zeros(len(starts), np.int64)
    for place in range(most):
        digits = np.where(place < widths, data[ends - 1 - place] - np.uint8(_ZERO), 0)
        if digits.max() > 9:
            return None
        numbers += digits * np.int64(10**place)
    return numbers
