"""Reads JSON, ``{"header": ..., "samples": [...]}``, and JSONL with the header on its first line.

msgspec decodes some hundred samples at a time; where a group does not decode, each of its samples
is decoded alone, so that a defect is reported with its line.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError, Remark, describe
from flopbench.core.files import not_json
from flopbench.policy.blocks import Block, Place, block_of
from flopbench.policy.columns import json_value
from flopbench.policy.header import Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.base import Reader
from flopbench.policy.readers.raw import BOM, open_bytes, pieces, read_some
from flopbench.policy.samples import CUT_HINT, OnDefect, Sample, sample_error

PIECE_BYTES = 1 << 16
"""Pieces that fit a core's own cache decode twice as fast as pieces of 256 KiB (measured)."""
SAMPLES_AT_ONCE = 512
DEEPEST = 256
"""No log nests so deeply; JSON decoders give up somewhat later."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|NaN|-?Infinity|[0-9]{4301,}|[\[\]{}]', re.DOTALL)

_DECODER = msgspec.json.Decoder(Sample)
_GROUP_DECODER = msgspec.json.Decoder(list[Sample])


class JsonlReader(Reader):
    """JSONL: one JSON object a line, the first one the header."""

    form = "jsonl"

    def header(self) -> Header | None:
        """Return the header on the first line, None where the first line is a sample."""
        with open_bytes(self.path) as stream:
            first = next(iter(pieces(stream, self.path, PIECE_BYTES)), b"")
        first = first.removeprefix(BOM).split(b"\n", 1)[0]
        where = f"{self.path}:1"
        data = _loads(first, where)
        if isinstance(data, dict) and "id" in data and "format" not in data:
            return None
        return read_header(data, where)

    def _pieces(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield pieces of whole lines, the number of the first one, and how many there are."""
        line = 1
        skip = self.header() is not None
        with open_bytes(self.path) as stream:
            for piece in pieces(stream, self.path, PIECE_BYTES):
                piece = piece.removeprefix(BOM) if line == 1 else piece
                lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
                if skip:
                    piece = piece.split(b"\n", 1)[1] if b"\n" in piece else b""
                    line, lines, skip = line + 1, lines - 1, False
                if piece:
                    yield piece, line, lines
                line += lines

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's place is its line."""
        for piece, line, lines in self._pieces():
            yield from self._decode(piece, line, lines, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays, one-digit ids straight from the text."""
        wanted = tuple(columns)
        for piece, line, lines in self._pieces():
            block = None
            if not self.options.exact and plan.streams == ("",):
                block = _digit_block(piece, lines, plan, _lines(self.path, line), report, wanted)
            if block is not None:
                yield block
                continue
            for samples, place in self._decode(piece, line, lines, report):
                yield block_of(samples, plan, place, report, wanted)

    def _decode(
        self, piece: bytes, line: int, lines: int, report: OnDefect
    ) -> Iterator[tuple[Sequence[Sample], Place]]:
        try:
            samples = _DECODER.decode_lines(piece)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            samples = []
        if len(samples) == lines:
            yield samples, _lines(self.path, line)
        else:
            yield from self._one_by_one(piece, line, report)

    def _one_by_one(
        self, piece: bytes, line: int, report: OnDefect
    ) -> Iterator[tuple[Sequence[Sample], Place]]:
        last = piece.rstrip(b"\n").count(b"\n")
        for offset, text in enumerate(piece.split(b"\n")):
            if not text.strip():
                continue
            place = _lines(self.path, line + offset)
            try:
                sample = _DECODER.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                cut = offset == last and not piece.endswith(b"\n")
                if cut and self.options.allow_truncated:
                    cut_off = f"{place(0)} is cut off and was left out"
                    self.warnings.append(Remark(cut_off, kind="left out"))
                else:
                    report(_sample_error(error, place(0), text, cut))
                continue
            yield [sample], place


class _TextSample(
    Sample,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """A sample whose decisions stay text."""

    actions: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


_TEXT_DECODER = msgspec.json.Decoder(_TextSample)


def _digit_block(
    piece: bytes, lines: int, plan: Plan, place: Place, report: OnDefect, columns: tuple[str, ...]
) -> Block | None:
    """Return a block of lines whose decisions are one-digit ids, else None."""
    try:
        samples = _TEXT_DECODER.decode_lines(piece)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(samples) != lines:
        return None
    rows = digit_rows([sample.actions for sample in samples])
    if rows is None or rows.max() >= plan.size(""):
        return None  # the typed decoder says what is wrong, and where
    return block_of(samples, plan, place, report, columns, rows)


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    samples: list[msgspec.Raw]
    header: msgspec.Raw = msgspec.Raw()


class JsonReader(Reader):
    """JSON: one object with ``header`` and ``samples``."""

    form = "json"

    def _document(self) -> tuple[bytes, _Document]:
        with open_bytes(self.path) as stream:
            data = read_some(stream, self.path).removeprefix(BOM)
        try:
            return data, msgspec.json.decode(data, type=_Document)
        except msgspec.ValidationError as error:
            raise DataError(
                f"{self.path}: {describe(error)}",
                'expected {"header": {...}, "samples": [...]}; see docs/policy-log.md',
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _not_json(data, str(self.path)) from None

    def header(self) -> Header | None:
        """Return the header, None where the file has none."""
        _, document = self._document()
        text = bytes(document.header)
        if not text:
            return None
        return read_header(_loads(text, str(self.path)), str(self.path))

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's place is its line and its number."""
        data, document = self._document()
        raw = document.samples
        for start in range(0, len(raw), SAMPLES_AT_ONCE):
            group = raw[start : start + SAMPLES_AT_ONCE]
            place = self._place(data, group, start)
            try:
                samples = _GROUP_DECODER.decode(b"[" + b",".join(group) + b"]")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                yield from self._one_by_one(group, place, report)
                continue
            yield samples, place

    def _one_by_one(
        self, group: list[msgspec.Raw], place: Place, report: OnDefect
    ) -> Iterator[tuple[Sequence[Sample], Place]]:
        for i, text in enumerate(group):
            try:
                sample = _DECODER.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                report(_sample_error(error, place(i), bytes(text), cut=False))
                continue
            yield [sample], lambda _, i=i: place(i)  # type: ignore[misc]

    def _place(self, data: bytes, group: list[msgspec.Raw], start: int) -> Place:
        def place(i: int) -> str:
            # What msgspec leaves undecoded is a view into the document: its address gives the line.
            line = data.count(b"\n", 0, _address(group[i]) - _address(data)) + 1
            return f"{self.path}:{line}, sample {start + i + 1}"

        return place


def _address(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


def _lines(path: Any, first: int) -> Place:
    return lambda i: f"{path}:{first + i}"


def _sample_error(error: Exception, where: str, text: bytes, cut: bool) -> DataError:
    if isinstance(error, msgspec.MsgspecError):
        found = None if isinstance(error, msgspec.ValidationError) else _not_finite(text)
        if found is not None:
            return DataError(f"{where} is not JSON: {found}, which is not a JSON number")
        return sample_error(error, where)
    if isinstance(error, RecursionError):
        return DataError(f"{where} is not a sample: nested too deeply")
    return DataError(f"{where} is not UTF-8 text", CUT_HINT if cut else "")


def _not_finite(text: bytes) -> str | None:
    """Name the field of a sample that holds NaN or Infinity, which Python reads and JSON lacks."""
    try:
        sample = json.loads(text)
    except (ValueError, RecursionError):
        return None
    waiting = deque(sample.items() if isinstance(sample, dict) else ())
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} is {'NaN' if math.isnan(value) else value}"
        if isinstance(value, list):
            waiting += [(f"{name}[{i}]", item) for i, item in enumerate(value)]
        elif isinstance(value, dict):
            waiting += [(f"{name}.{key}", item) for key, item in value.items()]
    return None


def _loads(text: bytes, where: str) -> Any:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(text)
    try:
        # Accepts more than JSON allows, but says where an error is.
        json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            cut = " (it looks cut off)" if error.pos >= len(error.doc.rstrip()) else ""
            raise DataError(
                f"{where}:{error.colno} is not JSON: {error.msg}{cut}",
                "the header of a policy log was expected there",
            ) from None
        raise DataError(f"{where} is not JSON: {error}") from None
    return json_value(text, where)


def _not_json(data: bytes, where: str) -> DataError:
    """Say where a document is not JSON."""
    hint = "write it again with the command that made it"
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return not_json(error, where, hint)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return DataError(f"{where}:{line} is not UTF-8 text", hint)
    except (RecursionError, ValueError):
        pass  # nested too deeply, or a number of thousands of digits
    # Python's decoder accepts NaN, Infinity and unpaired surrogates, which are not JSON.
    depth = 0
    for token in _TOKEN.finditer(data):
        problem = ""
        word = token[0]
        depth += (word in b"[{") - (word in b"]}")
        if word[:1] == b'"':
            problem = "" if _is_text(word) else "an unpaired surrogate"
        elif word not in b"[]{}":
            problem = f"{word[:40].decode()} is not a number that can be read"
        elif depth > DEEPEST:
            problem = "nested too deeply"
        if problem:
            line = data.count(b"\n", 0, token.start()) + 1
            return DataError(f"{where}:{line} is not JSON: {problem}", hint)
    return DataError(f"{where} is not JSON", hint)


def _is_text(token: bytes) -> bool:
    if b"\\u" not in token:
        return True
    try:
        msgspec.json.decode(token, type=str)
    except msgspec.DecodeError:
        return False
    return True


_ROW = re.compile(rb"\[\d(?:, ?\d)*\]")
_ZERO = ord("0")


def digit_rows(texts: Sequence[Any]) -> Any:
    """Turn lists of one-digit ids, as text of equal layout, into a matrix.

    Args:
        texts: n pieces of JSON, bytes-like.

    Returns:
        (n, steps) uint8, or None unless all lists have this simple form.
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
