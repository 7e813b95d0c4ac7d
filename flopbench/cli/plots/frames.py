"""``flopbench plot frames``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.common import positive, require
from flopbench.cli.policy_options import add_pricing, add_reading, choices_of
from flopbench.policy.file_kinds import LOG

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.inputs.logs import Takers

NAME = "frames"
HELP = "film strips: what a policy did with single videos"
DESCRIPTION = (
    "Draw what a policy did with single videos (AR-Net's Figures 2 to 4): every frame at the "
    "resolution that its action chose, skips, label, prediction and cost; by default one video of "
    "each level of difficulty, the one nearest to the level's median cost."
)
TAKES = (LOG,)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind."""
    parser.add_argument(
        "--frames",
        metavar="PATH",
        help="where frames are: a folder with ID.npy, ID.mp4 (or .avi, .mkv, .webm, .mov), ID/ "
        "full of images, or the image files that the log names; or a .npz file whose keys are ids "
        "(default: the folder of the log, for the files that it names)",
    )
    parser.add_argument(
        "--video",
        action="append",
        default=[],
        metavar="ID",
        help="draw this video; repeatable (default: some of each level of difficulty)",
    )
    parser.add_argument(
        "--difficulty",
        metavar="MEASURE",
        help="what makes the levels: margin (of the softmax), cost (circular), correct, or a "
        "column of the log's 'extra' (default: margin where the log has scores, else cost)",
    )
    parser.add_argument(
        "--per-group",
        type=positive,
        default=1,
        metavar="N",
        help="videos of each level (default: 1)",
    )
    parser.add_argument(
        "--most-frames",
        type=positive,
        metavar="N",
        help="draw at most the first N steps of a video (default: 64)",
    )
    add_pricing(parser, measures=False, intervals=False)
    add_reading(parser)


def drawing(args: argparse.Namespace, *, user: str, takers: Takers) -> Drawing:
    """Read the log and the frames; return what is to be drawn."""
    require(
        len(args.files) == 1,
        f"{user} takes one log, not {len(args.files)}",
        "name the shards of one log by a glob in quotes, such as 'run-*.jsonl'",
    )
    from flopbench.present.draw.kinds.frames import frames_drawing
    from flopbench.present.figures.frames.figure import frames_of

    return frames_drawing(
        frames_of(
            args.files[0],
            choices_of(args),
            frames=args.frames,
            videos=args.video,
            difficulty=args.difficulty,
            per_group=args.per_group,
            most_frames=args.most_frames,
            user=user,
            takers=takers,
        )
    )
