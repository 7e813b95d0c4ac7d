"""Names from files on the terminal and in documents: no control characters, no markup, no new line.

Each verb gets a log, claims and timings whose every text has escape codes in it.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, RunCli
from screens import screen_of
from sweeps import each

from flopbench.cli.common import Bar
from flopbench.core.errors import complain

NASTY = "a\x1b[31m\x9b2J\u202eb\r<b>[/x]|$\\input{x}"
SPEC = "resnet18@112,classes=200"


def nasty(value: Any) -> Any:
    """Return a value of JSON in which each name of a machine is hostile."""
    if isinstance(value, dict):
        hostile = {"cpu.model": NASTY, "notes": [NASTY]}
        return {k: hostile[k] if k in hostile else nasty(v) for k, v in value.items()}
    return [nasty(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A log, one of code, one with defects, claims, timings."""
    row = {"model": NASTY, "counter": "torch", "total_macs": 5, "dense_macs": 5, "spec": SPEC}
    header = {
        "method": NASTY,
        "dataset": NASTY,
        "class_names": [NASTY, f"{NASTY}2"],
        "metrics": {NASTY: 1.0},
        "components": {NASTY: [{**row, "status": "verified"}], f"{NASTY}c": "value:7"},
        "actions": [{"name": NASTY, "costs": {NASTY: 1}}, {"name": "x", "costs": {f"{NASTY}c": 1}}],
    }
    samples = [
        {"id": f"{NASTY}{n}", "labels": [n % 2], "actions": [0, n % 2], "extra": {NASTY: NASTY}}
        for n in range(4)
    ]
    code = {**header, "components": {NASTY: f"n.py:f,x='{NASTY}'", f"{NASTY}c": "value:7"}}
    defects = [{"id": NASTY, "actions": [f"{NASTY}?"]}, {NASTY: 1}]
    nets = {NASTY: SPEC, f"{NASTY}c": "mobilenet_v2@84,classes=200"}
    timed = {**header, "components": nets}
    logs = {
        "log": [header, *samples],
        "timed": [timed, *samples],
        "code": [code, *samples],
        "defects": [header, *defects],
    }
    for name, lines in logs.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    claim = f"id = {json.dumps(NASTY)}\nwhat = 'w'\nprinted = '1'\nunit = 'GFLOPS'\ncounts = {{}}\n"
    (tmp_path / "claims.toml").write_text(f"[[claim]]\n{claim}", encoding="utf-8")
    rows = [{**row, "status": "verified", "spec": spec} for spec in nets.values()]
    table = {"kind": "flopbench.cost-table", "schema": 1, "rows": rows}
    (tmp_path / "table.json").write_text(json.dumps(table), encoding="utf-8")
    times = nasty(json.loads((ROOT / "tests/data/timings.json").read_text(encoding="utf-8")))
    (tmp_path / "times.json").write_text(json.dumps(times), encoding="utf-8")
    return tmp_path


PRICED = ["estimate", "timed.jsonl", "--table", "table.json", "--times", "times.json"]
RUNS: tuple[tuple[list[str], int], ...] = (
    (["estimate", "log.jsonl", "--by", "class"], 0),
    ([*PRICED, "--notes"], 0),
    (["table", "--from", "table.json"], 0),
    (["estimate", "log.jsonl", "--cluster", NASTY], 0),
    (["compare", "log.jsonl", "--random"], 0),
    (["log", "head", "log.jsonl"], 0),
    (["log", "validate", "log.jsonl"], 0),
    (["log", "convert", "log.jsonl", "--random", "-o", "names.csv"], 0),
    (["latency", "--from", "times.json", "--notes"], 0),
    (["log", "validate", "defects.jsonl"], 2),
    (["estimate", "defects.jsonl"], 2),
    (["estimate", "code.jsonl"], 2),
    (["estimate", "log.jsonl", "--component", f"{NASTY}?=value:1"], 2),
    (["estimate", "log.jsonl", "--counter", NASTY], 2),
    (["estimate", "log.jsonl", f"--{NASTY}"], 2),
    (["estimate", NASTY], 2),
    (["audit", "claims.toml"], 2),
    (["table", "--from", NASTY], 2),
    ([NASTY], 2),
)


def test_a_name_steers_no_terminal(run_cli: RunCli, files: Path) -> None:
    """Results, warnings and errors hold printable characters and line ends only."""

    def check(args: list[str], status: int) -> None:
        done = run_cli(*args, cwd=files)
        assert done.returncode == status, done.stderr
        for text in (done.stdout, done.stderr):
            assert {c for c in text if not c.isprintable()} <= {"\n", "\xa0"}, text
            assert "Traceback" not in text

    each(RUNS, check)


def test_a_name_is_no_markup(run_cli: RunCli, files: Path) -> None:
    """Markdown, LaTeX and JSON of what was added last: times as prices, a random policy."""
    for args in (PRICED, ["compare", "log.jsonl", "--random"]):
        made = [[*args, "--format", form] for form in ("markdown", "latex", "json")]
        markdown, latex, data = (run_cli(*words, cwd=files).stdout for words in made)
        assert "<b>" not in re.sub(r"\\<b>", "", markdown)
        assert re.search(r"(?<!\\)\|\$", markdown) is None
        shown = [line for line in latex.split("\n") if not line.startswith("%")]
        assert r"\input" not in "\n".join(shown).replace(r"\textbackslash{}input", "")
        assert "\r" not in latex
        assert json.loads(data)
        assert NASTY not in html.unescape(markdown)


def test_a_name_is_no_markup_of_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich would fail at ``[/x]``, and pass escape codes on."""
    screen = screen_of(200, monkeypatch)
    monkeypatch.setattr("sys.stderr", screen)
    bar = Bar("counting")
    bar.show()
    bar(0, 2, NASTY)
    bar.close()
    assert "[/x]" in screen.getvalue()
    assert "\x9b" not in screen.getvalue()


def test_an_error_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The way out has a line of its own; what else controls a terminal becomes a space."""
    complain("error: a\x1bb\n  try c\r")
    assert capsys.readouterr().err == "flopbench: error: a b\n  try c \n"
