"""Figures for papers, from files or records; nothing is measured here.

Each kind is a function that takes what it draws and ``ax``, and returns the axes. Without ``ax`` it
draws on a new figure in the style of ``paper``. The functions are loaded on first use, and draw
with matplotlib, whose settings are restored afterwards.

>>> from flopbench import plots
>>> axes = plots.usage("run.jsonl")
>>> plots.save(axes, "usage.pdf")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flopbench.present.kind import KINDS, load_kind

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import save_figure as save
    from flopbench.present.draw.style import paper_style as paper
    from flopbench.present.figures.classes import classes as _classes
    from flopbench.present.figures.cost import cost as _cost
    from flopbench.present.figures.counters import counters as _counters
    from flopbench.present.figures.frames.figure import frames as _frames
    from flopbench.present.figures.layers import layers as _layers
    from flopbench.present.figures.roofline import roofline as _roofline
    from flopbench.present.figures.theory import theory as _theory
    from flopbench.present.figures.tradeoff import tradeoff as _tradeoff
    from flopbench.present.figures.usage import usage as _usage
    from flopbench.present.figures.waterfall import waterfall as _waterfall

    classes = _classes.plot
    cost = _cost.plot
    counters = _counters.plot
    frames = _frames.plot
    layers = _layers.plot
    roofline = _roofline.plot
    theory = _theory.plot
    tradeoff = _tradeoff.plot
    usage = _usage.plot
    waterfall = _waterfall.plot

__all__ = [
    "classes",
    "cost",
    "counters",
    "frames",
    "layers",
    "paper",
    "roofline",
    "save",
    "theory",
    "tradeoff",
    "usage",
    "waterfall",
]

_HOME = {
    "paper": ("flopbench.present.draw.style", "paper_style"),
    "save": ("flopbench.present.draw.drawing", "save_figure"),
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module, its = _HOME[name]
        value = getattr(import_module(module), its)
    elif name in KINDS:
        value = load_kind(name).plot
    else:
        raise AttributeError(f"module 'flopbench.plots' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
