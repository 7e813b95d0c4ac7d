"""``flopbench plot``: figures from result files; nothing is measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.cli.common import inputs_of, load_numpy, positive, progress_bar, require, warn
from flopbench.cli.parser import Parser
from flopbench.cli.policy_options import LOG_OPTIONS, choices_of
from flopbench.core import stopping
from flopbench.core.errors import EXIT_OK, InputError
from flopbench.core.files import check_apart, check_writable, write_atomic
from flopbench.present.draw.venues import DEFAULT_VENUE, VENUES
from flopbench.present.figures.inputs.files import called, require_kind
from flopbench.present.kind import KINDS, Kind, Option, load_kind

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb and its kinds to the command line."""
    parser = add(
        description=(
            "Draw a figure from files that other verbs wrote: nothing is measured. PDF, SVG or "
            "PNG by the suffix of -o, at the width of a venue's column, fonts embedded, the same "
            "bytes each time. The caption is printed on stdout."
        ),
        epilog="Run 'flopbench plot KIND --help' for the options of one kind.",
    )
    kinds = parser.add_subparsers(
        dest="kind", metavar="KIND", required=True, parser_class=KindParser
    )
    for name, shows in KINDS.items():
        kinds.add_parser(name, help=shows.replace("%", "%%")).set_defaults(run=run)


STYLE = {
    Option("--data FILE", "also write the numbers behind the figure as CSV (-: stdout)"): None,
    Option(
        "--caption",
        "on stdout: everything, or what a paper's caption needs",
        choices=("full", "short"),
    ): "full",
    Option("--width WIDTH", "column, page, or inches"): "column",
    Option("--venue", "whose columns and text size", choices=tuple(VENUES)): DEFAULT_VENUE,
    Option("--font FAMILY", "an installed font (default: STIXGeneral)"): None,
    Option(
        "--font-size PT",
        "size of labels (default: a point less than the venue's body text)",
        type=float,
    ): None,
}
"""Options of every kind, and their defaults."""


class KindParser(Parser):
    """The parser of one kind; its options come when it is used, as to load a kind takes a while."""

    declared = False

    def declare(self) -> None:
        """Add what the kind declares."""
        if self.declared:
            return
        self.declared = True
        kind = load_kind(self.prog.split()[-1])
        self.description = f"{kind.description} Takes {kind.taken}."
        self.group("input").add_argument("files", nargs="+", metavar="FILE", help=kind.taken)
        figure = self.group("figure")
        arguments = dict.fromkeys(option.argument for option in kind.options)
        groups = {argument: figure.add_mutually_exclusive_group() for argument in arguments}
        for option in kind.options:
            add_option(groups[option.argument], option, kind.default_of(option))
        for name in kind.log_options:
            LOG_OPTIONS[name](self)
        output = self.group("output")
        output.add_argument(
            *("-o", "--output"),
            metavar="FILE",
            required=True,
            help="the figure: .pdf, .svg or .png",
        )
        for option, default in STYLE.items():
            add_option(output, option, default)
        self.set_defaults(declaration=kind)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.declare()
        return super().parse_known_args(args, namespace)


def add_option(parser: Any, option: Option, default: object) -> None:
    """Add an option to a parser, or to a group of options."""
    if isinstance(default, bool):
        action = "store_false" if default else "store_true"
        parser.add_argument(option.flag, dest=option.argument, action=action, help=option.help)
        return
    if option.const is not None:
        parser.add_argument(
            option.flag,
            dest=option.argument,
            action="store_const",
            const=option.const,
            default=default,
            help=option.help,
        )
        return
    shown = "" if default in (None, (), "") else f" (default: {default})"
    parser.add_argument(
        option.flag,
        dest=option.argument,
        action="append" if option.repeat else "store",
        type=positive if option.positive else option.type,
        choices=option.choices or None,
        default=[] if default == () else default,
        metavar=option.usage.partition(" ")[2] or None,
        help=option.help + shown,
    )


def run(args: argparse.Namespace) -> int:
    """Draw one figure; print its caption."""
    load_numpy()
    output = Path(args.output)
    outputs = {"-o": output}
    if args.data not in {None, "-"}:
        outputs["--data"] = Path(args.data)
    for path in outputs.values():
        check_writable(path)
    check_apart(outputs, inputs_of(args))
    _require_matplotlib()
    from flopbench.core.grid import to_csv, write_prose
    from flopbench.present.draw.drawing import bytes_of, format_of
    from flopbench.present.draw.style import paper_style

    format = format_of(output)
    with (
        progress_bar("drawing") as progress,
        paper_style(args.width, venue=args.venue, font=args.font, text_pt=args.font_size),
        called(f"plot {args.kind}", _takers),
    ):
        if progress is not None:
            progress(0, 2, f"reading {', '.join(args.files)}")
        drawing = _drawing(args.declaration, args)
        if progress is not None:
            progress(1, 2, args.kind)
        content, warnings = bytes_of(drawing, format)
    caption, table = drawing.data.caption, drawing.data.table
    text = "" if args.data is None else to_csv(table.header, table.rows)
    if args.data == "-":
        sys.stdout.write(text)
    with stopping.held():
        if "--data" in outputs:
            write_atomic(outputs["--data"], text)
        write_atomic(output, content)
    if args.data != "-":
        write_prose(caption.lines(args.caption), sys.stdout)
    warn([*caption.warnings, *warnings])
    return EXIT_OK


def _require_matplotlib() -> None:
    """Raise if matplotlib is not installed, or does not start."""
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


def _drawing(kind: Kind[Any, Any], args: argparse.Namespace) -> Drawing:
    """Call the function of a kind with the files and options of the command line."""
    given = {option.argument: getattr(args, option.argument) for option in kind.options}
    if kind.log_options:
        given["choices"] = choices_of(args)
    if len(kind.takes) == 1:
        (argument,) = kind.takes.values()
        given[argument] = args.files
    else:
        given |= {argument: [] for argument in kind.takes.values()}
        for path in args.files:
            given[kind.takes[require_kind(path, tuple(kind.takes))]].append(path)
    return kind.drawing(**given)


def _takers(file: str) -> Sequence[str]:
    """Return the figures that take a kind of file."""
    return [f"plot {name}" for name in KINDS if file in load_kind(name).takes]
