"""The JSON forms: ``{"header": ..., "samples": [...]}`` and JSONL, the header on its first line.

Typed decoding by msgspec, some hundred samples at a time; where a group does not decode, each of
its samples is decoded alone, so that a defect is reported at its own line.

Lives here: those two readers. Does not live here: what a sample may hold (``samples``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from flopbench.errors import DataError
from flopbench.policy.blocks import Place
from flopbench.policy.header import Header, describe, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.base import Reader
from flopbench.policy.readers.raw import open_bytes, pieces, read_some
from flopbench.policy.samples import CUT_HINT, Report, Sample, sample_error

PIECE_BYTES = 1 << 16
"""Pieces that fit a core's own cache decode twice as fast as pieces of 256 KiB (measured)."""
SAMPLES_AT_ONCE = 512

_DECODER = msgspec.json.Decoder(Sample)
_GROUP_DECODER = msgspec.json.Decoder(list[Sample])


class JsonlReader(Reader):
    """JSONL: one JSON object a line, the first one the header."""

    form = "jsonl"

    def header(self) -> Header | None:
        """Return the header on the first line, None where the first line is a sample."""
        with open_bytes(self.path) as stream:
            first = next(iter(pieces(stream, self.path, PIECE_BYTES)), b"").split(b"\n", 1)[0]
        where = f"{self.path}:1"
        data = _loads(first, where)
        if isinstance(data, dict) and "id" in data and "format" not in data:
            return None
        return read_header(data, where)

    def samples(self, plan: Plan, report: Report) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a line's number is its place."""
        line = 1
        skip = self.header() is not None
        with open_bytes(self.path) as stream:
            for piece in pieces(stream, self.path, PIECE_BYTES):
                lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
                if skip:
                    piece = piece.split(b"\n", 1)[1] if b"\n" in piece else b""
                    line, lines, skip = line + 1, lines - 1, False
                    if not piece:
                        continue
                try:
                    samples = _DECODER.decode_lines(piece)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    samples = []
                if len(samples) == lines:
                    yield samples, _lines(self.path, line)
                else:
                    yield from self._one_by_one(piece, line, report)
                line += lines

    def _one_by_one(
        self, piece: bytes, line: int, report: Report
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
                    self.warnings.append(f"{place(0)} is cut off and was left out")
                else:
                    report(_sample_error(error, place(0), cut))
                continue
            yield [sample], place


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    samples: list[msgspec.Raw]
    header: msgspec.Raw = msgspec.Raw()


class JsonReader(Reader):
    """JSON: one object with ``header`` and ``samples``."""

    form = "json"

    def _document(self) -> tuple[bytes, _Document]:
        with open_bytes(self.path) as stream:
            data = read_some(stream, self.path)
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

    def samples(self, plan: Plan, report: Report) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's line and its number are its place."""
        data, document = self._document()
        raw = document.samples
        for start in range(0, len(raw), SAMPLES_AT_ONCE):
            group = raw[start : start + SAMPLES_AT_ONCE]
            place = self._place(data, raw, start)
            try:
                samples = _GROUP_DECODER.decode(b"[" + b",".join(group) + b"]")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                yield from self._one_by_one(group, place, report)
                continue
            yield samples, place

    def _one_by_one(
        self, group: list[msgspec.Raw], place: Place, report: Report
    ) -> Iterator[tuple[Sequence[Sample], Place]]:
        for i, text in enumerate(group):
            try:
                sample = _DECODER.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                report(_sample_error(error, place(i), cut=False))
                continue
            yield [sample], lambda _, i=i: place(i)  # type: ignore[misc]

    def _place(self, data: bytes, raw: list[msgspec.Raw], start: int) -> Place:
        def place(i: int) -> str:
            offset = 0
            for text in raw[: start + i]:
                offset = data.find(bytes(text), offset) + len(bytes(text))
            offset = data.find(bytes(raw[start + i]), offset)
            line = data.count(b"\n", 0, offset) + 1
            return f"{self.path}:{line}, sample {start + i + 1}"

        return place


def _lines(path: Any, first: int) -> Place:
    return lambda i: f"{path}:{first + i}"


def _sample_error(error: Exception, where: str, cut: bool) -> DataError:
    if isinstance(error, msgspec.MsgspecError):
        return sample_error(error, where)
    if isinstance(error, RecursionError):
        return DataError(f"{where} is not a sample: nested too deeply")
    return DataError(f"{where} is not UTF-8 text", CUT_HINT if cut else "")


def _loads(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            cut = " (it looks cut off)" if error.pos >= len(error.doc.rstrip()) else ""
            raise DataError(
                f"{where}:{error.colno} is not JSON: {error.msg}{cut}",
                "the header of a policy log was expected there",
            ) from None
        raise DataError(f"{where} is not JSON: {error}") from None


def _not_json(data: bytes, where: str) -> DataError:
    """Say where a document stops being JSON."""
    hint = "write it again with the command that made it"
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        cut = " (the file looks cut off)" if error.pos >= len(error.doc.rstrip()) else ""
        return DataError(
            f"{where}:{error.lineno}:{error.colno} is not JSON: {error.msg}{cut}", hint
        )
    except UnicodeDecodeError as error:
        return DataError(f"{where} is not JSON: not UTF-8 text at byte {error.start}", hint)
    except RecursionError:
        return DataError(f"{where} is no policy log: nested too deeply", hint)
    # Python's reader takes NaN and Infinity, which are no JSON.
    for word in (b"NaN", b"Infinity"):
        at = data.find(word)
        if at >= 0:
            line = data.count(b"\n", 0, at) + 1
            return DataError(f"{where}:{line} is not JSON: {word.decode()} is no JSON number", hint)
    return DataError(f"{where} is not JSON", hint)
