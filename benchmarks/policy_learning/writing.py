"""Numbers, page, tables and figures of the experiment, from its logs."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import flopbench
from benchmarks.policy_learning.config import METHODS, Config
from benchmarks.policy_learning.page import page
from benchmarks.policy_learning.pricing import Prices, prices_of, specs
from benchmarks.policy_learning.results import (
    Runs,
    chance_of_ranks,
    class_costs,
    front_chances,
    interval,
    rank_correlation,
    read_runs,
    training_macs,
    usage,
)

POLICIES = tuple(f"{method}-{mode}" for method in METHODS for mode in ("argmax", "sampling"))
RANDOM = tuple(f"random-{name}" for name in POLICIES)
TIMES, OVERHEADS = "timings.json", "overheads.json"
GROUP = 64
"""Videos of a group in mode ``bucketed``, and the largest call of policy and LSTM."""
BATCHES = (1, 2, 4, 16, GROUP)
"""A call of two items takes up to three times as long as one of a single item, which has kernels
of its own: between 1 and 64 alone, interpolation would miss that."""


def uniform_names(config: Config) -> list[str]:
    """Return what the logs of the uniform networks are called, most expensive first."""
    return [f"uniform-{arm.name.replace('@', '-')}" for arm in (*config.arms, config.policy)]


def commands(config: Config, out: Path, frames: Path) -> list[list[str]]:
    """Return the flopbench commands that make tables and figures of the logs."""

    def logs(*names: str) -> list[str]:
        return [f"{out}/logs/{name}-s*.jsonl.gz" for name in names]

    trained = [f"{method}-sampling" for method in METHODS]
    everything = [*POLICIES, *RANDOM, *uniform_names(config), "all", "oracle"]
    names = [short for name in (*POLICIES, *RANDOM) for short in ("--name", _short(name))]
    for arm in (*config.arms, config.policy):
        names += ["--name", f"uniform {arm.name}"]
    videos = ["--cluster", "id:-s"]
    figures = f"{out}/figures"
    made = [
        ["compare", *logs(*everything), *videos, "--metric", "mAP", "-o", f"{out}/comparison.md"],
        ["plot", "usage", *logs(*POLICIES), *_to(figures, "usage")],
        [
            *("plot", "tradeoff", *logs(*POLICIES, *RANDOM, *uniform_names(config)), *names),
            *("--metric", "top-1", "--linear", *videos, *_to(figures, "tradeoff")),
        ],
        ["plot", "cost", *logs(*trained), *videos, *_to(figures, "cost")],
        [
            *("plot", "classes", *logs(*trained), "--bars", "cost", "--classes", "6"),
            *_to(figures, "class-costs"),
        ],
    ]
    for method in METHODS:
        one = logs(f"{method}-sampling")
        made.append(["plot", "classes", *one, *videos, *_to(figures, f"classes-{method}")])
        strip = [f"{out}/logs/{method}-sampling-s0.jsonl.gz", "--frames", str(frames)]
        made.append(["plot", "frames", *strip, *_to(figures, f"frames-{method}")])
    if is_timed(out):
        replay = f"{out}/{_replay(METHODS[0])}"
        made.append(["plot", "waterfall", replay, *_predicted(out), *_to(figures, "waterfall")])
    return [["flopbench", *command] for command in made]


def timing_commands(config: Config, out: Path, device: str) -> list[list[str]]:
    """Return the commands that time both policies: networks, overheads of one log, both replays."""
    own = specs(config)
    code = {name: spec for name, spec in own.items() if flopbench.parse_spec(spec).is_user_code}
    trusted = [word for name, spec in code.items() for word in ("--component", f"{name}={spec}")]
    logs = {method: f"{out}/logs/{method}-sampling-s0.jsonl.gz" for method in METHODS}
    batches = [word for n in BATCHES for word in ("--batch", str(n))]
    on = ["--device", device]
    timed = ["latency", *own.values(), *batches, "--budget", "0.5", *on, "-o", f"{out}/{TIMES}"]
    calibrate = ["--calibrate", "--videos", str(GROUP), "--rounds", "3", *on]
    other = [logs[METHODS[-1]], *trusted, *calibrate, "-o", f"{out}/{OVERHEADS}"]
    made = [timed, ["replay", *other]]
    for method, log in logs.items():
        replay = ["replay", log, *trusted, "--videos", str(GROUP), *on]
        made.append([*replay, "-o", f"{out}/{_replay(method)}"])
    return [["flopbench", *command] for command in made]


def _replay(method: str) -> str:
    return f"replay-{method}.json"


def _predicted(out: Path) -> list[str]:
    return ["--predicted", f"{out}/{TIMES}", "--overheads", f"{out}/{OVERHEADS}"]


def is_timed(out: Path) -> bool:
    """Return whether the policies were timed, which is no part of a run."""
    return all((out / name).exists() for name in (TIMES, OVERHEADS, *map(_replay, METHODS)))


def _times(out: Path) -> list[dict[str, str]]:
    """Return replays beside predictions, a row a method and mode; nothing where none was made."""
    if not is_timed(out):
        return []
    replays = [f"{out}/{_replay(method)}" for method in METHODS]
    shown = ["replay", "--from", *replays, *_predicted(out), "--format", "csv"]
    command = [sys.executable, "-m", "flopbench", *shown]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def _short(name: str) -> str:
    """Return what a log is called in a figure: ``random as gumbel, argmax``."""
    return name.replace("random-", "random as ").replace("-", ", ")


def _to(figures: str, name: str) -> list[str]:
    return ["-o", f"{figures}/{name}.svg", "--data", f"{figures}/{name}.csv"]


def write_results(
    config: Config, out: Path, work: Path, frames: Path, seeds: Sequence[int]
) -> None:
    """Write ``results.json``, ``training.json`` and ``README.md``, then tables and figures."""
    prices = prices_of(config)
    trained = out / "training.json"
    histories = {seed: work / f"seed{seed}" / "history.json" for seed in seeds}
    if all(path.exists() for path in histories.values()):
        lines = {str(seed): json.loads(path.read_text()) for seed, path in histories.items()}
        trained.write_text(json.dumps(lines) + "\n", encoding="utf-8")
    names = [*POLICIES, *RANDOM, *uniform_names(config), "all", "oracle"]
    runs = {name: read_runs(prices, out / "logs", name) for name in names}
    found = results(prices, runs, json.loads(trained.read_text(encoding="utf-8")))
    found["search"] = json.loads((out / "search.json").read_text(encoding="utf-8"))
    found["times"] = _times(out)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (out / "results.json").write_text(text, encoding="utf-8")
    made_by = [shlex.split(f"python -m benchmarks.policy_learning frames -o {frames}")]
    made_by += commands(config, out, frames)
    (out / "README.md").write_text(page(config, found, out, made_by), encoding="utf-8")
    (out / "figures").mkdir(exist_ok=True)
    for command in made_by[1:]:
        print(shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def results(prices: Prices, runs: dict[str, Runs], training: dict[str, Any]) -> dict[str, Any]:
    """Return every number of the page."""
    config = prices.config
    uniforms = [runs[name] for name in uniform_names(config)]
    return {
        "approaches": {name: _approach(own) for name, own in runs.items()},
        "over_uniform_front": {
            name: _points(own.right - front_chances(own, uniforms))
            for name, own in runs.items()
            if name in POLICIES
        },
        "over_random": {
            name: _points(runs[name].right - runs[f"random-{name}"].right.astype(float))
            for name in POLICIES
        },
        "needs_mmacs": [round(macs / 1e6, 4) for macs in prices.needs],
        "classes": {name: _classes(runs[name], prices.needs) for name in POLICIES},
        "usage": {
            name: {k: round(v, 4) for k, v in usage(runs[name], config).items()}
            for name in POLICIES
        },
        "training_tmacs": {
            name: {
                stage: round(float(np.mean(values)) / 1e12, 4)
                for stage, values in _training(prices, training, name).items()
            }
            for name in ("alone", *METHODS)
        },
    }


def _approach(own: Runs) -> dict[str, Any]:
    return {
        "method": own.method,
        "top1_percent": _mean(own.percent, 2),
        "top1_ci95": _ends(100 * own.right, 2),
        "top1_seeds": [round(float(v), 2) for v in own.percent],
        "mmacs_per_video": _mean(own.mmacs, 4),
        "mmacs_ci95": _ends(own.macs / 1e6, 4),
        "mmacs_seeds": [round(float(v), 4) for v in own.mmacs],
    }


def _points(difference: Any) -> dict[str, Any]:
    return {
        "points": _mean(100 * difference, 2),
        "ci95": _ends(100 * difference, 2),
        "seeds": [round(float(v), 2) for v in 100 * difference.mean(1)],
    }


def _classes(own: Runs, needs: Sequence[int]) -> dict[str, Any]:
    spent = class_costs(own)
    right = [100 * own.right[:, own.labels == c].mean() for c in range(len(needs))]
    return {
        "mmacs": [round(float(v) / 1e6, 4) for v in spent.mean(0)],
        "top1_percent": [round(float(v), 1) for v in right],
        "rank_correlation_with_need": round(rank_correlation(spent.mean(0), needs), 3),
        "rank_correlation_p": round(chance_of_ranks(spent.mean(0), needs), 4),
        "rank_correlation_seeds": [round(rank_correlation(row, needs), 3) for row in spent],
    }


def _training(prices: Prices, training: dict[str, Any], name: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for seed in training.values():
        for stage, macs in training_macs(prices, seed[name]).items():
            found.setdefault(stage, []).append(macs)
    return found


def _mean(values: Any, digits: int) -> float:
    return round(float(np.mean(values)), digits)


def _ends(values: Any, digits: int) -> list[float]:
    return [round(end, digits) for end in interval(values)]
