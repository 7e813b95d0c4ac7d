"""What a log is charged for, and how often: decisions under each rule, exits, charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flopbench.core.errors import DataError
from flopbench.policy.counts import Totals
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan

Rule = Literal["exact", "published"]
RULES: tuple[Rule, ...] = ("exact", "published")
_CHARGES = ("every step", "every view", "every sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One kind of thing that a log is charged for.

    Attributes:
        name: an action, an exit, or what is charged for (``every step``).
        times: how often in the whole log.
        costs: component -> runs of it each time.
    """

    name: str
    times: Fraction
    costs: Mapping[str, Fraction]


def happenings(totals: Totals, plan: Plan, rule: Rule = "exact") -> list[Happening]:
    """Return the estimate as what it sums over: times × costs × prices, exactly.

    An action holds the charges of its decisions; what is charged per step, view and sample, and
    further counts, stand by themselves.

    Args:
        totals: sums over the log.
        plan: what its decisions could be.
        rule: see ``estimate``'s docstring.

    Raises:
        DataError: as ``decisions_of``.
    """
    charges = plan.charges
    videos = Fraction(1 if totals.videos is None else totals.videos)
    decided = decisions_of(totals, plan, rule)
    found: list[tuple[str, Fraction, tuple[Costs, ...]]] = [
        (plan.action_label(i), n, (action.costs, charges.per_decision))
        for i, (action, n) in enumerate(zip(plan.actions, decided, strict=True))
    ]
    found += [
        (f"exit {exit.name}", Fraction(n), (exit.costs,))
        for exit, n in zip(plan.exits, totals.exits, strict=False)
    ]
    found += [
        ("every step", exact(totals.steps), (charges.per_step,)),
        ("every view", Fraction(totals.views), (charges.per_view,)),
        ("every sample", videos, (charges.per_sample,)),
    ]
    found += [(f"counts: {name}", exact(n), ({name: 1},)) for name, n in totals.counts.items()]
    return [
        Happening(name=name, times=times, costs=_added(costs))
        for name, times, costs in found
        if name not in _CHARGES or costs[0]
    ]


def _added(parts: Sequence[Costs]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, Fraction(0)) + exact(number)
    return total


def decisions_of(totals: Totals, plan: Plan, rule: Rule) -> list[Fraction]:
    """Return how often each action was decided, under one rule.

    Raises:
        DataError: the rule needs runs that the source lacks, or a span for each action where
            decisions have their own.
    """
    if rule == "published":
        if totals.own_spans:
            raise DataError(
                "the published rule is not defined here: it takes spans from the actions, and this "
                "log's decisions have spans of their own",
                "--rule exact counts them",
            )
        return [exact(n) / a.span for n, a in zip(totals.frames, plan.actions, strict=True)]
    if totals.decisions is None:
        raise DataError(
            "rows without their order hold no runs: only the published rule applies to them",
            "--rule published, or leave --rule out",
        )
    return [exact(n) for n in totals.decisions]


def exact(number: float | Fraction) -> Fraction:
    """Return a number as the fraction that its shortest decimal text means."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)
