"""Spread of a latency's headline over repeats: flopbench's beside that of three other timers.

``spread_timers.py`` has the timers. Beside a competing load: a process a core that counts.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.peers.common import Options, Verdict, run, say, table
from flopbench.core.statistics import median
from flopbench.core.units import milliseconds, percentage, plain_number

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing

REPEATS = 10
DISTRIBUTIONS = ("torch", "torchvision", "pytest", "pytest-benchmark")
QUIET, BUSY = "quiet", "beside a load"
CASES = {
    ("resnet18@112", QUIET): 1.0,
    ("resnet18@112", BUSY): 1.0,
    ("squeezenet1_1@64", QUIET): 0.5,
}
"""Networks, of 18 and of 3 ms here, and the state of the machine -> which share of the repeats."""
TARGET = 0.5
"""Of the spread of the best peer."""
OURS = "flopbench"
LOAD = "while True: pass"


def measure(options: Options) -> dict[str, Any]:
    """Return the headlines of each timer, repeat by repeat, in each case."""
    cases = [*CASES.items()][-1:] if options.tiny else CASES.items()
    return {
        "cases": [
            _case(network, state, math.ceil(share * options.repeats))
            for (network, state), share in cases
        ]
    }


def _case(network: str, state: str, repeats: int) -> dict[str, Any]:
    say(f"{network}, {state}")
    command = [sys.executable, "-m", "benchmarks.peers.spread_timers", network, str(repeats)]
    with _load() if state == BUSY else contextlib.nullcontext():
        _, output = run(command)
    return {
        "network": network,
        "state": state,
        "repeats": list(map(json.loads, output.splitlines())),
    }


@contextlib.contextmanager
def _load() -> Iterator[None]:
    """Keep every core busy with another process."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    others = [subprocess.Popen([sys.executable, "-c", LOAD]) for _ in range(cores)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def spreads(values: list[float]) -> tuple[float, float]:
    """Return the range and the interquartile range of some values as shares of their median."""
    centre = median(values)
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [centre] * 3
    return (max(values) - min(values)) / centre, (high - low) / centre


def _headlines(case: dict[str, Any]) -> dict[str, list[float]]:
    """Return the headlines of each timer in a case, seconds."""
    names = case["repeats"][0]["headline_s"]
    return {name: [one["headline_s"][name] for one in case["repeats"]] for name in names}


def verdicts(data: dict[str, Any]) -> list[Verdict]:
    """Compare with the best peer, of all cases together and of each."""
    cases = {f"{case['network']}, {case['state']}": _headlines(case) for case in data["cases"]}
    shares: dict[str, list[float]] = {}
    for headlines in cases.values():
        for name, values in headlines.items():
            shares.setdefault(name, []).extend(value / median(values) for value in values)
    found = []
    for case, headlines in {"all cases": shares, **cases}.items():
        own = {name: spreads(values)[0] for name, values in headlines.items()}
        peer = min((name for name in own if name != OURS), key=own.__getitem__)
        share = own[OURS] / own[peer] if own[peer] else float("inf")
        ahead = share <= TARGET
        reason = f"{percentage(own[OURS])} against {percentage(own[peer])}"
        found.append(
            Verdict(
                what=f"spread of latency, {case}",
                peer=f"{peer}, target {TARGET}",
                ratio=plain_number(share),
                ahead=ahead,
                reason="" if ahead else reason,
            )
        )
    return found


def section(data: dict[str, Any]) -> str:
    """Return this part of the page."""
    rows = []
    for case in data["cases"]:
        for name, values in _headlines(case).items():
            full, middle = spreads(values)
            took = [one["took_s"][name] for one in case["repeats"]]
            rows.append(
                [
                    case["network"],
                    case["state"],
                    name,
                    milliseconds(median(values)),
                    f"{100 * full:.2f}",
                    f"{100 * middle:.2f}",
                    plain_number(median(took)),
                    str(len(values)),
                ]
            )
    text = (
        "One thread. A repeat begins with flopbench, in three "
        "processes; the others get as much time as that took, warm-up and building included. "
        "Processes are forked from one that has loaded torch. flopbench's headline is the median "
        "of the medians of CPU time at the best pace that it has seen of this machine, in earlier "
        "runs too: each sample is divided by the pace about it, and slow phases are waited out "
        "for up to 25 seconds. "
        "The others take wall time: the median of "
        "`blocked_autorange`, pytest-benchmark's median, and the mean of 40 calls after 10 as in "
        "timm's `benchmark.py`, again until the time is up. Beside a load: a process a core that "
        "counts. Range: (greatest - least) / median; IQR: of the middle half. All cases: the "
        "range of headlines, each over the median of its case."
    )
    head = ["network", "machine", "timer", "median ms", "range %", "IQR %", "s a repeat", "repeats"]
    grid = table("Spread of the headline", head, rows, text=3)
    plot = "![Headlines of each repeat over their median](spread.svg)"
    return "\n\n".join(["## Spread of a latency", text, plot, grid.strip()])


def figures(data: dict[str, Any]) -> dict[str, Drawing]:
    """Return the plot."""
    from benchmarks.peers.spread_drawing import headlines_of_repeats

    cases = {f"{one['network']}, {one['state']}": _headlines(one) for one in data["cases"]}
    return {"spread": headlines_of_repeats(cases)}
