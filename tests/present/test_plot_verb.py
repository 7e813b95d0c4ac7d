"""The verb ``plot`` whatever the kind: what it never writes over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, RunCli, assert_refused

pytest.importorskip("matplotlib")

from flopbench.cli import main
from flopbench.core.errors import EXIT_INPUT, EXIT_OK

DATA = ROOT / "tests" / "data"


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("usage log.jsonl -o x.svg --data log.jsonl", "log.jsonl"),
        ("usage log*.jsonl -o x.svg --data log.jsonl", "log.jsonl"),
        ("usage log.jsonl -o link.svg", "log.jsonl"),
        ("cost log.jsonl --table table.svg -o table.svg", "table.svg"),
        ("tradeoff points.csv -o x.svg --data points.csv", "points.csv"),
    ],
)
def test_what_is_read_is_not_written_over(
    command: str,
    read: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An output that is an input is refused before anything is written; the input stays."""
    shutil.copy(DATA / "steady.jsonl", tmp_path / "log.jsonl")
    shutil.copy(DATA / "table-schema1.json", tmp_path / "table.svg")
    (tmp_path / "points.csv").write_text("approach,metric,percent,gflops_per_video\na,mAP,7,1\n")
    (tmp_path / "link.svg").symlink_to("log.jsonl")
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / read).read_bytes()
    assert main(["plot", *command.split()]) == EXIT_INPUT
    assert f"would overwrite {read}, which is an input" in capsys.readouterr().err
    assert (tmp_path / read).read_bytes() == before
    assert not (tmp_path / "x.svg").exists()


def test_figure_and_numbers_are_two_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figure does not replace the numbers; into two files both are written."""
    log, figure, data = str(DATA / "steady.jsonl"), tmp_path / "x.svg", tmp_path / "x.csv"
    assert main(["plot", "usage", log, "-o", str(figure), "--data", str(figure)]) == EXIT_INPUT
    assert "-o and --data are the same file" in capsys.readouterr().err
    assert not figure.exists()
    assert main(["plot", "usage", log, "-o", str(figure), "--data", str(data)]) == EXIT_OK
    assert figure.read_bytes().startswith(b"<?xml")
    assert data.read_text().startswith("run,")


def test_what_extends_beyond_the_edge_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text too large for the width is cut off by the file, and a warning says so."""
    command = ["plot", "usage", str(DATA / "steady.jsonl"), "-o", str(tmp_path / "x.svg")]
    assert main([*command, "--font-size", "40"]) == EXIT_OK
    assert "beyond the figure's edge and is cut off" in capsys.readouterr().err
    assert main(command) == EXIT_OK
    assert "edge" not in capsys.readouterr().err


def test_a_backend_that_does_not_exist_is_told(run_cli: RunCli) -> None:
    """No figure needs matplotlib's backend, but matplotlib does not start with a wrong one."""
    log = str(DATA / "steady.jsonl")
    command = ("plot", "usage", log, "-o", "x.svg")
    result = run_cli(*command, env={"MPLBACKEND": "nonsense"}, process=True)
    assert_refused(result, "matplotlib does not start", "nonsense", "MPLBACKEND")
