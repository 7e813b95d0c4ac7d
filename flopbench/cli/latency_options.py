"""The options of ``latency``, and which of them go together."""

from __future__ import annotations

import argparse

from flopbench.cli.common import positive, positive_seconds, require
from flopbench.cli.machine_options import add_machine, given_of
from flopbench.cli.parser import Parser

DEFAULT_REFERENCE = 32
MEASURING = (
    *("models", "preset", "resolution", "classes", "vs", "throughput", "device", "batch", "dtype"),
    *("channels_last", "compile", "cuda_graph", "threads", "budget", "processes", "samples"),
    *("refresh", "reference_batch", "max_batch", "pipeline", "resize"),
)
"""Options that ``--from`` refuses: they affect what is measured."""
OF_MODELS = (
    *("resolution", "classes", "vs", "throughput", "batch", "dtype", "channels_last"),
    *("compile", "cuda_graph", "refresh", "reference_batch", "max_batch"),
)
"""Options that cannot apply to a pipeline."""


def add_options(parser: Parser) -> None:
    """Add all but the models and the output."""
    _add_conditions(parser)
    _add_effort(parser)
    _add_sweep(parser)
    _add_pipeline(parser)


def _add_conditions(parser: Parser) -> None:
    group = add_machine(parser)
    group.option(
        "--batch N", "images per call (default: 1); repeatable", type=positive, action="append"
    )
    group.option(
        "--dtype TYPE", "fp32, tf32, bf16 or fp16 (default: fp32); repeatable", action="append"
    )
    group.option("--cuda-graph", "replay a captured CUDA graph of each call")


def _add_effort(parser: Parser) -> None:
    group = parser.group("effort")
    group.option(
        "--budget S",
        "seconds of samples per row and process (default: 5); a batch that a sweep only "
        "passes gets at most 1",
        type=positive_seconds,
    )
    group.option(
        "--processes K",
        "fresh processes per row (default: 3; fewer cannot be called stable)",
        type=positive,
    )
    group.option(
        "--samples N",
        "fewest samples per row and process; p90 needs 64 in all, p99 662 (default: 10)",
        type=positive,
    )
    group.option("--refresh", "measure roofs and counts again, not from the cache")


def _add_sweep(parser: Parser) -> None:
    group = parser.group("throughput")
    group.option("--throughput", "double the batch until memory is full or throughput stops rising")
    group.option(
        "--reference-batch N",
        f"a batch that a sweep always measures (default: {DEFAULT_REFERENCE}, if "
        "--max-batch allows it)",
        type=positive,
    )
    group.option("--max-batch N", "largest batch of a sweep (default: 4096)", type=positive)


def _add_pipeline(parser: Parser) -> None:
    group = parser.group("what stands before the networks")
    group.option(
        "--pipeline CLIP",
        "time decoding, colour conversion, resizing and normalising of a frame, on the CPU: a "
        "video (needs flopbench[video]) or a folder of images; alone, or beside models",
    )
    group.option(
        "--resize SIZES", "with --pipeline: what frames are resized to, such as 224,168,112x84"
    )


def only_pipeline(args: argparse.Namespace, logs: list[str]) -> bool:
    """Whether there are no models to time."""
    return bool(args.pipeline and not (args.models or args.preset or logs))


def sizes_of(args: argparse.Namespace, logs: list[str]) -> list[str]:
    """Return what frames are resized to."""
    from flopbench.timing.pipeline import parse_sizes

    if not args.pipeline:
        require(args.resize is None, "--resize belongs to --pipeline CLIP, which is not given")
        return []
    require(
        args.resize is not None,
        "--pipeline needs --resize: the sizes that the networks take",
        f"such as: --pipeline {args.pipeline} --resize 224,168,112,84",
    )
    given = given_of(args, OF_MODELS) if only_pipeline(args, logs) else []
    require(
        not given, f"--pipeline alone times no models: {', '.join(given)} cannot apply", "name some"
    )
    require(
        args.device in (None, "cpu") or not only_pipeline(args, logs),
        f"--pipeline runs on the CPU: --device {args.device} is for models, and none are named",
    )
    return parse_sizes(args.resize)


def check_combinations(args: argparse.Namespace) -> None:
    """Refuse options of models that exclude each other."""
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
