"""``flopbench audit`` where models must be counted."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from conftest import RunCli, assert_refused

HEAD = 'schema = 1\ntitle = "Mine"\nsource = "my paper"\n'


def test_table_2_is_reproduced_or_explained(run_cli: RunCli) -> None:
    """Profiled rows to the last digit but for one misprint; scaled rows off as profiles."""
    result = run_cli("audit", "arnet", "--format", "json")
    assert result.returncode == 0, result.stderr
    found = {r["id"]: r for r in json.loads(result.stdout)["results"]}
    for name in ("mobilenet_v2@84", "resnet34@168", "resnet50@224", "gumbel-per-frame"):
        assert found[name]["verdict"] == "reproduced", name
    misprint = found["resnet18@112"]
    assert misprint["recomputed_exact"] == str(Fraction(486_322_176, 10**9))
    assert misprint["off_percent"] == "-3.7"
    assert "two neighbouring digits exchanged" in misprint["reasons"][0]
    profiled = found["b3@224-profiled"]
    assert (profiled["recomputed"], profiled["off_percent"]) == ("0.961479", "+87")
    assert "scaled by area, not profiled" in profiled["reasons"][0]
    assert "FLOPs in place of MACs" in found["lstm-by-text"]["reasons"][1]
    assert found["gumbel-map"]["verdict"] == "not derivable"
    assert "needs the scores" in found["gumbel-map"]["reasons"][0]


def test_a_claim_on_the_command_line(run_cli: RunCli) -> None:
    """resnet18@64 has 1,813,561,344 / 12.25 + 512,000 MACs: 2 of 4 frames are 0.594 GFLOPs."""
    sized = run_cli("audit", "--claim", "11.7 M params", "--model", "resnet18@64", "--strict")
    assert sized.returncode == 0, sized.stderr
    assert "11,689,512 params (torch resnet18@64)" in sized.stdout
    options = ("--model", "resnet18@64", "--frames", "4", "--share", "0.5", "--format", "json")
    video = run_cli("audit", "--claim", "0.594 GFLOPS/video", *options)
    only = json.loads(video.stdout)["results"][0]
    assert only["recomputed_exact"] == str(4 * Fraction(148_557_824, 10**9))
    assert (only["verdict"], only["read_as"]) == ("reproduced", "FLOPs")
    for args, needle in (
        (("--claim", "1 GMACs"), "--claim needs --model"),
        (("--share", "0.5"), "--share: only with --claim"),
        (("--claim", "1 GMACs", "--model", "resnet18@64", "--share", "50"), "--share is '50'"),
    ):
        assert_refused(run_cli("audit", *args), needle)


def test_everything_that_ships_is_the_default(run_cli: RunCli) -> None:
    """Without arguments as with --all; some claims are off, so --strict fails."""
    result = run_cli("audit", "--all", "--strict", "--format", "csv")
    assert (result.returncode, result.stderr) == (1, "")
    assert run_cli("audit", "--format", "csv").stdout == result.stdout
    for publication in ("adaframe", "adafuse", "frameexit", "liteeval", "uniform", "videoiq"):
        assert f"\n{publication}," in "\n" + result.stdout


def test_a_model_that_does_not_exist_names_the_claim(run_cli: RunCli, tmp_path: Path) -> None:
    """Only counting finds the error, and the message still says where it is."""
    path = tmp_path / "mine.toml"
    path.write_text(
        HEAD + '[[claim]]\nid = "a"\nwhat = "w"\nprinted = "1"\nunit = "GMACs"\n'
        'model = "resnet19@224"\n'
    )
    assert_refused(run_cli("audit", "mine.toml"), "mine.toml, claim 1 ('a')", "resnet19")


def test_without_torch_the_rest_is_audited(tmp_path: Path) -> None:
    """A claim that cannot be counted is not derivable, with the reason, and the status is 3."""
    (tmp_path / "mine.toml").write_text(
        HEAD + '[[claim]]\nid = "a"\nwhat = "w"\nprinted = "1"\nunit = "GMACs"\n'
        'model = "resnet18@61"\n'
    )
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError('no torch', name='torch')\n"
        "sys.meta_path.insert(0, Block())\n"
        "import flopbench.counting.registry as c, flopbench.cli as cli\n"
        "known = c.installed_version\n"
        "c.installed_version = lambda name: None if name == 'torch' else known(name)\n"
        "sys.exit(cli.main(['audit', 'scsampler', 'mine.toml', '--format', 'csv']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 3, done.stderr
    assert "mine.toml, claim 1 ('a'): resnet18@61 could not be counted by torch" in done.stderr
    assert "torch is not installed" in done.stderr
    assert "reproduced" in done.stdout
    assert "not derivable" in done.stdout
