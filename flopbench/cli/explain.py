"""``flopbench explain``: where one model's MACs are, counter against counter."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flopbench.cli.common import (
    add_counters,
    add_output,
    add_wide,
    check_output,
    chosen_counters,
    chosen_format,
    emit,
    progress_bar,
    require,
)
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_MEASURE, EXIT_OK

FORMATS = ("text", "json")
DEFAULT_DEPTH = 2


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Show where a model's MACs are (by module, by operator), which operators make the "
            "counters' totals differ and by how much, what each counter left out, and how a "
            "published figure came about."
        ),
    )
    parser.group("input").add_argument("model", metavar="MODEL", help="such as efficientnet_b3@224")
    parser.group("output").add_argument(
        "--depth", type=int, default=DEFAULT_DEPTH, help="levels of the module tree (default: 2)"
    )
    add_counters(parser)
    add_output(parser, FORMATS)
    add_wide(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Count one model and show where the number comes from."""
    check_output(args)
    require(args.depth >= 0, f"--depth is {args.depth} where 0 or more was expected")
    from flopbench.counting.explain_text import explanation_text
    from flopbench.counting.profiles_file import dumps
    from flopbench.counting.run import explain
    from flopbench.models.spec import parse_spec

    spec = parse_spec(args.model)
    require(
        spec.source != "value",
        f"{args.model!r} is a constant: there is nothing to explain but its source",
    )
    with progress_bar() as progress:
        explanation = explain(spec, chosen_counters(args), refresh=args.refresh, progress=progress)
    if chosen_format(args, FORMATS) == "json":
        emit(args, lambda stream: dumps(explanation))
    else:
        emit(args, lambda stream: explanation_text(explanation, args.depth, stream, wide=args.wide))
    return EXIT_MEASURE if explanation.failures else EXIT_OK
