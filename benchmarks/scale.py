"""What counting a log costs by the exact reader, by DuckDB and on a Spark cluster, at three sizes.

    python benchmarks/scale.py [--videos 187500 750000] [--shards 16] [-o reports/scale]

Makes sharded logs of JSON lines (``make_log.py``; 16 decisions a video), starts a standalone
cluster of two workers on the loopback, and runs ``flopbench log reduce`` in a process of its own
for each engine and size. The first size, of a few videos, is what an engine costs before it
counts. From it and the second size a straight line predicts the third, which is measured too; the
report shows both. The parts that the engines write must be equal, row for row.

CPU time (user + system) is the kernel's, of all processes: of Spark the driver, the Java process
below it, master, workers and executors. Shuffled bytes are from Spark's event log.
Needs the extras ``logs`` and ``spark``, Java and Linux.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests" / "support")]

from spark_cluster import Cluster, cluster, why_not  # noqa: E402

from flopbench.core.version import VERSION  # noqa: E402

STEPS = 16
FEW_VIDEOS = 200
ENGINES = ("exact", "duckdb", "spark")
SUBREAPER = 36
"""prctl's PR_SET_CHILD_SUBREAPER: the Java process that a driver leaves is ours to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took."""

    engine: str
    decisions: int
    wall_s: float
    cpu_s: float
    log_bytes: int
    rows: int
    shuffled_bytes: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description="measure log reduce by engine and size")
    parser.add_argument("--videos", type=int, nargs=2, default=(187_500, 750_000))
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "reports" / "scale")
    args = parser.parse_args(argv)
    if why_not():
        parser.error(why_not())
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (made, start):
        costs = []
        for videos in (FEW_VIDEOS, *args.videos):
            costs += of_size(Path(folder), videos, args.shards, made)
            print(f"{videos:,} videos: done", flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    with open(args.output / "scale.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Cost)])
        writer.writeheader()
        writer.writerows({**asdict(cost), **rounded(cost)} for cost in costs)
    text = report(costs, start, args.shards)
    (args.output / "README.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def rounded(cost: Cost) -> dict[str, float]:
    """Return the times of a run as they are written."""
    return {"wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2)}


@contextmanager
def started(folder: Path) -> Iterator[tuple[Cluster, tuple[float, float]]]:
    """Yield a cluster, and the wall and CPU seconds that its start took."""
    home = folder / "spark"
    events = home / "events"
    events.mkdir(parents=True)
    settings = {
        "spark.executor.memory": "2g",
        "spark.driver.memory": "3g",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": events.as_uri(),
        "spark.sql.files.maxPartitionBytes": "16m",
    }
    begun = time.perf_counter()
    with cluster(home, settings, memory="2g") as made:
        yield made, (time.perf_counter() - begun, cpu_of(made))


def cpu_of(made: Cluster) -> float:
    """Return the CPU seconds of a cluster's processes, and of those that have ended."""
    ticks = 0
    for process in (made.daemon, *made.workers):
        stat = Path(f"/proc/{process.pid}/stat").read_text("ascii")
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def of_size(folder: Path, videos: int, shards: int, made: Cluster) -> Iterator[Cost]:
    """Make a log and yield what each engine takes to count it."""
    paths = write_shards(folder / f"{videos}", videos, shards)
    parts = [folder / f"{videos}-{engine}.counts" for engine in ENGINES]
    for engine, part in zip(ENGINES, parts, strict=True):
        words = ["log", "reduce", *map(str, paths), "-o", str(part), "--engine", engine]
        before = cpu_of(made)
        wall_s, cpu_s = timed(words + (["--master", made.master] if engine == "spark" else []))
        spark = engine == "spark"
        if spark:
            time.sleep(2)  # for executors to end, and workers to wait for them
            cpu_s += cpu_of(made) - before
        yield Cost(
            engine=engine,
            decisions=STEPS * videos,
            wall_s=wall_s,
            cpu_s=cpu_s,
            log_bytes=sum(path.stat().st_size for path in paths),
            rows=equal_rows(parts[0], part),
            shuffled_bytes=shuffled(folder / "spark" / "events") if spark else None,
        )


def write_shards(stem: Path, videos: int, shards: int) -> list[Path]:
    """Write a log in shards."""
    whole = stem.with_suffix(".jsonl")
    script = str(ROOT / "benchmarks" / "make_log.py")
    words = [sys.executable, script, "--no-scores", "--videos", str(videos), "-o", str(whole)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    paths = [Path(f"{stem}.rank{n}-of-{shards}.jsonl") for n in range(shards)]
    streams = [open(path, "wb") for path in paths]  # noqa: SIM115
    with open(whole, "rb") as lines:
        header = next(lines)
        for stream in streams:
            stream.write(header)
        for number, line in enumerate(lines):
            streams[number * shards // videos].write(line)
    for stream in streams:
        stream.close()
    whole.unlink()
    return paths


def timed(words: Sequence[str]) -> tuple[float, float]:
    """Run the command line; return wall and CPU seconds of it and of the processes below it."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flopbench", *words],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    wall_s = cpu_s = 0.0
    while True:
        try:
            pid, status, used = os.wait4(-process.pid, 0)
        except ChildProcessError:
            return wall_s, cpu_s
        cpu_s += used.ru_utime + used.ru_stime
        if pid == process.pid:
            wall_s = time.perf_counter() - begun
            if status:
                raise SystemExit(f"flopbench {' '.join(words)}: status {status}")


def equal_rows(one: Path, other: Path) -> int:
    """Return how many rows two parts have; end where any differs."""
    query = "SELECT count(*) FROM (FROM read_parquet(?) EXCEPT ALL FROM read_parquet(?))"
    pairs = [(str(a), str(b)) for a, b in ((one, other), (other, one))]
    differing = [duckdb.execute(query, pair).fetchall()[0][0] for pair in pairs]
    if any(differing):
        raise SystemExit(f"{one} and {other} differ in {sum(differing)} rows")
    return int(
        duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(other)]).fetchall()[0][0]
    )


def shuffled(events: Path) -> int:
    """Return the bytes that the last run's tasks wrote for others to read."""
    newest = max(events.iterdir(), key=lambda path: path.stat().st_mtime)
    total = 0
    with open(newest, encoding="utf-8") as lines:
        for line in lines:
            event: Any = json.loads(line)
            written = event.get("Task Metrics", {}).get("Shuffle Write Metrics", {})
            total += int(written.get("Shuffle Bytes Written", 0))
    return total


def report(costs: Sequence[Cost], start: tuple[float, float], shards: int) -> str:
    """Return the page."""
    import pyspark

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    lines = [
        "# Counting a log by the exact reader, DuckDB and Spark",
        "",
        f"`python benchmarks/scale.py`: logs of JSON lines, {STEPS} decisions a video, in {shards} "
        "shards; `flopbench log reduce` in fresh processes. Spark: a standalone cluster of two "
        "workers with a core each, on the same machine. CPU seconds are of all processes.",
        "",
        f"{os.cpu_count()} cores of {cpu[1] if cpu else 'a CPU'}, {os.getloadavg()[0]:.1f} "
        f"processes waiting at the end; flopbench {VERSION}, Python {sys.version.split()[0]}, "
        f"DuckDB {duckdb.__version__}, Spark {pyspark.__version__}.",
        "",
        "| engine | decisions | wall s | CPU s | ns CPU a decision | shuffled | rows, all equal |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for cost in sorted(costs, key=lambda one: ENGINES.index(one.engine)):
        moved = "-" if cost.shuffled_bytes is None else f"{cost.shuffled_bytes / 1e6:,.2f} MB"
        each = f"{cost.cpu_s / cost.decisions * 1e9:,.0f}"
        lines.append(
            f"| {cost.engine} | {cost.decisions:,} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {each} "
            f"| {moved} | {cost.rows:,} |"
        )
    lines += [
        "",
        f"The cluster itself took {start[0]:.1f} s and {start[1]:.1f} CPU seconds to start.",
        "",
        "A straight line through the first two sizes, against the third as measured:",
        "",
        "| engine | start, CPU s | ns CPU a further decision | predicted, CPU s | measured, CPU s "
        "| 1e12 decisions, core hours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for engine in ENGINES:
        few, small, large = (one for one in costs if one.engine == engine)
        slope = (small.cpu_s - few.cpu_s) / (small.decisions - few.decisions)
        predicted = few.cpu_s + slope * (large.decisions - few.decisions)
        last = (large.cpu_s - few.cpu_s) / (large.decisions - few.decisions)
        lines.append(
            f"| {engine} | {few.cpu_s:.1f} | {slope * 1e9:,.0f} | {predicted:.1f} "
            f"| {large.cpu_s:.1f} | {last * 1e12 / 3600:,.0f} |"
        )
    lines += ["", "The core hours follow from the largest size, with nothing for the start.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
