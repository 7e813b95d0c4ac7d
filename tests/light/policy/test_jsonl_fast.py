"""Lines read as arrays of bytes: what the decoder reads, and no other line is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flopbench.core.errors import DataError
from flopbench.policy.forms.base import Options
from flopbench.policy.forms.jsonl_fast import plain_block
from flopbench.policy.log import count_log, open_log
from flopbench.policy.names import hashes_of

HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "actions": [{"name": "run", "costs": {"net": 1}}, {"name": "skip", "kind": "skip", "span": 2}],
    "components": {"net": 'value:1000000000 "round"'},
}
SIZE = 2

A = '{"id":"v1","labels":[3],"actions":[0,1,1]}'
B = '{"id":"video 22","labels":[14],"actions":[1,1,0]}'
PLAIN = {
    "labels before": (A, B),
    "labels after": (
        '{"id":"v1","actions":[0,1,1],"labels":[3]}',
        '{"id":"w","actions":[1,1,1],"labels":[102]}',
    ),
    "no labels": ('{"id":"","actions":[0,1,1]}', '{"id":"longer than a word","actions":[0,0,0]}'),
    "blanks": (
        '{"id": "a", "labels": [0], "actions": [0, 1]}',
        '{"id": "b", "labels": [7], "actions": [1, 0]}',
    ),
}


def block_of_lines(lines: tuple[str, ...]) -> Any:
    """Return the block of some lines, None where they are not plain."""
    piece = "".join(f"{line}\n" for line in lines).encode()
    return plain_block(piece, len(lines), SIZE, str, ("id",), 0)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_lines_are_read_as_the_decoder_reads_them(name: str) -> None:
    """Ids, decisions, labels and hashes."""
    block = block_of_lines(PLAIN[name])
    samples = list(map(json.loads, PLAIN[name]))
    assert block.ids == [sample["id"] for sample in samples]
    assert block.codes.tolist() == [code for sample in samples for code in sample["actions"]]
    assert block.lengths.tolist() == [len(sample["actions"]) for sample in samples]
    labels = [sample.get("labels", []) for sample in samples]
    assert list(block.labels) == [label for own in labels for label in own]
    assert block.label_lengths.tolist() == list(map(len, labels))
    assert block.hashes.tolist() == hashes_of(block.ids).tolist()


ODD = {
    "a quote in the id": B.replace("22", '\\"22'),
    "an escape": B.replace("22", "\\u0031"),
    "another alphabet": B.replace("22", "é"),
    "a control character": B.replace("22", "\t"),
    "a leading zero": B.replace("14", "014"),
    "no label": B.replace("14", ""),
    "two labels": B.replace("14", "1,4"),
    "a label with a sign": B.replace("14", "-4"),
    "a label of a name": B.replace("14", '"x"'),
    "a huge label": B.replace("14", "1" * 10),
    "a decision more": B.replace("1,1,0", "1,1,0,0"),
    "a decision that is not there": B.replace("1,1,0", "1,2,0"),
    "a decision of two digits": B.replace("1,1,0", "1,10"),
    "a decision below 0": B.replace("1,1,0", "1,/,0"),
    "a blank": B.replace(',"actions"', ', "actions"'),
    "another field": B.replace('"labels"', '"labelz"'),
    "a line end of Windows": B + "\r",
    "a field more": B.replace("{", '{"steps":3,'),
    "an empty line": "",
    "a line end within a line": B.replace(',"act', ',\n"act'),
    "cut off": B[:-1],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("first", [False, True])
def test_a_line_of_any_other_kind_is_left_to_the_decoder(name: str, first: bool) -> None:
    """Wherever it stands."""
    lines = (ODD[name], A) if first else (A, ODD[name])
    assert block_of_lines(lines) is None


SCORES = {
    "[0.25, -1e-5, 3]": "",
    "null": "",
    "[]": "",
    "[1e99]": "",
    '[0.5, "x"]': "scores[1]: expected 'float', got 'str'",
    "[[1]]": "scores[0]: expected 'float', got 'array'",
    "0.5": "scores: expected 'array",
    "[null]": "scores[0]: expected 'float', got 'null'",
    "[1e999]": "out of range",
    f"[1{'0' * 400}]": "out of range",
    "[01.5]": "invalid number",
}


@pytest.mark.parametrize("scores", SCORES)
def test_scores_that_nobody_reads_are_checked(tmp_path: Path, scores: str) -> None:
    """They stay text; the message is the exact reader's."""
    path = tmp_path / "run.jsonl"
    other = '{"id":"v2","scores":[1],"actions":[0,1,1]}'
    line = other.replace("[1]", scores).replace("v2", "v3")
    path.write_text(f"{json.dumps(HEADER)}\n{other}\n{line}\n", "utf-8")
    if not SCORES[scores]:
        assert count_log(open_log([path])).records == 2
        return
    said = []
    for exact in (False, True):
        with pytest.raises(DataError) as caught:
            count_log(open_log([path], options=Options(exact=exact)))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"{path}:3")
    assert SCORES[scores] in said[0]


def test_a_name_is_found_again_among_lines_of_another_kind(tmp_path: Path) -> None:
    """One shard is read as arrays, the other by the decoder: their hashes are the same."""
    other = json.loads(B) | {"id": "v1", "steps": 3}
    for rank, line in enumerate((A, json.dumps(other))):
        path = tmp_path / f"run.rank{rank}-of-2.jsonl"
        path.write_text(f"{json.dumps(HEADER)}\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=r"rank1-of-2.jsonl:2: id: 'v1' already appeared"):
        count_log(open_log([tmp_path / "run.jsonl"]))


def test_hashes_tell_names_apart_whatever_stands_beside_them() -> None:
    """Names of one word, of several, and beginnings of each other."""
    names = [f"v{n}" for n in range(20_000)] + ["x" * n for n in range(50)] + ["é" * 9, "\udc80"]
    hashes = hashes_of(names)
    assert len(np.unique(hashes)) == len(names)
    assert [int(hashes_of([name])[0]) for name in names[-60:]] == hashes[-60:].tolist()
