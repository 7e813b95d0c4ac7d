"""Counting policy logs: flopbench, AR-Net's formula, pandas, polars, DuckDB and a plain loop.

``log_counters.py`` has one function for each. Every process counts a whole log and prints what it
found, which is compared with the plain loop's. Floors: reading the bytes, and decoding the
decisions. Logs are those of ``benchmarks/make_log.py``, of 16 frames a video.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.common import (
    ROOT,
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
from benchmarks.peers.log_counters import DECODE, FLOORS, OURS, READ, STEPS, command
from benchmarks.peers.log_defects import defects_text, planted
from flopbench.core.statistics import median
from flopbench.core.units import plain_number

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing

REPEATS = 3
DISTRIBUTIONS = ("numpy", "msgspec", "duckdb", "nanoarrow", "pandas", "pyarrow", "polars")
SIZES = (100_000, 1_000_000, 10_000_000)
"""Decisions."""
LARGEST = 100_000_000
"""Of one log more, in Parquet only, which is the log before ten times over."""
FORMS = ("jsonl", "parquet")
BOTH_TASKS = ("pandas", "polars", "DuckDB SQL", "plain loop")
CASES = (
    (READ, "usage"),
    (DECODE, "usage"),
    (OURS, "all"),
    ("AR-Net's formula", "all"),
    *itertools.product(BOTH_TASKS, ("usage", "all")),
)
"""Who counts what. ``flopbench`` always counts all."""
LARGE_CASES = ((DECODE, "usage"), (OURS, "all"), ("polars", "usage"), ("DuckDB SQL", "usage"))
PARQUET_TARGET, JSONL_TARGET = 1.5, 1 / 3
GFLOPS_WITHIN = 1e-9

REPEAT_ROWS = """
import sys, duckdb
from flopbench.policy.forms.raw import sql_text
source, target, times, name = sys.argv[1:]
query = "SELECT value FROM parquet_kv_metadata(?) WHERE key = ?::BLOB"
header = bytes(duckdb.execute(query, [source, name]).fetchone()[0]).decode()
duckdb.execute(f'''COPY (SELECT concat(id, '-', k) AS id, labels, actions
    FROM read_parquet({sql_text(source)}), range({int(times)}) AS t(k))
    TO {sql_text(target)} (FORMAT parquet, COMPRESSION zstd,
    KV_METADATA {{{sql_text(name)}: {sql_text(header)}}})''')
"""


def measure(options: Options) -> dict[str, Any]:
    """Return what each process cost and answered, and what each does with a defective record."""
    sizes = (STEPS * 1_000,) if options.tiny else SIZES
    made = {(size, form): options.folder / f"{size}.{form}" for size in sizes for form in FORMS}
    _make(made, sizes)
    runs: list[dict[str, Any]] = []
    for size in sizes:
        truth = _answer("plain loop", "all", made[size, "jsonl"])
        more = options.repeats if size == sizes[-1] else 2 * options.repeats - 1
        for form in FORMS:
            say(f"{size:,} decisions, {form}")
            runs += _runs(CASES, made[size, form], size, truth, more)
    if not options.tiny:
        large = options.folder / "large.parquet"
        times = LARGEST // sizes[-1]
        arguments = [
            str(made[sizes[-1], "parquet"]),
            str(large),
            str(times),
            "flopbench.policy-log",
        ]
        run([sys.executable, "-c", REPEAT_ROWS, *arguments])
        say(f"{LARGEST:,} decisions, parquet")
        truth = {name: [times * n for n in truth[name]] for name in ("frames", "decisions")}
        runs += _runs(LARGE_CASES, large, LARGEST, truth, min(2, options.repeats))
    say("defects")
    return {
        "bytes": {f"{size} {form}": path.stat().st_size for (size, form), path in made.items()},
        "runs": runs,
        "defects": planted(options.folder),
    }


def _make(made: dict[tuple[int, str], Path], sizes: tuple[int, ...]) -> None:
    """Write the logs: the largest is made, the others are its first lines."""
    largest = made[sizes[-1], "jsonl"]
    script = [sys.executable, str(ROOT / "benchmarks" / "make_log.py"), "--no-scores"]
    run([*script, "--videos", str(sizes[-1] // STEPS), "-o", str(largest)])
    for size in sizes:
        own = made[size, "jsonl"]
        if own != largest:
            with open(largest, "rb") as lines, open(own, "wb") as target:
                target.writelines(itertools.islice(lines, 1 + size // STEPS))
        _convert(own, made[size, "parquet"])


def _convert(source: Path, target: Path) -> None:
    run([sys.executable, "-m", "flopbench", "log", "convert", str(source), "-o", str(target)])


def _answer(peer: str, task: str, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(command(peer, task, path))[1])
    return found


def _runs(
    cases: tuple[tuple[str, str], ...], path: Path, size: int, truth: dict[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Let the cases take turns on one log."""
    calls: dict[str, Callable[[], tuple[Cost, str]]] = {
        f"{peer}|{task}": partial(run, command(peer, task, path)) for peer, task in cases
    }
    found = []
    for (peer, task), own in zip(cases, take_turns(calls, repeats).values(), strict=True):
        answer = json.loads(own[0][1])
        found.append(
            {
                "peer": peer,
                "task": task,
                "form": path.suffix[1:],
                "decisions": size,
                "costs": [cost for cost, _ in own],
                "wrong": wrong(answer, truth),
            }
        )
    return found


