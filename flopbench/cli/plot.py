"""``flopbench plot``: figures from result files; nothing is measured."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from flopbench.cli.common import warn
from flopbench.cli.plots import KINDS
from flopbench.cli.plots.common import add_style, require_matplotlib, takers
from flopbench.core.errors import EXIT_OK, FlopbenchError
from flopbench.core.files import check_apart, check_writable, write_atomic
from flopbench.policy.file_kinds import PLURALS


def add_parser(verbs: Any) -> None:
    """Add the verb and its kinds to the command line."""
    parser = verbs.add_parser(
        "plot",
        help="figures for papers, from result files",
        description=(
            "Draw a figure from files that other verbs wrote: nothing is measured. PDF, SVG or "
            "PNG by the suffix of -o, at the width of a venue's column, fonts embedded, the same "
            "bytes each time. The caption is printed on stdout."
        ),
        epilog="Run 'flopbench plot KIND --help' for the options of one kind.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for kind in KINDS:
        about = f"{kind.DESCRIPTION} Takes {_taken(kind)}."
        own = kinds.add_parser(kind.NAME, help=kind.HELP.replace("%", "%%"), description=about)
        own.add_argument("files", nargs="+", metavar="FILE", help=_taken(kind))
        kind.add_options(own)
        add_style(own)
        own.set_defaults(run=run, module=kind)


def _inputs(args: argparse.Namespace) -> list[Path]:
    """Return the files that are read: those given, with shards expanded, table, preset, frames."""
    from flopbench.policy.readers.raw import find_files

    found: list[Path] = []
    for name in args.files:
        with contextlib.suppress(FlopbenchError):  # reported later, by the kind
            found += find_files([name], complete=False)
    more = (getattr(args, option, None) for option in ("table", "preset", "frames"))
    return found + [Path(name) for name in more if name]


def _taken(kind: Any) -> str:
    return " or ".join(PLURALS[name] for name in kind.TAKES)


def run(args: argparse.Namespace) -> int:
    """Draw one figure; print its caption."""
    output = Path(args.output)
    outputs = {"-o": output}
    if args.data not in {None, "-"}:
        outputs["--data"] = Path(args.data)
    for path in outputs.values():
        check_writable(path)
    check_apart(outputs, _inputs(args))
    require_matplotlib()
    from flopbench.core.grid import to_csv
    from flopbench.present.draw.drawing import bytes_of, format_of
    from flopbench.present.draw.style import paper_style

    format = format_of(output)
    with paper_style(args.width, venue=args.venue, font=args.font, text_pt=args.font_size):
        drawing = args.module.drawing(args, user=f"plot {args.kind}", takers=takers(KINDS))
        content, warnings = bytes_of(drawing, format)
    caption, table = drawing.data.caption, drawing.data.table
    if args.data is not None:
        text = to_csv(table.header, table.rows)
        if args.data == "-":
            sys.stdout.write(text)
        else:
            write_atomic(outputs["--data"], text)
    write_atomic(output, content)
    if args.data != "-":
        sys.stdout.write("\n".join([f"{caption.title}.", *caption.sentences]) + "\n")
    warn([*caption.warnings, *warnings])
    return EXIT_OK
