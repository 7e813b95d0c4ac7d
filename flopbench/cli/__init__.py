"""The command line: arguments, one call, text. Heavy imports happen inside the verbs."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence

from flopbench.cli import (
    accept,
    audit,
    cache_verb,
    check,
    compare,
    completion,
    counters_verb,
    estimate,
    explain,
    init_verb,
    latency,
    log_verb,
    plot,
    replay,
    report,
    table,
)
from flopbench.cli.parser import Parser
from flopbench.core.errors import (
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FlopbenchError,
    complain,
    cut,
)
from flopbench.core.stopping import NOTHING_HALF
from flopbench.core.version import VERSION

VERBS = (
    table,
    explain,
    estimate,
    compare,
    audit,
    latency,
    replay,
    plot,
    report,
    check,
    accept,
    init_verb,
    log_verb,
    counters_verb,
    cache_verb,
    completion,
)
RARELY = (200_000, 50, 100)
"""Garbage collection thresholds: importing torch makes a million objects that all stay, and
scanning them again and again takes a tenth of a short process."""


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="flopbench",
        description="What a vision model really costs: exact MACs, policies, measured time.",
        epilog="Run 'flopbench VERB --help' for the options of one verb.",
    )
    parser.add_argument("--version", action="version", version=f"flopbench {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    kinds = verbs.choices["plot"].get_default("kinds")
    verbs.choices["completion"].set_defaults(whole=parser, kinds=kinds)  # what it completes
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status (0 fine, 1 check failed, 2 input, 3 not measured)."""
    parser = build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help()
        return EXIT_OK
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without '×' gets '?'
    try:
        return _run(parser.parse_args(argv))
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        return EXIT_OK
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except BrokenPipeError:  # Python flushes again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: argparse.Namespace) -> int:
    gc.set_threshold(*RARELY)
    try:
        status: int = args.run(args)
        return status
    except FlopbenchError as error:
        status, said = error.exit_status, f"error: {error}"
    except KeyboardInterrupt:
        status, said = EXIT_INTERRUPTED, f"interrupted; {NOTHING_HALF}"
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        name = cut(os.fsdecode(error.filename or ""))
        status, said = EXIT_INPUT, f"error: cannot use {name}: {error.strerror}"
    complain(said)
    return status
