"""JSONL: one JSON object a line, the header first.

Plain lines are read as arrays (``jsonl_fast``). msgspec decodes some hundred others at a time, and
lists of one-digit ids stay text until numpy reads them. Where a piece does not decode, each of its
lines is decoded alone, so that a defect is reported with its line.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError
from flopbench.core.files import RepeatedKey, only_once
from flopbench.core.remarks import Remark
from flopbench.policy.blocks import MOST_NAMES, Block, Place, block_of
from flopbench.policy.columns import json_value
from flopbench.policy.forms.base import Copy, Reader
from flopbench.policy.forms.jsonl_fast import plain_block
from flopbench.policy.forms.raw import BOM, open_bytes, packed, pieces
from flopbench.policy.header import Header, header_json, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import CUT_HINT, IDS, OnDefect, Sample, sample_error

PIECE_BYTES = 1 << 16
"""Pieces that fit a core's own cache decode twice as fast as pieces of 256 KiB (measured)."""

LARGE_BYTES = 1 << 19
"""Pieces that are read as arrays: a call of numpy costs as much as some hundred lines."""

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for text that is not what it should be."""

Piece = tuple[bytes, int, Place]
"""Some whole lines, how many, and where each is."""

_DECODER = msgspec.json.Decoder(Sample)


class JsonlReader(Reader):
    """One JSONL file; a sample's place is its line."""

    def header(self) -> Header | None:
        """Return the header on the first line, None where the first line is a sample."""
        with open_bytes(self.path) as stream:
            first = next(iter(pieces(stream, self.path, PIECE_BYTES)), b"")
        where = f"{self.path}:1"
        data = header_value(first.removeprefix(BOM).split(b"\n", 1)[0], where)
        if isinstance(data, dict) and "format" not in data and not data.keys().isdisjoint(IDS):
            return None
        return read_header(data, where, self.path)

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples."""
        for piece, lines, place in self._pieces():
            yield from self._decode(piece, lines, place, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays: plain lines at once, else one-digit ids from the text."""
        digits = not self.options.exact and plan.streams == ("",)
        read = 0
        for piece, lines, place in self._pieces(LARGE_BYTES):
            found, named = None, max(0, MOST_NAMES - read)
            if digits:
                found = plain_block(piece, lines, plan.size(""), place, columns, named)
                found = found or self._block_of_digits(piece, place, plan, report, columns)
            read += lines
            if found is not None:
                yield found
                continue
            for part in self._parts(piece, place):
                for typed, own in self._decode(*part, report):
                    yield block_of(typed, plan, own, report, columns)

    def _block_of_digits(
        self, piece: bytes, place: Place, plan: Plan, report: OnDefect, columns: Sequence[str]
    ) -> Block | None:
        """Return lines whose decisions are as many one-digit ids, None of any others."""
        samples: list[Sample] = []
        rows: list[Any] = []
        for part, lines, _ in self._parts(piece, place):
            found = _with_digits(part, lines, plan.size(""), "scores" in columns)
            if found is None or (rows and found[1].shape[1] != rows[0].shape[1]):
                return None
            samples += found[0]
            rows.append(found[1])
        return block_of(samples, plan, place, report, columns, np.concatenate(rows))

    @staticmethod
    def write(copy: Copy) -> int:
        """Write the header and a line for each sample."""
        count, encoder = 0, msgspec.json.Encoder()
        with packed(copy.target, copy.temporary) as stream:
            stream.write(header_json(copy.header) + b"\n")
            for samples in copy.samples():
                stream.write(encoder.encode_lines(samples))
                count += len(samples)
        return count

    def _pieces(self, size: int = PIECE_BYTES) -> Iterator[Piece]:
        """Yield pieces of whole lines."""
        line = 1
        skip = self.header() is not None
        with open_bytes(self.path) as stream:
            for piece in pieces(stream, self.path, size):
                piece = piece.removeprefix(BOM) if line == 1 else piece
                lines = _count(piece)
                if skip:
                    piece = piece.partition(b"\n")[2]
                    line, lines, skip = line + 1, lines - 1, False
                if piece:
                    yield piece, lines, _lines(self.path, line)
                line += lines

    def _parts(self, piece: bytes, place: Place) -> Iterator[Piece]:
        """Cut a large piece into pieces to decode."""
        done = 0
        for part in pieces(io.BytesIO(piece), self.path, PIECE_BYTES):
            lines = _count(part)
            yield part, lines, _after(place, done)
            done += lines

    def _decode(
        self, piece: bytes, lines: int, place: Place, report: OnDefect
    ) -> Iterator[tuple[Sequence[Sample], Place]]:
        try:
            samples = _DECODER.decode_lines(piece)
            if self.options.exact:
                own = [text for text in piece.split(b"\n") if text.strip()]
                refuse_repeated(b"[" + b",".join(own) + b"]", "")
        except (*UNDECODABLE, DataError):
            samples = []
        if len(samples) == lines:
            yield samples, place
            return
        for i, text in enumerate(piece.removesuffix(b"\n").split(b"\n")):
            # The last line of a piece ends in a line end, unless the file is cut off there.
            cut = i == lines - 1 and not piece.endswith(b"\n")
            try:
                sample = self._decode_line(text, place(i), cut)
            except DataError as error:
                if not (cut and self.options.allow_truncated):
                    report(error)
                    continue
                left_out = f"{place(i)} is cut off and was left out"
                self.warnings.append(Remark(left_out, kind="left out"))
            else:
                if sample is not None:
                    yield [sample], _after(place, i)

    def _decode_line(self, text: bytes, where: str, cut: bool) -> Sample | None:
        """Return the sample of a line, which may be cut off; None of a blank one."""
        if not text.strip():
            return None
        sample = decode_one(text, where, cut=cut)
        refuse_repeated(text, where)
        return sample


