"""``flopbench compare``: runs side by side, accuracy against cost."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

from flopbench.cli.common import add_tables, check_output, progress_bar, require, show, warn
from flopbench.cli.parser import Parser
from flopbench.cli.policy_options import (
    add_cluster,
    add_pricing,
    add_reading,
    add_shares,
    add_times,
    check_times,
    choices_of,
)
from flopbench.core.errors import EXIT_OK
from flopbench.policy.file_kinds import is_timing_file

if TYPE_CHECKING:
    from flopbench.estimate.methods import RunTime
    from flopbench.estimate.runs import Choices, Run


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Compare policy logs in the form of AR-Net's Table 3: accuracy from their "
            "scores (or as their headers quote it), GFLOPS per frame and video, intervals, "
            "differences from the first, and which run dominates which; with --times also "
            "predicted ms, and where they order runs otherwise. Timing files of 'flopbench "
            "latency' are compared too: two files row by row, one file by the rows whose calls "
            "took turns."
        ),
    )
    parser.group("input").add_argument(
        "logs",
        nargs="+",
        metavar="LOG",
        help="one log per run, of any form (quote a glob to name the shards of one run), or one or "
        "two timing files",
    )
    group = parser.group("comparison")
    group.option("--metric NAME", "mAP or top-1 (default: mAP where every log has it)")
    group.option(
        "--anyway",
        "also compare logs of different datasets or splits, and timings of unlike machines",
    )
    parser.option(
        "--random",
        "after each log, a random policy at its cost: the log's decisions dealt out again "
        "among its videos (with --seed); 'flopbench log convert --random' writes them",
    )
    add_pricing(parser)
    add_cluster(parser)
    add_reading(parser)
    add_shares(parser)
    add_times(parser)
    add_tables(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare runs; exit status 4 where they are not comparable."""
    check_output(args)
    check_times(args)
    if any(is_timing_file(path) for path in args.logs):
        return _compare_timings(args)
    from msgspec.structs import replace  # takes a while to import, which --help has not

    from flopbench.estimate.compare import compare, same_terms
    from flopbench.estimate.comparison_text import comparison_tables, comparison_warnings
    from flopbench.estimate.runs import run_of_log

    choices = replace(choices_of(args), beside=tuple(args.logs))
    seeds = (None, args.seed) if args.random else (None,)
    runs: list[Run] = []
    with progress_bar() as progress:
        for pattern, seed in product(args.logs, seeds):
            terms = replace(same_terms(choices, runs[0]) if runs else choices, random_seed=seed)
            runs.append(run_of_log([pattern], terms, progress=progress, keep_scores=True))
    times = [] if args.times is None else _times(args, runs, choices)
    result = compare(runs, choices, metric=args.metric, anyway=args.anyway, times=times)
    show(args, comparison_tables(result))
    warn(comparison_warnings(result))
    return EXIT_OK


def _times(args: argparse.Namespace, runs: list[Run], choices: Choices) -> list[RunTime]:
    from flopbench.replay.run_times import run_times
    from flopbench.timing.file import load_files

    file = load_files(args.times)
    name, batch = ", ".join(args.times), args.batch or 1
    return run_times(runs, file, choices, batch=batch, dtype=args.dtype, file_name=name)


def _compare_timings(args: argparse.Namespace) -> int:
    from flopbench.timing.comparison import compare_files, compare_interleaved
    from flopbench.timing.comparison_text import time_comparison_tables
    from flopbench.timing.file import TimingFile

    require(args.times is None, "--times prices policy logs; timing files are compared as they are")
    require(
        len(args.logs) <= 2,
        f"{len(args.logs)} timing files: expected two, or one whose rows took turns",
    )
    files = [TimingFile.load(path) for path in args.logs]
    first = (args.logs[0], args.logs[-1])
    if len(files) == 1:
        result = compare_interleaved(files[0])
    else:
        result = compare_files(files[0], files[1], names=first, anyway=args.anyway)
    show(args, time_comparison_tables(result, first))
    return EXIT_OK
