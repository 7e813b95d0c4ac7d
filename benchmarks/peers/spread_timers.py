"""Ways to time a network, each in processes forked from one that has loaded torch.

    python -m benchmarks.peers.spread_timers NETWORK REPEATS

A repeat begins with flopbench, which times the network in three processes; each of the others then
gets as much time as that took, warm-up and building included. flopbench knows the machine's roofs,
with its best pace, as any second ``flopbench latency`` does, and keeps a better one for the next
repeat, and run. One JSON line a repeat: the headline of each timer in seconds a call, and what it
took.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from msgspec import to_builtins
from msgspec.structs import replace
from torch.utils.benchmark import Timer

from flopbench.core.records import decode
from flopbench.core.statistics import median
from flopbench.timing.measure.jobs import time_rows
from flopbench.timing.measure.prepared import prepare
from flopbench.timing.processes import roofs_of
from flopbench.timing.records import ProcessRun, Timing, TimingSpec, at_one_pace
from flopbench.timing.roofs import store_roofs
from flopbench.timing.run import PROCESSES, describe_device, primary_column_of

OURS = "flopbench"
SAMPLES_S = 1.0
"""Seconds of samples in each of flopbench's processes, after at least a second of warm-up."""
FEWEST = 10
WARM_UP_CALLS, CALLS = 10, 40
"""Of the loop in timm's ``benchmark.py``."""
BENCHMARK_TEST = """
from benchmarks.peers import spread_timers

def test_call(benchmark):
    benchmark(spread_timers.CALL[0])
"""
CALL: list[Callable[[], Any]] = []
"""What pytest-benchmark's test calls."""


def in_child(work: Callable[[], Any]) -> Any:
    """Do something in a fork of this process; return its result, which JSON can hold."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            result = json.dumps(work()).encode()
            with open(writing, "wb") as stream:
                stream.write(result)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"a timer failed with status {status}")
    return json.loads(text)


def by_flopbench(spec: TimingSpec, best_pace_s: float | None) -> tuple[float, float | None]:
    """Return the median of the medians of processes, as ``flopbench latency`` does, and the pace.

    ``best_pace_s`` is the machine's best that is known.
    """
    job = {
        "rows": [to_builtins(spec)],
        "budget_s": SAMPLES_S,
        "fewest": FEWEST,
        "best_pace_s": best_pace_s,
        "graphs": False,
        "operators": False,
        "roots": [],
    }
    runs = []
    for _ in range(PROCESSES):
        found = in_child(lambda: to_builtins(time_rows(job)))[0]["run"]
        run = decode(found, ProcessRun, "run")
        runs.append(run)
        job["best_pace_s"] = run.best_pace_s
    row = Timing(what=spec, lead=primary_column_of(spec), processes=tuple(runs))
    return median(at_one_pace([row])[0].medians()), run.best_pace_s


def by_timer(call: Callable[[], Any], end: float) -> float:
    """``torch.utils.benchmark``: the median of ``blocked_autorange``."""
    timer = Timer("call()", globals={"call": call}, num_threads=1)
    return float(timer.blocked_autorange(min_run_time=end - time.monotonic()).median)


def by_pytest_benchmark(call: Callable[[], Any], end: float) -> float:
    """pytest-benchmark: its median, with as many rounds as the time allows."""
    import pytest

    CALL[:] = [call]
    sys.modules["benchmarks.peers.spread_timers"] = sys.modules[__name__]
    with tempfile.TemporaryDirectory() as folder:
        test, saved = Path(folder) / "test_call.py", Path(folder) / "saved.json"
        test.write_text(BENCHMARK_TEST, "utf-8")
        own = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", folder, str(test)]
        limits = [f"--benchmark-max-time={end - time.monotonic()}", f"--benchmark-json={saved}"]
        out = os.dup(1)
        os.dup2(2, 1)  # stdout is for results
        status = pytest.main([*own, *limits, "--benchmark-quiet"])
        os.dup2(out, 1)
        if status:
            raise SystemExit(f"pytest ended with {status}")
        found = json.loads(saved.read_text("utf-8"))["benchmarks"][0]["stats"]["median"]
    return float(found)


def by_loop(call: Callable[[], Any], end: float) -> float:
    """timm's way: warm up 10 calls, time 40, take the mean; again until the time is up."""
    for _ in range(WARM_UP_CALLS):
        call()
    means = []
    while not means or time.monotonic() < end:
        begun = time.perf_counter()
        for _ in range(CALLS):
            call()
        means.append((time.perf_counter() - begun) / CALLS)
    return fmean(means)


PEERS: dict[str, Callable[[Callable[[], Any], float], float]] = {
    "torch.utils.benchmark": by_timer,
    "pytest-benchmark": by_pytest_benchmark,
    "timm-style loop": by_loop,
}


def peer_headline(timer: str, spec: TimingSpec, budget_s: float) -> float:
    """Build the network and time it by a peer, all within a time."""
    end = time.monotonic() + budget_s
    torch.set_num_threads(1)
    with torch.inference_mode():
        return PEERS[timer](prepare(spec), end)


def main(argv: Sequence[str]) -> None:
    """Print a line for each repeat."""
    network, repeats = argv
    spec = TimingSpec(spec=network, device="cpu", threads=1)
    importlib.import_module("pytest_benchmark.plugin")  # here, where it takes no timer's time
    prepare(spec)  # loads what building the network needs
    facts = describe_device("cpu", ["fp32"])
    roofs = roofs_of(facts, ["fp32"], 1, refresh=False, tell=lambda *_: None)  # in the cache, then
    names = list(PEERS)
    for n in range(int(repeats)):
        begun = time.monotonic()
        headline_s, pace_s = by_flopbench(spec, roofs.pace_s)
        roofs = replace(roofs, pace_s=pace_s)
        store_roofs(facts, roofs)  # as ``flopbench latency`` does
        headlines = {OURS: headline_s}
        took = {OURS: time.monotonic() - begun}
        for name in (*names[n % len(names) :], *names[: n % len(names)]):
            begun = time.monotonic()
            budget_s = took[OURS]
            headlines[name] = in_child(lambda: peer_headline(name, spec, budget_s))  # noqa: B023
            took[name] = time.monotonic() - begun
        print(json.dumps({"headline_s": headlines, "took_s": took}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
