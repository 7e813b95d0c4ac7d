"""Two processes at once on one configuration or baseline: only one of them writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flopbench.check import entry_costs
from flopbench.cli import main

HEADER = {
    "format": "flopbench.policy-log",
    "version": 1,
    "actions": [{"name": "run", "costs": {"net": 1}}, {"name": "skip", "kind": "skip"}],
    "components": {"net": 'value:1000000000 "round"'},
}
BASELINE = Path(".flopbench/baseline.json")


@pytest.fixture
def meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], None]:
    """Work in a folder with a log; what is given happens while entries are measured."""
    monkeypatch.chdir(tmp_path)
    lines = (HEADER, {"id": "a", "actions": [0, 1]})
    Path("run.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    measure = entry_costs.measure_entries

    def patch(other: Callable[[], object]) -> None:
        def measured(*args: Any, **kwargs: Any) -> Any:
            other()
            return measure(*args, **kwargs)

        monkeypatch.setattr(entry_costs, "measure_entries", measured)

    return patch


def test_the_second_of_two_inits_is_refused(
    meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Configuration and baseline are those of the first; nothing of the second is written."""
    meanwhile(lambda: Path("flopbench.toml").write_text("# the other's\n"))
    assert main(["init", "run.jsonl"]) == 2
    assert "flopbench.toml already holds a configuration" in capsys.readouterr().err
    assert Path("flopbench.toml").read_text() == "# the other's\n"
    assert not BASELINE.exists()


def test_the_second_of_two_accepts_is_refused(
    meanwhile: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """What the first accepted stays: the second measured against another baseline."""
    assert main(["init", "run.jsonl"]) == 0
    other = BASELINE.read_text() + "\n"
    meanwhile(lambda: BASELINE.write_text(other))
    assert main(["accept", "--all", "--reason", "new", "--in-ci"]) == 2
    assert "changed while this measured, so nothing was accepted" in capsys.readouterr().err
    assert BASELINE.read_text() == other
