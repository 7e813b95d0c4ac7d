"""Each example that a ``--help`` shows is run as a reader would, in a folder with its files."""

from __future__ import annotations

import os
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from clocks import timing_file
from conftest import ROOT
from logs import write_log
from running import run_here, run_shell

from flopbench.cli.examples import EXAMPLES

pytestmark = pytest.mark.usefixtures("warm_workers")

ALL = list(dict.fromkeys(example for examples in EXAMPLES.values() for example in examples))
QUICK = {
    "latency": ("--budget", "0.1", "--processes", "1", "--samples", "6", "--device", "cpu"),
    "replay": ("--processes", "1", "--rounds", "1", "--videos", "2", "--device", "cpu"),
}
"""What makes an example of a verb that measures short."""
NETS = """
from torch import nn

def build(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, 4))
"""
CLAIMS = """
schema = 1
title = "An example"
source = "Me et al., My paper, 2026, Table 1"

[components]
net = "published:resnet50@224,classes=200"

[[claim]]
id = "t8"
what = "8 frames a video"
printed = "32.8824"
unit = "GFLOPS/video"
counts = { net = 8 }
"""


def write_run(path: Path, method: str, actions: list[list[str]]) -> None:
    """Write a log of four frames a video: 0 and 1 are its classes, every prediction is right."""
    header = {
        "method": method,
        "class_names": ["a", "b"],
        "actions": [
            {"name": "large", "costs": {"large": 1}},
            {"name": "small", "costs": {"small": 1}},
            {"name": "skip", "kind": "skip"},
        ],
        "components": {"large": "resnet18@64", "small": "resnet18@32"},
    }
    samples = [
        {"labels": [n % 2], "scores": [1 - n % 2, n % 2], "prediction": n % 2, "actions": taken}
        for n, taken in enumerate(actions)
    ]
    write_log(path, header, samples)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "nets.py").write_text(NETS)
    (folder / "claims.toml").write_text(CLAIMS)
    lazy, busy = ["large", "skip", "small", "skip"], ["large", "small", "large", "small"]
    write_run(folder / "run.jsonl", "Lazy", [lazy, busy, lazy, lazy])
    write_run(folder / "other.jsonl", "Busy", [busy, busy, lazy, busy])
    for name, source in {
        "timings.json": "tests/data/timings.json",
        "later.json": "tests/data/timings.json",
        "replay.json": "reports/replay-amd-epyc.json",
    }.items():
        shutil.copy(ROOT / source, folder / name)
    timing_file({"resnet18@64": 0.008, "resnet18@32": 0.004}).save(folder / "times.json")
    (folder / ".config/fish/completions").mkdir(parents=True)
    for args in (
        "table resnet18@64 resnet18@32 -o table.json",
        "explain nets.py:build@64 -o profiles.json",
        "init nets.py:build@64 run.jsonl",
    ):
        done = run_here(shlex.split(args), folder, os.environ)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("example", ALL)
def test_every_example_runs(example: str, prepared: Path, tmp_path: Path) -> None:
    """It ends well and writes the files that it names."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    verb = example.split()[0]
    if verb == "init":  # it refuses a second start
        (folder / "flopbench.toml").unlink()
        shutil.rmtree(folder / ".flopbench")
    words = shlex.split(example)
    quick = QUICK.get(verb, ()) if "--from" not in words else ()
    environment = {**os.environ, "HOME": str(folder)}
    environment.pop("CI", None)  # where accept refuses to run
    if verb == "cache":
        environment["FLOPBENCH_CACHE_DIR"] = str(tmp_path / "cache")
    done = run_shell(f"flopbench {example} {shlex.join(quick)}", folder, environment)
    assert done.returncode == 0, done.stderr
    for flag, name in pairwise(words):
        if flag in {"-o", "--data", "--report"} and name != "-":
            assert (folder / name).exists(), f"{example} wrote no {name}"
