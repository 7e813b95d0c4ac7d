"""JSON without a header: a list of samples, or an object that has them by their ids.

    [{"id": "v1", "actions": [0, 1, 6]}, ...]       samples
    {"v1": [0, 1, 6], ...}                          decisions
    {"v1": {"actions": [0, 1, 6]}, ...}             samples, or decisions by stream
    {"v1": "exit 3", ...}                           exits

The header is in ``NAME.header.json`` next to ``NAME.json``, or comes from a preset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flopbench.core.errors import DataError
from flopbench.policy.blocks import Place
from flopbench.policy.forms.base import Reader, header_beside
from flopbench.policy.forms.json_form import CLOSED, OPENED, JsonReader, decoded, said_where
from flopbench.policy.forms.json_items import Document, Items, Malformed
from flopbench.policy.forms.jsonl_form import PIECE_BYTES
from flopbench.policy.forms.raw import open_bytes, without_packing
from flopbench.policy.header import Header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import FIELDS, IDS, SYNONYMS, OnDefect

OURS = {"header", "samples", "kind", "schema"} | {*FIELDS, *SYNONYMS, *Header.__struct_fields__}
"""Keys that no video is called: one of them first, and the object is something else."""
_Map = dict[str, Any]
_EXPECTED = '{"v1": [...], ...}'
_FIRST = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"\s*:\s*([\[{"0-9])')


class ListReader(JsonReader):
    """A list of samples."""

    whole = list
    expected = '[{"id": ..., "actions": [...]}, ...]'

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether it is a list of objects, or of lists in their place."""
        return head.lstrip()[1:].lstrip()[:1] in {b"{", b"["}

    def header(self) -> Header | None:
        """Return the header from its own file, None where there is none."""
        return header_beside(self.path)

    def _items(self, document: Document) -> Iterator[Items]:
        """Yield the samples."""
        document.take(OPENED)
        for items in document.items():
            if not items.first and items.text.lstrip()[:1] == b"[":
                raise DataError(
                    f"{self.path} holds lists, which have no ids",
                    f'expected {{"v1": [...], ...}} or {self.expected}',
                )
            yield items
        document.take(CLOSED)
        document.take_rest()
        self._decoded(document.around, list)


class MapReader(Reader):
    """Samples by their ids; an id is a sample's place."""

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether no key is one of ours; of an object that does not end in its line, the first."""
        first = _FIRST.match(head.lstrip())
        if first is None or without_packing(path).suffix.lower() in {".jsonl", ".ndjson"}:
            return False
        if _holds_columns(first):
            return True
        keys = [first[1].decode("utf-8", "replace")]
        with suppress(ValueError, RecursionError):
            keys = list(json.loads(head.lstrip().partition(b"\n")[0]))
        return OURS.isdisjoint(keys)

    def header(self) -> Header | None:
        """Return the header from its own file, None where there is none."""
        return header_beside(self.path)

    def rows(
        self, plan: Plan, report: OnDefect
    ) -> Iterator[tuple[Iterable[Mapping[str, Any]], Place]]:
        """Yield the samples; one whose id is repeated too."""
        with said_where(self.path, _Map, _EXPECTED), open_bytes(self.path) as stream:
            document = Document(stream, self.path, PIECE_BYTES)
            document.take(OPENED)
            for items in document.items():
                yield self._some_rows(items, plan, report)
            document.take(CLOSED)
            document.take_rest()
            decoded(document.around, _Map, self.path, _EXPECTED)

    def _some_rows(
        self, items: Items, plan: Plan, report: OnDefect
    ) -> tuple[Iterable[Mapping[str, Any]], Place]:
        first = _FIRST.match(b"{" + items.text)
        if first is not None and not items.first and _holds_columns(first):
            raise DataError(
                f"{self.path} has a list of each field, not one of samples",
                "in pandas: frame.to_json(path, orient='records')",
            )
        pairs = []
        for text in items.lines.removesuffix(b"\n").split(b"\n"):
            members: dict[str, Any] = decoded(b"{%b}" % text, _Map, self.path, _EXPECTED)
            if len(members) != 1:
                raise Malformed
            id, value = members.popitem()
            own = value.get("id", id) if isinstance(value, dict) else id
            if own == id:
                pairs.append((id, value))
            else:
                report(DataError(f"{self.path}: {id!r}: id is {own!r}, which is not its key"))
        rows = (_row(id, value, plan) for id, value in pairs)
        return rows, lambda i: f"{self.path}: {pairs[i][0]!r}"


def _holds_columns(first: re.Match[bytes]) -> bool:
    """Whether the first key is that of ids, and there are several."""
    return first[1].decode("utf-8", "replace") in IDS and first[2] in {b"[", b"{"}


def _row(id: str, value: Any, plan: Plan) -> dict[str, Any]:
    if isinstance(value, dict):
        by_stream = bool(value) and set(value) <= set(plan.streams)
        return {"id": id, "actions": value} if by_stream else {**value, "id": id}
    return {"id": id, "actions" if isinstance(value, list) else "exit": value}
