"""``flopbench plot usage``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.common import require
from flopbench.cli.plots.common import add_names
from flopbench.cli.policy_options import add_meaning, add_reading, add_shares, choices_of
from flopbench.policy.file_kinds import LOG

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "usage"
HELP = "share of each action, one run or several side by side"
DESCRIPTION = "Draw how often a policy chose each action (AR-Net's Figure 1a)."
TAKES = (LOG,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--of",
        choices=("frames", "decisions"),
        default="frames",
        help="what the shares are shares of (default: frames)",
    )
    parser.add_argument(
        "--group-below",
        type=float,
        metavar="PERCENT",
        help="draw actions below PERCENT in every run together (default: each individually)",
    )
    add_names(parser)
    add_meaning(parser)
    add_reading(parser)
    add_shares(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the logs; return what is to be drawn."""
    below = args.group_below
    require(
        below is None or 0 < below < 100,
        f"--group-below is {below} where a percentage between 0 and 100 was expected",
    )
    from flopbench.present.draw.kinds.usage import usage_drawing
    from flopbench.present.figures.usage import usage_of

    return usage_drawing(
        usage_of(
            args.files,
            choices_of(args),
            of=args.of,
            group_below=None if below is None else below / 100,
            names=args.name,
            user=user,
            takers=takers,
        )
    )
