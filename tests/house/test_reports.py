"""The files under ``reports/`` are what their committed commands make."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from make_reports import COMMANDS, ENVIRONMENT, commands, environment, outputs

MEASURED = {
    "latency-amd-epyc.json",
    "latency-amd-epyc-again.json",
    "replay-amd-epyc.json",
    "policy_logs.txt",
    "timer_agreement.txt",
    "torchvision_ops.csv",
}
"""What a clock measured, or what one library's release fixes: made as reports/README.md says."""
OWN = {"README.md", "commands.txt", "environment.txt"}


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
    """No file lies under reports/ that neither a command nor a clock made."""
    targets = [target for command in listed() for target in outputs(command)]
    for name in committed():
        made = any(name == target or name.startswith(f"{target}/") for target in targets)
        assert made or Path(name).name in MEASURED | OWN, f"no command of the list makes {name}"


def test_every_kind_of_figure_is_there() -> None:
    """Each kind that ``flopbench plot`` knows is drawn among the reports."""
    from flopbench.cli.plots import KINDS

    drawn = {command[2] for command in listed() if command[:2] == ["flopbench", "plot"]}
    assert drawn == {kind.NAME for kind in KINDS}


def test_the_readme_names_every_measured_file() -> None:
    """What no command of the list makes is explained in reports/README.md."""
    text = (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    for name in MEASURED:
        assert re.search(rf"`{re.escape(name)}`", text) or Path(name).stem in text, name


@pytest.mark.slow
def test_the_files_are_current(tmp_path: Path) -> None:
    """Made again, every file has the committed bytes; under other versions the numbers agree."""
    script = ROOT / "benchmarks" / "make_reports.py"
    done = subprocess.run(
        [sys.executable, str(script), "--into", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    strict = environment() == ENVIRONMENT.read_text(encoding="utf-8")
    stale = []
    for name in committed():
        if Path(name).name in MEASURED or not (strict or name.endswith(".csv")):
            continue
        if (tmp_path / name).read_bytes() != (ROOT / name).read_bytes():
            stale.append(name)
    assert not stale, "tox -e reports makes these files otherwise now: " + ", ".join(stale)
