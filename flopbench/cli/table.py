"""``flopbench table``: models × input sizes × counters -> the cost table."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.cli.common import (
    Bar,
    add_counters,
    add_tables,
    check_output,
    chosen_counters,
    keeps_json,
    logs_for,
    positive,
    positive_seconds,
    progress_bar,
    require,
    show,
)
from flopbench.cli.model_options import add_models, models_for
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK, SHOWN, complain
from flopbench.core.limits import MODEL_LIMIT_S

if TYPE_CHECKING:
    from flopbench.counting.table import CostTable

LOG_EVERY_S = 60.0
"""Between two lines on how far ``--all`` is, where stderr is no terminal."""

LIBRARIES = ("torchvision", "timm", "transformers")
"""Those of ``models.spec.LIBRARY_SOURCES``, which takes a while to import."""


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Count models at input sizes under several counters. Without models it regenerates "
            "Table 2 of the AR-Net supplement (preset arnet) next to the published figures."
        ),
        epilog=(
            "models: resnet50@224, timm:efficientnet_b3@300, transformers:vit@224, "
            "r3d_18@16x112x112,classes=400, my_pkg.nets:build@224, nets.py:build@224, "
            "lstm:1280x512, linear:1280x7, 'value:1.8e9 \"source\"'"
        ),
    )
    add_models(
        parser,
        models="what to count; see below",
        preset="rows of a publication: a name, or a .toml file; with --for, what the decisions "
        "of a log mean that does not say",
    )
    parser.group("input").add_argument(
        "--from",
        dest="saved",
        nargs="+",
        metavar="FILE",
        help="print a saved table (JSON) instead of measuring, or several, such as shards, as one; "
        "needs no torch",
    )
    _add_libraries(parser)
    add_counters(parser)
    add_tables(parser, logs="what the components of these policy logs are, code included")
    parser.group("output").add_argument(
        "--sort",
        metavar="COLUMN",
        help="sort by model, input, published, dense, activations, params, feature_dim, status "
        "or a counter; -COLUMN (written --sort=-dense) puts the largest first",
    )
    parser.group("output").add_argument(
        "--flat",
        action="store_true",
        help="CSV with one row a model, in the columns of timm's benchmark files and more",
    )
    parser.group("output").add_argument(
        "--against",
        metavar="CSV",
        help="compare with published figures in the columns of timm's results: model, "
        "infer_img_size, infer_gmacs, infer_macts, param_count",
    )
    parser.group("counting").add_argument(
        "--jobs", type=positive, default=1, help="worker processes to measure in (default: 1)"
    )
    parser.set_defaults(run=run)


def _add_libraries(parser: Parser) -> None:
    group = parser.group("whole libraries")
    group.add_argument(
        "--all",
        dest="library",
        choices=LIBRARIES,
        help="count every model of a library at its own input size, in worker processes (--jobs). "
        "-o FILE.json is kept up to date meanwhile, and continued by the same command",
    )
    for name, what in (("--match", "only"), ("--exclude", "no")):
        group.add_argument(
            name,
            action="append",
            metavar="PATTERN",
            help=f"{what} models with names such as 'vit_*'; repeatable",
        )
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="the I-th of N parts of the sorted names, for N machines; --from merges their files",
    )
    group.add_argument(
        "--retry-failed", action="store_true", help="count again what has failed in FILE.json"
    )
    group.add_argument(
        "--limit",
        type=positive_seconds,
        metavar="SECONDS",
        help=f"time that one model may take (default: {MODEL_LIMIT_S:g})",
    )


def _shard(text: str) -> tuple[int, int]:
    number, slash, shards = text.partition("/")
    if not (slash and number.isdecimal() and shards.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} where I/N was expected, such as 1/4")
    if not 1 <= int(number) <= int(shards):
        raise argparse.ArgumentTypeError(f"{text!r}: parts are 1/{shards} to {shards}/{shards}")
    return int(number), int(shards)


def run(args: argparse.Namespace) -> int:
    """Build the table and print it; exit status 3 if a counter could not count a model."""
    check_output(args)
    from flopbench.counting.table_text import cost_tables, sort_table
    from flopbench.models.factories import is_code

    _check_libraries(args)
    if args.models and all(map(is_code, args.models)):
        return _list_factories(args)
    logs = logs_for(args)

    if args.library:
        table = _library_table(args, logs)
    else:
        table = _saved_table(args, logs) if args.saved else _measured_table(args, logs)
    if args.sort:
        table = sort_table(table, args.sort)
    if args.against:
        from flopbench.counting.against import against, against_tables

        show(args, against_tables(against(table, Path(args.against))))
        return EXIT_OK
    show(args, cost_tables(table, flat=args.flat))
    failed = dict.fromkeys((row.spec, row.notes[0]) for row in table if row.status == "failed")
    for spec, why in list(failed)[:SHOWN]:
        why = why.removeprefix(spec).lstrip()
        complain(f"could not measure {spec}: {why}")
    if len(failed) > SHOWN:
        complain(f"and {len(failed) - SHOWN} more: see the notes of their rows")
    return EXIT_MEASURE if failed else EXIT_OK


def _check_libraries(args: argparse.Namespace) -> None:
    """Refuse options of ``--all`` without it, and forms of output that cannot hold the result."""
    only = ("match", "exclude", "shard", "retry_failed", "limit")
    given = next((name for name in only if getattr(args, name)), "")
    require(
        bool(args.library) or not given,
        f"--{given.replace('_', '-')} needs --all",
        "such as: flopbench table --all timm --match 'vit_*' -o zoo.json",
    )
    require(
        not args.library or args.output == "-" or keeps_json(args),
        f"--all keeps in a JSON file what it has counted, and -o is {args.output}",
        f"flopbench table --all {args.library} -o zoo.json, then: flopbench table --from zoo.json",
    )
    require(
        not (args.library and args.output != "-" and (args.against or args.sort or args.flat)),
        "-o holds the table of --all as it is counted",
        "then: flopbench table --from zoo.json with --against, --sort or --flat",
    )
    if args.flat:
        args.format = args.format or "csv"
        require(args.format == "csv", f"--flat is CSV, and the format is {args.format}")


def _list_factories(args: argparse.Namespace) -> int:
    """List what files of code offer, and the command that counts it; nothing is imported."""
    import shlex

    from flopbench.models.factories import offered_by

    found = {spec: why for text in args.models for spec, why in offered_by(text).items()}
    inputs = args.resolution or ["224"]
    specs = [str(spec.with_input(text)) for spec in found for text in inputs]
    lines = [f"{spec}  ({why})" for spec, why in found.items()]
    command = shlex.join(["flopbench", "table", *specs])
    sys.stdout.write("\n".join([*lines, "Count them:", f"  {command}", ""]))
    return EXIT_OK


def _saved_table(args: argparse.Namespace, logs: list[str]) -> CostTable:
    from flopbench.counting.table import CostTable

    require(not logs, "--from prints a saved table, --for makes one: one of them")
    require(
        not (args.models or args.preset or args.resolution or args.classes or args.counter),
        "--from prints a saved table as it is: models, --preset, --resolution, --classes and "
        "--counter cannot apply",
    )
    tables = {name: CostTable.load(name) for name in args.saved}
    if len(tables) == 1:
        return next(iter(tables.values()))
    from flopbench.counting.zoo import merged

    return merged(tables)


def _library_table(args: argparse.Namespace, logs: list[str]) -> CostTable:
    from flopbench.core.units import number_of
    from flopbench.counting.cost_row import leading_row
    from flopbench.counting.zoo import count_into, library_models
    from flopbench.models.spec import cross

    require(
        not (args.models or args.saved or args.preset or logs),
        "--all names the models itself: models, --from, --preset and --for cannot apply",
    )
    specs = library_models(args.library, args.match or (), args.exclude or (), args.shard or (1, 1))
    specs = cross(specs, args.resolution or [])
    if args.classes is not None:
        specs = [spec.with_classes(args.classes) for spec in specs]

    def begin(left: int) -> None:
        if left < len(specs):
            done = number_of(len(specs) - left, "model")
            complain(f"{args.output} has {done} of {len(specs)} already, {left} to count")

    with progress_bar("counting") as bar:
        table = count_into(
            None if args.output == "-" else Path(args.output),
            specs,
            chosen_counters(args),
            jobs=args.jobs,
            limit_s=args.limit or MODEL_LIMIT_S,
            refresh=args.refresh,
            retry_failed=args.retry_failed,
            progress=bar or _logged(),
            begin=begin,
        )
    statuses = Counter(leading_row(line).status for line in table.lines())
    complain(", ".join(f"{number:,} {status}" for status, number in statuses.most_common()))
    return table


def _logged() -> Callable[[int, int, str], None]:
    """Return a progress callback for a log file, which gets a line now and then."""
    bar, said_s = Bar("counting"), time.monotonic()

    def progress(done: int, total: int, what: str) -> None:
        nonlocal said_s
        bar(done, total, what)
        if done and time.monotonic() - said_s > LOG_EVERY_S:
            complain(f"{done:,} of {total:,} counted, {bar.times}")
            said_s = time.monotonic()

    return progress


def _measured_table(args: argparse.Namespace, logs: list[str]) -> CostTable:
    from flopbench.counting.run import build_table
    from flopbench.counting.table_text import check_sort_key

    counters = chosen_counters(args)
    if args.sort:
        check_sort_key(args.sort, counters)
    specs, published = models_for(args, logs)
    with progress_bar() as progress:
        return build_table(
            specs,
            counters,
            published=published,
            refresh=args.refresh,
            jobs=args.jobs,
            progress=progress,
        )
