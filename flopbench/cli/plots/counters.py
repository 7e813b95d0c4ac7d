"""``flopbench plot counters``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.policy.file_kinds import PROFILES

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "counters"
HELP = "the same model under each counter, split by operator family"
DESCRIPTION = (
    "Draw each counter's total for a model, split by operator family, with the exact figure and "
    "how far it is from the dense MACs. Several files are several models, each in percent of its "
    "own dense MACs."
)
TAKES = (PROFILES,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this kind has no options."""


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the profiles; return what is to be drawn."""
    from flopbench.present.draw.kinds.counters import counters_drawing
    from flopbench.present.figures.counters import counters_of

    return counters_drawing(counters_of(args.files, user=user, takers=takers))
