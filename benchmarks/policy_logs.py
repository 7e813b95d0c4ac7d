"""How fast policy logs are counted, as ratios measured side by side in one run.

    python benchmarks/policy_logs.py [--videos N] [--rounds N] [--memory]

Makes a log of N videos of 16 frames (``make_log.py``) in JSONL, JSON and Parquet, and compares CPU
time (user + system) of whole processes, as the kernel accounts it, round by round:

* JSONL: ``json.loads`` and a ``Counter`` of actions, with exact decisions counted from runs by
  ``itertools.groupby``, against all aggregates of flopbench's reader and kernel;
* the same without the runs, which flopbench still counts;
* JSON: all aggregates against those of JSONL;
* Parquet: all aggregates against decoding the file with pyarrow alone;
* ``flopbench estimate`` on a JSON log of 20,000 videos, prices cached, without torch.

Within one process, without imports, the Parquet ratio is printed too: the decoding alone
takes a tenth of the time that importing pyarrow takes. ``--memory`` makes 6.25 million videos
(1e8 decisions) instead, and prints CPU time and peak resident memory of ``flopbench estimate
--by class``: the table in section 12 of ``docs/estimating.md``.

Exit status 1 when a median misses its budget.
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
from pathlib import Path

JSONL_BUDGET = 2.5
"""json.loads and Counter, exact decisions included, must take this many times as long."""
PARQUET_BUDGET = 2.0
"""Times the CPU time of decoding with pyarrow alone, whole processes."""
ESTIMATE_BUDGET_CPU_S = 1.0
MEMORY_BUDGET_MB = 1000
SMALL_VIDEOS = 20_000
VIDEOS = 625_000
MANY_VIDEOS = 6_250_000

COUNTER = """
import json, sys
from collections import Counter
rows = Counter()
with open(sys.argv[1]) as lines:
    next(lines)
    for line in lines:
        rows.update(json.loads(line)["actions"])
