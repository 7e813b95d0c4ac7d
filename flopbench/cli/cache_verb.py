"""``flopbench cache``: where profiles are kept, and how to clear them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_OK


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Profiles of library models are kept in the user's cache folder (FLOPBENCH_CACHE_DIR "
            "overrides it), keyed by the versions they depend on."
        ),
    )
    parser.option("--clear", "delete every cached profile")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the folder and how many profiles it holds, or clear it."""
    from flopbench.counting import cache

    if args.clear:
        sys.stdout.write(f"deleted {cache.clear()} profiles from {cache.cache_folder()}\n")
    else:
        sys.stdout.write(f"{cache.cache_folder()}: {len(cache.files())} profiles\n")
    return EXIT_OK
