"""The counting kernel: blocks of decisions -> counts per sample, in a handful of array passes.

How many decisions a run of rows holds is in ``decisions``; ``count_columns`` is the same rule in
bytes.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import DataError
from flopbench.policy.blocks import Block
from flopbench.policy.decisions import decisions_in, run_starts, spans_of
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect

LONGEST_COLUMN = 255
"""Steps that a byte can count; longer samples are counted by runs."""
MOST_ACTIONS = 64
"""Counting by columns reads every step once per action."""
BYTES_AT_ONCE = 1 << 18
"""Rows that are counted together, a byte each: what they become fits a core's cache."""


class Tally(Struct, frozen=True, kw_only=True):
    """What the samples of one block add up to. n samples, a actions.

    Attributes:
        frames: (n, a) steps under each action.
        decisions: (n, a) decisions for each action.
        steps: (n,) steps of each sample.
        own_spans: whether some decision covers a number of steps other than its action's span,
            except where the sample ends.
        odd_runs: how many runs no policy with the declared spans could make.
        first_odd_run: where the first one is.
    """

    frames: Any
    decisions: Any
    steps: Any
    own_spans: bool = False
    odd_runs: int = 0
    first_odd_run: str = ""


def tally(block: Block, plan: Plan, report: OnDefect) -> Tally:
    """Count one block.

    Args:
        block: s sequences with d decisions, see ``Block``.
        plan: what the decisions can be.
        report: called with each sample whose steps contradict its decisions.
    """
    if plan.per_step:
        counted = count_columns(block, plan) if is_dense(block, plan) else count_runs(block, plan)
        steps = _steps_per_step(block, plan, report)
        return replace(counted, steps=steps)
    n, a = block.size, len(plan.actions)
    cell = _samples_of_decisions(block) * a + block.codes
    decisions = np.bincount(cell, minlength=n * a).reshape(n, a)
    declared = spans_of(plan)[block.codes]
    spans = declared if block.spans is None else block.spans
    own_spans = block.spans is not None and _has_own_spans(block, declared)
    spans, steps = _cut_last(block, plan, spans, report)
    frames = np.bincount(cell, weights=spans, minlength=n * a).astype(np.int64).reshape(n, a)
    return Tally(frames=frames, decisions=decisions, steps=steps, own_spans=own_spans)


def _samples_of_decisions(block: Block) -> Any:
    """Return (d,) the sample that each decision belongs to."""
    owner = np.arange(block.size) if block.owner is None else block.owner
    return np.repeat(owner, block.lengths)


def _has_own_spans(block: Block, declared: Any) -> bool:
    """Whether a decision covers other than its action's span, except a last one cut short."""
    differs = block.spans != declared
    filled = block.lengths > 0
    last = (np.cumsum(block.lengths) - 1)[filled]
    differs[last] &= block.spans[last] > declared[last]
    return bool(differs.any())


def is_dense(block: Block, plan: Plan) -> bool:
    """Whether the samples form a matrix: one sequence each, all of one moderate length."""
    if block.owner is not None or not block.size or not 0 < len(plan.actions) <= MOST_ACTIONS:
        return False
    steps = int(block.lengths[0])
    if not 0 < steps <= LONGEST_COLUMN or block.size < steps:
        return False
    return len(block.codes) == steps * block.size and bool((block.lengths == steps).all())


def count_columns(block: Block, plan: Plan) -> Tally:
    """Count samples of one length, step by step over some thousand samples at once.

    Bytes in a row of memory, and no index of decisions: eight times as fast as ``count_runs``.
    """
    n = block.size
    codes = block.codes.astype(np.uint8, copy=False).reshape(n, -1)
    spans = spans_of(plan)
    frames: Any = np.empty((len(spans), n), np.uint8).T
    decisions: Any = frames if spans.max() == 1 else np.empty((len(spans), n), np.uint8).T
    odd, first = 0, ""
    at_once = BYTES_AT_ONCE // codes.shape[1]
    for start in range(0, n, at_once):
        piece = slice(start, start + at_once)
        rows = np.ascontiguousarray(codes[piece].T)
        cut = _count_rows(rows, spans, frames[piece].T, decisions[piece].T)
        if cut.any() and not first:
            i = int(np.argmax(cut > 0))
            first = _first_odd_run(block.place(start + i), plan, rows[:, i].tolist())
        odd += int(cut.sum())
    return Tally(frames=frames, decisions=decisions, steps=None, odd_runs=odd, first_odd_run=first)


