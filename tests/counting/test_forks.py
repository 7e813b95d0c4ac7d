"""A fork that owns the name of a counter's library: who is said to count, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from importlib import util
from pathlib import Path

import pytest
from conftest import ROOT, RunCli

pytest.importorskip("torchvision")
pytest.importorskip("thop")
pytest.importorskip("fvcore")

NEWER = '''
_theirs = profile


def profile(model, inputs, custom_ops=None, verbose=True):
    """Price subclasses of layers, too."""
    priced = type(model).__bases__ == (nn.Linear,)
    return (1.0, 0.0) if priced else _theirs(model, inputs, custom_ops, verbose)
'''


def forked(folder: Path, *, name: str | None = "ultralytics-thop", more: str = "") -> Path:
    """Copy the installed THOP, under the metadata of another distribution."""
    found = util.find_spec("thop")
    assert found is not None
    assert found.origin is not None
    shutil.copytree(Path(found.origin).parent, folder / "thop")
    with (folder / "thop" / "profile.py").open("a") as file:
        file.write(more)
    if name is not None:
        info = folder / f"{name.replace('-', '_')}-2.0.18.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0.18\n")
        (info / "top_level.txt").write_text("thop\n")
        digest = hashlib.sha256((folder / "thop" / "__init__.py").read_bytes()).digest()
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        (info / "RECORD").write_text(f"thop/__init__.py,sha256={text},1\n")
    return folder


def table(run_cli: RunCli, folder: Path, counter: str) -> tuple[int, dict[str, object], object]:
    """Count a layer of 5 · 6 · 7 MACs with a fork: exit status, row, environment."""
    env = {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    args = ("table", "linear:6x7@5", "--counter", counter, "--format", "json")
    done = run_cli(*args, env={**env, "FLOPBENCH_CACHE_DIR": str(folder / "cache")}, process=True)
    found = json.loads(done.stdout)
    return done.returncode, found["rows"][0], found["environment"]


def test_a_fork_that_counts_alike_is_named_with_its_version(
    run_cli: RunCli, tmp_path: Path
) -> None:
    """The figure is THOP's; library and version are those of the module that was imported."""
    status, row, environment = table(run_cli, forked(tmp_path), "thop")
    assert (status, row["counter_version"]) == (0, "2.0.18")
    assert (row["dense_macs"], row["counter"]) == (5 * 6 * 7, "thop")
    assert list(environment)[:3] == ["flopbench", "torch", "ultralytics-thop"]  # type: ignore[call-overload]
    env = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    assert "ultralytics-thop" in run_cli("counters", env=env, process=True).stdout
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_folder_that_no_distribution_installed_is_no_version(
    run_cli: RunCli, tmp_path: Path
) -> None:
    """What lies on the import path may change at any time: it is counted with, and not cached."""
    status, row, environment = table(run_cli, forked(tmp_path, name=None), "thop-2020")
    assert (status, row["counter_version"], environment["thop"]) == (0, "unknown", "unknown")  # type: ignore[index]
    assert not (tmp_path / "cache").exists()


def test_a_fork_that_counts_otherwise_is_refused_by_name(run_cli: RunCli, tmp_path: Path) -> None:
    """Newer ones price subclasses and functions: their figures are not THOP's."""
    status, row, environment = table(run_cli, forked(tmp_path, more=NEWER), "thop")
    assert (status, row["status"], row["dense_macs"]) == (3, "failed", None)
    assert "is a fork that prices subclasses and functions, too" in str(row["notes"])
    assert environment["ultralytics-thop"] == "2.0.18"  # type: ignore[index]
