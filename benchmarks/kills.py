"""Signals at random moments: is anything lost, half written, left behind or printed as a traceback?

    python benchmarks/kills.py signals    # 100 times Ctrl-C or SIGTERM, over six verbs
    python benchmarks/kills.py logger     # 200 times kill -9 of a loop that logs

A moment is drawn between the first and the last of an undisturbed run, in CPU time of the verb and
its workers, which other processes hardly change. Ctrl-C goes to the whole process group, as a
terminal sends it, SIGTERM to the one process. Before Python has started flopbench nothing can
handle a signal: ``--earliest`` says how many seconds that may take. Ctrl-C prints the table so far.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from flopbench import FlopbenchError
from flopbench.policy.forms.base import Options
from flopbench.policy.log import open_log

MARK = "FLOPBENCH_KILLS"
"""In the environment of all that is started, so that what is left running is found."""

NETS = """
import torch

def net(width):
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Conv2d(width, 8, 3))
""" + "".join(f"\ndef net{n}():\n    return net({n})\n" for n in range(4, 7))
MODELS = [f"nets.py:net{n}@32" for n in range(4, 7)]
QUICK = ["--device", "cpu", "--budget", "0.1", "--samples", "6", "--processes", "1"]
VERBS = {
    "table": ["table", *MODELS, "--jobs", "2", "--refresh", "-o", "out/table.json"],
    "report": ["report", "log.jsonl", "--table", "prices.json", "--title", "new", "-o", "out"],
    "plot": ["plot", "usage", "log.jsonl", "-o", "out/usage.pdf", "--data", "out/usage.csv"],
    "log": ["log", "convert", "log.jsonl", "-o", "out/log.csv"],
    "latency": ["latency", MODELS[0], *QUICK, "-o", "out/times.json"],
    "estimate": ["estimate", "log.jsonl", "--table", "prices.json", "-o", "out/costs.json"],
}

QUICK_FIRST = (
    *("report", "plot", "log", "estimate", "table"),
    *("report", "plot", "log", "estimate", "report", "plot", "latency"),
)
"""The order of the verbs: those that import torch come more rarely."""

LOOP = """
import sys
from flopbench import PolicyLogger
path, buffer, batch, records = sys.argv[1], *map(int, sys.argv[2:])
log = PolicyLogger(path, preset="arnet-resnet", buffer=buffer, sync=False)
print("started", flush=True)
for first in range(0, records, batch):
    names = [f"v{n}" for n in range(first, first + batch)]
    log.add(names, [[0, 1, 6, 6, 6, 6, 2, 3]] * batch, scores=[[0.125] * 50] * batch)
    if first // batch % 5 == 4:
        log.flush()
        print(first + batch, flush=True)
log.close()
print(records, flush=True)
"""
LOGS = {
    "small JSONL": ("run.jsonl", 8, 1, 2000),
    "large JSONL": ("run.jsonl", 64, 256, 40960),
    "small Parquet": ("run.parquet", 8, 1, 2000),
    "large Parquet": ("run.parquet", 64, 256, 40960),
}


def main() -> None:
    """Run one of the two trials and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("signals", "logger"))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument("--earliest", type=float, default=0.1, metavar="SECONDS")
    args = parser.parse_args()
    draw = random.Random(args.seed)
    if args.what == "logger":
        kill_loggers(args.runs or 200, draw)
    else:
        stop_verbs(args.verb or list(VERBS), args.runs or 100, args.earliest, draw)


# --- Ctrl-C and SIGTERM


def stop_verbs(verbs: list[str], runs: int, earliest: float, draw: random.Random) -> None:
    """Stop verbs in turn; print how each ended."""
    found: dict[str, Counter[str]] = {verb: Counter() for verb in verbs}
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        folder = Path(name)
        lasts = {verb: undisturbed(folder, verb) for verb in verbs}
        turns = [one for one in QUICK_FIRST if one in verbs]
        for number in range(runs):
            verb, stop = turns[number % len(turns)], draw.choice((signal.SIGINT, signal.SIGTERM))
            after = draw.uniform(earliest, max(lasts[verb], earliest))
            outcome, said = stopped(folder, verb, stop, after)
            found[verb][outcome] += 1
            if said:
                print(f"{verb} after {after:.2f} s: {outcome}\n{said}", flush=True)
    for verb, outcomes in found.items():
        for outcome, count in outcomes.most_common():
            print(f"{verb:8s} {count:4d}  {outcome}")