def _count_rows(rows: Any, spans: Any, frames: Any, decisions: Any) -> Any:
    """Fill in (a, n) frames and decisions of rows (steps, n); return (n,) runs that are odd."""
    n = rows.shape[1]
    odd: Any = np.zeros(n, np.uint8)
    is_it: Any = np.empty(rows.shape, bool)
    for action, span in enumerate(spans.tolist()):
        np.equal(rows, action, out=is_it)
        np.sum(is_it.view(np.uint8), axis=0, dtype=np.uint8, out=frames[action])
        if span == 1:
            decisions[action] = frames[action]
            continue
        begun, cut = _begun(np.packbits(is_it, axis=1), span)
        bits = np.unpackbits(begun, axis=1, count=n)
        np.sum(bits, axis=0, dtype=np.uint8, out=decisions[action])
        if cut.any():
            odd += np.unpackbits(cut, axis=1, count=n).sum(axis=0, dtype=np.uint8)
    return odd


def _begun(is_it: Any, span: int) -> tuple[Any, Any]:
    """Return where decisions of one action begin, and behind which rows a run of them is odd.

    Args:
        is_it: (steps, samples / 8) bits: whether a row is that action.
        span: of the action, 2 or more.

    Returns:
        (steps, samples / 8) and (steps - 1, samples / 8) bits.
    """
    begun = is_it.copy()
    begun[1:] &= ~is_it[:-1]
    cut = is_it[:-1] & ~is_it[1:]
    if (last := len(is_it) - span) <= 0:
        return begun, cut
    # A decision that begins at a row is whole if all rows behind it, up to its span, are alike.
    whole = is_it[1 : 1 + last].copy()
    for row in range(2, span):
        whole &= is_it[row : row + last]
    for row in range(0, last, span):
        own, stop = slice(row, row + span), min(row + span, last)
        whole[own] &= begun[row:stop]
        begun[row + span : stop + span] |= whole[own] & is_it[row + span : stop + span]
    cut[span - 1 :] &= ~whole
    return begun, cut


def _first_odd_run(where: str, plan: Plan, codes: list[int]) -> str:
    """Describe the first run of a sample that no policy could make."""
    step = 0
    for action, run in groupby(codes):
        length = len(list(run))
        if length % plan.actions[action].span:
            break
        step += length
    return _odd_run(where, plan, action, step, length)


def _odd_run(where: str, plan: Plan, action: int, step: int, length: int) -> str:
    name, span = plan.action_label(action), plan.actions[action].span
    return f"{where}: actions[{step}]: a run of {length} × {name!r}, which covers {span} steps"


def count_runs(block: Block, plan: Plan) -> Tally:
    """Count samples of any lengths by the runs of equal rows in them.

    Twice as fast as adding up ``decisions``: only runs of long spans are looked at.
    """
    n, a = block.size, len(plan.actions)
    cell = _samples_of_decisions(block) * a + block.codes
    frames = np.bincount(cell, minlength=n * a).reshape(n, a)
    declared = spans_of(plan)
    if not len(cell) or declared.max() == 1:
        return Tally(frames=frames, decisions=frames, steps=None)
    starts = run_starts(cell)
    spans = declared[block.codes[starts]]
    ends: Any = np.append(starts[1:], len(cell))
    long = spans > 1
    starts, ends, spans = starts[long], ends[long], spans[long]
    lengths = ends - starts
    more = decisions_in(lengths, spans) - lengths  # decisions less rows
    more = np.bincount(cell[starts], weights=more, minlength=n * a).astype(np.int64)
    cut = np.flatnonzero(lengths % spans)
    sequence_ends: Any = np.cumsum(block.lengths)
    owners: Any = np.searchsorted(sequence_ends, starts[cut], side="right")
    odd = sequence_ends[owners] != ends[cut]
    first = ""
    if odd.any():
        at = int(np.argmax(odd))
        run, owner = cut[at], int(owners[at])
        step = int(starts[run] - (sequence_ends[owner] - block.lengths[owner]))
        i = owner if block.owner is None else int(block.owner[owner])
        action = int(block.codes[starts[run]])
        first = _odd_run(block.place(i), plan, action, step, int(lengths[run]))
    return Tally(
        frames=frames,
        decisions=frames + more.reshape(n, a),
        steps=None,
        odd_runs=int(odd.sum()),
        first_odd_run=first,
    )


