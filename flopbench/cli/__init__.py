"""The command line: arguments, one call, text. A verb is imported when it is used."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

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

VERBS = {
    "table": "count models at input sizes under several counters",
    "explain": "show where a model's MACs are and why counters differ",
    "estimate": "what a run cost, from the decisions it logged",
    "compare": "method against method: accuracy, GFLOPS, Pareto front; or timing against timing",
    "audit": "recompute published numbers: reproduced, off by x %%, or not derivable, and why",
    "latency": "measured latency and throughput, with MACs and the device's roofs",
    "replay": "run a policy log's decisions with the real networks and time them",
    "plot": "figures for papers, from result files",
    "report": "one page with everything: tables, figures, and how they were made",
    "check": "model cost in CI: fail where a model or a policy costs more than accepted",
    "accept": "accept the current cost of entries: move the baseline, with a reason",
    "init": "start guarding model cost: a configuration, the first baseline, a CI job",
    "log": "validate, convert, reduce or show policy logs",
    "counters": "list the counters and their installed versions",
    "cache": "show or clear the folder of cached profiles",
    "completion": "print a shell completion script",
}
"""Verb -> what it does. Its options are in the file of this name, which its use loads."""

_FILES = {name: f"{name}_verb" for name in ("init", "log", "counters", "cache")}


def build_parser(verb: str | None = None, *, alone: bool = False) -> Parser:
    """Return the parser of the command line.

    Args:
        verb: the one whose options it has, or None for those of all.
        alone: whether it knows no other verb: where the verb comes first, none is asked for.
    """
    parser = Parser(
        prog="flopbench",
        description="What a vision model really costs: exact MACs, policies, measured time.",
        epilog="Run 'flopbench VERB --help' for the options of one verb.",
    )
    parser.add_argument("--version", action="version", version=f"flopbench {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, does in {verb: VERBS[verb]}.items() if verb and alone else VERBS.items():
        add = partial(verbs.add_parser, name, help=does)
        if verb in {None, name}:
            import_module(f"flopbench.cli.{_FILES.get(name, name)}").add_parser(add)
        else:
            add(add_help=False)
    if verb == "completion":
        verbs.choices[verb].set_defaults(whole=build_parser)  # what it completes
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status (0 fine, 1 check failed, 2 input, 3 not measured)."""
    given = sys.argv[1:] if argv is None else argv
    verb = next((word for word in given if not word.startswith("-")), "")
    parser = build_parser(verb, alone=verb in VERBS and given[0] == verb)
    if not given:
        parser.print_help()
        return EXIT_OK
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without '×' gets '?'
    try:
        return _run(parser.parse_args(given))
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        return EXIT_OK
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except BrokenPipeError:  # Python flushes again at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: argparse.Namespace) -> int:
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