def undisturbed(folder: Path, verb: str) -> float:
    """Make a folder with a verb's inputs and, as its older output, that of a run; time that."""
    here = folder / verb
    (here / "out").mkdir(parents=True)
    (here / "nets.py").write_text(NETS)
    write_log(here / "log.jsonl")
    table = Path(__file__).parents[1] / "reports" / "table2.json"
    (here / "prices.json").write_bytes(table.read_bytes())
    words = ["old" if word == "new" else word for word in VERBS[verb]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if started(here, words, Path(f"{here}.said")).wait():
        raise SystemExit(f"{verb} failed:\n{Path(f'{here}.said').read_text()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_log(path: Path) -> None:
    """Write a log of 3,000 videos."""
    lines = [json.dumps({"format": "flopbench.policy-log", "version": 1, "preset": "arnet-resnet"})]
    lines += [
        json.dumps({"id": f"v{n}", "actions": [0, n % 4, 6, 6, 2, 3], "labels": [n % 9]})
        for n in range(3000)
    ]
    path.write_text("\n".join(lines) + "\n")


def started(here: Path, words: list[str], said: Path) -> subprocess.Popen[bytes]:
    """Start a verb in a process group of its own."""
    with open(said, "wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "flopbench", *words],
            cwd=here,
            env={**os.environ, MARK: str(here)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
            preexec_fn=lambda: (os.setpgrp(), signal.signal(signal.SIGINT, signal.SIG_DFL)),
        )


def stopped(here: Path, verb: str, stop: signal.Signals, after: float) -> tuple[str, str]:
    """Stop one run; return what became of it in words, and stderr where something is wrong."""
    here = here / verb
    said, before = Path(f"{here}.said"), content(here)
    process = started(here, VERBS[verb], said)
    while process.poll() is None and used_s(process.pid) < after:
        time.sleep(0.01)
    if process.poll() is None:
        (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
    try:
        status = process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
        return f"{stop.name}: goes on", said.read_text()
    text = said.read_text()
    wrong = [
        *(["traceback"] if "Traceback" in text or "Exception ignored" in text else []),
        *([f"{len(left)} processes left"] if (left := left_running(here)) else []),
        *parts_of(verb, here, before),
    ]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    expected = 128 + stop
    if status not in (0, expected):
        wrong.insert(0, "status not as documented")
    return ", ".join([f"{stop.name}: status {status}", *wrong]), text if wrong else ""


def used_s(group: int) -> float:
    """Return the CPU time of a process group, in seconds."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def left_running(here: Path, patience_s: float = 2.0) -> list[int]:
    """List the processes of a run that are still there, after a moment to end in."""
    mark = f"{MARK}={here}".encode()
    until = time.monotonic() + patience_s
    while True:
        found = []
        for place in Path("/proc").iterdir():
            try:
                if place.name.isdigit() and mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
            except OSError:
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


def content(here: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    files = (path for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(here).as_posix(): path.read_bytes() for path in files}


def parts_of(verb: str, here: Path, before: dict[str, bytes]) -> list[str]:
    """Say which files are there that should not be, and which are neither as before nor whole."""
    after = content(here)
    found = [f"left behind {name}" for name in sorted(set(after) - set(before))]
    found += [f"lost {name}" for name in sorted(set(before) - set(after))]
    for name in set(after) & set(before):
        if after[name] != before[name] and not is_whole(name, after[name], before[name]):
            found.append(f"damaged {name}")
    titles = {b"<title>new" in after[name] for name in after if name.endswith("index.html")}
    titles |= {b"# new" in after[name] for name in after if name.endswith("report.md")}
    if verb == "report" and len(titles) > 1:
        found.append("two reports mixed")
    for name in after:  # the next run starts from the older output again
        (here / name).unlink()
    for name, data in before.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    for place in sorted(here.rglob(".*")):
        if place.is_dir():
            found.append(f"left behind {place.name}")
            place.rmdir()
    return found


def is_whole(name: str, data: bytes, before: bytes) -> bool:
    """Whether a file that changed is complete."""
    if name.endswith(".json"):
        try:
            json.loads(data)
        except ValueError:
            return False
        return True
    ends = {"html": b"</html>\n", "pdf": b"%%EOF\n"}
    return data.endswith(ends.get(name.rpartition(".")[2], b"\n"))


# --- kill -9 of a PolicyLogger


def kill_loggers(runs: int, draw: random.Random) -> None:
    """Kill loops that log; print what was lost of what had been flushed, and what can be read."""
    found: dict[str, Counter[str]] = {name: Counter() for name in LOGS}
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        folder = Path(name)
        lasts = {what: logged(folder, what, None)[1] for what in LOGS}
        for number in range(runs):
            what = list(LOGS)[number % len(LOGS)]
            outcome, _ = logged(folder, what, draw.uniform(0, lasts[what]))
            found[what][outcome] += 1
    for what, outcomes in found.items():
        for outcome, count in outcomes.most_common():
            print(f"{what:14s} {count:4d}  {outcome}")


def logged(folder: Path, what: str, after: float | None) -> tuple[str, float]:
    """Log, and kill it so many seconds after its start; return the outcome, and the seconds."""
    name, *numbers = LOGS[what]
    path = folder / name
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(path), *map(str, numbers)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    if after is not None:
        time.sleep(after)
        process.kill()
    said = [int(line) for line in process.stdout.read().splitlines() if line.isdigit()]
    process.wait()
    lasted = time.monotonic() - began
    outcome = kept(path, max(said, default=0), numbers[-1])
    for left in folder.iterdir():
        left.unlink()
    return outcome, lasted


def kept(path: Path, flushed: int, records: int) -> str:
    """Say what of a killed log can be read."""
    journal = path.with_name(f"{path.name}.journal.jsonl")
    there = path if path.exists() else journal
    try:
        log = open_log(there, options=Options(allow_truncated=True))
        ids = [sample.id for group, _ in log.samples() for sample in group]
    except FlopbenchError as error:
        return f"UNREADABLE: {error}"
    if ids != [f"v{n}" for n in range(len(ids))]:
        return "DAMAGED: records are missing in the middle"
    if len(ids) < flushed:
        return "LOST records that had been flushed"
    files = sorted(one.name.split(".")[-1] for one in path.parent.iterdir() if one != there)
    rest = f", with {len(files)} more files" if files else ""
    return f"{'whole' if len(ids) == records else 'all that was flushed'}, read back{rest}"


if __name__ == "__main__":
    main()