def _longest(block: Block) -> Any:
    """Return (n,) the most decisions of a sample's sequences."""
    if block.owner is None:
        return block.lengths
    longest: Any = np.zeros(block.size, np.int64)
    np.maximum.at(longest, block.owner, block.lengths)
    return longest


def _steps_per_step(block: Block, plan: Plan, report: OnDefect) -> Any:
    steps = _longest(block)
    if block.owner is not None:
        uneven = block.owner[(block.lengths != steps[block.owner]) & (block.lengths > 0)]
        for i in np.unique(uneven):
            report(DataError(f"{block.place(int(i))}: actions: streams of different lengths"))
    if block.steps is None and block.exits is None and plan.actions and not _exit_kinds(plan).any():
        return steps
    taken = steps
    if plan.steps is not None and not plan.actions:
        steps = np.full(block.size, plan.steps)  # early exits: the header says how many there are
    early = _left_early(block, plan)
    if plan.steps is not None and early.any():
        # A sample that exits early has as many steps as the others; fewer are processed.
        steps = np.where(early, np.maximum(taken, plan.steps), steps)
    seen = _steps_to_exit(block, plan)
    if plan.steps is None:
        steps = np.maximum(steps, seen)
    said = steps if block.steps is None else np.where(block.steps < 0, steps, block.steps)
    for i in np.flatnonzero(said < seen):
        text = f"is {int(said[i])}, but its exit processes {int(seen[i])}"
        report(DataError(f"{block.place(int(i))}: steps: {text}"))
    if block.steps is None:
        return said
    wrong = (taken > 0) & np.where(early, said < taken, said != taken)
    for i in np.flatnonzero(wrong & (block.steps >= 0)):
        report(
            DataError(
                f"{block.place(int(i))}: steps: is {int(said[i])}, but there are {int(taken[i])} "
                "actions"
            )
        )
    return said


def _steps_to_exit(block: Block, plan: Plan) -> Any:
    """Return (n,) the steps that each sample's exit says it processed; 0 where none says so."""
    if block.exits is None:
        return np.zeros(block.size, np.int64)
    known = np.array([*(exit.steps or 0 for exit in plan.exits), 0], np.int64)
    return known[block.exits]  # the last one is of samples without an exit, -1


def _exit_kinds(plan: Plan) -> Any:
    """Return (a,) whether an action is an exit."""
    return np.array([action.kind == "exit" for action in plan.actions], bool)


def _left_early(block: Block, plan: Plan) -> Any:
    """Return (n,) whether a sample took an exit, by its last action or by its ``exit``."""
    early = np.zeros(block.size, bool) if block.exits is None else block.exits >= 0
    exits = _exit_kinds(plan)
    if exits.any():
        filled = np.flatnonzero(block.lengths > 0)
        last = np.cumsum(block.lengths)[filled] - 1
        owner = filled if block.owner is None else block.owner[filled]
        early[owner[exits[block.codes[last]]]] = True
    return early


def _cut_last(block: Block, plan: Plan, spans: Any, report: OnDefect) -> tuple[Any, Any]:
    """Shorten the last span of each sequence to the sample's end; return spans and steps."""
    ends = np.cumsum(block.lengths)
    totals = np.add.reduceat(np.append(spans, 0), np.append(0, ends[:-1])) if len(ends) else ends
    totals = np.where(block.lengths > 0, totals, 0)
    owner = np.arange(block.size) if block.owner is None else block.owner
    covered: Any = np.zeros(block.size, np.int64)
    np.maximum.at(covered, owner, totals)
    steps = covered if plan.steps is None else np.full(block.size, plan.steps)
    if block.steps is not None:
        steps = np.where(block.steps < 0, steps, block.steps)
    filled = np.flatnonzero(block.lengths > 0)
    over = totals[filled] - steps[owner[filled]]
    last = ends[filled] - 1
    early = _left_early(block, plan)[owner[filled]]
    for at in np.flatnonzero(((over < 0) & ~early) | (over >= spans[last])):
        i = int(owner[filled[at]])
        report(
            DataError(
                f"{block.place(i)}: actions: their spans cover {int(totals[filled[at]])} steps, "
                f"but the sample has {int(steps[i])}"
            )
        )
    spans = spans.copy()
    spans[last] -= np.clip(over, 0, spans[last] - 1)
    return spans, steps
