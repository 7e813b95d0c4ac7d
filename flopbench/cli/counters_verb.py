"""``flopbench counters``: the counters, and which are installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from flopbench.cli.common import add_wide
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_OK


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description="List the counters that flopbench knows and their installed versions.",
    )
    add_wide(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per counter."""
    from flopbench.core.grid import Grid, columns, to_terminal
    from flopbench.counting import DEFAULT_COUNTERS
    from flopbench.counting.registry import WITNESS, own_counters

    joins = {WITNESS: "if unverified"} | dict.fromkeys(DEFAULT_COUNTERS, "yes")
    rows = []
    for info in own_counters():
        install = f"python -m pip install 'flopbench[{info.extra}]'"
        rows.append(
            (
                info.name,
                joins.get(info.name, "no"),
                info.library,
                info.version or f"not installed: {install}",
            )
        )
    titles = ("counter", "in the default table", "library", "installed version")
    grid = Grid(
        title="Counters", columns=columns(titles, titles, spare=titles[1:3]), rows=tuple(rows)
    )
    to_terminal(grid, sys.stdout, wide=args.wide)
    return EXIT_OK
