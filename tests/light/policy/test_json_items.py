"""A JSON document in pieces: every item is cut where it ends, whatever the pieces are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from flopbench.policy.forms.json_form import CLOSED, OPENED
from flopbench.policy.forms.json_items import Document, Malformed
from flopbench.policy.log import check_log, count_log, open_log

HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "actions": [{"name": "run", "costs": {"net": 1}}, {"name": "skip", "kind": "skip", "span": 2}],
    "components": {"net": 'value:1000000000 "round"'},
}
ITEMS: list[Any] = [
    {"id": "a, }] {[", "actions": [0, 1, 1]},
    {"id": 'quotes " \\ and \\" more', "extra": {"n": [[1, {"x": ","}], []]}},
    {"id": "\u00e9\u20ac\\u0022", "b": {}},
    3,
    "text, with [brackets",
    None,
    [],
]
LAYOUTS = {
    "as Python writes it": json.dumps(ITEMS),
    "compact": json.dumps(ITEMS, separators=(",", ":"), ensure_ascii=False),
    "indented": json.dumps(ITEMS, indent=2),
    "an item a line": "[\n" + ",\n".join(map(json.dumps, ITEMS)) + "\n]\n",
    "commas in front": "[\r\n  " + "\r\n, ".join(map(json.dumps, ITEMS)) + "]",
    "objects within": '[{"a": 1}, {"a": 2, "x": [{"a": 1}, {"a": 2}]}, {"id": "}, {"}, {"a": 3}]',
    "empty": " [ \n ] ",
}


def lines_of_items(text: str) -> list[int]:
    """Return the line of each item by Python's decoder."""
    lines, at = [], text.index("[") + 1
    while text[at:].strip(" ,\r\n") != "]":
        at += len(text[at:]) - len(text[at:].lstrip(" ,\r\n"))
        lines.append(1 + text.count("\n", 0, at))
        at = json.JSONDecoder().raw_decode(text, at)[1]
    return lines


@pytest.mark.parametrize("name", LAYOUTS)
def test_items_are_cut_where_they_end(name: str) -> None:
    """Read 1, 2, 5 or 64 bytes at once, or whole: the items of Python, each on its own line."""
    text = LAYOUTS[name]
    for size in (1, 2, 5, 64, 1 << 20):
        document = Document(io.BytesIO(text.encode()), Path("run.json"), size)
        document.take(OPENED)
        found: list[Any] = []
        places: list[int] = []
        for items in document.items():
            assert items.first == len(found)
            *lines, end = items.lines.split(b"\n")
            assert (end, len(lines)) == (b"", items.n)
            found += map(json.loads, lines)
            places += map(items.line_of, range(items.n))
        document.take(CLOSED)
        document.take_rest()
        assert (found, places) == (json.loads(text), lines_of_items(text))
        assert json.loads(document.around) == []


def decode_items(text: str, size: int) -> None:
    """Decode every item of a list that is read in pieces."""
    document = Document(io.BytesIO(text.encode()), Path("run.json"), size)
    document.take(OPENED)
    for items in document.items():
        for line in items.lines.removesuffix(b"\n").split(b"\n"):
            json.loads(line)


@pytest.mark.parametrize(
    "text", ["[1,", "[1", '["a, 2]', "[{]}", "[1, 2,]", "[,1]", "[1\n2]", '["a\n"]', "[" * 300]
)
def test_what_has_no_end_is_malformed(text: str) -> None:
    """An end or an item that is missing, a line end within a text, too many brackets."""
    for size in (1, 1 << 20):
        with pytest.raises((Malformed, ValueError)):
            decode_items(text, size)


def document_of(samples: list[str], *, header_first: bool, between: str) -> str:
    """Return a log as one object."""
    parts = [f'"header": {json.dumps(HEADER)}', f'"samples": [{between.join(samples)}]']
    return "{" + ", ".join(parts if header_first else parts[::-1]) + "}"


@pytest.mark.parametrize("header_first", [True, False])
@pytest.mark.parametrize("between", [",", ",\n", "\n , "])
def test_a_document_counts_as_its_lines_do(
    tmp_path: Path, header_first: bool, between: str
) -> None:
    """Header in front or behind, 20,000 samples in several pieces: 3 frames, 2 decisions each."""
    samples = [
        f'{{"id": "v{n}", "labels": [{n % 7}], "actions": [0, 1, 1]}}' for n in range(20_000)
    ]
    path = tmp_path / "run.json"
    path.write_text(document_of(samples, header_first=header_first, between=between))
    (tmp_path / "run.jsonl").write_text("\n".join([json.dumps(HEADER), *samples]) + "\n")
    one, other = (count_log(open_log([tmp_path / f"run.{form}"])) for form in ("json", "jsonl"))
    assert list(one.totals().frames) == [20_000, 40_000]
    assert list(one.totals().decisions) == [20_000, 20_000]
    assert (one.label_codes == other.label_codes).all()
    assert one.first_ids == other.first_ids


def test_each_defect_has_its_place(tmp_path: Path) -> None:
    """By line and number, deep in the file; what follows is checked, too."""
    samples = [f'{{"id": "v{n}",\n "actions": [0, 1, 1]}}' for n in range(2_200)]
    samples[2_100] = '{"id": "x",\n "actions": [0, 5, 1]}'
    samples[2_150] = '{"id": "y",\n "action": [0, 1, 1]}'
    path = tmp_path / "run.json"
    path.write_text(document_of(samples, header_first=True, between=",\n"))
    defects, _, _ = check_log(open_log([path]))
    assert [str(defect).partition(":")[2].partition("\n")[0] for defect in defects] == [
        "4201, sample 2101: actions[1] is 5, but this log has ids 0 to 1",
        "4301, sample 2151: unknown field 'action'",
    ]
