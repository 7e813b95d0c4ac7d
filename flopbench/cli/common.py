"""What several verbs share: options, output, the progress bar."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.cli.parser import Options, Parser
from flopbench.core import stopping
from flopbench.core.errors import FlopbenchError, InputError
from flopbench.core.escaping import one_line
from flopbench.core.files import check_apart, check_writable, write_atomic
from flopbench.counting import DEFAULT_COUNTERS

if TYPE_CHECKING:
    from flopbench.core.tables import Tables

PROGRESS_AFTER_S = 1.0
"""A run shorter than this shows no progress bar."""

BAR_WIDTH = 16
"""Characters of the bar itself."""

TABLE_FORMATS = ("table", "md", "csv", "json", "latex")
"""The forms of every result that is made of tables."""
SUFFIX_FORMATS = {".md": "md", ".csv": "csv", ".json": "json", ".tex": "latex", ".txt": "table"}

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"

PLACES = ("column", "page", "text")
_PLACES_HELP = (
    "LaTeX: as many columns as fit, at 8 pt, into a column (237 pt) or a page (497 pt, the "
    "default) of two columns, or the text of a plain article (345 pt)"
)


def add_tables(parser: Parser, *, logs: str = "") -> None:
    """Add ``--format``, ``-o``, and how the tables are laid out.

    ``logs`` is the help of ``--for`` where it takes policy logs as well as a place in a paper.
    """
    add_output(parser, TABLE_FORMATS)
    group = parser.group("layout of the tables")
    group.option("--part NAME", "show this table only; repeatable", action="append")
    group.option("--columns A,B", "show these columns of the first table, in this order")
    add_wide(group)
    if logs:
        parser.group("input").option(
            "--for LOG",
            f"{logs}; {', '.join(PLACES)}: {_PLACES_HELP}",
            dest="place",
            nargs="+",
            action="extend",
        )
    else:
        group.option("--for", _PLACES_HELP, dest="place", choices=PLACES)
    group.option("--bare", "LaTeX: the tabular alone")
    group.option("--bold", "LaTeX: the best number of each column in bold", choices=("best",))
    group.option("--notes", "all notes, also on a terminal and in LaTeX")


def add_wide(parser: Options) -> None:
    """Add ``--wide``."""
    parser.option("--wide", "all columns, also where the terminal is narrow")


def logs_for(args: argparse.Namespace) -> list[str]:
    """Return the logs that ``--for`` names; what it names besides them is the place in a paper."""
    given = args.place or []
    places = [word for word in given if word in PLACES]
    require(len(places) < 2, f"--for names {len(places)} places: {', '.join(places)}")
    args.place = next(iter(places), None)
    return [word for word in given if word not in PLACES]


def show(args: argparse.Namespace, tables: Tables) -> None:
    """Print a result as ``add_tables`` lets the user choose: on stdout, or into a file."""
    from flopbench.core.tables import Layout

    for_latex = bool(args.place or args.bare or args.bold)
    format = "latex" if for_latex and not args.format else chosen_format(args, TABLE_FORMATS)
    require(
        format == "latex" or not for_latex,
        f"--for, --bare and --bold are for LaTeX, and the format is {format}",
    )
    latex = None
    if format == "latex":
        from flopbench.core.latex import LatexOptions

        place = {"place": args.place} if args.place else {}
        latex = LatexOptions(**place, bare=args.bare, bold_best=bool(args.bold), notes=args.notes)
    columns = [name.strip() for name in args.columns.split(",")] if args.columns else ()
    seen = {"wide": args.wide, "notes": args.notes}
    layout = Layout(format=format, parts=args.part or (), columns=columns, latex=latex, **seen)
    emit(args, lambda stream: tables.render(layout, stream))
    if args.output != "-" and sys.stdout is not None and sys.stdout.isatty():
        tables.render(Layout(**seen), sys.stdout)
        sys.stdout.write(f"written to {args.output}\n")


def add_output(parser: Parser, formats: tuple[str, ...]) -> None:
    """Add ``--format`` and ``-o``."""
    group = parser.group("output")
    group.option(
        "--format",
        f"output format (default: from the suffix of -o, else {formats[0]})",
        choices=formats,
    )
    group.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="write to FILE instead of stdout (-)"
    )


def add_counters(parser: Parser) -> None:
    """Add ``--counter`` and ``--refresh``."""
    group = parser.group("counting")
    group.option(
        "--counter NAME",
        f"count with NAME; repeatable (default: {', '.join(DEFAULT_COUNTERS)})",
        action="append",
    )
    group.option("--refresh", "measure again instead of reading the cache")


def chosen_counters(args: argparse.Namespace) -> list[str]:
    """Return the counters asked for; ``a,b`` names two."""
    if not args.counter:
        return list(DEFAULT_COUNTERS)
    names = [name.strip() for text in args.counter for name in text.split(",")]
    if not all(names):
        raise InputError(
            f"--counter {','.join(args.counter)!r} names no counter",
            f"such as --counter {DEFAULT_COUNTERS[-1]}; 'flopbench counters' lists them",
        )
    return list(dict.fromkeys(names))


def chosen_format(args: argparse.Namespace, formats: tuple[str, ...]) -> str:
    """Return the format asked for, that of the output's suffix, or the first."""
    if args.format:
        return str(args.format)
    meant = SUFFIX_FORMATS.get(Path(args.output).suffix.lower(), "")
    return meant if meant in formats else formats[0]


