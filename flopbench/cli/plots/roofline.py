"""``flopbench plot roofline``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.plots.timed_options import add_rows, row_choices_of
from flopbench.policy.file_kinds import TIMINGS

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "roofline"
HELP = "achieved GFLOP/s under the measured roofs of the device"
DESCRIPTION = (
    "Draw what timed models achieved against their arithmetic intensity, under the roofs that "
    "'flopbench latency' measured and the data sheet's peaks, where they are known."
)
TAKES = (TIMINGS,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    add_rows(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the timing files; return what is to be drawn."""
    from flopbench.present.draw.kinds.roofline import roofline_drawing
    from flopbench.present.figures.roofline import roofline_of

    return roofline_drawing(
        roofline_of(args.files, **row_choices_of(args), user=user, takers=takers)
    )
