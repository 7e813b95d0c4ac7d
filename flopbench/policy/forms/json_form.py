"""JSON: one object, ``{"header": ..., "samples": [...]}``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError
from flopbench.core.files import not_json
from flopbench.core.limits import DEEPEST
from flopbench.policy.blocks import Place
from flopbench.policy.forms.base import Copy, Reader
from flopbench.policy.forms.jsonl_form import (
    UNDECODABLE,
    decode_one,
    header_value,
    refuse_repeated,
)
from flopbench.policy.forms.raw import BOM, open_bytes, packed, read_some, without_packing
from flopbench.policy.header import Header, header_json, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample, describe

SAMPLES_AT_ONCE = 512

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|NaN|-?Infinity|[0-9]{4301,}|[\[\]{}]', re.DOTALL)
_DECODER = msgspec.json.Decoder(list[Sample])


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """Header and samples as the file has them, not yet decoded."""

    samples: list[msgspec.Raw]
    header: msgspec.Raw = msgspec.Raw()


class JsonReader(Reader):
    """One JSON file; a sample's place is its line and its number."""

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
        _, document = self._document()
        text = bytes(document.header)
        where = str(self.path)
        return read_header(header_value(text, where), where, self.path) if text else None

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples, some hundred at a time; one by one where these do not decode."""
        data, document = self._document()
        for start in range(0, len(document.samples), SAMPLES_AT_ONCE):
            group = document.samples[start : start + SAMPLES_AT_ONCE]
            place = self._place(data, group, start)
            joined = b"[" + b",".join(group) + b"]"
            with suppress(*UNDECODABLE, DataError):
                samples = _DECODER.decode(joined)
                if self.options.exact:
                    refuse_repeated(joined, "")
                yield samples, place
                continue
            for i, text in enumerate(group):
                try:
                    sample = decode_one(bytes(text), place(i))
                    refuse_repeated(bytes(text), place(i))
                except DataError as error:
                    report(error)
                    continue
                yield [sample], lambda _, i=i, place=place: place(i)  # type: ignore[misc]

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

    def _document(self) -> tuple[bytes, Document]:
        return decoded(self.path, Document, '{"header": {...}, "samples": [...]}')

    def _place(self, data: bytes, group: list[msgspec.Raw], start: int) -> Place:
        def place(i: int) -> str:
            # What msgspec leaves undecoded is a view into the document: its address gives the line.
            line = data.count(b"\n", 0, _address(group[i]) - _address(data)) + 1
            return f"{self.path}:{line}, sample {start + i + 1}"

        return place


def decoded(path: Path, type: Any, expected: str) -> tuple[bytes, Any]:
    """Return a JSON file's bytes, and its content as a type."""
    with open_bytes(path) as stream:
        data = read_some(stream, path).removeprefix(BOM)
    try:
        return data, msgspec.json.decode(data, type=type)
    except msgspec.ValidationError as error:
        hint = f"expected {expected}; see docs/policy-log.md"
        raise DataError(f"{path}: {describe(error)}", hint) from None
    except UNDECODABLE:
        raise _not_json(data, str(path)) from None


def _address(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


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
