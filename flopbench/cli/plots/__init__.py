"""The kinds of figures, one module a kind."""

from __future__ import annotations

from flopbench.cli.plots import (
    classes,
    cost,
    counters,
    frames,
    layers,
    roofline,
    theory,
    tradeoff,
    usage,
    waterfall,
)

KINDS = (
    usage,
    classes,
    frames,
    tradeoff,
    cost,
    waterfall,
    theory,
    roofline,
    layers,
    counters,
)
