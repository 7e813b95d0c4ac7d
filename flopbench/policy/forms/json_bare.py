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
from flopbench.policy.forms.json_form import CLOSED, OPENED, JsonReader
from flopbench.policy.forms.json_items import Document, Items, Malformed
from flopbench.policy.forms.raw import without_packing
from flopbench.policy.header import Header
from flopbench.policy.plan import Plan
from flopbench.policy.samples import FIELDS, IDS, SYNONYMS, OnDefect

OURS = {"header", "samples", "kind", "schema"} | {*FIELDS, *SYNONYMS, *Header.__struct_fields__}
"""Keys that no video is called: one of them first, and the object is something else."""
_FIRST = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"\s*:\s*([\[{"0-9])')


class ListReader(JsonReader):
    """A list of samples."""

    whole: Any = list
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
            if not items.first:
                self._check_first(items.text)
            yield items
        document.take(CLOSED)
        document.take_rest()
        self._decoded(document.around, self.whole)

    def _check_first(self, text: bytes) -> None:
        if text.lstrip()[:1] == b"[":
            raise DataError(
                f"{self.path} holds lists, which have no ids",
                f"expected {MapReader.expected} or {self.expected}",
            )


class MapReader(ListReader):
    """Samples by their ids; an id is a sample's place."""

    whole = dict
    expected = '{"v1": [...], ...}'
    samples = Reader.samples
    blocks = Reader.blocks

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

    def rows(
        self, plan: Plan, report: OnDefect
    ) -> Iterator[tuple[Iterable[Mapping[str, Any]], Place]]:
        """Yield the samples; one whose id is repeated too."""
        with self._said_where():
            for lines, _, _ in self._pieces():
                pairs = [*self._pairs(lines, report)]
                rows = [_row(id, value, plan) for id, value in pairs]
                yield rows, lambda i, pairs=pairs: f"{self.path}: {pairs[i][0]!r}"  # type: ignore[misc]

    def _check_first(self, text: bytes) -> None:
        first = _FIRST.match(b"{" + text)
        if first is not None and _holds_columns(first):
            raise DataError(
                f"{self.path} has a list of each field, not one of samples",
                "in pandas: frame.to_json(path, orient='records')",
            )

    def _pairs(self, lines: bytes, report: OnDefect) -> Iterator[tuple[str, Any]]:
        """Yield ids and what the object has under them."""
        for line in lines.removesuffix(b"\n").split(b"\n"):
            member = self._decoded(b"{%b}" % line, dict[str, Any])
            if not member:
                raise Malformed
            ((id, value),) = member.items()
            own = value.get("id", id) if isinstance(value, dict) else id
            if own == id:
                yield id, value
            else:
                report(DataError(f"{self.path}: {id!r}: id is {own!r}, which is not its key"))


def _holds_columns(first: re.Match[bytes]) -> bool:
    """Whether the first key is that of ids, and there are several."""
    return first[1].decode("utf-8", "replace") in IDS and first[2] in {b"[", b"{"}


def _row(id: str, value: Any, plan: Plan) -> dict[str, Any]:
    if isinstance(value, dict):
        by_stream = bool(value) and set(value) <= set(plan.streams)
        return {"id": id, "actions": value} if by_stream else {**value, "id": id}
    return {"id": id, "actions" if isinstance(value, list) else "exit": value}
