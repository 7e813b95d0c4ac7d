"""Two processes at once on one configuration or baseline: only one of them writes it.

The model's own factory does, while it is counted, what the other process would do meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from conftest import RunCli, assert_refused

BASELINE = Path(".flopbench/baseline.json")
NETS = """\
from pathlib import Path

from torch import nn


def build():
    {meanwhile}
    return nn.Conv2d(3, {width}, 3)
"""


def write_nets(folder: Path, width: int, meanwhile: str = "pass") -> None:
    """Write the module of the model, whose factory does something besides."""
    (folder / "nets.py").write_text(NETS.format(width=width, meanwhile=meanwhile))


def test_the_second_of_two_inits_is_refused(tmp_path: Path, run_cli: RunCli) -> None:
    """Configuration and baseline are those of the first; nothing of the second is written."""
    write_nets(tmp_path, 8, "Path('flopbench.toml').write_text(\"# the other's\\n\")")
    done = run_cli("init")
    assert_refused(done, "flopbench.toml already holds a configuration")
    assert (tmp_path / "flopbench.toml").read_text() == "# the other's\n"
    assert not (tmp_path / BASELINE).exists()


def test_the_second_of_two_accepts_is_refused(tmp_path: Path, run_cli: RunCli) -> None:
    """What the first accepted stays: the second measured against another baseline."""
    write_nets(tmp_path, 8)
    assert run_cli("init").returncode == 0
    other = (tmp_path / BASELINE).read_text() + "\n"
    write_nets(tmp_path, 16, f"Path('{BASELINE}').open('a').write('\\n')")
    done = run_cli("accept", "--all", "--reason", "new", "--in-ci")
    assert_refused(done, "changed while this measured, so nothing was accepted")
    assert (tmp_path / BASELINE).read_text().rstrip() == other.rstrip()
