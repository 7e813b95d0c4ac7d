"""The public name of the figures: ``flopbench.plots.usage(log)``, a function for each kind.

>>> from flopbench import plots
>>> axes = plots.usage("run.jsonl")
>>> plots.save(axes, "usage.pdf")
"""

from flopbench.present.draw.api import (
    classes,
    cost,
    counters,
    frames,
    layers,
    paper,
    roofline,
    save,
    theory,
    tradeoff,
    usage,
    waterfall,
)

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
