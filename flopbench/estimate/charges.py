"""What a log is charged for, and how often: decisions under each rule, exits, charges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from msgspec import Struct

from flopbench.core.errors import DataError

if TYPE_CHECKING:
    from flopbench.policy.counts import LogCounts, Totals
    from flopbench.policy.header import Costs
    from flopbench.policy.plan import Plan

Rule = Literal["exact", "published"]
RULES: tuple[Rule, ...] = ("exact", "published")

Times = TypeVar("Times")


class ChargeItem(Struct, Generic[Times], frozen=True, kw_only=True):
    """One item that a log is charged for.

    Attributes:
        name: an action, an exit, or what is charged for (``every step``).
        times: how often: a fraction for a whole log or its average video; an array for the records
            of a log.
        costs: component -> how often it runs each time.
    """

    name: str
    times: Times
    costs: Mapping[str, Fraction]


def charge_items(totals: Totals, plan: Plan, rule: Rule = "exact") -> list[ChargeItem[Fraction]]:
    """Return the items that an estimate sums over as times × costs × prices, exactly.

    The actions come first, in the plan's order, then the exits. An action includes the charges of
    its decisions; charges per step, view and sample, and further counts, are items of their own.

    Raises:
        DataError: as ``decisions_of``.
    """
    items = _charged(
        plan,
        decisions=decisions_of(totals, plan, rule),
        exits=map(Fraction, totals.exits),
        steps=exact(totals.steps),
        views=Fraction(totals.views),
        samples=Fraction(1 if totals.videos is None else totals.videos),
        counts={name: exact(n) for name, n in totals.counts.items() if n},
    )
    return list(items)


def record_items(
    counts: LogCounts, rule: Rule = "exact", *, of_videos: bool = False
) -> Iterator[ChargeItem[Any]]:
    """Yield the same items for each of n records, or of n videos: times are (n,) arrays.

    A charge per video is put on its first record.
    """
    import numpy as np

    plan = counts.plan

    def own(times: Any) -> Any:
        return counts.of_videos(times) if of_videos else times

    once: Any = np.ones(counts.records)
    first = once
    if counts.video is not None:
        first = np.zeros(counts.records)
        first[counts.first_records] = 1
    if rule == "exact":
        decisions = (own(counts.decisions[:, i]) for i in range(len(plan.actions)))
    else:
        decisions = (own(counts.frames[:, i]) / a.span for i, a in enumerate(plan.actions))
    exits = range(0 if counts.exits is None else len(plan.exits))
    extra = {} if counts.counts is None else plan.header.components or {}
    yield from _charged(
        plan,
        decisions=decisions,
        exits=(own(counts.exits == i) for i in exits),
        steps=own(counts.steps),
        views=own(once),
        samples=own(first),
        counts={name: own(counts.counts[:, i]) for i, name in enumerate(extra)},
    )


def _charged(
    plan: Plan,
    *,
    decisions: Iterable[Times],
    exits: Iterable[Times],
    steps: Times,
    views: Times,
    samples: Times,
    counts: Mapping[str, Times],
) -> Iterator[ChargeItem[Times]]:
    """List everything that is charged; nothing else defines it."""
    charges = plan.charges
    for i, (action, times) in enumerate(zip(plan.actions, decisions, strict=True)):
        yield _item(plan.action_label(i), times, action.costs, charges.per_decision)
    for i, (exit, times) in enumerate(zip(plan.exits, exits, strict=False)):
        yield _item(plan.exit_label(i), times, exit.costs)
    if charges.per_step:
        yield _item("every step", steps, charges.per_step)
    if charges.per_view:
        yield _item("every view", views, charges.per_view)
    if charges.per_sample:
        yield _item("every sample", samples, charges.per_sample)
    for name, times in counts.items():
        yield _item(f"counts: {name}", times, {name: 1})


def _item(name: str, times: Times, *costs: Costs) -> ChargeItem[Times]:
    total: dict[str, Fraction] = {}
    for part in costs:
        for component, number in part.items():
            total[component] = total.get(component, Fraction(0)) + exact(number)
    return ChargeItem(name=name, times=times, costs=total)


def decisions_of(totals: Totals, plan: Plan, rule: Rule) -> list[Fraction]:
    """Return how often each action was decided, under one rule.

    Raises:
        DataError: the rule needs runs that the source lacks, or one span per action where
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
    """Return a number as a fraction: a float as the value of its shortest decimal text."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)
