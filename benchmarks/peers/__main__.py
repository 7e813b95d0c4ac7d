"""flopbench beside other tools, each in a process of its own, as ratios within one run.

    python -m benchmarks.peers all                 every part, then the page
    python -m benchmarks.peers counters --repeats 5
    python -m benchmarks.peers page                the page from what was measured, nothing more

A part writes ``reports/peers/PART.json``: what was measured, raw. ``page`` makes README.md and the
figures from these files alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.peers.common import ROOT, Options, Verdict, machine, say, table, versions

OUT = ROOT / "reports" / "peers"
PARTS = {
    "counters": "seven networks counted by each counter; how exact, and what is left in the model",
    "startup": "start-up of each verb, and the first table, against the imports it needs",
    "logs": "counting policy logs",
    "spread": "how much the headline of a time differs from run to run",
}
"""Part -> what it measures. Each is a module here that needs no extra to be imported, with

``measure(options: Options) -> dict``: raw data, as JSON can hold it;
``section(data) -> str``: its part of the page, Markdown, from a heading of level 2 on;
``verdicts(data) -> list[Verdict]``, if it has any: lines of the table at the top;
``figures(data) -> dict[str, Drawing]``, if it has any: written as ``reports/peers/NAME.svg``;
``REPEATS: int``: the rounds that a report takes; ``DISTRIBUTIONS``: whose versions it names."""


def module_of(part: str) -> ModuleType:
    """Import a part."""
    return importlib.import_module(f"benchmarks.peers.{part}")


def measure(part: str, repeats: int | None, tiny: bool, out: Path) -> None:
    """Measure one part and write its raw data."""
    module = module_of(part)
    repeats = repeats or (1 if tiny else module.REPEATS)
    begun = time.monotonic()
    say(f"{part}: {PARTS[part]}")
    about = {
        "command": f"python -m benchmarks.peers {part} --repeats {repeats}" + " --tiny" * tiny,
        "machine": machine(),
        "versions": versions(module.DISTRIBUTIONS),
    }
    with tempfile.TemporaryDirectory() as folder:
        data = module.measure(Options(repeats=repeats, tiny=tiny, folder=Path(folder)))
    took_s = round(time.monotonic() - begun, 1)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, "took_s": took_s, "data": data}, indent=1, ensure_ascii=False)
    (out / f"{part}.json").write_text(text + "\n", encoding="utf-8")
    say(f"{part}: {took_s:.0f} s, {out / part}.json")


def measured(out: Path) -> dict[str, Any]:
    """Return the raw data of each part that was measured, in the order of ``PARTS``."""
    files = {part: out / f"{part}.json" for part in PARTS}
    return {
        part: json.loads(path.read_text(encoding="utf-8"))
        for part, path in files.items()
        if path.exists()
    }


def page(found: dict[str, Any]) -> str:
    """Return the README of the results, from raw data alone."""
    verdicts: list[Verdict] = []
    sections = []
    for part, one in found.items():
        module = module_of(part)
        verdicts += module.verdicts(one["data"]) if hasattr(module, "verdicts") else []
        sections.append(str(module.section(one["data"])).strip())
    return "\n\n".join([*_head(found), *_summary(verdicts), *sections]) + "\n"


def _head(found: dict[str, Any]) -> list[str]:
    """What it is, where and with which commands it was measured."""
    places = dict.fromkeys(
        "{processor}, {cores} cores, {memory_gb:g} GB, {system}".format(**one["machine"])
        for one in found.values()
    )
    libraries = {name: text for one in found.values() for name, text in one["versions"].items()}
    commands = "\n".join(one["command"] for one in found.values())
    loads = ", ".join(f"{one['machine']['load_before']:g}" for one in found.values())
    return [
        "# flopbench beside its peers",
        f"Measured on {'; '.join(places)}; load before each part: {loads}. With "
        + ", ".join(f"{name} {text}" for name, text in libraries.items())
        + ". Each command is a process of its own, with one thread for arithmetic; the commands of "
        "a part take turns. A ratio is taken round by round: its median, and in brackets the least "
        "and the greatest.",
        f"```sh\n{commands}\npython -m benchmarks.peers page\n```",
    ]


def _summary(verdicts: Sequence[Verdict]) -> list[str]:
    """Every comparison in one table, with the reason where another is ahead."""
    if not verdicts:
        return []
    rows = []
    for what in dict.fromkeys(verdict.what for verdict in verdicts):
        own = [verdict for verdict in verdicts if verdict.what == what]
        ahead = [f"{v.peer}: {v.ratio}" for v in own if v.ahead]
        behind = [f"{v.peer}: {v.ratio}" for v in own if not v.ahead]
        reasons = dict.fromkeys(v.reason for v in own if not v.ahead)
        rows.append([what, "; ".join(ahead), "; ".join(behind), "; ".join(reasons)])
    count = sum(verdict.ahead for verdict in verdicts)
    said = (
        f"flopbench is ahead in {count} of {len(verdicts)} comparisons, or within its target. "
        "Beside a peer stands flopbench's share of what that takes; beside a target, what it takes."
    )
    head = ["comparison", "ahead of, or within", "behind, or beyond", "why"]
    return ["## Summary", said + "\n\n" + table("Every comparison", head, rows, text=4).strip()]


def write_page(out: Path) -> None:
    """Write README.md and the figures."""
    from flopbench.present.draw.drawing import bytes_of

    found = measured(out)
    (out / "README.md").write_text(page(found), encoding="utf-8")
    for part, one in found.items():
        module = module_of(part)
        drawn = module.figures(one["data"]) if hasattr(module, "figures") else {}
        for name, drawing in drawn.items():
            content, warnings = bytes_of(drawing, "svg")
            for warning in warnings:
                say(f"warning: {name}: {warning}")
            (out / f"{name}.svg").write_bytes(content)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure a part, or all of them, or make the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "all", "page"])
    parser.add_argument("--repeats", type=int, help="measured rounds (default: the part's own)")
    parser.add_argument("--tiny", action="store_true", help="the smallest case, to try the code")
    parser.add_argument("-o", "--output", type=Path, default=OUT, help="where results go")
    args = parser.parse_args(argv)
    for part in PARTS if args.part == "all" else [args.part]:
        if part != "page":
            measure(part, args.repeats, args.tiny, args.output)
    if args.part in ("all", "page"):
        write_page(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
