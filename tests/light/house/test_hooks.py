"""The hooks for pre-commit: a valid manifest, and entries that do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from flopbench.check.baseline.file import render_baseline
from flopbench.check.records import Baseline, Kept, ModelCost, ModuleCost

KEYS = {
    "id": str,
    "name": str,
    "description": str,
    "entry": str,
    "language": str,
    "files": str,
    "stages": list,
    "always_run": bool,
    "pass_filenames": bool,
    "minimum_pre_commit_version": str,
}
"""The keys that our hooks may have, and their types."""


def hooks() -> dict[str, dict[str, object]]:
    """Read the manifest, which is simple on purpose: one key per line."""
    found: list[dict[str, object]] = []
    for line in (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(?P<new>- |  )(?P<key>[a-z_]+): (?P<value>.+)", line)
        assert match, line
        if match["new"] == "- ":
            found.append({})
        value: object = match["value"]
        if value in ("true", "false"):
            value = value == "true"
        elif match["value"].startswith("["):
            value = match["value"].strip("[]").split(", ")
        found[-1][match["key"]] = value
    return {str(hook["id"]): hook for hook in found}


def run_hook(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a hook's entry as pre-commit does: without file names, at the top of the repository."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return subprocess.run(
        shlex.split(str(hooks()[name]["entry"])),
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository with a configuration and a sound baseline."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    (tmp_path / "flopbench.toml").write_text(
        '[[entries]]\nmodel = "resnet18@224"\nname = "net"\n', encoding="utf-8"
    )
    layer = ModuleCost(path="0", type="Linear", dense_macs=6, params=6, activations=2, calls=1)
    cost = ModelCost(
        spec="resnet18@224",
        input="224",
        counter="torch",
        counter_version="1",
        convention="MACs",
        dense_macs=6,
        total=6,
        params=6,
        activations=2,
        modules=(layer,),
    )
    folder = tmp_path / ".flopbench"
    folder.mkdir()
    text = render_baseline(Baseline(entries={"net": Kept(cost=cost)}))
    (folder / "baseline.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_manifest_is_well_formed() -> None:
    """Every key is known and of its type, and pre-commit's languages and stages are real ones."""
    assert list(hooks()) == ["flopbench-verify-baseline", "flopbench-check"]
    for hook in hooks().values():
        assert {"id", "name", "entry", "language"} <= set(hook)
        for key, value in hook.items():
            assert isinstance(value, KEYS[key]), key
        assert hook["pass_filenames"] is False
    # Without torch: pre-commit installs only flopbench. The other needs the project's packages.
    assert hooks()["flopbench-verify-baseline"]["language"] == "python"
    assert hooks()["flopbench-check"]["language"] == "system"
    assert hooks()["flopbench-check"]["stages"] == ["pre-push"]
    assert hooks()["flopbench-check"]["always_run"] is True


def test_yaml_reads_the_same() -> None:
    """A real YAML reader finds what the reader above finds."""
    yaml = pytest.importorskip("yaml")
    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    assert {hook["id"]: hook for hook in yaml.safe_load(text)} == hooks()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".flopbench/baseline.json", True),
        ("models/.flopbench/baseline.json", True),
        ("flopbench.toml", True),
        ("models/pyproject.toml", True),
        ("my_flopbench.toml", False),
        (".flopbench/notes.md", False),
        ("src/model.py", False),
    ],
)
def test_the_files_that_start_verification(path: str, wanted: bool) -> None:
    """The baseline and the configuration trigger it, and nothing else does."""
    pattern = str(hooks()["flopbench-verify-baseline"]["files"])
    assert bool(re.search(pattern, path)) == wanted


def test_a_sound_baseline_passes(repository: Path) -> None:
    """The hook is quiet about what flopbench wrote."""
    done = run_hook("flopbench-verify-baseline", repository)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        ('"macs": 6', '"macs": 5', "net"),
        ('  "kind"', '    "kind"', "not as flopbench writes it"),
        ('  "kind"', '<<<<<<< HEAD\n  "kind"', "merge"),
    ],
    ids=["edited", "reformatted", "conflict"],
)
def test_a_baseline_that_was_tampered_with_fails(
    repository: Path, old: str, new: str, needle: str
) -> None:
    """An amount edited by hand, another layout, marks of a merge: status 2, one clear message."""
    path = repository / ".flopbench" / "baseline.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = run_hook("flopbench-verify-baseline", repository)
    assert done.returncode == 2
    assert needle in done.stderr
    assert "Traceback" not in done.stderr
