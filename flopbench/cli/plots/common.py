"""What the kinds of figures share on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from flopbench.cli.common import require
from flopbench.core.errors import InputError
from flopbench.present.draw.venues import DEFAULT_VENUE, VENUES


def add_style(parser: argparse.ArgumentParser) -> None:
    """Add output and style."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="the figure: .pdf, .svg or .png",
    )
    parser.add_argument(
        "--data", metavar="FILE", help="also write the numbers behind the figure as CSV (-: stdout)"
    )
    parser.add_argument(
        "--width",
        default="column",
        metavar="WIDTH",
        help="column, page, or inches (default: column)",
    )
    parser.add_argument(
        "--venue",
        default=DEFAULT_VENUE,
        choices=tuple(VENUES),
        help=f"whose columns and text size (default: {DEFAULT_VENUE})",
    )
    parser.add_argument(
        "--font", default=None, metavar="FAMILY", help="an installed font (default: STIXGeneral)"
    )
    parser.add_argument(
        "--font-size",
        type=float,
        metavar="PT",
        help="size of labels (default: a point less than the venue's body text)",
    )


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add ``--name``."""
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="TEXT",
        help="what to call a run, in the order of the files; repeat it for each "
        "(default: by method and dataset)",
    )


def takers(kinds: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    """Return kind of file -> the figures that accept it."""
    files = dict.fromkeys(name for kind in kinds for name in kind.TAKES)
    return {f: tuple(f"plot {k.NAME}" for k in kinds if f in k.TAKES) for f in files}


def require_matplotlib() -> None:
    """Raise if matplotlib is not installed, or does not start.

    Raises:
        InputError: it is not installed, or refuses its settings.
    """
    from importlib.util import find_spec

    require(
        find_spec("matplotlib") is not None,
        "drawing needs matplotlib, which is not installed",
        "pip install 'flopbench[plots]'",
    )
    try:
        import matplotlib  # noqa: F401
    except ValueError as error:
        raise InputError(
            f"matplotlib does not start: {error}",
            "this comes from the environment variable MPLBACKEND; unset it: no figure needs it",
        ) from None
