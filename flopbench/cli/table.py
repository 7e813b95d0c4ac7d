"""``flopbench table``: models × input sizes × counters -> the cost table."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from flopbench.cli.common import (
    add_counters,
    add_tables,
    check_output,
    chosen_counters,
    logs_for,
    positive,
    progress_bar,
    require,
    show,
)
from flopbench.cli.model_options import add_models, models_for
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK, complain

if TYPE_CHECKING:
    from flopbench.counting.table import CostTable


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "table",
        help="count models at input sizes under several counters",
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
        metavar="FILE",
        help="print a saved table (JSON) instead of measuring; needs no torch",
    )
    add_counters(parser)
    add_tables(parser, logs="what the components of these policy logs are, code included")
    parser.group("output").add_argument(
        "--sort",
        metavar="COLUMN",
        help="sort by model, input, published, dense, activations, params, feature_dim, status "
        "or a counter; -COLUMN (written --sort=-dense) puts the largest first",
    )
    parser.group("counting").add_argument(
        "--jobs", type=positive, default=1, help="worker processes to measure in (default: 1)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the table and print it; exit status 3 if a counter could not count a model."""
    check_output(args)
    from flopbench.counting.table_text import cost_tables, sort_table
    from flopbench.models.factories import is_code

    if args.models and all(map(is_code, args.models)):
        return _list_factories(args)
    logs = logs_for(args)

    table = _saved_table(args, logs) if args.saved else _measured_table(args, logs)
    if args.sort:
        table = sort_table(table, args.sort)
    show(args, cost_tables(table))
    failed = dict.fromkeys((row.spec, row.notes[0]) for row in table if row.status == "failed")
    for spec, why in failed:
        why = why.removeprefix(spec).lstrip()
        complain(f"could not measure {spec}: {why}")
    return EXIT_MEASURE if failed else EXIT_OK


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
    return CostTable.load(args.saved)


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
