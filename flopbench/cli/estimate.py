"""``flopbench estimate``: a policy log × the cost table -> GFLOPS per frame and per video."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

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
    add_times,
    check_times,
    choices_of,
    log_of,
)
from flopbench.core.errors import EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flopbench.core.tables import Tables
    from flopbench.estimate.runs import Choices, Run


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
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
        nargs="+",
        metavar="FILE",
        help="counts instead: parts that 'flopbench log reduce' wrote, in any order, or one CSV or "
        "Parquet file with video, label, action, n; globs work",
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
    add_times(parser)
    _add_charges(parser)
    add_tables(parser)
    parser.set_defaults(run=run)


def _add_charges(parser: Parser) -> None:
    group = parser.group("time and energy")
    group.add_argument(
        "--overheads",
        metavar="FILE",
        help="charge each decision and each call, too, as 'flopbench replay --calibrate' measured; "
        "without --times by its times of the networks",
    )
    group.add_argument(
        "--mode",
        choices=("online", "split", "bucketed"),
        help="with --overheads: how a replay puts the calls together (default: online)",
    )
    group.add_argument(
        "--charge-pipeline",
        action="store_true",
        help="charge what stands before the networks, too, as --times has it from 'flopbench "
        "latency --pipeline': decoding of each sampled frame; colours, resizing and normalising of "
        "those that networks see",
    )
    group.add_argument(
        "--decoded",
        type=positive,
        metavar="N",
        help="with --charge-pipeline: frames of the video that are decoded for each sampled one, "
        "itself included (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Estimate one run and print it."""
    check_output(args)
    log = log_of(args, "--counts")
    _check_combinations(args)
    from flopbench.estimate.runs import run_of_counts, run_of_log
    from flopbench.estimate.text import estimate_tables

    choices = choices_of(args)
    with progress_bar() as progress:
        if args.counts is not None:
            result = run_of_counts(args.counts, choices, progress=progress)
        else:
            result = run_of_log(log, choices, progress=progress)
    if args.times is None and args.overheads is None:
        tables = estimate_tables(result)
    else:
        tables = _with_times(args, result, choices, log)
    show(args, tables)
    warn(tables.warnings)
    return EXIT_OK


def _check_combinations(args: argparse.Namespace) -> None:
    check_times(args)
    times, overheads = args.times is not None, args.overheads is not None
    require(
        times or not args.charge_pipeline,
        "--charge-pipeline charges times of --times, which is not given",
    )
    require(
        overheads or args.mode is None,
        "--mode says how --overheads are charged, which is not given",
    )
    require(
        not overheads or args.batch is None,
        "--batch and --overheads exclude each other: --mode says which calls there are",
    )
    require(
        not overheads or args.counts is None,
        "--counts has no decisions in their order, which --overheads needs: give the log",
    )
    require(
        args.charge_pipeline or args.decoded is None,
        "--decoded belongs to --charge-pipeline, which is not given",
    )
    require(
        args.difficulty is None or args.by == "difficulty",
        "--difficulty says how to break down --by difficulty, which is not given",
    )


def _with_times(
    args: argparse.Namespace, result: Run, choices: Choices, log: Sequence[str]
) -> Tables:
    from flopbench.replay.pipeline import pipeline_parts
    from flopbench.replay.prediction import predict
    from flopbench.replay.prediction_text import prediction_tables
    from flopbench.timing.file import load_files

    source = ", ".join(args.times or [args.overheads])
    file = load_files(args.times) if args.times else None
    further = []
    if args.charge_pipeline and file is not None:
        decoded = args.decoded or 1
        further = pipeline_parts(result, file, choices, decoded=decoded, file_name=source)
    if args.overheads is not None:
        from flopbench.replay.by_mode import predict_mode
        from flopbench.replay.overheads import load_overheads

        found = predict_mode(
            result,
            file,
            load_overheads(args.overheads),
            log,
            choices,
            mode=args.mode or "online",
            dtype=args.dtype,
            file_name=source,
            overheads_name=args.overheads,
            further=further,
        )
        named = f"{source} and {args.overheads}" if args.times else source
        return prediction_tables(result, found, named)
    assert file is not None
    found = predict(
        result,
        file,
        choices,
        batch=args.batch or 1,
        dtype=args.dtype,
        file_name=source,
        further=further,
    )
    return prediction_tables(result, found, source)
