"""``flopbench plot tradeoff``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.plots.common import add_names
from flopbench.cli.policy_options import add_pricing, add_reading, add_shares, choices_of
from flopbench.policy.file_kinds import LOG, POINTS, REPLAY, require_kind

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "tradeoff"
HELP = "accuracy against GFLOPS or ms a video, with the Pareto front"
DESCRIPTION = (
    "Draw accuracy against cost: policy logs with scores and labels, and tables of points, such as "
    "other papers' figures (columns approach, percent, gflops_per_video or ms_per_video, and "
    "source). With --cost ms, replays give the times of logs, joined by method and dataset."
)
TAKES = (LOG, POINTS, REPLAY)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--cost",
        choices=("gflops", "ms"),
        default="gflops",
        help="GFLOPS/video by count, or ms/video as replays measured (default: gflops)",
    )
    parser.add_argument(
        "--mode",
        metavar="NAME",
        help="which mode of the replays: online, split or bucketed (default: the only one)",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="mAP or top-1 (default: what points say, else mAP where every log has it)",
    )
    parser.add_argument(
        "--linear", action="store_true", help="a linear cost axis (default: logarithmic)"
    )
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="also draw logs of different datasets or splits, and times of different machines",
    )
    add_names(parser)
    add_pricing(parser, measures=False)
    add_reading(parser)
    add_shares(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read logs, points and replays; return what is to be drawn."""
    files: dict[str, list[str]] = {kind: [] for kind in TAKES}
    for path in args.files:
        files[require_kind(path, TAKES, user=user, takers=takers)].append(path)
    from flopbench.present.draw.kinds.tradeoff import tradeoff_drawing
    from flopbench.present.figures.tradeoff import tradeoff_of

    return tradeoff_drawing(
        tradeoff_of(
            files[LOG],
            choices_of(args),
            points=files[POINTS],
            replays=files[REPLAY],
            cost=args.cost,
            metric=args.metric,
            mode=args.mode,
            log_scale=not args.linear,
            anyway=args.anyway,
            names=args.name,
            user=user,
            takers=takers,
        )
    )
