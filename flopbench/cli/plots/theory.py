"""``flopbench plot theory``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.plots.timed_options import add_rows, row_choices_of
from flopbench.policy.file_kinds import TIMINGS

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "theory"
HELP = "MACs against measured time, with the fitted line and each model's residual"
DESCRIPTION = (
    "Draw dense MACs against measured milliseconds, the line that would hold if time followed "
    "MACs, and how far each model is from it. Timings of different devices, formats or batches "
    "get separate lines."
)
TAKES = (TIMINGS,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--fit",
        choices=("proportional", "affine"),
        default="proportional",
        help="the line: time = c · MACs, or time = a + c · MACs (default: proportional)",
    )
    add_rows(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the timing files; return what is to be drawn."""
    from flopbench.present.draw.kinds.theory import theory_drawing
    from flopbench.present.figures.theory import theory_of

    return theory_drawing(
        theory_of(args.files, fit=args.fit, **row_choices_of(args), user=user, takers=takers)
    )
