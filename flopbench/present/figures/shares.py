"""What share of frames or decisions each action of a run has, and each exit of its records.

A share is of all frames (rows of the log) or of all decisions; the two differ where one decision
covers several frames. Actions of one stream add up to 100 %. An exit's share is of the records.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from msgspec import Struct

from flopbench.core.errors import InputError
from flopbench.core.units import Words
from flopbench.estimate.charges import Rule, decisions_of, exact
from flopbench.policy.counts import ShareCounts
from flopbench.present.figures.inputs.logs import NamedCounts

Of = Literal["frames", "decisions"]

EXITS = "(exits)"
"""Exits belong to no stream: they are listed separately, under this name."""


class Share(Struct, frozen=True, kw_only=True):
    """One action of one run.

    Attributes:
        action: its name, with its stream where there are several; or that of an exit.
        kind: run, reuse, skip or exit.
        whole: what shares add up over: the stream, empty where there is one; ``EXITS``.
        count: frames or decisions under it; None for a published distribution.
        share: of all of its stream; of all records for an exit.
    """

    action: str
    kind: str
    whole: str
    count: int | None
    share: float


class UsageOfRun(Struct, frozen=True, kw_only=True):
    """One run; a published distribution has no ``videos``."""

    name: str
    source: str
    videos: int | None
    views: int
    words: Words
    rule: Rule
    shares: tuple[Share, ...]

    def share_of(self, action: str) -> float | None:
        """Return an action's share, None where the run has no such action."""
        return next((s.share for s in self.shares if s.action == action), None)


def usage_of_run(one: NamedCounts, of: Of, chosen: Rule | None) -> UsageOfRun:
    """Return the shares of a run; without a rule of its own it is counted exactly if it can be."""
    counts = one.counts
    plan, totals = counts.plan, counts.totals()
    if not plan.actions and not plan.exits:
        raise InputError(f"{counts.source} has no actions and no exits: there is no usage to draw")
    rule: Rule = chosen or ("published" if totals.decisions is None else "exact")
    if of == "frames":
        numbers = [exact(n) for n in totals.frames]
    else:
        numbers = decisions_of(totals, plan, rule)
    known = not isinstance(counts, ShareCounts) and (of == "frames" or rule == "exact")
    sums: dict[str | None, Fraction] = {}
    for action, n in zip(plan.actions, numbers, strict=True):
        sums[action.stream] = sums.get(action.stream, Fraction(0)) + n
    shares = [
        Share(
            action=plan.action_label(i),
            kind=action.kind,
            whole=action.stream or "",
            count=int(n) if known else None,
            share=float(n / sums[action.stream]) if sums[action.stream] else 0.0,
        )
        for i, (action, n) in enumerate(zip(plan.actions, numbers, strict=True))
    ]
    shares += [
        Share(
            action=plan.exit_label(i),
            kind="exit",
            whole=EXITS,
            count=n if isinstance(n, int) else None,
            share=float(n / totals.views),
        )
        for i, n in enumerate(totals.exits)
    ]
    return UsageOfRun(
        name=one.name,
        source=str(counts.source),
        videos=totals.videos,
        views=totals.views,
        words=plan.words,
        rule=rule,
        shares=tuple(shares),
    )
