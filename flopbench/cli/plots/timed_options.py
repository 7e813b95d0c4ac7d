"""Options that choose rows of timing files."""

from __future__ import annotations

import argparse
from typing import TypedDict

from flopbench.cli.common import positive


class Rows(TypedDict):
    """Which rows: each empty for all."""

    devices: list[str]
    dtypes: list[str]
    batches: list[int]


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--dtype`` and ``--batch``."""
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME",
        help="only rows of cpu, cuda, mps or a machine with NAME in its name; repeatable",
    )
    parser.add_argument(
        "--dtype",
        action="append",
        default=[],
        metavar="DTYPE",
        help="only rows in this number format; repeatable",
    )
    parser.add_argument(
        "--batch",
        action="append",
        type=positive,
        default=[],
        metavar="N",
        help="only rows of this batch; repeatable",
    )


def row_choices_of(args: argparse.Namespace) -> Rows:
    """Return the rows that were chosen, as the figures take them."""
    return Rows(devices=args.device, dtypes=args.dtype, batches=args.batch)