def wrong(answer: dict[str, Any], truth: dict[str, Any]) -> list[str]:
    """Return which parts of an answer differ from the truth; what it lacks does not."""
    differ = [
        name for name in ("frames", "decisions") if answer.get(name, truth[name]) != truth[name]
    ]
    if "gflops" in answer and "gflops" in truth:
        same = math.isclose(answer["gflops"], truth["gflops"], rel_tol=GFLOPS_WITHIN)
        differ += [] if same else ["gflops"]
    return differ


def _of(data: dict[str, Any], peer: str, task: str, form: str, size: int) -> dict[str, Any] | None:
    wanted = {"peer": peer, "task": task, "form": form, "decisions": size}
    return next((one for one in data["runs"] if wanted.items() <= one.items()), None)


def _values(one: dict[str, Any], name: str) -> list[float]:
    return [cost[name] for cost in one["costs"]]


def _sizes(data: dict[str, Any]) -> list[int]:
    return sorted({one["decisions"] for one in data["runs"]})


def verdicts(data: dict[str, Any]) -> list[Verdict]:
    """Compare with the targets, on the largest log that everyone counts."""
    size = max(one["decisions"] for one in data["runs"] if one["form"] == "jsonl")
    found = []
    for form in FORMS:
        ours = _of(data, OURS, "all", form, size)
        assert ours is not None
        for peer, task in CASES:
            theirs = _of(data, peer, task, form, size)
            if theirs is None or peer in (OURS, READ) or (peer == DECODE and form == "jsonl"):
                continue
            share = ratio(_values(ours, "cpu_s"), _values(theirs, "cpu_s"))
            no_runs = "counts no runs, and " * (task == "usage" or peer not in BOTH_TASKS)
            target, why = 1.0, f"it {no_runs}checks nothing"
            if peer == DECODE:
                target, why = PARQUET_TARGET, "ids (for repeated ones) and labels are decoded, too"
            elif form == "jsonl" and peer in ("pandas", "polars"):
                target = JSONL_TARGET
            ahead = share.median <= target
            what = f"CPU, {size:,} decisions, {form}"
            who = peer if peer == DECODE else f"{peer}, {task}"
            if target != 1:
                who += f", target {plain_number(target)}"
            found.append(
                Verdict(
                    what=what, peer=who, ratio=str(share), ahead=ahead, reason="" if ahead else why
                )
            )
    return found


def section(data: dict[str, Any]) -> str:
    """Return this part of the page."""
    text = (
        "A whole process counts a log: frames of each action (`usage`), or also the decisions, "
        "from the lengths of runs, and GFLOPS per video by AR-Net's formula (`all`). flopbench "
        "always counts all, checks every record and finds repeated ids; it is compared with both. "
        "Its process collects garbage as seldom, and ends as abruptly, as its command does. "
        "AR-Net's formula has no exact decisions. Floors: reading the bytes; decoding the "
        "decisions (JSONL by msgspec, Parquet by DuckDB into numpy) and nothing else. Every answer "
        f"is compared with the plain loop's: {_answers(data)}."
    )
    plots = (f"![CPU time against decisions, {form}](logs-{form}.svg)" for form in FORMS)
    parts = ["## Counting policy logs", text, *plots]
    for size, form in itertools.product(_sizes(data), FORMS):
        ours = _of(data, OURS, "all", form, size)
        if ours is None:
            continue
        rows = []
        for one in data["runs"]:
            if (one["decisions"], one["form"]) == (size, form):
                cpu = _values(one, "cpu_s")
                rows.append(
                    [
                        one["peer"],
                        one["task"] if one["peer"] not in FLOORS else "",
                        spread(cpu),
                        spread(_values(one, "wall_s")),
                        plain_number(max(_values(one, "peak_mb"))),
                        str(ratio(cpu, _values(ours, "cpu_s"))),
                    ]
                )
        head = ["counter", "task", "CPU s", "wall s", "peak MB", "CPU / flopbench"]
        parts.append(table(f"{size:,} decisions, {form}", head, rows, text=2))
    return "\n\n".join(part.strip() for part in (*parts, *defects_text(data["defects"])))


def _answers(data: dict[str, Any]) -> str:
    bad = dict.fromkeys(
        f"{one['peer']} is wrong in {', '.join(one['wrong'])} ({one['form']})"
        for one in data["runs"]
        if one["wrong"] and one["peer"] not in FLOORS
    )
    return "; ".join(bad) or "all are right"


def figures(data: dict[str, Any]) -> dict[str, Drawing]:
    """Return a plot for each form."""
    from benchmarks.peers.log_drawing import cost_against_size

    found = {}
    for form in FORMS:
        lines: dict[str, list[tuple[float, float]]] = {}
        for one in data["runs"]:
            floor = one["peer"] in FLOORS
            if one["form"] == form and (one["task"] == "all" or floor):
                point = (float(one["decisions"]), median(_values(one, "cpu_s")))
                lines.setdefault(one["peer"], []).append(point)
        found[f"logs-{form}"] = cost_against_size(lines, form, floors=FLOORS)
    return found
