"""A random policy that costs the same: every sample gets the decisions of another.

Decisions are dealt out again among samples of equal length, so each action is taken exactly as
often and the log costs exactly as much; only what the decisions had to do with the video is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from flopbench.policy.blocks import Place, block_of
from flopbench.policy.header import Header
from flopbench.policy.kernel import tally
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample

DECISIONS = ("actions", "spans", "exit", "counts")
"""Fields that move to another sample."""
RESULTS = ("prediction", "scores", "latency_ms")
"""Fields that are not known for other decisions."""


def dealt_again(
    samples: Sequence[Sample], plan: Plan, place: Place, report: OnDefect, seed: int
) -> list[Sample]:
    """Return samples with their decisions dealt out again, without results."""
    steps = tally(block_of(samples, plan, place, report), plan, report).steps
    rng = np.random.default_rng(seed)
    source = np.arange(len(samples))
    for length in np.unique(steps):
        alike = np.flatnonzero(steps == length)
        source[alike] = rng.permutation(alike)
    nothing = dict.fromkeys(RESULTS)
    return [
        msgspec.structs.replace(
            sample, **nothing, **{field: getattr(samples[other], field) for field in DECISIONS}
        )
        for sample, other in zip(samples, source.tolist(), strict=True)
    ]


def random_header(header: Header, name: str) -> Header:
    """Return the header of such a log: its method's name says what it is, no accuracy is quoted."""
    method = f"random at the cost of {header.method or name}"
    return msgspec.structs.replace(header, method=method, metrics=None)
