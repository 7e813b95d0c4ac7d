"""Turns rows into decisions: which action, from which step on, over how many steps.

In a log with encoding ``per_step`` a decision over k steps is written k times, so a maximal run of
n equal rows of an action with span k holds ceil(n / k) decisions, at its rows 0, k, 2k, …; only
the end of the sample may cut the last one (AR-Net, ECCV 2020, and its released code).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct

from flopbench.policy.blocks import Block
from flopbench.policy.plan import Plan


class Decisions(Struct, frozen=True, kw_only=True):
    """Every decision of a block, sequence after sequence, in order. m decisions.

    Attributes:
        sequence: (m,) index among the block's sequences.
        action: (m,) index among the plan's actions.
        first_step: (m,) where it begins, counted from 0.
        span: (m,) steps that it is made for: its own span where the log says one.
        steps: (m,) rows that it covers; where a decision is one row, its span, which the end of
            the sample may still cut.
    """

    sequence: Any
    action: Any
    first_step: Any
    span: Any
    steps: Any


def decisions(block: Block, plan: Plan) -> Decisions:
    """Return the decisions of a block one by one."""
    codes = np.asarray(block.codes, np.int64)
    sequence: Any = np.repeat(np.arange(len(block.lengths)), block.lengths)
    before = (np.cumsum(block.lengths) - block.lengths)[sequence]  # rows of other sequences
    span = spans_of(plan)[codes]
    if not plan.per_step:
        span = span if block.spans is None else np.asarray(block.spans, np.int64)
        start = np.cumsum(span) - span
        return Decisions(
            sequence=sequence,
            action=codes,
            first_step=start - start[before],
            span=span,
            steps=span,
        )
    starts = run_starts(sequence * len(plan.actions) + codes)
    lengths = np.diff(starts, append=len(codes))
    held = decisions_in(lengths, span[starts])
    run: Any = np.repeat(np.arange(len(starts)), held)
    place = np.arange(len(run)) - (np.cumsum(held) - held)[run]  # within the run
    row = starts[run] + place * span[starts[run]]
    return Decisions(
        sequence=sequence[row],
        action=codes[row],
        first_step=row - before[row],
        span=span[row],
        steps=np.minimum(span[row], starts[run] + lengths[run] - row),
    )


def decisions_in(lengths: Any, spans: Any) -> Any:
    """Return (r,) ceil(n / k): decisions in runs of n equal rows of actions with spans k."""
    return -(-lengths // spans)


def run_starts(cell: Any) -> Any:
    """Return (r,) where runs of equal neighbours start.

    Args:
        cell: (d,) sequence and action of each row as one number. A sample and an action do, too:
            an action belongs to one stream.
    """
    is_start: Any = np.empty(len(cell), bool)
    is_start[:1] = True
    np.not_equal(cell[1:], cell[:-1], out=is_start[1:])
    return np.flatnonzero(is_start)


def spans_of(plan: Plan) -> Any:
    """Return (a,) the span of each action."""
    return np.array([action.span for action in plan.actions], np.int64)
