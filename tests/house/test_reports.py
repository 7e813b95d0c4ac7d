"""The files under ``reports/`` are what their committed commands make."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from make_reports import (
    COMMANDS,
    ENVIRONMENT,
    commands,
    copy_to,
    environment,
    outputs,
    run,
)

MEASURED = {
    "latency-amd-epyc.json",
    "latency-amd-epyc-again.json",
    "replay-amd-epyc.json",
    "policy_logs.txt",
    "scale.csv",
    "timer_agreement.txt",
    "torchvision_ops.csv",
    "frames.jsonl",
    "clips.jsonl",
    "torchvision.csv",
    "timm.csv",
    "timm-published.csv",
}
"""Timed results, of one library's release, or of real clips: made as reports/README.md says."""
OWN = {"README.md", "commands.txt", "environment.txt"}
LEARNT = (
    *("logs/", "table.json", "search.json", "training.json", "results.json"),
    *("timings.json", "overheads.json", "replay-"),
)
"""Of reports/policy_learning: what training and timing left, made as reports/README.md says."""
PEERS = "reports/peers/"
"""All of it is timed, or made from what was timed, as reports/README.md says."""


def listed() -> list[list[str]]:
    """Return the commands."""
    return commands(COMMANDS.read_text(encoding="utf-8"))


def committed() -> list[str]:
    """Return every file under reports/, from the repository's root."""
    done = subprocess.run(
        ["git", "ls-files", "reports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.splitlines()


def test_every_file_has_its_command() -> None:
    """Every file under reports/ is made by a listed command or is a timed result."""
    targets = [target for command in listed() for target in outputs(command)]
    for name in committed():
        made = any(name == target or name.startswith(f"{target}/") for target in targets)
        others = (PEERS, *(f"reports/policy_learning/{part}" for part in LEARNT))
        listed_there = name.startswith(others) or Path(name).name in MEASURED | OWN
        assert made or listed_there, f"no command makes {name}"


def test_every_kind_of_figure_is_there() -> None:
    """Each kind that ``flopbench plot`` knows is drawn among the reports."""
    from flopbench.present.kind import KINDS

    drawn = {command[2] for command in listed() if command[:2] == ["flopbench", "plot"]}
    assert drawn == set(KINDS)


def test_the_readme_names_every_measured_file() -> None:
    """Files that no listed command makes are explained in reports/README.md."""
    text = (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    for name in MEASURED:
        assert re.search(rf"`{re.escape(name)}`", text) or Path(name).stem in text, name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything that the commands read."""
    folder = tmp_path_factory.mktemp("repository")
    copy_to(folder)
    return folder


def made_by(command: list[str]) -> list[str]:
    """Return the committed files that a command makes."""
    targets = outputs(command)
    names = [n for n in committed() if any(n == t or n.startswith(f"{t}/") for t in targets)]
    return [name for name in names if Path(name).name not in MEASURED]


@pytest.mark.parametrize(
    "command", [command for command in listed() if command[0] == "flopbench"], ids=shlex.join
)
def test_the_files_are_current(command: list[str], place: Path) -> None:
    """Made again, every file has the committed bytes; under other versions the numbers agree."""
    for other in listed():
        absent = [name for name in outputs(other) if not (place / name).exists()]
        if other[0] != "flopbench" and set(absent) & set(command):
            run(other, place)  # it makes what this command reads, and is not committed
    run(command, place)
    names = made_by(command)
    assert names
    strict = environment() == ENVIRONMENT.read_text(encoding="utf-8")
    stale = [
        name
        for name in names
        if strict or name.endswith(".csv")
        if (place / name).read_bytes() != (ROOT / name).read_bytes()
    ]
    assert not stale, "tox -e reports makes these files otherwise now: " + ", ".join(stale)


def test_no_other_command_makes_a_committed_file() -> None:
    """Commands other than ``flopbench`` make what the others read, and nothing else."""
    for command in listed():
        if command[0] != "flopbench":
            assert not made_by(command)
