"""Tables, README and figures of the experiment, from its logs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.policy_learning.config import METHODS, Config
from benchmarks.policy_learning.pricing import Prices, prices_of
from benchmarks.policy_learning.results import (
    Runs,
    class_costs,
    front_chances,
    interval,
    rank_correlation,
    read_runs,
    training_macs,
    usage,
)
from benchmarks.policy_learning.videos import KINDS

POLICIES = tuple(f"{method}-{mode}" for method in METHODS for mode in ("argmax", "sampling"))
RANDOM = tuple(f"random-{method}" for method in METHODS)
FRAMES = "build/policy_learning/frames"


def uniform_names(config: Config) -> list[str]:
    """Return what the logs of the uniform networks are called, most expensive first."""
    return [f"uniform-{arm.name.replace('@', '-')}" for arm in (*config.arms, config.policy)]


def commands(config: Config, out: Path) -> list[list[str]]:
    """Return the flopbench commands that make tables and figures of the logs."""

    def logs(*names: str) -> list[str]:
        return [f"{out}/logs/{name}-s*.jsonl.gz" for name in names]

    best = [f"{method}-argmax" for method in METHODS]
    everything = [*POLICIES, *RANDOM, *uniform_names(config), "all", "oracle"]
    few = [*best, *RANDOM, *uniform_names(config), "oracle"]
    videos = ["--cluster", "id:-s"]
    figures = f"{out}/figures"
    made = [
        ["compare", *logs(*everything), *videos, "--metric", "mAP", "-o", f"{out}/comparison.md"],
        ["plot", "usage", *logs(*best), *_to(figures, "usage")],
        ["plot", "tradeoff", *logs(*few), "--metric", "top-1", *_to(figures, "tradeoff")],
        ["plot", "cost", *logs(*best), *_to(figures, "cost")],
    ]
    for method in METHODS:
        one = logs(f"{method}-argmax")
        made.append(["plot", "classes", *one, *_to(figures, f"classes-{method}")])
        strip = [f"{out}/logs/{method}-argmax-s0.jsonl.gz", "--frames", FRAMES]
        made.append(["plot", "frames", *strip, *_to(figures, f"frames-{method}")])
    return [["flopbench", *command] for command in made]


def _to(figures: str, name: str) -> list[str]:
    return ["-o", f"{figures}/{name}.svg", "--data", f"{figures}/{name}.csv"]


def write_results(config: Config, out: Path, work: Path, seeds: Sequence[int]) -> None:
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
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (out / "results.json").write_text(text, encoding="utf-8")
    (out / "README.md").write_text(page(config, found, out), encoding="utf-8")
    (out / "figures").mkdir(exist_ok=True)
    for command in commands(config, out):
        print(shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def results(prices: Prices, runs: dict[str, Runs], training: dict[str, Any]) -> dict[str, Any]:
    """Return every number of the page."""
    config = prices.config
    uniforms = [runs[name] for name in uniform_names(config)]
    return {
        "approaches": {name: _approach(own) for name, own in runs.items()},
        "gains": {
            f"{method}-argmax": {
                "over_random": _points(
                    runs[f"{method}-argmax"].right - runs[f"random-{method}"].right.astype(float)
                ),
                "over_uniform_front": _points(
                    runs[f"{method}-argmax"].right
                    - front_chances(runs[f"{method}-argmax"], uniforms)
                ),
            }
            for method in METHODS
        },
        "needs_mmacs": [round(macs / 1e6, 4) for macs in prices.needs],
        "classes": {method: _classes(runs[f"{method}-argmax"], prices.needs) for method in METHODS},
        "usage": {
            method: {k: round(v, 4) for k, v in usage(runs[f"{method}-argmax"], config).items()}
            for method in METHODS
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


def page(config: Config, found: dict[str, Any], out: Path) -> str:
    """Return the README of the results."""
    best = {method: found["approaches"][f"{method}-argmax"] for method in METHODS}
    seeds = len(best["gumbel"]["top1_seeds"])
    parts = [
        "# A policy learnt twice",
        (
            f"AR-Net's structure on {config.test} test videos of moving digits "
            f"({len(KINDS)} classes, {config.steps} frames), learnt with straight-through "
            f"Gumbel-Softmax and with REINFORCE, {seeds} seeds each. All of it was made by\n\n"
            "```sh\n"
            f"python -m benchmarks.policy_learning run --config {config.name} -o {out}\n"
            "```\n\n"
            "`benchmarks/policy_learning/` has the code: videos, networks and losses are described "
            "there."
        ),
        _sentences(found),
        _section_approaches(found, seeds),
        _section_classes(found),
        _section_usage(config, found),
        _section_training(config, found),
        _section_search(found),
        _section_files(config, out),
    ]
    return "\n\n".join(parts) + "\n"


def _sentences(found: dict[str, Any]) -> str:
    lines = []
    for method in METHODS:
        own, gain = found["approaches"][f"{method}-argmax"], found["gains"][f"{method}-argmax"]
        classes = found["classes"][method]
        over, front = gain["over_random"], gain["over_uniform_front"]
        lines.append(
            f"- **{own['method']}**: {own['top1_percent']:.1f} % top-1 at "
            f"{own['mmacs_per_video']:.2f} MMACs a video. That is {over['points']:+.1f} points "
            f"({_to_text(over['ci95'])}) over a random policy of exactly the same cost, and "
            f"{front['points']:+.1f} points ({_to_text(front['ci95'])}) over uniform networks "
            "mixed to the same cost. What a class costs and what it was planted to need have a "
            "rank "
            f"correlation of {classes['rank_correlation_with_need']:.2f} (by seed: "
            f"{', '.join(f'{v:.2f}' for v in classes['rank_correlation_seeds'])})."
        )
    return "\n".join(lines)


def _to_text(ends: Sequence[float], digits: int = 1) -> str:
    return f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"


def _section_approaches(found: dict[str, Any], seeds: int) -> str:
    rows = [
        [
            own["method"],
            f"{own['top1_percent']:.1f}",
            _to_text(own["top1_ci95"]),
            " ".join(f"{v:.1f}" for v in own["top1_seeds"]),
            f"{own['mmacs_per_video']:.2f}",
            _to_text(own["mmacs_ci95"], 2),
            " ".join(f"{v:.2f}" for v in own["mmacs_seeds"]),
        ]
        for own in found["approaches"].values()
    ]
    head = ["approach", "top-1 %", "95 %", "by seed", "MMACs/video", "95 %", "by seed"]
    return (
        "## Approaches\n\n" + _table(head, rows) + "\n\n"
        f"Means over {seeds} seeds; intervals draw seeds and videos ({seeds} seeds show little of "
        "the spread between trainings). `comparison.md` has mAP and paired differences, as "
        "`flopbench compare` prints them, over videos with all their seeds. Intervals of the "
        "trade-off figure draw each video of each seed alone, which is too narrow.\n\n"
        "- **Random at the cost**: the argmax decisions of the same network, dealt out again among "
        "the videos (`flopbench log convert --random`), and run.\n"
        "- **Uniform**: one network on every frame, without policy and LSTM, trained alone for as "
        "many epochs as the policies; `cnn@12` is the LSTM's own prediction. **All networks**: all "
        "of them on every frame, their logits averaged.\n"
        "- **Oracle**: knows the label. It takes the cheapest network that is right on any single "
        "frame, and runs it on the frame where it is surest; where none is right, the cheapest. It "
        "pays for no policy. It does not see two frames, so classes of order and motion cost it "
        "little and are partly luck."
    )


def _section_classes(found: dict[str, Any]) -> str:
    columns = [found["classes"][method] for method in METHODS]
    rows = [
        [
            kind.name,
            f"{found['needs_mmacs'][c]:.2f}",
            *(f"{own['mmacs'][c]:.2f} ({own['top1_percent'][c]:.0f} %)" for own in columns),
        ]
        for c, kind in enumerate(KINDS)
    ]
    return (
        "## Classes\n\n"
        + _table(["class", "needs, MMACs", *(f"{m}: MMACs (top-1)" for m in METHODS)], rows)
        + "\n\nNeed: as many looks as the class takes, with the coarsest network in whose input a "
        "digit of that size has about its own 8 pixels. It leaves out what finding the frame costs."
    )


def _section_usage(config: Config, found: dict[str, Any]) -> str:
    rows = [
        [action, *(f"{100 * found['usage'][m][action]:.1f} %" for m in METHODS)]
        for action in config.actions
    ]
    return "## Usage\n\nShare of frames, by argmax.\n\n" + _table(["action", *METHODS], rows)


def _section_training(config: Config, found: dict[str, Any]) -> str:
    spent = found["training_tmacs"]
    rows = []
    titles = {"alone": "networks alone", "gumbel": "Gumbel-Softmax", "reinforce": "REINFORCE"}
    for name, stages in spent.items():
        joint = stages.get("joint", stages.get("alone", 0.0))
        tune = stages.get("tune")
        rows.append(
            [
                titles[name],
                f"{stages['warm']:.2f}",
                f"{joint:.2f}",
                "-" if tune is None else f"{tune:.2f}",
                f"{sum(stages.values()):.2f}",
            ]
        )
    return (
        "## What learning costs\n\n"
        + _table(["", "warm-up (shared)", "joint, or alone", "fine-tuning", "all"], rows)
        + "\n\n1e12 MACs of one training, counted: networks × frames that they ran on × epochs "
        f"({config.warm} + {config.joint} + {config.tune} of {config.train:,} videos). A forward "
        "pass costs its MACs, a backward pass twice that. Gumbel-Softmax runs every network at "
        "every decision, since its gradient needs all their outputs, but only chosen ones have a "
        "backward pass: that of the others is zero. REINFORCE runs what it chose. The frozen "
        "policy of the fine-tuning has a forward pass only."
    )


def _section_search(found: dict[str, Any]) -> str:
    own = found["search"]
    rows = [
        [
            trial["method"],
            f"{trial['rate']:g}",
            f"{trial['objective']:.3f}",
            f"{trial['top1_percent']:.1f}",
            f"{trial['mmacs_per_video']:.2f}",
            "chosen" if own["chosen"][trial["method"]] == trial["rate"] else "",
        ]
        for trial in own["trials"]
    ]
    head = ["method", "rate", "cross entropy + cost", "top-1 %", "MMACs/video", ""]
    rates = sorted(trial["rate"] for trial in own["trials"])
    edge = [m for m in METHODS if own["chosen"][m] in (rates[0], rates[-1])]
    note = f" The best rate of {' and '.join(edge)} is at the edge of the grid." if edge else ""
    return (
        "## The search for learning rates\n\n" + _table(head, rows) + "\n\n"
        f"The rate of the layer that decides; seed {own['seed']}, joint epochs: {own['epochs']}, "
        "validation videos, argmax. Both methods have the same rates, networks, videos and epochs; "
        f"the networks' own rate is the same for both.{note}"
    )


def _section_files(config: Config, out: Path) -> str:
    shown = "\n".join(shlex.join(command) for command in commands(config, out))
    return (
        "## Files\n\n"
        "`logs/`: decisions and scores (log-softmax, two decimals) of every test video, a file for "
        "each seed; `-s*` reads all seeds of one approach. `table.json`: every component under "
        "flopbench's counters. `search.json`, `training.json` (every epoch), `results.json` "
        "(the numbers of this page). Tables and figures:\n\n"
        f"```sh\npython -m benchmarks.policy_learning frames -o {FRAMES}\n{shown}\n```"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---" if n == 0 else "---:" for n in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