def _count(piece: bytes) -> int:
    return piece.count(b"\n") + (not piece.endswith(b"\n"))


def _lines(path: Path, first: int) -> Place:
    return lambda i: f"{path}:{first + i}"


def _after(place: Place, n: int) -> Place:
    return lambda i: place(n + i)


class _TextSample(Sample, frozen=True, kw_only=True):
    """A sample whose decisions stay text."""

    actions: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class _UnreadScores(_TextSample, frozen=True, kw_only=True):
    """A sample whose scores stay text, too."""

    scores: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


_TEXT_DECODER = msgspec.json.Decoder(_TextSample)
_UNREAD_DECODER = msgspec.json.Decoder(_UnreadScores)
_NO_SCORES = msgspec.Raw()
_OF_NUMBERS = b"0123456789.-+eE, "
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_LARGE_EXPONENT = re.compile(rb"[eE]\+?\d{3}")
_ROW = re.compile(rb"\[\d(?:, ?\d)*\]")
_ZERO = ord("0")


def _with_digits(
    piece: bytes, lines: int, actions: int, scores: bool
) -> tuple[Sequence[_TextSample], Any] | None:
    """Return the samples of some lines and (n, steps) their one-digit ids, None for other lines.

    ``scores``: whether scores are read; else they are only checked.
    """
    try:
        samples = (_TEXT_DECODER if scores else _UNREAD_DECODER).decode_lines(piece)
    except UNDECODABLE:
        return None
    if len(samples) != lines or not (scores or _hold_numbers([s.scores for s in samples])):
        return None
    rows = digit_rows([sample.actions for sample in samples])
    if rows is None or rows.max() >= actions:
        return None  # the typed decoder says what is wrong, and where
    return samples, rows


def _hold_numbers(texts: list[Any]) -> bool:
    """Whether texts of JSON, some empty, are flat lists of numbers that float64 can hold."""
    joined = b"".join(texts)
    lists = len(texts) - texts.count(_NO_SCORES)
    if joined.translate(None, _OF_NUMBERS) != b"[]" * lists:
        return False
    if _LARGE_EXPONENT.search(joined) if b"e" in joined or b"E" in joined else False:
        return False
    return b"0" * 200 not in joined.translate(_ONE_DIGIT)  # nor any number of so many digits


def digit_rows(texts: Sequence[Any]) -> Any:
    """Turn n lists of one-digit ids, as JSON of equal layout, into (n, steps) uint8; else None."""
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


def decode_one(text: bytes, where: str, *, cut: bool = False) -> Sample:
    """Decode one sample; the error names the field where there is one."""
    try:
        return _DECODER.decode(text)
    except msgspec.MsgspecError as error:
        found = None if isinstance(error, msgspec.ValidationError) else _not_finite(text)
        if found is not None:
            raise DataError(f"{where} is not JSON: {found}, which is not a JSON number") from None
        raise sample_error(error, where, _fields(text)) from None
    except RecursionError:
        raise DataError(f"{where} is not a sample: nested too deeply") from None
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text", CUT_HINT if cut else "") from None


def _fields(text: bytes) -> list[str]:
    """Return the fields of a sample, none where it is not an object."""
    with suppress(*UNDECODABLE):
        return list(msgspec.json.decode(text, type=dict[str, Any]))
    return []


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


def refuse_repeated(text: bytes, where: str) -> None:
    """Refuse JSON in which an object has a key twice: msgspec takes the last one."""
    try:
        json.loads(text, object_pairs_hook=only_once)
    except RepeatedKey as error:
        raise DataError(f"{where}: the key {error.key!r} is there twice in one object") from None
    except (ValueError, RecursionError):
        pass  # said elsewhere


def header_value(text: bytes, where: str) -> Any:
    """Return the plain values of a header's JSON; the error names the column in the line."""
    refuse_repeated(text, where)
    with suppress(*UNDECODABLE):
        return msgspec.json.decode(text)
    try:
        # Accepts more than JSON allows, but says where an error is.
        json.loads(text)
    except json.JSONDecodeError as error:
        cut = " (it looks cut off)" if error.pos >= len(error.doc.rstrip()) else ""
        raise DataError(
            f"{where}:{error.colno} is not JSON: {error.msg}{cut}",
            "the header of a policy log was expected there",
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from None
    return json_value(text, where)
