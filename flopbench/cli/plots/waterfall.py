"""``flopbench plot waterfall``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.plots.common import add_names
from flopbench.policy.file_kinds import REPLAY

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "waterfall"
HELP = "from the theoretical speed-up to the measured one, step by step"
DESCRIPTION = (
    "Draw where a policy's theoretical speed-up goes: ms/video of the uniform baseline, of the "
    "adaptive program by count, and what each step adds up to the measured time."
)
TAKES = (REPLAY,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--mode",
        action="append",
        default=[],
        metavar="NAME",
        help="draw this mode: online, split or bucketed; repeatable (default: all)",
    )
    add_names(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the replays; return what is to be drawn."""
    from flopbench.present.draw.kinds.waterfall import waterfall_drawing
    from flopbench.present.figures.waterfall import waterfall_of

    return waterfall_drawing(
        waterfall_of(args.files, modes=args.mode, names=args.name, user=user, takers=takers)
    )
