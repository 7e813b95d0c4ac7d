"""``flopbench latency``: measured time and throughput, with theoretical costs."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from flopbench.cli.common import (
    add_tables,
    check_output,
    keeps_json,
    logs_for,
    positive,
    positive_seconds,
    progress_bar,
    require,
    show,
)
from flopbench.cli.machine_options import add_machine, refuse_measuring
from flopbench.cli.model_options import add_models, chosen_models
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_INTERRUPTED, EXIT_MEASURE, EXIT_OK, InputError

if TYPE_CHECKING:
    from flopbench.core.tables import Tables
    from flopbench.models.spec import ModelSpec
    from flopbench.timing.file import TimingFile
    from flopbench.timing.records import TimingSpec

DEFAULT_REFERENCE = 32
MEASURING = (
    *("models", "preset", "resolution", "classes", "vs", "throughput", "device", "batch", "dtype"),
    *("channels_last", "compile", "cuda_graph", "threads", "budget", "processes", "samples"),
    *("refresh", "reference_batch", "max_batch"),
)
"""Options that ``--from`` refuses: they affect what is measured."""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "latency",
        help="measured latency and throughput, with MACs and the device's roofs",
        description=(
            "Time models on this machine's CPU or accelerator: fresh processes, warm-up until "
            "stable, samples until precise, a verdict for every row. Without models, time every "
            "network of Table 2 of the AR-Net supplement (preset arnet). -o FILE.json keeps all "
            "raw samples, also those measured before an interrupt."
        ),
        epilog="models: as for 'flopbench table', such as resnet50@224 or nets.py:build@224",
    )
    given = add_models(
        parser,
        models="what to time; see below",
        preset="time the rows of a publication: a name, or a .toml file",
    )
    given.add_argument(
        "--vs",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model to compare with the first one, calls taking turns in the same processes; "
        "repeatable",
    )
    given.add_argument(
        "--from",
        dest="saved",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="print saved timings (JSON) instead of measuring, several as one; needs no torch",
    )
    _add_conditions(parser)
    _add_effort(parser)
    _add_sweep(parser)
    add_tables(parser, logs="what the components of these policy logs are, code included")
    parser.set_defaults(run=run)


def _add_conditions(parser: Parser) -> None:
    group = add_machine(parser)
    group.add_argument(
        "--batch",
        type=positive,
        action="append",
        metavar="N",
        help="images per call (default: 1); repeatable",
    )
    group.add_argument(
        "--dtype",
        action="append",
        metavar="TYPE",
        help="fp32, tf32, bf16 or fp16 (default: fp32); repeatable",
    )
    group.add_argument(
        "--cuda-graph", action="store_true", help="replay a captured CUDA graph of each call"
    )


def _add_effort(parser: Parser) -> None:
    group = parser.group("effort")
    group.add_argument(
        "--budget",
        type=positive_seconds,
        metavar="S",
        help="seconds of samples per row and process (default: 5); a batch that a sweep only "
        "passes gets at most 1",
    )
    group.add_argument(
        "--processes",
        type=positive,
        metavar="K",
        help="fresh processes per row (default: 3; fewer cannot be called stable)",
    )
    group.add_argument(
        "--samples",
        type=positive,
        metavar="N",
        help="fewest samples per row and process; p90 needs 64 in all, p99 662 (default: 10)",
    )
    group.add_argument(
        "--refresh", action="store_true", help="measure roofs and counts again, not from the cache"
    )


def _add_sweep(parser: Parser) -> None:
    group = parser.group("throughput")
    group.add_argument(
        "--throughput",
        action="store_true",
        help="double the batch until memory is full or throughput stops rising",
    )
    group.add_argument(
        "--reference-batch",
        type=positive,
        metavar="N",
        help=f"a batch that a sweep always measures (default: {DEFAULT_REFERENCE}, if "
        "--max-batch allows it)",
    )
    group.add_argument(
        "--max-batch", type=positive, metavar="N", help="largest batch of a sweep (default: 4096)"
    )


def run(args: argparse.Namespace) -> int:
    """Time models and print the rows; exit status 3 if one could not be timed."""
    check_output(args)
    logs = logs_for(args)
    if args.saved:
        require(not logs, "--from prints saved timings, --for makes them: one of them")
        file, status = _saved(args), EXIT_OK
    else:
        file, status = _measured(args, logs)
    show(args, _tables(file, args))
    for row in file.rows:
        # A sweep may end at a batch that fails, but not at batch 1.
        if row.failure and not (row.sweep and row.what.batch > 1):
            why = row.failure.removeprefix(row.what.spec).lstrip()
            sys.stderr.write(f"flopbench: could not time {row.what}: {why}\n")
            status = status or EXIT_MEASURE
    return status


def _tables(file: TimingFile, args: argparse.Namespace) -> Tables:
    """Return the rows, and below them the comparison if one was asked for."""
    from flopbench.timing.text import timing_tables

    if not any(row.interleaved for row in file.rows):
        return timing_tables(file)
    from flopbench.timing.comparison import compare_interleaved
    from flopbench.timing.comparison_text import time_comparison_grid

    name = args.models[0] if args.models else "A"
    return timing_tables(file, [time_comparison_grid(compare_interleaved(file), (name, name))])


def _saved(args: argparse.Namespace) -> TimingFile:
    from flopbench.timing.file import TimingFile, merge

    refuse_measuring(args, MEASURING, "timings")
    return merge([TimingFile.load(path) for path in args.saved])


def _measured(args: argparse.Namespace, logs: list[str]) -> tuple[TimingFile, int]:
    """Measure; on an interrupt return the finished rows, with the exit status for it."""
    from flopbench.timing.file import merge
    from flopbench.timing.run import (
        Effort,
        describe_device,
        time_models,
        time_throughput,
        untimed,
    )
    from flopbench.timing.sweeps import LARGEST_BATCH

    _check_combinations(args)
    models = _models(args, logs)
    before = time.monotonic()
    facts = describe_device(args.device, args.dtype or ["fp32"])  # in a process of its own
    start_s = time.monotonic() - before
    specs = _specs(args, models, facts.device)
    done: list[TimingFile] = []
    latest: list[TimingFile] = []

    def keep(file: TimingFile) -> None:
        latest[:] = [file]
        if keeps_json(args):
            merge([*done, file]).save(args.output)

    try:
        with progress_bar() as progress:
            asked = {"processes": args.processes, "budget_s": args.budget, "fewest": args.samples}
            effort = Effort(
                **{name: value for name, value in asked.items() if value},
                refresh=args.refresh,
                progress=progress,
                say=progress.say if progress else None,
                start_s=start_s,
                keep=keep,
                facts=facts,
            )
            if not args.throughput:
                return time_models(specs, effort, interleaved=bool(args.vs)), EXIT_OK
            most = args.max_batch or LARGEST_BATCH
            reference = args.reference_batch or min(DEFAULT_REFERENCE, most)
            for spec in specs:
                try:
                    done.append(time_throughput(spec, effort, reference=reference, most=most))
                except InputError as error:
                    if len(specs) == 1:
                        raise
                    done.append(untimed(spec, error.line, effort))
                latest.clear()
            return merge(done), EXIT_OK
    except KeyboardInterrupt:
        kept = merge([*done, *latest])
        if not kept.rows:
            raise
        where = "below" if args.output == "-" else f"in {args.output}"
        sys.stderr.write(f"flopbench: interrupted; {len(kept.rows)} finished rows are {where}\n")
        return kept, EXIT_INTERRUPTED


def _models(args: argparse.Namespace, logs: list[str]) -> list[ModelSpec]:
    """List the models to time."""
    if logs:
        from flopbench.estimate.components import specs_of_logs

        require(
            not (args.models or args.resolution or args.classes or args.vs),
            "--for takes the models from logs: models, --resolution, --classes and --vs cannot "
            "apply",
        )
        found = [spec for spec in specs_of_logs(logs, args.preset) if spec.source != "value"]
        require(
            bool(found),
            f"{', '.join(logs)}: no component names a network that could be built: nothing to time",
            "time the networks by name: flopbench latency MODEL ...",
        )
        return found
    models, _ = chosen_models(args, more=tuple(args.vs))
    for model in models:
        require(model.source != "value", f"{model} is a constant: there is nothing to time")
    require(
        not args.vs or len(set(models)) == len(models),
        "--vs names a model that is compared with itself",
    )
    return models


def _specs(args: argparse.Namespace, models: list[ModelSpec], device: str) -> list[TimingSpec]:
    """List what to time: models × dtypes × batches, models outermost."""
    from flopbench.timing.records import TimingSpec

    require(
        not args.cuda_graph or device == "cuda",
        f"--cuda-graph needs --device cuda, this is {device}",
    )
    specs = [
        TimingSpec(
            spec=str(model),
            device=device,
            batch=batch,
            dtype=dtype,
            channels_last=args.channels_last,
            compiled=args.compile,
            cuda_graph=args.cuda_graph,
            threads=args.threads or 1,
        )
        for model in models
        for dtype in args.dtype or ["fp32"]
        for batch in args.batch or [1]
    ]
    return list(dict.fromkeys(specs))


def _check_combinations(args: argparse.Namespace) -> None:
    require(
        not args.vs or len(args.models) == 1,
        "--vs compares with one MODEL: expected exactly one before it",
    )
    require(not (args.vs and args.throughput), "--vs and --throughput exclude each other")
    require(
        not args.vs or (len(args.batch or []) <= 1 and len(args.dtype or []) <= 1),
        "--vs compares at one --batch and one --dtype",
    )
    require(
        not (args.throughput and args.batch),
        "--throughput sweeps the batch, so --batch cannot apply",
        "--reference-batch N is always measured, --max-batch N ends the sweep",
    )
    require(
        args.throughput or not (args.reference_batch or args.max_batch),
        "--reference-batch and --max-batch belong to --throughput",
    )
    require(
        not (args.reference_batch and args.max_batch) or args.reference_batch <= args.max_batch,
        f"--reference-batch {args.reference_batch} is larger than --max-batch {args.max_batch}",
    )
