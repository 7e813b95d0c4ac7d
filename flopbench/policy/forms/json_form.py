"""JSON: one object, ``{"header": ..., "samples": [...]}``.

Its samples are cut out as it is read, and go the way of JSON lines. With the header behind them,
they are passed over once before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from flopbench.core.errors import DataError
from flopbench.core.files import not_json
from flopbench.core.limits import DEEPEST
from flopbench.policy.blocks import Block, Place
from flopbench.policy.forms.base import Copy
from flopbench.policy.forms.json_items import Document, Items, Malformed
from flopbench.policy.forms.jsonl_form import (
    LARGE_BYTES,
    PIECE_BYTES,
    UNDECODABLE,
    JsonlReader,
    Piece,
    header_value,
    refuse_repeated,
)
from flopbench.policy.forms.raw import BOM, open_bytes, packed, read_some, without_packing
from flopbench.policy.header import Header, header_json, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample, describe

OPENED = re.compile(rb"\s*[\[{]")
CLOSED = re.compile(rb"[\]}]")
_KEY = re.compile(rb'[\s,]*(?:("(?:[^"\\]|\\.){0,99}")\s*:\s*(?=\S)|\})', re.DOTALL)
"""A longer key is none of ours: its end is not looked for, which could be far."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|NaN|-?Infinity|[0-9]{4301,}|[\[\]{}]', re.DOTALL)


class Around(msgspec.Struct, forbid_unknown_fields=True):
    """A document without its samples."""

    samples: list[Any]
    header: msgspec.Raw = msgspec.Raw()


class JsonReader(JsonlReader):
    """One JSON file; a sample's place is its line and its number."""

    whole: Any = Around
    expected = '{"header": {...}, "samples": [...]}'

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether the first line, or what the first line begins, is a whole document."""
        line, newline, _ = head.lstrip().partition(b"\n")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            # Cut off by the window, damaged, or spread over several lines: only the name can tell.
            suffix = without_packing(path).suffix.lower()
            return suffix == ".json" or (suffix not in {".jsonl", ".ndjson"} and bool(newline))
        return isinstance(value, dict) and "samples" in value

    def header(self) -> Header | None:
        """Return the header, None where the file has none."""
        with self._said_where(), open_bytes(self.path) as stream:
            self._header = b""
            for _ in self._items(Document(stream, self.path, LARGE_BYTES)):
                if self._header:
                    break
        where = str(self.path)
        if not self._header:
            return None
        return read_header(header_value(self._header, where), where, self.path)

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples."""
        with self._said_where():
            yield from super().samples(plan, report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays."""
        with self._said_where():
            yield from super().blocks(plan, report, columns)

    @staticmethod
    def write(copy: Copy) -> int:
        """Write one object, a sample a line."""
        count = 0
        with packed(copy.target, copy.temporary) as stream:
            stream.write(b'{"header": ' + header_json(copy.header) + b',\n"samples": [')
            for samples in copy.samples():
                for sample in samples:
                    stream.write((b",\n" if count else b"\n") + msgspec.json.encode(sample))
                    count += 1
            stream.write(b"\n]}\n")
        return count

    def _pieces(self, size: int = PIECE_BYTES) -> Iterator[Piece]:
        """Yield pieces of samples, each on a line."""
        with open_bytes(self.path) as stream:
            for items in self._items(Document(stream, self.path, size)):
                yield items.lines, items.n, _place(self.path, items)

    def _items(self, document: Document) -> Iterator[Items]:
        """Yield the samples, with the header before them in ``_header``."""
        document.take(OPENED)
        while key := document.take(_KEY)[1]:
            name = self._decoded(key, str)
            if name == "samples" and document.text[:1] == b"[":
                document.take(OPENED)
                yield from document.items()
                document.take(CLOSED)
                continue
            if name not in {"samples", "header"}:
                self._decoded(b'{"samples": [], %b: 0}' % key, Around)
            value = document.take_value()
            self._decoded(value, msgspec.Raw)
            if name == "header":
                self._header = value
        document.take_rest()
        self._decoded(document.around, Around)
        refuse_repeated(document.around, str(self.path))

    def _decode_line(self, text: bytes, where: str, cut: bool) -> Sample | None:
        """Return a sample; where it is no JSON, no other may be cut where it ends."""
        self._decoded(text, msgspec.Raw)
        return super()._decode_line(text, where, cut)

    def _decoded(self, text: bytes, type: Any) -> Any:
        """Return what some text of the document holds, as a type; raise Malformed."""
        try:
            return msgspec.json.decode(text, type=type)
        except msgspec.ValidationError as error:
            hint = f"expected {self.expected}; see docs/policy-log.md"
            raise DataError(f"{self.path}: {describe(error)}", hint) from None
        except UNDECODABLE:
            raise Malformed from None

    @contextmanager
    def _said_where(self) -> Iterator[None]:
        """Say where a document is malformed, or of another type; only all of it shows that."""
        try:
            yield
        except Malformed:
            with open_bytes(self.path) as stream:
                data = read_some(stream, self.path).removeprefix(BOM)
            with suppress(Malformed):
                self._decoded(data, self.whole)
            raise _not_json(data, str(self.path)) from None


def _place(path: Path, items: Items) -> Place:
    return lambda i: f"{path}:{items.line_of(i)}, sample {items.first + i + 1}"


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
        word, problem = token[0], ""
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
