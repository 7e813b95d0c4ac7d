"""``flopbench plot classes``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.common import positive, require
from flopbench.cli.policy_options import add_bootstrap, add_preset, add_reading, choices_of
from flopbench.policy.file_kinds import LOG

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "classes"
HELP = "how much resolution each class gets, with 95 % intervals"
DESCRIPTION = (
    "Draw, class by class, the share of the highest resolution among the resolutions that run "
    "their own network, and the share of these among all frames (AR-Net's Figures 1b and 1c)."
)
TAKES = (LOG,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    _add_rows(parser)
    _add_ratios(parser)
    parser.add_argument("--name", default="", metavar="TEXT", help="what to call the run")
    add_preset(parser)
    add_bootstrap(parser)
    add_reading(parser)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--classes",
        type=positive,
        metavar="N",
        help="draw N classes, evenly spaced in the sorted order (default: all up to 40)",
    )
    which.add_argument(
        "--class",
        dest="named",
        action="append",
        default=[],
        metavar="NAME",
        help="draw this class; repeatable",
    )
    parser.add_argument(
        "--sort",
        choices=("high", "usage", "name", "n"),
        help="by a ratio or the number of videos, largest first, or by name (default: the first "
        "ratio that is drawn)",
    )


def _add_ratios(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ratio",
        choices=("both", "high", "usage"),
        default="both",
        help="relative high-resolution usage, resolution usage, or both (default: both)",
    )
    parser.add_argument(
        "--high",
        metavar="ACTION",
        help="the action at the highest resolution (default: the one with the largest input)",
    )
    parser.add_argument(
        "--among",
        action="append",
        default=[],
        metavar="ACTION",
        help="an action that runs its own network; repeatable (default: every one that costs "
        "something)",
    )


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the log; return what is to be drawn."""
    from flopbench.present.draw.kinds.classes import classes_drawing
    from flopbench.present.figures.class_choice import MOST
    from flopbench.present.figures.classes import classes_of

    require(
        args.classes is None or args.classes <= MOST,
        f"--classes is {args.classes}: at most {MOST} rows are drawn",
    )
    return classes_drawing(
        classes_of(
            args.files,
            choices_of(args),
            classes=args.named or args.classes,
            high=args.high,
            among=args.among,
            sort=args.sort,
            ratio=args.ratio,
            name=args.name,
            user=user,
            takers=takers,
        )
    )
