"""How fast the command line is, as ratios measured side by side in one run.

    python benchmarks/startup.py [--rounds N] [--memory]

Each round runs, one after the other: the imports that measuring needs, the first
``flopbench table`` (empty cache), the second one (full cache) and ``flopbench --help``. Compared
is the CPU time (user + system) of the whole process, as the kernel accounts it; the ratio is taken
round by round, so that a machine that slows down affects both sides. ``--memory`` profiles
a model of 632 M parameters instead and prints its peak resident memory.

Exit status 1 when a median is over its budget.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

IMPORTS = "import torch, torchvision, thop, fvcore.nn"
FIRST_BUDGET = 1.7
SECOND_BUDGET = 0.12
HELP_BUDGET_CPU_S = 0.15
MEMORY_BUDGET_MB = 1500
LARGE_MODEL = "vit_h_14@224"


def cpu_s(command: list[str], cache: str) -> float:
    """Run a command in a cache folder; return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        env={**os.environ, "FLOPBENCH_CACHE_DIR": cache},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of each command, one per round."""
    flopbench = [sys.executable, "-m", "flopbench"]
    times: dict[str, list[float]] = {"imports": [], "first": [], "second": [], "help": []}
    cpu_s([sys.executable, "-c", IMPORTS], "")  # warms the file cache; not counted
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            times["imports"].append(cpu_s([sys.executable, "-c", IMPORTS], cache))
            times["first"].append(cpu_s([*flopbench, "table"], cache))
            times["second"].append(cpu_s([*flopbench, "table"], cache))
            times["help"].append(cpu_s([*flopbench, "--help"], cache))
    return times


def report(times: dict[str, list[float]]) -> bool:
    """Print medians and ratios; return whether every budget holds."""
    for name, values in times.items():
        print(f"{name:8} {statistics.median(values):7.3f} s CPU (median of {len(values)})")
    holds = True
    for name, budget in (("first", FIRST_BUDGET), ("second", SECOND_BUDGET)):
        ratios = [a / b for a, b in zip(times[name], times["imports"], strict=True)]
        median = statistics.median(ratios)
        holds &= median <= budget
        print(
            f"{name} table / imports: {median:.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}), budget {budget}"
        )
    help_s = statistics.median(times["help"])
    print(f"--help: {help_s:.3f} s CPU, budget {HELP_BUDGET_CPU_S}")
    return holds and help_s <= HELP_BUDGET_CPU_S


def report_memory() -> bool:
    """Profile the large model under the counters that need only shapes; print its peak memory."""
    command = [sys.executable, "-m", "flopbench", "table", LARGE_MODEL, "--refresh"]
    command += ["--counter", "thop", "--counter", "torch"]
    with tempfile.TemporaryDirectory() as cache:
        cpu_s(command, cache)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000  # KiB on Linux
    print(f"{LARGE_MODEL}: {peak_mb:.0f} MB resident at most, budget {MEMORY_BUDGET_MB}")
    return peak_mb <= MEMORY_BUDGET_MB


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and say with the exit status whether the budgets hold."""
    parser = argparse.ArgumentParser(description="CPU time of the command line, as ratios")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--memory", action="store_true", help="peak memory of a large model")
    args = parser.parse_args(argv)
    return 0 if (report_memory() if args.memory else report(measure(args.rounds))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
