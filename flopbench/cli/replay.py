"""``flopbench replay``: run and time the decisions of a policy log with the real networks."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from flopbench.cli.common import (
    TABLE_FORMATS,
    add_tables,
    check_output,
    chosen_format,
    keeps_json,
    positive,
    progress_bar,
    require,
    show,
    warn,
)
from flopbench.cli.machine_options import add_machine, refuse_measuring
from flopbench.cli.parser import Parser
from flopbench.cli.policy_options import add_log, add_preset, add_reading, log_of
from flopbench.core import stopping
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK, complain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flopbench.replay.against import Prices
    from flopbench.replay.overheads import Overheads
    from flopbench.replay.records import Replay
    from flopbench.replay.run import ReplayChoices

MODES = "online,split,bucketed"
DTYPE = "fp32"
NUMBERS = (
    ("batch", 16, "split: videos per batch"),
    ("group", 64, "bucketed: videos per group"),
    ("bucket", 16, "bucketed: frames per full bucket"),
    ("rounds", 3, "rounds in each process"),
    ("processes", 3, "fresh processes"),
)
MEASURING = (
    *("modes", "batch", "group", "bucket", "rounds", "processes", "videos", "baseline", "device"),
    *("threads", "channels_last", "compile", "dtype", "frames", "seed", "preset", "component"),
    *("variant", "allow_truncated", "duplicates", "calibrate"),
)
"""Options that ``--from`` refuses: they affect what is measured."""


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Run the decisions of a policy log with the real networks (random weights) and time "
            "them, one video at a time, in batches and in buckets, compared with the uniform "
            "program; show how much of the theoretical speed-up is left and where the rest goes."
        ),
        epilog="How to read the result, and its limits: docs/replay.md.",
    )
    add_log(parser, "the log, or the shards of one; globs work")
    parser.group("input").option(
        "--from FILE",
        "print replays that -o FILE.json saved, without running anything",
        dest="saved",
        nargs="+",
        action="extend",
    )
    parser.group("input").option(
        "--calibrate",
        "measure only what decisions take beside the networks, for 'flopbench estimate "
        "--overheads': at most 16 videos in 1 round, unless others are asked for",
    )
    _add_prediction(parser)
    _add_arrangement(parser)
    _add_conditions(parser)
    add_preset(parser)
    group = parser.group("networks")
    group.option(
        "--component NAME=MODEL",
        "run another model in place of the log's component; repeatable",
        action="append",
        default=[],
    )
    group.option(
        "--variant COMPONENT=NAME",
        "run a component in one of its variants; repeatable",
        action="append",
        default=[],
    )
    add_reading(parser)
    add_tables(parser)
    parser.set_defaults(run=run)


def _add_prediction(parser: Parser) -> None:
    group = parser.group("prediction")
    group.option(
        "--predicted FILE",
        "saved timings of 'flopbench latency': print what they predict beside what is measured",
        nargs="+",
    )
    group.option(
        "--overheads FILE",
        "what --calibrate saved, for the prediction; without --predicted by its times, too",
    )


def _add_arrangement(parser: Parser) -> None:
    group = parser.group("arrangement")
    group.option("--modes LIST", f"which arrangements, separated by commas (default: {MODES})")
    for name, default, what in NUMBERS:
        group.add_argument(
            f"--{name}", type=positive, metavar="N", help=f"{what} (default: {default})"
        )
    group.option("--videos N", "the first N videos only (default: all)", type=positive)
    group.option(
        "--baseline ACTION",
        "what the uniform program does at every step: an action (one for each stream), an "
        "exit or a component (default: the most expensive action)",
        action="append",
        default=[],
    )


def _add_conditions(parser: Parser) -> None:
    group = add_machine(parser)
    group.option("--dtype TYPE", "fp32, tf32, bf16 or fp16 (default: fp32)")
    group.option("--frames FOLDER", "images instead of random frames, decoded before timing")
    group.option("--seed N", "seed of frames and bootstrap (default: 0)", type=int)


def run(args: argparse.Namespace) -> int:
    """Replay a log, or read saved replays, and print them."""
    check_output(args)
    log = log_of(args, "--from")
    if args.saved is not None:
        return _print_saved(args)
    if args.calibrate:
        return _calibrate(args, log)
    from flopbench.replay.run import replay_of_log

    prices = _prices(args)  # a file that cannot be read is told before hours of work
    result, came = _measured(args, partial(replay_of_log, log, choices_of(args)))
    _emit(args, [result], prices)
    return _status(args, result, came)


def _prices(args: argparse.Namespace) -> Prices | None:
    from flopbench.replay.against import load_prices

    asked = args.predicted or args.overheads
    return load_prices(args.predicted or (), args.overheads) if asked else None


def _calibrate(args: argparse.Namespace, log: Sequence[str]) -> int:
    """Measure overheads and print them."""
    require(not args.baseline, "--calibrate runs no uniform program: leave out --baseline")
    require(
        args.predicted is None and args.overheads is None,
        "--calibrate measures overheads only: leave out --predicted and --overheads",
    )
    from flopbench.replay.calibration import ROUNDS, calibrate
    from flopbench.replay.prediction_text import overheads_tables

    args.rounds = args.rounds or ROUNDS
    found, came = _measured(args, partial(calibrate, log, choices_of(args)))
    tables = overheads_tables(found)
    show(args, tables)
    warn(tables.warnings)
    return _status(args, found, came)


def _measured(args: argparse.Namespace, measure: Callable[..., Any]) -> tuple[Any, list[int]]:
    """Measure, and keep in a JSON file, where one was asked for, what is finished.

    Returns:
        What was measured, and the signal that ended it once there was something to keep.
    """
    finished: list[Any] = []

    def keep(measured: Any) -> None:
        finished[:] = [measured]
        if keeps_json(args):
            measured.save(args.output)

    with progress_bar() as progress, stopping.raising(when=lambda: bool(finished)) as came:
        say = progress.say if progress else None
        return measure(progress=progress, say=say, keep=keep), came


def _status(args: argparse.Namespace, measured: Replay | Overheads, came: list[int]) -> int:
    """Say which processes are missing; return the exit status."""
    from flopbench.core.units import plural

    done = len(measured.runs)
    if done == measured.settings.processes:
        return EXIT_OK
    kept = "printed" if args.output == "-" else f"kept in {args.output}"
    many = plural(done, "process", "processes")
    why = f"process {done + 1} failed: {measured.failure}"
    why = why if measured.failure else "interrupted"
    complain(f"{why}; {done} finished {many} {kept}")
    return EXIT_MEASURE if measured.failure else stopping.status_of(came)


def choices_of(args: argparse.Namespace) -> ReplayChoices:
    """Turn parsed arguments into choices."""
    from flopbench.estimate.runs import parse_pairs
    from flopbench.replay.run import ReplayChoices

    numbers = {name: getattr(args, name) or default for name, default, _ in NUMBERS}
    modes = MODES if args.modes is None else args.modes
    return ReplayChoices(
        preset=args.preset,
        variants=parse_pairs(args.variant, "--variant"),
        components=parse_pairs(args.component, "--component"),
        modes=[mode.strip() for mode in modes.split(",") if mode.strip()],
        **numbers,
        videos=args.videos,
        baseline=args.baseline,
        device=args.device,
        threads=args.threads,
        dtype=args.dtype or DTYPE,
        channels_last=args.channels_last,
        compiled=args.compile,
        seed=args.seed or 0,
        frames=args.frames,
        allow_truncated=args.allow_truncated,
        duplicates=args.duplicates,
    )


def _print_saved(args: argparse.Namespace) -> int:
    from flopbench.replay.records import load_replay

    refuse_measuring(args, MEASURING, "replays")
    require(
        chosen_format(args, TABLE_FORMATS) != "json" or len(args.saved) == 1,
        "--format json is one replay's file; --from names several",
    )
    _emit(args, [load_replay(path) for path in args.saved], _prices(args))
    return EXIT_OK


def _emit(args: argparse.Namespace, replays: list[Replay], prices: Prices | None) -> None:
    from flopbench.replay.text import replay_tables

    tables = replay_tables(replays, prices)
    show(args, tables)
    warn(tables.warnings)
