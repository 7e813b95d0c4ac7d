"""The file of ``flopbench explain``: written, read back, refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from records import gap, op, profile

from flopbench.core.errors import DataError, InputError
from flopbench.counting.agreement import judge_counters
from flopbench.counting.profiles_file import KIND, dumps, load
from flopbench.counting.run import Explanation


def explanation() -> Explanation:
    """Return the profiles of a small net under two counters."""
    profiles = (
        profile("torch", op("stem", "conv", 1000), op("head", "linear", 40)),
        profile("thop", op("stem", "conv", 1000), gaps=(gap("module", "Head", "head"),)),
    )
    return Explanation(
        profiles=profiles,
        verdicts=judge_counters(profiles),
        failures={"fvcore": "no such operator"},
        published=("published 0.1: reproduced",),
    )


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read back, and the same explanation gives the same bytes."""
    path = tmp_path / "p.json"
    path.write_text(dumps(explanation()), encoding="utf-8")
    assert load(path) == explanation()
    assert dumps(load(path)) == path.read_text(encoding="utf-8")


def change(**fields: Any) -> str:
    """Return the file's text with top-level fields replaced; None removes a field."""
    data = {**json.loads(dumps(explanation())), **fields}
    return json.dumps({key: value for key, value in data.items() if value is not None})


def change_operator(**fields: Any) -> str:
    """Return the file's text with other fields of the first operator."""
    operators = [{**FIRST["operators"][0], **fields}, *FIRST["operators"][1:]]
    return change(profiles=[{**FIRST, "operators": operators}])


COUNT = "where a whole number of at least 0"
FIRST = json.loads(dumps(explanation()))["profiles"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        (change(kind="flopbench.timings"), "is not a flopbench profiles file"),
        (change(schema=2), "has schema 2"),
        (change(profiles=None), "'profiles' is missing"),
        (change(profiles=[]), "holds no profile"),
        (change(profiles=[{"spec": "x"}]), r"profiles\[0\]\.model is missing"),
        (change(verdicts={"torch": {"state": "x"}}), r"verdicts\.torch\.state is an unknown key"),
        (change(verdicts={"torch": {"status": [1]}}), r"torch\.status is a list where 'disputed'"),
        (change(verdicts={"torch": {"status": "fine"}}), r"torch\.status is 'fine' where '"),
        (change(failures=[1]), "'failures' is a list where an object was expected"),
        (change(failures={"thop": 1}), r"failures\.thop is 1 where text was expected"),
        (change(published="text"), "'published' is 'text' where a list was expected"),
        (
            change(profiles=[{**FIRST, "params": "many"}]),
            rf"profiles\[0\]\.params is 'many' {COUNT}",
        ),
        (change_operator(calls="two"), rf"profiles\[0\]\.operators\[0\]\.calls is 'two' {COUNT}"),
        (change_operator(family=1), r"profiles\[0\]\.operators\[0\]\.family is 1 where text"),
        (change(profiles=[FIRST, FIRST]), r"profiles\[1\]: the counter 'torch' appears twice"),
        (
            change(profiles=[FIRST, {**FIRST, "counter": "thop", "spec": "other"}]),
            r"profiles\[1\].spec is 'other' where .* was expected, as in profiles",
        ),
        (change(profiles=[{**FIRST, "total": 1}]), r"profiles\[0\].total is 1, but its operators"),
        (change(profiles=[{**FIRST, "dense_macs": 7}]), "dense_macs is 7, but its operators add"),
        (change_operator(dense_macs=-1), rf"operators\[0\]\.dense_macs is -1 {COUNT}"),
        (change(profiles=[{**FIRST, "params": -1}]), rf"profiles\[0\]\.params is -1 {COUNT}"),
        (change(profiles=[{**FIRST, "versions": "x"}]), "versions is 'x' where an object was exp"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    """A damaged file is one message that names it."""
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        load(path)
    assert str(path) in error.value.message


def test_missing_file(tmp_path: Path) -> None:
    """No such file is an input error."""
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "p.json")
    assert KIND == "flopbench.profiles"
