"""Start-up of the command line: whole processes, beside the interpreter and the imports it needs.

``MEMORY`` is a model of 632 M parameters, counted once, for its peak memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.common import (
    Cost,
    Options,
    Verdict,
    ratio,
    run,
    say,
    spread,
    table,
    take_turns,
)
from benchmarks.peers.networks import IMPORTS
from flopbench.cli.examples import EXAMPLES
from flopbench.core.statistics import median
from flopbench.core.units import plain_number

REPEATS = 5
DISTRIBUTIONS = ("torch", "torchvision", "thop", "fvcore")
BARE, TORCH, FLOOR, COLD = "python -c pass", "import torch", IMPORTS, "flopbench table, first"
IMPORTED = {BARE: "pass", TORCH: TORCH, FLOOR: IMPORTS, "import flopbench": "import flopbench"}
LOG = "tests/data/steady.jsonl"
"""A log of AR-Net's decisions."""
AGAIN = {
    "table resnet18@224": ("table", "resnet18@224"),
    "table": ("table",),
    "estimate LOG": ("estimate", LOG),
    "check": ("check",),
}
"""Verbs whose counts the cache holds. ``check`` is the repository's own: seven networks, an LSTM
and two logs, with a baseline."""
MEMORY = ("vit_h_14@224", "--counter", "thop", "--counter", "torch", "--refresh")
HELP_TARGET_S, AGAIN_TARGET_S = 0.10, 0.35
COLD_TARGET, MEMORY_TARGET_MB = 1.3, 1500


def measure(options: Options) -> dict[str, Any]:
    """Return what each process cost, round by round."""
    verbs = [name for name in EXAMPLES if name and " " not in name]
    lines = [("--version",), ("--help",), *((verb, "--help") for verb in verbs)]
    lines = lines[:2] if options.tiny else lines
    commands = {f"flopbench {' '.join(line)}": line for line in lines}
    if not options.tiny:
        commands |= {f"flopbench {name}, again": line for name, line in AGAIN.items()}
    warm = {"FLOPBENCH_CACHE_DIR": str(options.folder / "warm")}
    calls: dict[str, Callable[[], Cost]] = {
        name: partial(_cost, "-c", code) for name, code in IMPORTED.items()
    }
    for name, line in commands.items():
        calls[name] = partial(_cost, "-m", "flopbench", *line, env=warm)
    if not options.tiny:
        calls[COLD] = partial(_empty, options.folder, "table")
    say("one round that is not measured")
    for call in calls.values():  # fills file caches, bytecode, and the cache of profiles
        call()
    rounds = take_turns(calls, options.repeats)
    found: dict[str, Any] = {"costs": rounds}
    if not options.tiny:
        found["memory"] = _empty(options.folder, "table", *MEMORY)
    return found


def _cost(*words: str, env: dict[str, str] | None = None) -> Cost:
    """Run Python with these arguments."""
    return run([sys.executable, *words], env)[0]


def _empty(folder: Path, *line: str) -> Cost:
    """Run a verb with a cache that is empty."""
    at = folder / f"cold-{len(list(folder.iterdir()))}"
    at.mkdir()
    return _cost("-m", "flopbench", *line, env={"FLOPBENCH_CACHE_DIR": str(at)})


def cpu_s(data: dict[str, Any], name: str) -> list[float]:
    """Return the CPU seconds of a process, round by round."""
    return [cost["cpu_s"] for cost in data["costs"][name]]


def verdicts(data: dict[str, Any]) -> list[Verdict]:
    """Compare with the targets."""
    why = f"the bare interpreter takes {plain_number(median(cpu_s(data, BARE)))} s of it"
    found = []
    for ending, target_s in (("--help", HELP_TARGET_S), ("again", AGAIN_TARGET_S)):
        found += [
            _within(f"CPU s of a process, {ending}", target_s, name, cpu_s(data, name), why)
            for name in data["costs"]
            if name.endswith(ending)
        ]
    if COLD in data["costs"]:
        cold = [a / b for a, b in zip(cpu_s(data, COLD), cpu_s(data, FLOOR), strict=True)]
        above_s = median(cpu_s(data, COLD)) - median(cpu_s(data, FLOOR))
        why = f"{plain_number(above_s)} s to build and count seven networks, four counters each"
        found.append(_within("CPU, a multiple of the imports", COLD_TARGET, COLD, cold, why))
    if "memory" in data:
        peak = [data["memory"]["peak_mb"]]
        why = "two counters of a model of 632 M parameters, on the meta device"
        found.append(_within("peak MB", MEMORY_TARGET_MB, "ViT-H/14, two counters", peak, why))
    return found


def _within(what: str, target: float, name: str, values: list[float], why: str) -> Verdict:
    """Return the verdict on a target, which the median has to reach."""
    ahead = median(values) <= target
    what = f"{what}: at most {plain_number(target)}"
    reason = "" if ahead else why
    return Verdict(what=what, peer=name, ratio=spread(values), ahead=ahead, reason=reason)


def section(data: dict[str, Any]) -> str:
    """Return this part of the page."""
    rows = [
        [
            name,
            spread(cpu_s(data, name)),
            spread([cost["wall_s"] for cost in own]),
            *(str(ratio(cpu_s(data, name), cpu_s(data, to))) for to in (BARE, TORCH, FLOOR)),
        ]
        for name, own in data["costs"].items()
    ]
    head = ["process", "CPU s", "wall s", f"/ {BARE}", f"/ {TORCH}", "/ imports"]
    text = (
        f"Imports: `{FLOOR}`. The first `flopbench table` begins with an empty cache; again: the "
        "cache has every profile. `check` is that of this repository, with its baseline: seven "
        f"networks, an LSTM and two logs. `estimate` reads `{LOG}`."
    )
    return f"## Start-up\n\n{text}\n\n{table('Start-up of each verb', head, rows)}"
