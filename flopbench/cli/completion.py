"""``flopbench completion``: a shell completion script, made by shtab."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_OK

SHELLS = ("bash", "zsh", "fish", "tcsh")
FILES = {"FILE", "LOG", "CLIP", "MODEL", "MODEL|LOG", "CLAIMS"}
FOLDERS = {"DIR", "FOLDER"}
"""What stands in help for a value that may be a file, or a folder."""


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description='Print a completion script, as in: eval "$(flopbench completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script for one shell."""
    import shtab

    whole = args.whole()
    for action in _actions(whole):
        if action.metavar in FILES:
            action.complete = shtab.FILE
        elif action.metavar in FOLDERS:
            action.complete = shtab.DIRECTORY
    sys.stdout.write(shtab.complete(whole, shell=args.shell))
    return EXIT_OK


def _actions(parser: Parser) -> Iterator[Any]:
    """Yield all options and arguments, also those of verbs and kinds."""
    parser.declare()
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