def keeps_json(args: argparse.Namespace) -> bool:
    """Whether the result goes into a JSON file, which then keeps what was measured so far."""
    return args.output != "-" and chosen_format(args, TABLE_FORMATS) == "json"


def check_output(args: argparse.Namespace) -> None:
    """Refuse an impossible ``-o`` before any work is done, and one that would replace an input."""
    if args.output != "-":
        check_writable(Path(args.output))
        check_apart({"-o": Path(args.output)}, inputs_of(args))


def inputs_of(args: argparse.Namespace) -> list[Path]:
    """Return the files that options and arguments name to be read, with shards expanded."""
    from flopbench.policy.shards import find_files

    own, found = vars(args), list[Path]()
    for option in ("files", "logs", "policy_log", "counts"):
        for name in own.get(option) or ():
            with contextlib.suppress(FlopbenchError):  # reported later, by the verb
                found += find_files([name], complete=False)
    more = [own.get(option) for option in ("table", "preset", "frames", "against")]
    more += own.get("times") or ()
    return found + [Path(name) for name in more if isinstance(name, str)]


def emit(args: argparse.Namespace, draw: Callable[[Any], str | None]) -> None:
    """Send a result to stdout or, in one piece, to the file of ``-o``.

    ``draw`` takes a text stream, and writes to it or returns the text.
    """
    if args.output == "-":
        if sys.stdout is None:
            raise InputError("cannot write to stdout: it is closed", "use -o FILE")
        try:
            text = draw(sys.stdout)
            sys.stdout.write(text or "")
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise InputError(f"cannot write to stdout: {error.strerror}") from None
        return
    stream = StringIO()
    text = draw(stream)
    write_atomic(Path(args.output), stream.getvalue() if text is None else text)


def warn(texts: Iterable[object]) -> None:
    """Print warnings on stderr, one per line; a terminal wraps them between words."""
    from flopbench.core.grid import write_prose

    write_prose((f"flopbench: warning: {text}" for text in texts), sys.stderr)


def positive(text: str) -> int:
    """Read a whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} where at least 1 was expected")
    return value


def positive_seconds(text: str) -> float:
    """Read a time above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} where more than 0 seconds were expected")
    return value


