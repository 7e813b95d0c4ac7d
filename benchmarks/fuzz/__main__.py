"""Read damaged inputs of every kind: nothing may end in a traceback, hang, or fill the memory.

    python -m benchmarks.fuzz [--seconds N] [--count N] [--seed S] [--kind NAME ...] [-o FOLDER]

Prints what came of each kind: read or refused with a message (clean), read although no reader may
(accepted: nesting 10,000 deep, integers of 400 digits, NaN in JSON, halves of surrogate pairs, cut
documents), traceback, hang (over 5 s of CPU), out of memory (over 2 GiB); and the longest time
and the largest memory of one input. Inputs that fail are written to FOLDER, small, each with what
it raised and how it was read. The exit status is 1 if one failed. Needs torch, and ``/proc``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path

from benchmarks.fuzz.kinds import KINDS, refused_undamaged
from benchmarks.fuzz.running import OUTCOMES, Job, Result, run_all
from benchmarks.fuzz.seeds import make_seeds

AT_ONCE = 200
"""Inputs between two looks at the clock."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the inputs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after so long")
    parser.add_argument("--count", type=int, metavar="N", help="how many inputs (default: 2000)")
    parser.add_argument("--seed", default="0", help="another seed, other inputs (default: 0)")
    names = [kind.name for kind in KINDS]
    parser.add_argument("--kind", action="append", choices=names, default=[], metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="keep failures here")
    args = parser.parse_args(argv)
    kinds = {kind.name: kind for kind in KINDS if not args.kind or kind.name in args.kind}
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        args.output = args.output.resolve()
    most = args.count or (2000 if args.seconds is None else sys.maxsize)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _quietly(name)
        (folder / "seeds").mkdir()
        seeds = make_seeds(folder / "seeds")
        refused = refused_undamaged(kinds.values(), seeds, folder / "undamaged")
        jobs = (Job(kind, f"{args.seed} {n}") for n in count() for kind in kinds)
        ends = time.monotonic() + (args.seconds or float("inf"))
        while len(results) < most and time.monotonic() < ends:
            group = list(islice(jobs, min(AT_ONCE, most - len(results))))
            results += run_all(group, kinds, seeds, folder / "work", args.output)
    print(table_of(results))
    print("".join(f"the undamaged input is refused: {one}\n" for one in refused), end="")
    failed = [one for one in results if one.outcome != "clean"]
    for one in failed:
        print(f"{one.kind} {one.seed!r}: {one.outcome}: {one.said}")
    return 1 if failed or refused else 0


def _quietly(folder: str) -> None:
    """Work in a folder, away from the cache of the user, and without a network."""
    os.chdir(folder)
    os.environ |= {"FLOPBENCH_CACHE_DIR": f"{folder}/cache", "HF_HUB_OFFLINE": "1"}
    os.environ |= {"COLUMNS": "100", "OMP_NUM_THREADS": "1"}


def table_of(results: Sequence[Result]) -> str:
    """Return one line a kind, and their sum."""
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for one in results:
        by_kind[one.kind].append(one)
    rows = [("kind", "inputs", *OUTCOMES, "longest s", "memory MB")]
    for kind, own in [*by_kind.items(), ("all", list(results))]:
        counts = [str(sum(one.outcome == outcome for one in own)) for outcome in OUTCOMES]
        longest = max((one.cpu_s for one in own), default=0)
        memory = max((one.peak_kib for one in own), default=0) / 1024
        rows.append((kind, str(len(own)), *counts, f"{longest:.2f}", f"{memory:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            c.ljust(w) if not n else c.rjust(w)
            for n, (c, w) in enumerate(zip(r, widths, strict=True))
        )
        for r in rows
    )


if __name__ == "__main__":
    sys.exit(main())
