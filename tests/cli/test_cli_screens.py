"""Every verb on terminals of several widths: nothing too wide, nothing that ends in spaces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import ROOT
from screens import assert_fits, screen_of

from flopbench.cli import main

LOGS = ["tests/data/selective.jsonl", "tests/data/steady.jsonl"]
PRICES = ["--table", "reports/table2.json"]
QUICK = ["--resamples", "50"]
TIMES = ["reports/latency-amd-epyc.json", "reports/latency-amd-epyc-again.json"]
COMMANDS = {
    "table": ["table", "--from", "reports/table2.json"],
    "explain": ["explain", "lstm:64x32"],
    "audit": ["audit", "uniform", "scsampler", "adaframe"],
    "estimate": ["estimate", LOGS[0], *PRICES, "--by", "class", *QUICK],
    "compare": ["compare", *LOGS, *PRICES, *QUICK],
    "compare times": ["compare", *TIMES],
    "latency": ["latency", "--from", *TIMES],
    "replay": ["replay", "--from", "reports/replay-amd-epyc.json"],
    "counters": ["counters"],
}
DECISIVE = {
    "table": "status",
    "audit": "verdict",
    "compare times": "B is",
    "latency": "verdict",
    "replay": "measured",
}
"""The column that a reader came for stays, however narrow the terminal is."""


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_verb_fits_the_terminal(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one line says how many notes there are; what was left out is named."""
    if name == "compare":
        pytest.importorskip("sklearn")
    monkeypatch.chdir(Path(ROOT))
    screen = screen_of(width, monkeypatch)
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(COMMANDS[name]) == 0
    monkeypatch.undo()
    assert_fits(screen.lines, width)
    assert sum(line.endswith(": --notes") for line in screen.lines) <= 1
    if name in DECISIVE:
        assert any(DECISIVE[name] in line.split("  ") for line in screen.lines)


def test_notes_that_restate_a_column_wait_for_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spread of a row is beside it: the reason of ``noisy`` is there with ``--notes``."""
    texts = {}
    for options in ((), ("--notes",)):
        screen = screen_of(100, monkeypatch)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.chdir(Path(ROOT))
        assert main(["latency", "--from", TIMES[0], *options]) == 0
        monkeypatch.undo()
        texts[options] = "\n".join(screen.lines)
    assert "processes differ" not in texts[()]
    assert "noisy [" not in texts[()]
    assert texts[()].endswith("\n10 notes: --notes")  # 6 reasons, 4 lines of the caption
    assert texts[("--notes",)].count("processes differ") == 6
