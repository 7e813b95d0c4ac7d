"""Cuts a JSON document into the items of an array or object, as it is read, in bounded memory.

An item is the text between two commas that no string and no inner bracket holds. Whoever decodes
the items, and the text around them, finds what is no JSON; then each was cut where it ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from msgspec import Struct

from flopbench.core.limits import DEEPEST
from flopbench.policy.forms.raw import BOM, read_some

_OPENS, _CLOSES, _COMMA, _QUOTE = 1, 255, 2, 4
_SIGNS = {"[": _OPENS, "{": _OPENS, "]": _CLOSES, "}": _CLOSES, ",": _COMMA, '"': _QUOTE}
_KINDS = bytes(_SIGNS.get(chr(byte), 0) for byte in range(256))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_BLANKS = b" \t\r\n"
_JOINT = re.compile(rb'[ \t\r\n]*\{[^{}]*(\}[ \t\r\n]*,[ \t\r\n]*(\{"\w))')
_SOLID = re.compile(rb"[^ \t\r\n]")
_REST = re.compile(rb"\s*\S")
_VALUE = json.JSONDecoder()


class Malformed(Exception):
    """A document is no JSON, or nested too deeply."""


class Items(Struct, kw_only=True):
    """Some items that follow each other, at least one.

    Attributes:
        text: of the items, with commas between them.
        lines: each item on a line; a line end within an item is a carriage return there, which
            JSON allows and forbids alike.
        n: how many.
        first: number of the first one, from 0.
        line: on which the text begins.
        commas: (n - 1,) where the commas are, once they were looked for.
    """

    text: bytes
    lines: bytes
    n: int
    first: int
    line: int
    commas: Any = None

    def line_of(self, i: int) -> int:
        """Return the line on which an item begins."""
        if self.commas is None:
            self.commas = _Commas().find(self.text)[0]
        start = int(self.commas[i - 1]) + 1 if i else 0
        begin = _SOLID.search(self.text, start)
        return self.line + self.text.count(b"\n", 0, begin.start() if begin else start)


class _Commas:
    """Finds the commas between items, in one block of text after the other."""

    def __init__(self) -> None:
        self._depth, self._in_string, self._escaped = 0, False, False

    def find(self, block: bytes) -> tuple[Any, int]:
        """Return where they are, and where the items end, -1 if not in this block."""
        if self._escaped:
            block = b" " + block[1:]
        if b"\\" in block:
            block = _ESCAPED.sub(b"  ", block)
        self._escaped = block.endswith(b"\\")
        all_kinds = np.frombuffer(block.translate(_KINDS), np.uint8)
        at = np.flatnonzero(all_kinds)
        kinds = all_kinds[at]
        quotes = kinds == _QUOTE
        in_string = np.cumsum(quotes, dtype=np.uint8) + np.uint8(self._in_string) & 1
        self._in_string = bool(in_string[-1]) if len(at) else self._in_string
        outside = ~(quotes | in_string.view(bool))
        at, kinds = at[outside], kinds[outside]
        steps = np.where(kinds & 1, kinds, 0).view(np.int8)
        depth = self._depth + np.cumsum(steps, dtype=np.int32)
        if depth.max(initial=0) > DEEPEST:
            raise Malformed
        self._depth = int(depth[-1]) if len(at) else self._depth
        found = at[(kinds == _COMMA) & (depth == 0)]
        ends = at[depth < 0]
        return (found[found < ends[0]], int(ends[0])) if len(ends) else (found, -1)


class Document:
    """What was not yet taken of a document, and ``around``: what was, without items.

    Args:
        stream: the document.
        path: names it.
        size: bytes to read at once.
    """

    def __init__(self, stream: IO[bytes], path: Path, size: int) -> None:
        self._stream, self._path, self._size = stream, path, size
        self._line = 1
        self.text = read_some(stream, path, size).removeprefix(BOM)
        self.around = b""

    def take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Take what a pattern matches; it ends where no more text would change that."""
        while (found := pattern.match(self.text)) is None:
            self.text += self._read()
        self._take(found.end())
        return found

    def take_value(self) -> bytes:
        """Take a value, which begins here and which something follows."""
        while True:
            with suppress(ValueError, RecursionError):
                end = _VALUE.raw_decode(self.text.decode("latin-1"))[1]
                if end < len(self.text):
                    return self._take(end)
            self.text += self._read()

    def take_rest(self) -> None:
        """Take what follows, up to something that is not blank."""
        with suppress(Malformed):
            self.take(_REST)

    def items(self) -> Iterator[Items]:
        """Take the items of the array or object that was opened, many at a time."""
        first, ended = 0, False
        while not ended:
            if len(self.text) < self._size:
                size = self._size - len(self.text)
                self.text += read_some(self._stream, self._path, size)
            found = self._flat_items(first)
            if found is None:
                found, ended = self._any_items(first)
            if found is not None:
                first += found.n
                yield found

    def _flat_items(self, first: int) -> Items | None:
        """Take objects that hold no braces and escapes, and meet all alike; None where any does.

        Then two of them meet wherever a brace is closed and opened before a key: within a string,
        no letter could follow the quote.
        """
        joint = _JOINT.match(self.text)
        if joint is None or b"\\" in self.text:
            return None
        end = self.text.rfind(joint[1]) + 1
        text = self.text[:end]
        parts = text.lstrip(_BLANKS).split(joint[1])
        n = len(parts)
        lines = (b"}\n" + joint[2]).join(parts) + b"\n"
        if not text.count(b"{") == text.count(b"}") == lines.count(b"\n") == n:
            return None
        found = Items(text=text, lines=lines, n=n, first=first, line=self._line)
        self._pass(end + len(joint[1]) - len(joint[2]) - 1)
        return found

    def _any_items(self, first: int) -> tuple[Items | None, bool]:
        """Take at least one item, if there is any, and say whether it is the last."""
        finder, parts, block = _Commas(), [b""], self.text
        commas, end = finder.find(block)
        while end < 0 and not len(commas):
            parts.append(block)
            block = self._read()
            commas, end = finder.find(block)
        before = sum(map(len, parts))
        self.text = b"".join((*parts, block))
        stop = before + (end if end >= 0 else int(commas[-1]))
        commas = before + (commas if end >= 0 else commas[:-1])
        text, line = self.text[:stop], self._line
        self._pass(stop + (end < 0))
        if not len(commas) and not text.strip(_BLANKS):
            if first or end < 0:
                raise Malformed
            return None, True
        bounds = pairwise((-1, *commas.tolist(), stop))
        each = [text[a + 1 : b].strip(_BLANKS).replace(b"\n", b"\r") + b"\n" for a, b in bounds]
        lines, n = b"".join(each), len(each)
        return Items(text=text, lines=lines, n=n, first=first, line=line, commas=commas), end >= 0

    def _take(self, n: int) -> bytes:
        taken = self.text[:n]
        self.around += taken
        self._pass(n)
        return taken

    def _pass(self, n: int) -> None:
        self._line += self.text.count(b"\n", 0, n)
        self.text = self.text[n:]

    def _read(self) -> bytes:
        """Read on, as much again as is waiting."""
        part = read_some(self._stream, self._path, max(self._size, len(self.text)))
        if not part:
            raise Malformed
        return part
