"""Start-up of the command line: whole processes, with Python's own start-up for comparison.

Timed is the CPU time (user + system) of the child process as the kernel accounts it. Bytecode is
written to a separate folder, filled by the warm-up rounds, so that it does not matter how the
package was installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import flopbench": ("-c", "import flopbench"),
    "flopbench --version": ("-m", "flopbench", "--version"),
    "flopbench --help": ("-m", "flopbench", "--help"),
}
TEN_MODELS = (
    *("resnet18", "resnet34", "resnet50", "mobilenet_v2", "mobilenet_v3_small"),
    *("efficientnet_b0", "efficientnet_b3", "densenet121", "vgg16", "convnext_tiny"),
)
WARMUP_ROUNDS = 2
ROUNDS = 20


def children_cpu_s() -> float:
    """Return the CPU time of all child processes that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


pytestmark = pytest.mark.benchmark(timer=children_cpu_s, group="start-up")


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the commands: Python keeps bytecode in a separate folder."""
    own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


def run(arguments: tuple[str, ...], folder: Path, env: dict[str, str] | None = None) -> None:
    """Run Python in a folder without the package, so that the installed one is imported."""
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_start(
    benchmark: BenchmarkFixture, name: str, bytecode: dict[str, str], tmp_path: Path
) -> None:
    """CPU time of a command that measures nothing."""
    benchmark.pedantic(
        run,
        (COMMANDS[name], tmp_path, bytecode),
        warmup_rounds=WARMUP_ROUNDS,
        rounds=ROUNDS,
    )


def test_second_table(
    benchmark: BenchmarkFixture, bytecode: dict[str, str], cache_folder: Path, tmp_path: Path
) -> None:
    """CPU time of ``flopbench table`` where the cache has every profile of it."""
    table = ("-m", "flopbench", "table")
    run(table, tmp_path)  # fills the cache; not counted
    kept = sorted((path, path.stat().st_mtime_ns) for path in cache_folder.iterdir())
    benchmark.pedantic(run, (table, tmp_path, bytecode), warmup_rounds=WARMUP_ROUNDS, rounds=ROUNDS)
    assert kept == sorted((path, path.stat().st_mtime_ns) for path in cache_folder.iterdir())


def test_check_of_ten_models(
    benchmark: BenchmarkFixture, bytecode: dict[str, str], cache_folder: Path, tmp_path: Path
) -> None:
    """CPU time of ``flopbench check`` on ten torchvision models that the cache holds."""
    named = "".join(f'[[entries]]\nmodel = "{name}@224"\n' for name in TEN_MODELS)
    (tmp_path / "flopbench.toml").write_text(named)
    accept = ("accept", "--all", "--in-ci", "--reason", "benchmark")
    run(("-m", "flopbench", *accept), tmp_path)  # fills the cache; not counted
    check = ("-m", "flopbench", "check")
    benchmark.pedantic(run, (check, tmp_path, bytecode), warmup_rounds=WARMUP_ROUNDS, rounds=ROUNDS)