"""
COUNTER_AND_RUNS = """
import json, sys
from collections import Counter
from itertools import groupby
spans = {5: 2, 6: 4}
rows, decisions = Counter(), Counter()
with open(sys.argv[1]) as lines:
    next(lines)
    for line in lines:
        actions = json.loads(line)["actions"]
        rows.update(actions)
        for action, run in groupby(actions):
            decisions[action] += -(-sum(1 for _ in run) // spans.get(action, 1))
"""
OURS = """
import sys
from flopbench.policy.log import count_log, open_log
counts = count_log(open_log([sys.argv[1]]))
counts.totals()
"""
PYARROW = """
import sys, pyarrow.parquet
pyarrow.parquet.read_table(sys.argv[1])
"""
INSIDE = """
import resource, statistics, sys, time
import pyarrow.parquet
from flopbench.policy.log import count_log, open_log

def cpu_s(function):
    start = time.process_time()
    function()
    return time.process_time() - start

ratios = []
for _ in range(7):
    ours = cpu_s(lambda: count_log(open_log([sys.argv[1]])).totals())
    theirs = cpu_s(lambda: pyarrow.parquet.read_table(sys.argv[1]))
    ratios.append(ours / theirs)
print(statistics.median(ratios[2:]))
"""


def cpu_s(command: list[str]) -> float:
    """Run a command; return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make(path: Path, videos: int) -> None:
    """Write a log of that many videos."""
    script = Path(__file__).with_name("make_log.py")
    command = [sys.executable, str(script), "--videos", str(videos), "--no-scores", "-o", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def convert(source: Path, target: Path) -> None:
    """Write a log in another form."""
    flopbench = [sys.executable, "-m", "flopbench"]
    command = [*flopbench, "log", "convert", str(source), "-o", str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(folder: Path, videos: int, rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of each command, one per round."""
    jsonl, parquet, small = folder / "log.jsonl", folder / "log.parquet", folder / "small.json"
    make(jsonl, videos)
    convert(jsonl, parquet)
    convert(jsonl, jsonl.with_suffix(".json"))
    make(folder / "small.jsonl", SMALL_VIDEOS)
    convert(folder / "small.jsonl", small)
    python = [sys.executable, "-c"]
    estimate = [sys.executable, "-m", "flopbench", "estimate", "--policy-log", str(small)]
    estimate += ["--format", "json"]
    commands = {
        "Counter and runs": [*python, COUNTER_AND_RUNS, str(jsonl)],
        "Counter": [*python, COUNTER, str(jsonl)],
        "flopbench JSONL": [*python, OURS, str(jsonl)],
        "flopbench JSON": [*python, OURS, str(jsonl.with_suffix(".json"))],
        "pyarrow": [*python, PYARROW, str(parquet)],
        "flopbench Parquet": [*python, OURS, str(parquet)],
        "estimate": estimate,
    }
    for command in commands.values():  # fills file caches and the cache of prices; not counted
        cpu_s(command)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(cpu_s(command))
    inside = subprocess.run(
        [*python, INSIDE, str(parquet)], check=True, capture_output=True, text=True
    )
    times["inside"] = [float(inside.stdout)]
    return times


def report(times: dict[str, list[float]]) -> bool:
    """Print medians and ratios; return whether every budget holds."""
    inside = times.pop("inside")[0]
    for name, values in times.items():
        print(f"{name:18} {statistics.median(values):7.3f} s CPU (median of {len(values)})")

    def ratio(one: str, other: str) -> tuple[float, str]:
        ratios = [a / b for a, b in zip(times[one], times[other], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        return statistics.median(ratios), spread

    exact, spread = ratio("Counter and runs", "flopbench JSONL")
    print(f"JSONL: {exact:.2f} times as fast ({spread}), budget {JSONL_BUDGET}")
    plain, spread = ratio("Counter", "flopbench JSONL")
    print(f"JSONL, the other side without runs: {plain:.2f} times as fast ({spread})")
    document, spread = ratio("flopbench JSON", "flopbench JSONL")
    print(f"JSON / JSONL: {document:.2f} ({spread})")
    parquet, spread = ratio("flopbench Parquet", "pyarrow")
    print(f"Parquet / pyarrow alone: {parquet:.2f} ({spread}), budget {PARQUET_BUDGET}")
    print(f"Parquet / pyarrow alone, inside a process, imports left out: {inside:.2f}")
    estimate_s = statistics.median(times["estimate"])
    budget = ESTIMATE_BUDGET_CPU_S
    print(f"estimate, {SMALL_VIDEOS:,} videos: {estimate_s:.3f} s CPU, budget {budget}")
    holds = exact >= JSONL_BUDGET and parquet <= PARQUET_BUDGET
    return holds and estimate_s <= ESTIMATE_BUDGET_CPU_S


def report_memory(folder: Path, videos: int) -> bool:
    """Estimate a log in each form; print size, CPU time and peak memory of each."""
    paths = [folder / f"many.{form}" for form in ("jsonl", "json", "parquet")]
    make(paths[0], videos)
    for path in paths[1:]:
        convert(paths[0], path)
    holds = True
    for path in paths:
        command = [sys.executable, "-m", "flopbench", "estimate", "--policy-log", str(path)]
        process = subprocess.Popen([*command, "--by", "class"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        peak_mb = usage.ru_maxrss / 1000  # KiB on Linux
        spent_s = usage.ru_utime + usage.ru_stime
        print(
            f"{path.suffix}, {videos * 16:,} decisions, {path.stat().st_size / 1e6:.0f} MB: "
            f"{spent_s:.1f} s CPU, {peak_mb:.0f} MB resident at most, budget {MEMORY_BUDGET_MB}"
        )
        holds &= status == 0 and peak_mb <= MEMORY_BUDGET_MB
    return holds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and say with the exit status whether the budgets hold."""
    parser = argparse.ArgumentParser(description="CPU time of counting policy logs, as ratios")
    parser.add_argument("--videos", type=int, help="videos (default: 625,000, or 6,250,000)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--memory", action="store_true", help="peak memory at 1e8 decisions")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if args.memory:
            return 0 if report_memory(Path(folder), args.videos or MANY_VIDEOS) else 1
        return 0 if report(measure(Path(folder), args.videos or VIDEOS, args.rounds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
