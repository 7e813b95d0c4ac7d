"""Cost of drawing figures of a large policy log: CPU seconds and peak memory, a process per kind.

    python benchmarks/plot_costs.py [--videos N] [--table FILE]

Makes a log of N videos of 16 frames (``make_log.py``; 625,000 by default: 1e7 decisions), draws
every kind that takes a log from it, and prints the CPU time (user + system) and the peak resident
memory of each whole process, as the kernel accounts them. ``tradeoff`` needs accuracies, so its log
has scores; the other kinds are drawn from the same log without scores.

Exit status 1 when a kind misses the budget: 10 s CPU and 1 GB at 1e7 decisions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CPU_BUDGET_S = 10.0
MEMORY_BUDGET_MB = 1000.0
VIDEOS = 625_000
KINDS: dict[str, tuple[str, ...]] = {
    "usage": (),
    "classes": (),
    "cost": ("--table",),
    "frames": ("--table",),
}
"""Kind -> options that take the table's name."""


def make(path: Path, videos: int) -> None:
    """Write a log of that many videos, without scores."""
    script = Path(__file__).with_name("make_log.py")
    command = [sys.executable, str(script), "--videos", str(videos), "--no-scores", "-o", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its CPU seconds and its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Make the log, draw, print; return 1 when a budget is missed."""
    parser = argparse.ArgumentParser(description="What drawing figures of a large log costs.")
    parser.add_argument("--videos", type=int, default=VIDEOS, help=f"default: {VIDEOS:,}")
    parser.add_argument(
        "--table",
        default=str(Path(__file__).resolve().parents[1] / "reports" / "table2.json"),
        help="cost table to take prices from (default: the committed one)",
    )
    args = parser.parse_args(argv)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        make(log, args.videos)
        print(f"{args.videos:,} videos of 16 frames, {log.stat().st_size / 1e6:,.0f} MB")
        print(f"{'kind':<10}{'CPU s':>8}{'peak MB':>10}   budget {CPU_BUDGET_S:g} s, 1 GB")
        for kind, options in KINDS.items():
            command = [sys.executable, "-m", "flopbench", "plot", kind, str(log)]
            command += [part for option in options for part in (option, args.table)]
            cpu_s, peak_mb = measure([*command, "-o", str(Path(folder) / f"{kind}.pdf")])
            over = cpu_s > CPU_BUDGET_S or peak_mb > MEMORY_BUDGET_MB
            missed |= over
            print(f"{kind:<10}{cpu_s:>8.2f}{peak_mb:>10.0f}   {'OVER' if over else 'within'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
