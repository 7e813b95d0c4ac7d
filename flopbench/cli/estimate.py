"""``flopbench estimate``: a policy log × the cost table -> GFLOPS per frame and per video."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flopbench.cli.common import (
    add_tables,
    check_output,
    positive,
    progress_bar,
    require,
    show,
    warn,
)
from flopbench.cli.parser import Parser
from flopbench.cli.policy_options import (
    add_cluster,
    add_log,
    add_pricing,
    add_reading,
    add_shares,
    choices_of,
    log_of,
)
from flopbench.core.errors import EXIT_OK

if TYPE_CHECKING:
    from flopbench.core.tables import Tables
    from flopbench.estimate.runs import Choices, Run


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "estimate",
        help="what a run cost, from the decisions it logged",
        description=(
            "Price the decisions of a policy log: GFLOPS per video and per frame with a "
            "95 % interval, by component, by action, by class, under every counter."
        ),
        epilog="The forms of a log, and every field: docs/policy-log.md.",
    )
    add_log(
        parser,
        "the log, or the shards of one: JSON, JSONL, CSV, Parquet, NPZ, AR-Net's meta-val-*.npz, "
        "its console output, or a table of shares; globs work",
    )
    parser.group("input").add_argument(
        "--counts",
        metavar="FILE",
        help="ready-made counts instead: CSV or Parquet with video, label, action, n",
    )
    add_pricing(parser)
    add_cluster(parser)
    add_reading(parser)
    by = parser.group("breakdown")
    by.add_argument("--by", choices=("class", "difficulty"), help="break the cost down")
    by.add_argument(
        "--difficulty",
        metavar="MEASURE",
        help="with --by difficulty: cost (circular, as AR-Net's figures), margin (of the scores), "
        "correct, or one of the log's own columns (default: cost)",
    )
    add_shares(parser)
    _add_times(parser)
    add_tables(parser)
    parser.set_defaults(run=run)


def _add_times(parser: Parser) -> None:
    group = parser.group("time and energy")
    group.add_argument(
        "--times",
        nargs="+",
        metavar="FILE",
        help="saved timings of 'flopbench latency' as a second list of prices: ms per video and "
        "frame, videos/s, and mJ where energy was measured",
    )
    group.add_argument(
        "--batch", type=positive, metavar="N", help="take times of this batch (default: 1)"
    )
    group.add_argument("--dtype", metavar="TYPE", help="take times of this dtype, of several")


def run(args: argparse.Namespace) -> int:
    """Estimate one run and print it."""
    check_output(args)
    log = log_of(args, "--counts")
    require(
        args.times is not None or (args.batch is None and args.dtype is None),
        "--batch and --dtype say which times of --times to take, which is not given",
    )
    require(
        args.difficulty is None or args.by == "difficulty",
        "--difficulty says how to break down --by difficulty, which is not given",
    )
    from flopbench.estimate.runs import run_of_counts, run_of_log
    from flopbench.estimate.text import estimate_tables

    choices = choices_of(args)
    with progress_bar() as progress:
        if args.counts is not None:
            result = run_of_counts(args.counts, choices, progress=progress)
        else:
            result = run_of_log(log, choices, progress=progress)
    tables = estimate_tables(result) if args.times is None else _with_times(args, result, choices)
    show(args, tables)
    warn(tables.warnings)
    return EXIT_OK


def _with_times(args: argparse.Namespace, result: Run, choices: Choices) -> Tables:
    from flopbench.replay.prediction import predict
    from flopbench.replay.prediction_text import prediction_tables
    from flopbench.timing.file import TimingFile, merge

    source = ", ".join(args.times)
    found = predict(
        result,
        merge([TimingFile.load(path) for path in args.times]),
        choices,
        batch=args.batch or 1,
        dtype=args.dtype,
        file_name=source,
    )
    return prediction_tables(result, found, source)
