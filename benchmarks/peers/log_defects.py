"""One defective record in a log: what each way to count does with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.common import ROOT, run, table
from benchmarks.peers.log_counters import COUNTERS, FLOORS, STEPS, command

DEFECT_VIDEOS, DEFECT_AT = 2_000, 1_000

Lines = list[str]


def _spoiled(line: str, **fields: Any) -> str:
    """Return a sample with other values."""
    return json.dumps({**json.loads(line), **fields}, separators=(",", ":")) + "\n"


def _actions(line: str) -> list[int]:
    found: list[int] = json.loads(line)["actions"]
    return found


DEFECTS: dict[str, Callable[[Lines], Lines]] = {
    "an action that is not there": lambda rows: [
        _spoiled(rows[0], actions=[9, *_actions(rows[0])[1:]])
    ],
    "no decisions": lambda rows: [_spoiled(rows[0], actions=None)],
    "two decisions short": lambda rows: [_spoiled(rows[0], actions=_actions(rows[0])[2:])],
    "a video twice": lambda rows: [rows[1]],
    "text for decisions": lambda rows: [_spoiled(rows[0], actions="".join(map(str, range(7))))],
    "a line cut off": lambda rows: [rows[0][:40] + "\n"],
}
"""What is planted -> (the line and the one before) -> what stands in place of the line."""
TYPED = 4
"""The first so many can be in Parquet, too."""


AS_PARQUET = """
import sys, duckdb
from flopbench.policy.forms.raw import sql_text
source, target, header = sys.argv[1:]
duckdb.execute(f'''COPY (SELECT id, labels, actions FROM read_json({sql_text(source)},
    format = 'newline_delimited',
    columns = {{id: 'VARCHAR', labels: 'BIGINT[]', actions: 'UTINYINT[]'}}) WHERE id IS NOT NULL)
    TO {sql_text(target)} (FORMAT parquet, COMPRESSION zstd,
    KV_METADATA {{'flopbench.policy-log': {sql_text(header)}}})''')
"""


def planted(folder: Path) -> list[dict[str, str]]:
    """Plant each defect in the middle of a log; return what each counter does with it."""
    clean = folder / "clean.jsonl"
    script = [sys.executable, str(ROOT / "benchmarks" / "make_log.py"), "--no-scores"]
    run([*script, "--videos", str(DEFECT_VIDEOS), "-o", str(clean)])
    lines = clean.read_text("utf-8").splitlines(keepends=True)
    total = STEPS * DEFECT_VIDEOS
    at = 1 + DEFECT_AT
    peers = [peer for peer in COUNTERS if peer not in FLOORS]
    found = []
    for number, (defect, change) in enumerate(DEFECTS.items()):
        spoiled = folder / f"defect-{number}.jsonl"
        text = [*lines[:at], *change([lines[at], lines[at - 1]]), *lines[at + 1 :]]
        spoiled.write_text("".join(text), "utf-8")
        paths = [(spoiled, at + 1)]
        if number < TYPED:
            paths.append((_as_parquet(spoiled, clean), at))
        for path, place in paths:
            for peer in peers:
                did = _reaction(peer, path, place, total)
                one = {"defect": defect, "form": path.suffix[1:], "peer": peer, "did": did}
                found.append(one)
    return found


def _as_parquet(spoiled: Path, clean: Path) -> Path:
    """Write a defective log as Parquet, unchecked."""
    target = spoiled.with_suffix(".parquet")
    with open(clean, encoding="utf-8") as stream:
        header = stream.readline().strip()
    run([sys.executable, "-c", AS_PARQUET, str(spoiled), str(target), header])
    return target


def _reaction(peer: str, path: Path, place: int, total: int) -> str:
    """Say what a counter does with a log whose record at a line or row is defective."""
    done = subprocess.run(
        command(peer, "all", path), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        named = re.search(rf"\b{place}\b", done.stderr.rsplit("Error", 1)[-1])
        return "names the place" if named else "stops"
    counted = sum(json.loads(done.stdout)["frames"])
    return "silent" if counted == total else f"silent, {counted - total:+} frames"


def defects_text(defects: list[dict[str, str]]) -> list[str]:
    """Return what each counter does with a defective record."""
    peers = list(dict.fromkeys(one["peer"] for one in defects))
    rows = []
    for defect, form in dict.fromkeys((one["defect"], one["form"]) for one in defects):
        own = {
            one["peer"]: one["did"]
            for one in defects
            if (one["defect"], one["form"]) == (defect, form)
        }
        rows.append([defect, form, *(own[peer] for peer in peers)])
    text = (
        f"One record among {DEFECT_VIDEOS:,} is defective. A counter names its line or row, stops "
        "without naming it, or is silent: with more or fewer frames than there are, or, where no "
        "number is given, with as many."
    )
    head = ["defect", "form", *peers]
    return ["### A defective record", text, table("Defects", head, rows, text=len(head))]
