"""The kinds of figures: each is declared once, for Python, the command line, docs and the report.

To add a kind: its numbers in ``figures/NAME.py``, how it is drawn in ``draw/kinds/NAME.py``, and a
line in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from inspect import cleandoc, signature
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar

from flopbench.policy.file_kinds import PLURALS
from flopbench.present.figures.inputs.files import called

if TYPE_CHECKING:
    from matplotlib.axes import Axes as MatplotlibAxes

    from flopbench.present.draw.drawing import Drawing
    from flopbench.present.figures.caption import FigureData

KINDS: Mapping[str, str] = {
    "usage": "share of each action, one run or several side by side",
    "classes": "how much resolution each class gets, with intervals; or shares and cost as bars",
    "frames": "film strips: what a policy did with single videos",
    "tradeoff": "accuracy against GFLOPS, ms, frames or parameters, with series and Pareto front",
    "cost": "how the cost of a video is distributed, with mean and median",
    "waterfall": "from the theoretical speed-up to the measured one, step by step",
    "theory": "MACs against measured time, with the fitted line and each model's residual",
    "roofline": "achieved GFLOP/s under the measured roofs of the device",
    "layers": "where a model's MACs are, module by module",
    "counters": "the same model under each counter, split by operator family",
}
"""Kind -> what it shows. A function of this name in ``figures/NAME.py`` declares it."""

LogOptions = Literal["preset", "meaning", "prices", "bootstrap", "cluster", "reading", "shares"]
"""A group of the options that verbs share which read logs: see ``cli/policy_options.py``."""

Axes: TypeAlias = "MatplotlibAxes"
"""Where a figure is drawn: for type hints, without importing matplotlib."""

P = ParamSpec("P")
Data = TypeVar("Data", bound="FigureData")


@dataclass(frozen=True, slots=True)
class Option:
    """One option on the command line; its default is that of the function's argument.

    Attributes:
        usage: the flag and what stands for its value, such as ``--group-below PERCENT``.
        help: what it does; a default other than None or an empty one is added.
        sets: the argument; by default the flag's name. Flags of one argument exclude each other.
        type: reads the text.
        positive: it is a whole number of at least 1.
        choices: the texts that it takes.
        const: what it sets, where it takes no text; a switch of a bool needs none.
        repeat: whether it may be given several times, for a list.
    """

    usage: str
    help: str
    sets: str = ""
    type: Callable[[str], object] | None = None
    positive: bool = False
    choices: Sequence[str] = ()
    const: object = None
    repeat: bool = False

    @property
    def flag(self) -> str:
        """Such as ``--group-below``."""
        return self.usage.split()[0]

    @property
    def argument(self) -> str:
        """The argument of the function that it sets."""
        return self.sets or self.flag.removeprefix("--").replace("-", "_")


NAMES = Option(
    "--name TEXT",
    "what to call a run, in the order of the files; repeat it for each (default: by method and "
    "dataset)",
    sets="names",
    repeat=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[P, Data]):
    """One kind of figure.

    Attributes:
        make: returns what is drawn; its ``ax`` is where, for ``plot``.
        takes: kind of file -> the argument that takes such files.
        log_options: groups of options that make up the argument ``choices``.
    """

    make: Callable[P, Data]
    takes: Mapping[str, str]
    options: tuple[Option, ...]
    log_options: tuple[LogOptions, ...]

    @property
    def name(self) -> str:
        """As ``flopbench plot`` has it."""
        return self.make.__name__

    @property
    def description(self) -> str:
        """What is drawn: the docstring of the function up to its arguments."""
        text = cleandoc(self.make.__doc__ or "").split("\n\nArgs:")[0]
        return " ".join(text.replace("``", "'").split())

    @property
    def taken(self) -> str:
        """The files that it takes, in the plural."""
        return " or ".join(PLURALS[kind] for kind in self.takes)

    def default_of(self, option: Option) -> object:
        """Return the default of an option."""
        return signature(self.make).parameters[option.argument].default

    def drawing(self, *args: P.args, **kwargs: P.kwargs) -> Drawing:
        """Return a figure, ready to be drawn."""
        data = self.make(*args, **kwargs)  # what is wrong with it needs no matplotlib
        module = import_module(f"flopbench.present.draw.kinds.{self.name}")
        drawing: Drawing = getattr(module, f"{self.name}_drawing")(data)
        return drawing

    @property
    def plot(self) -> Callable[P, Axes]:
        """The public function: it draws on ``ax``, and returns the axes."""

        @wraps(self.make)
        def plot(*args: P.args, **kwargs: P.kwargs) -> Axes:
            with called(f"plots.{self.name}"):
                drawing = self.drawing(*args, **kwargs)
            from flopbench.present.draw.drawing import on_axes

            return on_axes(drawing, own.bind(*args, **kwargs).arguments.get("ax"))

        own = signature(self.make).replace(return_annotation="Axes")
        plot.__signature__ = own  # type: ignore[attr-defined]
        plot.__module__ = "flopbench.plots"
        return plot


def kind(
    *,
    takes: Mapping[str, str],
    options: tuple[Option, ...] = (),
    log_options: tuple[LogOptions, ...] = (),
) -> Callable[[Callable[P, Data]], Kind[P, Data]]:
    """Make a kind of the function that returns what it draws."""

    def declare(make: Callable[P, Data]) -> Kind[P, Data]:
        return Kind(make=make, takes=takes, options=options, log_options=log_options)

    return declare


def load_kind(name: str) -> Kind[Any, Any]:
    """Return a kind of ``KINDS``."""
    found: Kind[Any, Any] = getattr(import_module(f"flopbench.present.figures.{name}"), name)
    return found
