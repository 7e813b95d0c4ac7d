"""``flopbench latency``: measured time and throughput, with theoretical costs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flopbench.cli.common import (
    add_tables,
    check_output,
    keeps_json,
    logs_for,
    progress_bar,
    require,
    show,
)
from flopbench.cli.latency_options import (
    DEFAULT_REFERENCE,
    MEASURING,
    add_options,
    check_combinations,
    only_pipeline,
    sizes_of,
)
from flopbench.cli.machine_options import refuse_measuring
from flopbench.cli.model_options import add_models, models_for
from flopbench.cli.parser import Parser
from flopbench.core import stopping
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK, InputError, complain

if TYPE_CHECKING:
    from flopbench.core.tables import Tables
    from flopbench.models.spec import ModelSpec
    from flopbench.timing.file import TimingFile
    from flopbench.timing.records import TimingSpec


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
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
    given.option(
        "--vs MODEL",
        "a model to compare with the first one, calls taking turns in the same processes; "
        "repeatable",
        action="append",
        default=[],
    )
    given.option(
        "--from FILE",
        "print saved timings (JSON) instead of measuring, several as one; needs no torch",
        dest="saved",
        nargs="+",
        action="extend",
    )
    add_options(parser)
    add_tables(parser, logs="what the components of these policy logs are, code included")
    parser.set_defaults(run=run)


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
            complain(f"could not time {row.what}: {why}")
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
    from flopbench.timing.file import load_files

    refuse_measuring(args, MEASURING, "timings")
    return load_files(args.saved)


def _measured(args: argparse.Namespace, logs: list[str]) -> tuple[TimingFile, int]:
    """Measure; on an interrupt return the finished rows, with the exit status for it."""
    from flopbench.timing.file import merge
    from flopbench.timing.pipeline import open_clip, time_pipeline
    from flopbench.timing.run import Effort, describe_device, time_models, time_throughput, untimed
    from flopbench.timing.sweeps import LARGEST_BATCH

    check_combinations(args)
    sizes = sizes_of(args, logs)
    models = _models(args, logs)
    before = time.monotonic()
    clip = open_clip(args.pipeline) if args.pipeline else None
    facts = describe_device(args.device, args.dtype or ["fp32"]) if models else None
    start_s = (time.monotonic() - before) / (bool(clip) + bool(facts))  # a process of its own each
    specs = _specs(args, models, facts.device) if facts else []
    done: list[TimingFile] = []
    latest: list[TimingFile] = []

    def keep(file: TimingFile) -> None:
        latest[:] = [file]
        if keeps_json(args):
            merge([*done, file]).save(args.output)

    came: list[int] = []
    try:
        with (
            progress_bar() as progress,
            stopping.raising(when=lambda: bool(done or latest)) as came,
        ):
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
            if specs and not args.throughput:
                done.append(time_models(specs, effort, interleaved=bool(args.vs)))
                latest.clear()
            most = args.max_batch or LARGEST_BATCH
            reference = args.reference_batch or min(DEFAULT_REFERENCE, most)
            for spec in specs if args.throughput else ():
                try:
                    done.append(time_throughput(spec, effort, reference=reference, most=most))
                except InputError as error:
                    if len(specs) == 1:
                        raise
                    done.append(untimed(spec, error.line, effort))
                latest.clear()
            if clip:
                done.append(time_pipeline(clip, sizes, effort, threads=args.threads or 1))
            return merge(done), EXIT_OK
    except KeyboardInterrupt:
        kept = merge([*done, *latest])
        if not kept.rows:
            raise
        where = "below" if args.output == "-" else f"in {args.output}"
        complain(f"interrupted; {len(kept.rows)} finished rows are {where}")
        return kept, stopping.status_of(came)


def _models(args: argparse.Namespace, logs: list[str]) -> list[ModelSpec]:
    """List the models to time; none where only a pipeline is."""
    if only_pipeline(args, logs):
        return []
    require(
        not (args.vs and logs), "--vs compares models that are named, --for takes those of logs"
    )
    models, _ = models_for(args, logs, more=tuple(args.vs))
    if logs:
        models = [model for model in models if model.source != "value"]
        require(
            bool(models),
            f"{', '.join(logs)}: no component names a network that could be built: nothing to time",
            "time the networks by name: flopbench latency MODEL ...",
        )
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
