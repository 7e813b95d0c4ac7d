"""All that only a GPU can show, in one run of a few minutes, the most valuable part first.

    python benchmarks/device_session.py --minutes 9 [-o reports]
    python benchmarks/device_session.py --dry-run -o trial

Each part is a command with a limit of its own. At its limit, or when the time of the session is up,
it is interrupted, and what it had measured by then is kept: ``flopbench latency`` and ``replay``
write their file after each process. A part that fails does not stop the others. Results go into
``-o``/DEVICE/: a text for each part, the measured files, and ``session.json`` with the commands,
their exit statuses and times. ``--dry-run`` runs the same parts on the CPU with tiny networks and
budgets; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
LOG = "tests/data/steady.jsonl"
GRACE_S = 10
"""Between the interrupt and the end."""
FLOPBENCH = (sys.executable, "-m", "flopbench")
TINY = {
    **dict.fromkeys(("resnet50", "resnet34", "resnet18"), "resnet18@32"),
    "policy": "linear:64x32",
    "lstm": "lstm:32x16",
}
"""What stands in for the log's components in a dry run."""


@dataclass(frozen=True, slots=True)
class Part:
    """One command.

    Attributes:
        name: of its text file.
        limit_s: the longest it may take.
        command: what runs, in the folder of the repository.
    """

    name: str
    limit_s: int
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a part; ``ended`` is ``done``, ``failed``, ``cut at its limit``, ``no time``."""

    name: str
    command: str
    ended: str
    exit_status: int | None
    wall_s: float


def parts(device: str, out: Path, *, dry: bool) -> list[Part]:
    """Return what a session runs, in order of worth."""
    times, replay, swept = (f"{out / name}.json" for name in ("latency", "replay", "throughput"))
    on = ("--device", device)
    pytest = (sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider")
    agreement = (sys.executable, "benchmarks/timer_agreement.py")
    latency = (*FLOPBENCH, "latency", *on)
    if dry:
        quick = ("--budget", "0.1", "--processes", "1")
        swap = tuple(w for name, net in TINY.items() for w in ("--component", f"{name}={net}"))
        few = ("--videos", "2", "--rounds", "1", "--processes", "1")
        nets = tuple(dict.fromkeys(TINY.values()))
        sweep = ("resnet18@32", "--max-batch", "2", "--reference-batch", "2")
        return [
            Part("gpu_tests", 60, (*pytest, "tests/timing/test_gpu.py")),
            Part("latency", 60, (*latency, *nets, *quick, "-o", times)),
            Part("replay", 60, (*FLOPBENCH, "replay", LOG, *on, *swap, *few, "-o", replay)),
            Part("estimate", 30, (*FLOPBENCH, "estimate", LOG, *swap, "--times", times)),
            Part("agreement", 60, (*agreement, "resnet18@32", "--rounds", "1", *on)),
            Part("throughput", 60, (*latency, *sweep, "--throughput", *quick, "-o", swept)),
        ]
    types = tuple(w for name in ("fp32", "tf32", "bf16") for w in ("--dtype", name))
    sweep = ("resnet18@112", "resnet50@224", "--throughput", "--budget", "2")
    estimate = (*FLOPBENCH, "estimate", LOG, "--times", times, "--dtype", "fp32")
    return [
        Part("gpu_tests", 120, (*pytest, "tests")),
        Part("latency", 240, (*latency, *types, "--budget", "2", "-o", times, "--for", LOG)),
        Part("replay", 150, (*FLOPBENCH, "replay", LOG, *on, "--videos", "64", "-o", replay)),
        Part("estimate", 30, estimate),
        Part("agreement", 60, (*agreement, "resnet50@224", "--rounds", "5", *on)),
        Part("throughput", 120, (*latency, *sweep, "-o", swept)),
    ]


def run_part(part: Part, seconds: float, text: IO[str]) -> tuple[str, int | None]:
    """Run a command for at most so many seconds; return how it ended and its exit status."""
    text.write(f"$ {shown(part.command)}\n")
    text.flush()
    process = subprocess.Popen(
        part.command,
        cwd=ROOT,
        stdout=text,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        status = process.wait(seconds)
        return ("done" if status == 0 else "failed"), status
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return "cut at its limit", process.returncode


def shown(command: Sequence[str]) -> str:
    """Return a command for people, without the path of the interpreter."""
    return shlex.join("python" if word == sys.executable else word for word in command)


def device_name(device: str) -> str:
    """Return a folder's name for the machine: its GPU, or ``cpu``."""
    if device == "cpu":
        return "cpu"
    import torch

    return re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a session; return 1 if a part failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts (default: 9)")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda; cpu in a dry run")
    parser.add_argument("--dry-run", action="store_true", help="tiny networks and budgets")
    parser.add_argument("--only", metavar="PART", action="append", help="this part; repeatable")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "reports", metavar="DIR")
    args = parser.parse_args(argv)
    device = args.device or ("cpu" if args.dry_run else "cuda")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("error: no CUDA device; --dry-run tries the session on the CPU", file=sys.stderr)
            return 2
    out = args.output.absolute() / device_name(device)
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * args.minutes
    done: list[Done] = []
    for part in parts(device, out, dry=args.dry_run):
        if args.only and part.name not in args.only:
            continue
        left = min(part.limit_s, end - time.monotonic())
        start, ended, status = time.monotonic(), "no time", None
        if left > 1:
            with (out / f"{part.name}.txt").open("w", encoding="utf-8") as text:
                ended, status = run_part(part, left, text)
        wall_s = round(time.monotonic() - start, 1)
        done.append(Done(part.name, shown(part.command), ended, status, wall_s))
        print(f"{part.name:20s} {ended:17s} {wall_s:6.1f} s", flush=True)
        session = {"device": device, "dry_run": args.dry_run, "parts": [*map(asdict, done)]}
        (out / "session.json").write_text(json.dumps(session, indent=1) + "\n", encoding="utf-8")
    return int(any(one.ended == "failed" for one in done))


if __name__ == "__main__":
    sys.exit(main())
