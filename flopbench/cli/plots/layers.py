"""``flopbench plot layers``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.policy.file_kinds import PROFILES

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "layers"
HELP = "where a model's MACs are, module by module"
DESCRIPTION = (
    "Draw the dense MACs of a model's modules in order, each split by operator family. Counts "
    "nothing itself: it reads what 'flopbench explain MODEL -o profiles.json' wrote."
)
TAKES = (PROFILES,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--depth",
        type=int,
        metavar="N",
        help="levels of the module tree (default: the first with 5 to 20 bars)",
    )
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        help="draw the N largest modules individually, the others together (default: draw all)",
    )
    parser.add_argument(
        "--counter", metavar="NAME", help="whose breakdown (default: torch, or the file's first)"
    )


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the profiles; return what is to be drawn."""
    from flopbench.present.draw.kinds.layers import layers_drawing
    from flopbench.present.figures.layers import layers_of

    return layers_drawing(
        layers_of(
            args.files,
            depth=args.depth,
            top=args.top,
            counter=args.counter,
            user=user,
            takers=takers,
        )
    )
