"""The suites of ``benchmarks`` are complete, and each still runs; no time is tested."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess

import pytest
from conftest import ROOT
from warm import run_python

from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.run import preset_specs
from flopbench.models.presets import load_preset

pytest.importorskip("pytest_benchmark", reason="needs pytest-benchmark, of the extra 'bench'")

FOLDER = ROOT / "benchmarks"
SUITES = sorted(path.name for path in FOLDER.glob("bench_*.py"))
ARMS = [f"{spec.model}@{spec.input}" for spec in preset_specs(load_preset("arnet"))]
QUICK = {
    "bench_arms.py": ["test_arm[1-mobilenet_v2@84]"],
    "bench_counters.py": ["test_count[torch-resnet18@112]", "test_build_alone[resnet18@112]"],
    "bench_estimate.py": [
        "test_read_and_count[jsonl-2000 videos]",
        "test_weighted_sum[2000 videos]",
        "test_cost_of_each_video[2000 videos]",
        "test_bootstrap[2000 videos]",
    ],
}
"""Suite -> its quick benchmarks."""


def run_pytest(*args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the suites in a process that has torch, without timing anything."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    options = ["-o", "python_files=bench_*.py", "-p", "no:xdist", "-p", "no:cacheprovider", "-q"]
    return run_python(["-m", "pytest", *options, "--benchmark-disable", *args], FOLDER, own)


def test_every_arm_and_counter_has_its_benchmark() -> None:
    """Every network of Table 2 is timed at each batch and device, and counted by each counter."""
    result = run_pytest("--collect-only", *SUITES)
    assert result.returncode == 0, result.stdout + result.stderr
    names = [line.rpartition("::")[2] for line in result.stdout.splitlines()]
    expected = [
        f"{test}[{n}-{arm}]"
        for test in ("test_arm", "test_arm_gpu")
        for n in (1, 8)
        for arm in ARMS
    ]
    expected += [f"test_count[{name}-{arm}]" for name in (*DEFAULT_COUNTERS, "all") for arm in ARMS]
    expected += [f"test_build_alone[{arm}]" for arm in ARMS]
    expected += [name for names in QUICK.values() for name in names]
    assert not set(expected) - set(names)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_suite_runs(suite: str) -> None:
    """A few benchmarks of each suite run to completion."""
    result = run_pytest(*(f"{suite}::{name}" for name in QUICK[suite]))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(QUICK[suite])} passed" in result.stdout


def test_coverage_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 40 simulated logs a setting, nearly all intervals over clusters hold the truth."""
    spec = importlib.util.spec_from_file_location("coverage_script", FOLDER / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.main(["--repetitions", "40", "--only", "top-1"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("top-1")]
    assert len(lines) == 4
    for line in lines:
        drawn, alone = (float(text) for text in re.findall(r"([0-9.]+) %", line))
        assert alone < 90 <= drawn


def test_readme_names_every_file() -> None:
    """The folder's README leaves no file of it out."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in FOLDER.glob("*.py") if f"`{path.name}`" not in text]
