"""``flopbench report``: one page from result files; nothing is measured."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.cli.common import progress_bar, require, warn
from flopbench.cli.parser import Parser
from flopbench.cli.plot import add_option
from flopbench.cli.policy_options import (
    add_cluster,
    add_pricing,
    add_reading,
    add_shares,
    choices_of,
)
from flopbench.core.errors import EXIT_OK
from flopbench.present.kind import NAMES

if TYPE_CHECKING:
    from flopbench.present.report.records import CostReport

NO_OPTIONS = ("files", "output", "verb", "run", "parser")
"""Parsed arguments that are not options."""


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Write an HTML page that needs no network, the same as Markdown, and its tables "
            "(LaTeX, CSV) and figures (SVG, PDF) as files, from files that other verbs wrote: "
            "cost tables, policy logs, timing files, replays, profiles. Nothing is measured."
        ),
        epilog="A cost table among the files gives the prices of the policy logs.",
    )
    parser.group("input").add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="cost tables, policy logs (quote a glob to name the shards of one), timing files, "
        "replays, profiles; any mix",
    )
    group = parser.group("output")
    group.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="the report's folder: a new or an empty one, or one with an earlier report, which is "
        "overwritten; nothing in it is deleted",
    )
    group.option("--title TEXT", "of the page (default: Cost report)", default=None)
    add_option(group, replace(NAMES, sets="name"), ())
    add_pricing(parser, measures=False)
    add_cluster(parser)
    add_reading(parser)
    add_shares(parser)
    # The verb's parser is needed again to reconstruct the command line.
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Write a report; print where it is and what is in it."""
    from flopbench.core.units import plural
    from flopbench.present.report import write_report
    from flopbench.present.report.building import check_folder

    require(args.output != "-", "a report is a folder of files: it cannot go to stdout")
    check_folder(Path(args.output))
    warnings: list[str] = []
    lines: list[str] = []

    def done(report: CostReport, doubts: tuple[str, ...]) -> None:
        warnings.extend(doubts)
        for section in report.sections:
            tables, figures = len(section.tables), len(section.figures)
            lines.append(
                f"  {section.title}: {tables} {plural(tables, 'table')}, "
                f"{figures} {plural(figures, 'figure')}"
            )

    with progress_bar("writing") as progress:
        page = write_report(
            args.files,
            args.output,
            title=args.title,
            choices=choices_of(args),
            names=args.name,
            command=command_of(args),
            done=done,
            progress=progress,
        )
    sys.stdout.write("\n".join([str(page), *lines]) + "\n")
    warn(warnings)
    return EXIT_OK


def command_of(args: argparse.Namespace) -> str:
    """Return the command line, quoted for a shell: files, folder, non-default options."""
    parts = [f"./{name}" if name.startswith("-") else name for name in args.files]
    parts += _option("-o", args.output)
    for name, value in vars(args).items():
        if name in NO_OPTIONS or value == args.parser.get_default(name):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(flag)
            continue
        for one in value if isinstance(value, list) else [value]:
            parts += _option(flag, str(one))
    return shlex.join(["flopbench", "report", *parts])


def _option(flag: str, value: str) -> list[str]:
    """Return a flag and its value, joined where the value looks like a flag."""
    if not value.startswith("-"):
        return [flag, value]
    return [f"{flag}={value}" if flag.startswith("--") else f"{flag}{value}"]
