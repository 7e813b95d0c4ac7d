"""The file of ``flopbench explain``: written, read back, refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from records import gap, op, profile

from flopbench.agreement import judge
from flopbench.errors import DataError, InputError
from flopbench.offline import Explanation
from flopbench.profiles import KIND, dumps, load


def explanation() -> Explanation:
    """Return what two counters say of a small net."""
    profiles = (
        profile("torch", op("stem", "conv", 1000), op("head", "linear", 40)),
        profile("thop", op("stem", "conv", 1000), gaps=(gap("module", "Head", "head"),)),
    )
    return Explanation(
        profiles=profiles,
        verdicts=judge(profiles),
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
    """Return the file's text with top-level fields replaced; None takes a field out."""
    data = {**json.loads(dumps(explanation())), **fields}
    return json.dumps({key: value for key, value in data.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        (change(kind="flopbench.timings"), "is not a flopbench profiles file"),
        (change(schema=2), "has schema 2"),
        (change(profiles=None), "is not a flopbench profiles file: KeyError"),
        (change(profiles=[]), "holds no profile"),
        (change(profiles=[{"spec": "x"}]), "not a cost profile"),
        (change(verdicts={"torch": {"state": "x"}}), "is not a flopbench profiles file"),
        (change(failures=[1]), "is not a flopbench profiles file"),
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
