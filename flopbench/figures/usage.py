"""How often a policy chose each action: AR-Net's Figure 1a, for one run or several.

A share is of all frames (rows of the log) or of all decisions; the two differ where one decision
covers several frames. Actions of one stream add up to 100 %. An exit's share is of the records.

Lives here: the shares. Does not live here: their drawing (``plots.usage``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flopbench.errors import InputError
from flopbench.figures.logs import Log, NamedCounts, Takers, counted
from flopbench.figures.words import Numbers, Words, listed
from flopbench.happenings import decisions_of, exact
from flopbench.policy.counts import ShareCounts
from flopbench.runs import Choices

Of = Literal["frames", "decisions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One action of one run.

    Attributes:
        action: its name, with its stream where there are several; ``exit NAME`` for an exit.
        kind: run, reuse, skip or exit.
        count: frames or decisions under it; None for a published distribution.
        share: of all of its stream.
    """

    action: str
    kind: str
    count: int | None
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOfRun:
    """One run.

    Attributes:
        name: what the figure calls it.
        source: its files.
        videos: how many; None for a published distribution.
        shares: every action, in the log's order.
    """

    name: str
    source: str
    videos: int | None
    shares: tuple[Share, ...]

    def share_of(self, action: str) -> float | None:
        """Return an action's share, None where the run has no such action."""
        return next((s.share for s in self.shares if s.action == action), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Runs side by side.

    Attributes:
        runs: in the order given.
        actions: the bars: every action of some run; last the group of small ones, if asked for.
        grouped: actions that are drawn together, and below which share.
        of: what the shares are shares of.
        warnings: from reading.
    """

    runs: tuple[UsageOfRun, ...]
    actions: tuple[str, ...]
    grouped: tuple[str, ...]
    grouped_below: float | None
    of: Of
    warnings: tuple[str, ...]

    def bar(self, run: UsageOfRun, action: str) -> float | None:
        """Return the length of one bar, a share; None where the run has no such action."""
        if action != self.group_name:
            return run.share_of(action)
        parts = [run.share_of(name) for name in self.grouped]
        known = [share for share in parts if share is not None]
        return sum(known) if known else None

    @property
    def group_name(self) -> str:
        """What the group of small actions is called; empty where there is none."""
        if not self.grouped or self.grouped_below is None:
            return ""
        return f"{len(self.grouped)} others (< {self.grouped_below * 100:g} % each)"

    @property
    def words(self) -> Words:
        """What stands beside the figure."""
        names = [run.name for run in self.runs]
        caption = [f"Share of each action, of all {self.of}{self._why}. {self._files}"]
        if self.grouped:
            caption.append(
                f"Drawn together, each below {100 * (self.grouped_below or 0):g} % in every run: "
                f"{listed(self.grouped)}."
            )
        elif any(share.share < SMALL for run in self.runs for share in run.shares):
            caption.append("Every action is shown, however rare.")
        tops = [max(run.shares, key=lambda s: s.share) for run in self.runs]
        alt = "; ".join(
            f"{run.name}: most often {top.action} ({top.share:.1%})"
            for run, top in zip(self.runs, tops, strict=True)
        )
        return Words(
            title=f"Policy usage: {listed(names)}",
            caption=tuple(caption),
            alt=f"Bars of the share of each of {len(self.actions)} actions. {alt}.",
            warnings=self.warnings,
        )

    @property
    def _why(self) -> str:
        if self.of == "decisions":
            return " (a decision over k frames counts once)"
        return " (a decision over k frames counts k times)"

    @property
    def _files(self) -> str:
        parts = []
        for run in self.runs:
            many = "a published distribution" if run.videos is None else _videos(run.videos)
            parts.append(f"{run.name}: {many}, {run.source}")
        return "; ".join(parts) + "."

    @property
    def numbers(self) -> Numbers:
        """One row a run and action."""
        rows = [
            (run.name, share.action, share.kind, share.count, share.share, share.action in small)
            for small in [set(self.grouped)]
            for run in self.runs
            for share in run.shares
        ]
        header = ("run", "action", "kind", self.of, f"share_of_{self.of}", "drawn_in_group")
        return Numbers(header=header, rows=tuple(rows))


SMALL = 0.01
"""Below this share AR-Net's figure leaves an action out."""


def usage_of(
    logs: Log | Sequence[Log],
    choices: Choices | None = None,
    *,
    of: Of = "frames",
    group_below: float | None = None,
    names: Sequence[str] = (),
    user: str = "plots.usage",
    takers: Takers | None = None,
) -> Usage:
    """Return how often each action was chosen.

    Args:
        logs: files, runs or counts, one a run.
        choices: how to read and count.
        of: whether shares are of ``frames`` or of ``decisions``.
        group_below: actions whose share is below this in every run are drawn together; None draws
            each by itself.
        names: what to call the runs.
        user: who asks, for messages.
        takers: for messages about files of other kinds.

    Raises:
        InputError: a file that is no policy log; a log without actions; a group of everything.
        DataError: a defect in a log.
    """
    found = counted(logs, choices, names=names, user=user, takers=takers)
    rule = (choices or Choices()).rule
    runs = tuple(_usage_of_run(one, of, rule) for one in found)
    actions = tuple(dict.fromkeys(share.action for run in runs for share in run.shares))
    if group_below is not None and not 0 < group_below < 1:
        raise InputError(f"group_below is {group_below:g}: expected a share between 0 and 1")
    small = tuple(
        action
        for action in actions
        if group_below is not None
        and all((run.share_of(action) or 0.0) < group_below for run in runs)
    )
    small = small if len(small) > 1 else ()
    if small and len(small) == len(actions):
        raise InputError(f"every action is below {group_below:.0%}: nothing would be left to draw")
    usage = Usage(
        runs=runs,
        actions=tuple(action for action in actions if action not in small),
        grouped=small,
        grouped_below=group_below,
        of=of,
        warnings=tuple(dict.fromkeys(text for one in found for text in one.counts.warnings)),
    )
    if not small:
        return usage
    bars = (*usage.actions, usage.group_name)
    return Usage(
        runs=runs,
        actions=bars,
        grouped=small,
        grouped_below=group_below,
        of=of,
        warnings=usage.warnings,
    )


def _usage_of_run(one: NamedCounts, of: Of, rule: str | None) -> UsageOfRun:
    counts = one.counts
    plan, totals = counts.plan, counts.totals()
    if not plan.actions and not plan.exits:
        raise InputError(f"{counts.source} has no actions and no exits: there is no usage to draw")
    published = rule == "published" or totals.decisions is None
    if of == "frames":
        numbers = [exact(n) for n in totals.frames]
    else:
        numbers = list(decisions_of(totals, plan, "published" if published else "exact"))
    known = not isinstance(counts, ShareCounts) and (of == "frames" or not published)
    sums: dict[str | None, Fraction] = {}
    for action, n in zip(plan.actions, numbers, strict=True):
        sums[action.stream] = sums.get(action.stream, Fraction(0)) + n
    shares = [
        Share(
            action=plan.action_label(i),
            kind=action.kind,
            count=int(n) if known else None,
            share=float(n / sums[action.stream]) if sums[action.stream] else 0.0,
        )
        for i, (action, n) in enumerate(zip(plan.actions, numbers, strict=True))
    ]
    shares += [
        Share(action=f"exit {exit.name}", kind="exit", count=n, share=n / totals.views)
        for exit, n in zip(plan.exits, totals.exits, strict=False)
    ]
    return UsageOfRun(
        name=one.name, source=counts.source, videos=totals.videos, shares=tuple(shares)
    )


def _videos(count: int) -> str:
    return f"{count:,} video{'' if count == 1 else 's'}"
