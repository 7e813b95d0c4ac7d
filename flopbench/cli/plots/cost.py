"""``flopbench plot cost``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.plots.common import add_names
from flopbench.cli.policy_options import add_pricing, add_reading, choices_of
from flopbench.policy.file_kinds import LOG

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "cost"
HELP = "how the cost of a video is distributed, with mean and median"
DESCRIPTION = "Draw the distribution of GFLOPS per video, one run or several."
TAKES = (LOG,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--cumulative",
        action="store_true",
        help="draw the cumulative distribution instead of a histogram",
    )
    add_names(parser)
    add_pricing(parser, measures=False)
    add_reading(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read and price the logs; return what is to be drawn."""
    from flopbench.present.draw.kinds.cost import cost_drawing
    from flopbench.present.figures.cost import cost_of

    return cost_drawing(
        cost_of(
            args.files,
            choices_of(args),
            cumulative=args.cumulative,
            names=args.name,
            user=user,
            takers=takers,
        )
    )
