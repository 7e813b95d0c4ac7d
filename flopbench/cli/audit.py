"""``flopbench audit``: recompute published numbers, and say why where they differ."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flopbench.cli.common import (
    add_tables,
    check_output,
    emit,
    positive,
    progress_bar,
    require,
    show,
)
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_CHECK_FAILED, EXIT_MEASURE, EXIT_OK, complain

if TYPE_CHECKING:
    from flopbench.audit.records import ClaimFile


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Recompute the numbers that a publication printed (components x counts, a "
            "distribution x table, per video / T, profiles) and say of each whether it is "
            "reproduced, differs by rounding only, is off and by how much, or cannot be derived, "
            "with the reason where one is known. Without arguments it audits the publications "
            "that ship with flopbench. Only claims that need counting need torch."
        ),
    )
    given = parser.group("input")
    given.add_argument(
        "claims",
        nargs="*",
        metavar="CLAIMS",
        help="a claims file (.toml), or the name of one that ships; --list shows those",
    )
    given.option("--all", "every publication that ships (the default)")
    one = parser.group("one claim, without a file")
    one.option("--claim TEXT", "the number as printed: '1.2 GFLOPs'")
    one.option("--model MODEL", "what runs, such as resnet50@160")
    one.option("--frames N", "frames of a video (default: 1)", type=positive)
    one.option("--share X", "share of the frames that it runs on, 0 to 1 (default: 1)")
    one.option("--counter NAME", "whose rules price it (default: torch)")
    parser.group("counting").option("--refresh", "measure again instead of reading the cache")
    output = parser.group("output")
    output.option("--list", "list the claims that ship, and stop")
    output.option("--strict", "exit with status 1 when a claim is off")
    add_tables(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit claims; status 1 if one is off under --strict, 3 if a model could not be counted."""
    check_output(args)
    from flopbench.audit import audit, check_claims
    from flopbench.audit.reading import read_claims, shipped_claims
    from flopbench.audit.text import audit_tables

    if args.list:
        require(not (args.claims or args.all), "--list takes no claims and no --all")
        lines = [f"{name}  {read_claims(name).title}\n" for name in shipped_claims()]
        emit(args, lambda stream: "".join(lines))
        return EXIT_OK
    names = list(args.claims)
    one = _one_claim(args)
    if args.all or not (names or one):
        names += shipped_claims()
    files = [*one, *(read_claims(name) for name in dict.fromkeys(names))]
    check_claims(files)
    with progress_bar() as progress:
        found = audit(files, refresh=args.refresh, progress=progress)
    show(args, audit_tables(found))
    for result in found.results:
        if result.unmeasured:
            complain(f"{result.claim.where}: {result.reasons[-1]}")
    if args.strict and found.counts()["off"]:
        return EXIT_CHECK_FAILED
    return EXIT_MEASURE if any(f.unmeasured for f in found.results) else EXIT_OK


def _one_claim(args: argparse.Namespace) -> list[ClaimFile]:
    """Return the claim of ``--claim``, if it was given."""
    from flopbench.audit.reading import claim_of

    given = {name: getattr(args, name) for name in ("model", "frames", "share", "counter")}
    flags = [f"--{name}" for name, value in given.items() if value is not None]
    require(
        args.claim is not None or not flags,
        f"{', '.join(flags)}: only with --claim",
        "such as: flopbench audit --claim '1.2 GFLOPs' --model resnet50@160",
    )
    if args.claim is None:
        return []
    require(args.model is not None, "--claim needs --model", "such as --model resnet50@160")
    share = args.share or "1"
    require(
        bool(re.fullmatch(r"[01]|0?\.[0-9]{1,12}", share)),
        f"--share is {share!r} where a number from 0 to 1 was expected",
    )
    return [
        claim_of(args.claim, args.model, frames=args.frames or 1, share=share, counter=args.counter)
    ]
