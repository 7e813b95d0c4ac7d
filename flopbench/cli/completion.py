"""``flopbench completion``: a shell completion script, made by shtab."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from flopbench.core.errors import EXIT_OK

SHELLS = ("bash", "zsh", "tcsh")


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "completion",
        help="print a shell completion script",
        description='Print a completion script, as in: eval "$(flopbench completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script for one shell."""
    import shtab

    for kind in args.kinds.values():
        kind.declare()
    sys.stdout.write(shtab.complete(args.whole, shell=args.shell))
    return EXIT_OK
