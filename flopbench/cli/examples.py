"""What ``--help`` shows below the options: commands to copy. A test runs each of them.

Their files: ``run.jsonl`` and ``other.jsonl`` are policy logs, ``times.json`` has their networks
(``latency --for``), ``nets.py`` has a factory ``build``, and every other file is what the verb
writes that it is named after.
"""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "table resnet50@224 nets.py:build@64",
        "estimate run.jsonl",
        "plot usage run.jsonl -o usage.pdf",
    ),
    "table": (
        "table resnet18 mobilenet_v2 -r 224 -r 112",
        "table --all torchvision --match 'squeezenet*' --jobs 2 -o zoo.json",
        "table --from table.json --for column -o table.tex",
    ),
    "explain": (
        "explain resnet18@112 --depth 1",
        "explain nets.py:build@64 --counter torch --counter thop",
        "explain nets.py:build@64 -o profiles.json",
    ),
    "estimate": (
        "estimate run.jsonl",
        "estimate run.jsonl --by class -o classes.csv",
        "estimate run.jsonl --component large=nets.py:build@64",
    ),
    "compare": (
        "compare run.jsonl other.jsonl --for column --bold best -o table3.tex",
        "compare run.jsonl other.jsonl --times times.json",
        "compare timings.json later.json",
    ),
    "audit": (
        "audit --list",
        "audit --claim '3.7 GFLOPs' --model resnet18@160 --share 0.5",
        "audit claims.toml --strict",
    ),
    "latency": (
        "latency resnet18@64 nets.py:build@64 -o timings.json",
        "latency resnet18@64 --vs mobilenet_v2@64",
        "latency --for run.jsonl -o timings.json",
    ),
    "replay": (
        "replay run.jsonl --videos 20 -o replay.json",
        "replay run.jsonl --modes online --component large=nets.py:build@64",
        "replay --from replay.json",
    ),
    "plot": (
        "plot usage run.jsonl other.jsonl -o usage.pdf",
        "plot tradeoff run.jsonl other.jsonl -o tradeoff.svg --width page",
        "plot theory timings.json -o theory.pdf --data theory.csv",
    ),
    "plot usage": (
        "plot usage run.jsonl -o usage.pdf",
        "plot usage run.jsonl other.jsonl --of decisions -o usage.svg",
    ),
    "plot classes": (
        "plot classes run.jsonl -o classes.pdf",
        "plot classes run.jsonl --data classes.csv -o classes.svg",
    ),
    "plot frames": (
        "plot frames run.jsonl -o frames.pdf",
        "plot frames run.jsonl --width page -o frames.svg",
    ),
    "plot tradeoff": (
        "plot tradeoff run.jsonl other.jsonl -o tradeoff.pdf",
        "plot tradeoff run.jsonl other.jsonl --width page -o tradeoff.svg",
        "plot tradeoff run.jsonl --times times.json --cost ms -o ms.pdf",
    ),
    "plot cost": (
        "plot cost run.jsonl -o cost.pdf",
        "plot cost run.jsonl other.jsonl -o cost.svg",
    ),
    "plot waterfall": (
        "plot waterfall replay.json -o waterfall.pdf",
        "plot waterfall replay.json --data - -o waterfall.svg",
    ),
    "plot theory": (
        "plot theory timings.json -o theory.pdf",
        "plot theory timings.json --venue eccv -o theory.svg",
    ),
    "plot roofline": (
        "plot roofline timings.json -o roofline.pdf",
        "plot roofline timings.json --width 4.5 -o roofline.svg",
    ),
    "plot layers": (
        "plot layers profiles.json -o layers.pdf",
        "plot layers profiles.json --data layers.csv -o layers.svg",
    ),
    "plot counters": (
        "plot counters profiles.json -o counters.pdf",
        "plot counters profiles.json --width page -o counters.svg",
    ),
    "report": (
        "report table.json run.jsonl other.jsonl -o report",
        "report run.jsonl timings.json replay.json -o report --title Costs",
    ),
    "check": (
        "check",
        "check --verbose --report report.json",
        "check --self-test",
    ),
    "accept": (
        "accept nets.py:build@64 --reason 'a wider stem'",
        "accept --all --reason 'a new head for 400 classes'",
    ),
    "init": (
        "init --list",
        "init nets.py:build@64 resnet18@64 run.jsonl",
    ),
    "log": (
        "log validate run.jsonl",
        "log convert run.jsonl -o run.json",
        "log head run.jsonl -n 2",
    ),
    "log validate": (
        "log validate run.jsonl",
        "log validate run.jsonl --allow-truncated",
    ),
    "log convert": (
        "log convert run.jsonl -o run.csv",
        "log convert run.jsonl -o run.json.gz",
    ),
    "log reduce": (
        "log reduce run.jsonl -o part0.counts",
        "log reduce run.jsonl --engine duckdb -o part0.counts",
        "log reduce run.jsonl --duplicates first --sums -o part1.counts",
    ),
    "log head": (
        "log head run.jsonl",
        "log head run.jsonl -n 1",
    ),
    "counters": ("counters", "counters --wide"),
    "cache": ("cache", "cache --clear"),
    "completion": (
        "completion bash >> ~/.bash_completion",
        "completion fish > ~/.config/fish/completions/flopbench.fish",
    ),
}
"""Verb, or verb and kind -> its examples, each without the program's name; "" is the overview."""
