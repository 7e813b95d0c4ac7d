"""The page of the results, from their numbers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.policy_learning.config import METHODS, Config
from benchmarks.policy_learning.videos import KINDS


def page(config: Config, found: dict[str, Any], out: Path, made_by: Sequence[Sequence[str]]) -> str:
    """Return the README of the results; the last are the commands of tables and figures."""
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
        *_section_times(found),
        _section_training(config, found),
        _section_search(found),
        _section_files(made_by),
    ]
    return "\n\n".join(parts) + "\n"


def _sentences(found: dict[str, Any]) -> str:
    lines = []
    for name, classes in found["classes"].items():
        own, over, front = (
            found[part][name] for part in ("approaches", "over_random", "over_uniform_front")
        )
        lines.append(
            f"- **{own['method']}**: {own['top1_percent']:.1f} % top-1 at "
            f"{own['mmacs_per_video']:.2f} MMACs a video. That is {over['points']:+.1f} points "
            f"({_to_text(over['ci95'])}) over a random policy of exactly the same cost, and "
            f"{front['points']:+.1f} points ({_to_text(front['ci95'])}) over uniform networks "
            "mixed to the same cost. What a class costs and what it was planted to need have a "
            f"rank correlation of {classes['rank_correlation_with_need']:.2f} (p = "
            f"{classes['rank_correlation_p']:.4f}; by seed: "
            f"{', '.join(f'{v:.2f}' for v in classes['rank_correlation_seeds'])})."
        )
    lines.append(
        "\nSampling is what was trained. Where the usage loss keeps chances close to each other, "
        "argmax is another policy, and networks were fine-tuned for argmax."
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
        "## Approaches\n\n![Accuracy against cost](figures/tradeoff.svg)\n\n"
        + _table(head, rows)
        + "\n\n"
        f"Means over {seeds} seeds; intervals draw seeds and videos ({seeds} seeds show little of "
        "the spread between trainings). `comparison.md` has mAP and paired differences, as "
        "`flopbench compare` prints them, over videos with all their seeds; so do the intervals "
        "of the figures.\n\n"
        "- **Random at the cost**: the decisions of the same network, dealt out again among "
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
    columns = list(found["classes"].values())
    rows = [
        [
            kind.name,
            f"{found['needs_mmacs'][c]:.2f}",
            *(f"{own['mmacs'][c]:.2f} ({own['top1_percent'][c]:.0f} %)" for own in columns),
        ]
        for c, kind in enumerate(KINDS)
    ]
    return (
        "## Classes\n\n![Cost of six classes, by network](figures/class-costs.svg)\n\n"
        + _table(["class", "needs, MMACs", *found["classes"]], rows)
        + "\n\nMMACs of a video (top-1). Need: as many looks as the class takes, with the coarsest "
        "network in whose input a digit of that size has about its own 8 pixels. It leaves out "
        "what finding the frame costs."
    )


def _section_usage(config: Config, found: dict[str, Any]) -> str:
    rows = [
        [action, *(f"{100 * own[action]:.1f} %" for own in found["usage"].values())]
        for action in config.actions
    ]
    strips = " ".join(f"![{m}: three videos](figures/frames-{m}.svg)" for m in METHODS)
    return (
        "## Usage\n\nShare of frames; below, frames at the resolutions that sampling chose.\n\n"
        + _table(["action", *found["usage"]], rows)
        + f"\n\n{strips}"
    )


def _section_times(found: dict[str, Any]) -> list[str]:
    if not found["times"]:
        return []
    rows = [
        [
            own["method"],
            own["mode"],
            f"{float(own['theory']):.2f}",
            f"{float(own['measured']):.2f}",
            " to ".join(f"{float(own[end]):.2f}" for end in ("low95", "high95")),
            f"{1e3 * float(own['adaptive_s']):.2f}",
            f"{1e3 * float(own['predicted_s']):.2f}",
            f"{100 * (float(own['predicted_s']) / float(own['adaptive_s']) - 1):+.1f} %",
        ]
        for own in found["times"]
    ]
    first = found["times"][0]
    head = ["approach", "mode", "by count", "measured", "95 %", "ms/video", "predicted", "off by"]
    return [
        "## Time\n\n![From the theoretical to the measured speed-up](figures/waterfall.svg)\n\n"
        + _table(head, rows)
        + f"\n\nSpeed-ups over the most expensive network on every frame, on one thread of "
        f"{first['device']} ({first['clock']}), {first['videos']} videos of seed 0. The time "
        "of networks this small goes by calls more than by pixels, so one video at a time a policy "
        "that saves MACs costs time: it adds three calls to each decision. "
        "Predicted: the times of single networks (`timings.json`), in the calls that the decisions "
        "make, and overheads (`overheads.json`) that were calibrated on REINFORCE's log only. "
        "`python -m benchmarks.policy_learning time` measured all of it."
    ]


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
        "validation videos, sampled decisions, as in training. Both methods have the same rates, "
        f"networks, videos and epochs; the networks' own rate is the same for both.{note}"
    )


def _section_files(made_by: Sequence[Sequence[str]]) -> str:
    shown = "\n".join(shlex.join(command) for command in made_by)
    return (
        "## Files\n\n"
        "`logs/`: decisions and scores (log-softmax, two decimals) of every test video, a file for "
        "each seed; `-s*` reads all seeds of one approach. `table.json`: every component under "
        "flopbench's counters. `search.json`, `training.json` (every epoch), `results.json` "
        "(the numbers of this page). What `time` measured: `timings.json`, `overheads.json`, "
        "`replay-*.json`. Tables and figures:\n\n"
        f"```sh\n{shown}\n```"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---" if n == 0 else "---:" for n in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