@contextmanager
def progress_bar(doing: str = "measuring") -> Iterator[Bar | None]:
    """Yield a progress callback that draws on stderr once a second has passed.

    None where stderr is not a terminal: log files need no bars.
    """
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(doing)
    timer = threading.Timer(PROGRESS_AFTER_S, bar.show)
    timer.daemon = True
    timer.start()
    try:
        with stopping.cleaned(bar.wipe):
            yield bar
    finally:
        timer.cancel()
        bar.close()


class Bar:
    """A rich progress bar that appears late, and only if it is still needed.

    Called with (done, total, what comes next), as ``workers.Progress``.

    Args:
        doing: what it says before the bar.
        clock: seconds since some fixed time.
    """

    def __init__(self, doing: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._doing, self._clock = doing, clock
        self._began = self._counting_since = self._updated = clock()
        self._stream = sys.stderr  # counters silence sys.stderr while they run
        self._lock = threading.Lock()
        self._state = (0, 1, "starting")
        self._progress: Any = None
        self._task: Any = None
        self._closed = False

    @property
    def times(self) -> str:
        """Time elapsed and, once something is done, left if the rest takes as long."""
        from datetime import timedelta

        done, total, _ = self._state
        now, left = self._clock(), "-:--:--"
        if done:
            each_s = (self._updated - self._counting_since) / done
            left_s = each_s * (total - done) - (now - self._updated)
            left = str(timedelta(seconds=max(0, round(left_s))))
        return f"{timedelta(seconds=int(now - self._began))} left {left}"

    def show(self) -> None:
        """Draw it from now on."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
        )
        from rich.table import Column
        from rich.text import Text

        bar = self

        class Times(ProgressColumn):
            def render(self, _task: Any) -> Text:
                return Text(bar.times)

        with self._lock:
            if self._closed:
                return
            self._progress = Progress(
                TextColumn(self._doing),
                BarColumn(BAR_WIDTH),
                MofNCompleteColumn(),
                Times(Column(no_wrap=True)),
                TextColumn("{task.description}", markup=False),
                console=Console(file=self._stream),
                transient=True,
                refresh_per_second=1,  # drawing takes time from the measurement
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task("")
            self._draw()
            self._progress.start()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show how much is done."""
        with self._lock:
            self._updated = self._clock()
            if not done:  # a part of the work begins
                self._counting_since = self._updated
            self._state = (done, total, what)
            self._draw()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            if self._progress is not None:
                self._progress.console.print(text, markup=False)
            else:
                self._stream.write(f"{text}\n")

    def close(self) -> None:
        """Take it away."""
        with self._lock:
            self._closed = True
            if self._progress is not None:
                self._progress.stop()

    def wipe(self) -> None:
        """Leave the terminal as it was, at once: what a signal interrupted may hold any lock."""
        if self._progress is not None:
            os.write(self._stream.fileno(), b"\r\x1b[2K\x1b[?25h")  # clear line, show cursor

    def _draw(self) -> None:
        if self._progress is not None:
            done, total, what = (*self._state[:2], one_line(self._state[2]))
            taken = len(f"{self._doing} {total}/{total} {self.times}  ") + BAR_WIDTH
            room = max(self._progress.console.width - taken, 0)
            what = what if len(what) <= room else f"{what[: max(room - 1, 0)]}…"
            self._progress.update(self._task, completed=done, total=total, description=what)


def load_numpy() -> None:
    """Import numpy with one thread for its linear algebra, of which no verb has any to speak of.

    A thread for each core takes 50 ms on two cores, and more on more. The variable is there while
    numpy is loaded only: networks and other processes have their threads.
    """
    if _BLAS_THREADS in os.environ:  # the user's own choice
        import numpy
    else:
        os.environ[_BLAS_THREADS] = "1"
        try:
            import numpy  # noqa: F401
        finally:
            del os.environ[_BLAS_THREADS]


def require(condition: bool, message: str, hint: str = "") -> None:
    """Raise an ``InputError`` unless the condition holds."""
    if not condition:
        raise InputError(message, hint)
