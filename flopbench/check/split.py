"""Why a policy's cost changed: its choices did, or the costs of its networks.

An event happens n times per video and costs u each time. Its change n1 u1 - n0 u0 has two parts:
``choices`` = (n1 - n0) (u0 + u1) / 2 and ``unit costs`` = (u1 - u0) (n0 + n1) / 2. Each is the mean
of what its factor adds when it changes first and when it changes second: the Shapley value of the
two factors (L. Shapley, A value for n-person games, 1953; for products, J. Albrecht, D. François
and K. Schoors, A Shapley decomposition of carbon emissions without residuals, Energy Policy 30,
2002). The parts are exact fractions and leave no remainder.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from flopbench.check.records import LogCost
from flopbench.check.report import ComponentChange, EventShare, Split
from flopbench.estimate.charges import ChargeItem


def split(old: LogCost, new: LogCost) -> Split:
    """Split the change of a policy's cost, of the whole and of each event.

    Events of the new log come first, in its order, then those that only the old one has. They sum
    to ``new.macs_per_video - old.macs_per_video``.
    """
    before, after = _by_name(old), _by_name(new)
    before = _renamed(before, after)
    events = tuple(
        _share(key[0], before.get(key), after.get(key)) for key in dict.fromkeys([*after, *before])
    )
    choices = sum((event.choices for event in events), Fraction(0))
    unit_costs = sum((event.unit_costs for event in events), Fraction(0))
    return Split(
        choices=choices,
        unit_costs=unit_costs,
        leading="choices" if abs(choices) >= abs(unit_costs) else "unit costs",
        events=events,
        components=_component_changes(old, new),
    )


_Events = dict[tuple[str, int], tuple[Fraction, Fraction]]
"""Name and number of an event -> how often it happens, and what it costs each time."""


def _by_name(cost: LogCost) -> _Events:
    """Return how often each event happens, and what it costs; repeated names are numbered."""
    seen: Counter[str] = Counter()
    found = {}
    for event in cost.events:
        found[event.name, seen[event.name]] = (event.times, _unit(event, cost))
        seen[event.name] += 1
    return found


def _renamed(before: _Events, after: _Events) -> _Events:
    """Give an event that is gone the name of the one new event that happens just as often."""
    gone = {key: before[key][0] for key in before if key not in after}
    came = {key: after[key][0] for key in after if key not in before}

    def only(events: dict[tuple[str, int], Fraction]) -> dict[Fraction, tuple[str, int]]:
        counts = Counter(events.values())
        return {times: key for key, times in events.items() if counts[times] == 1}

    new_names = only(came)
    names = {key: new_names[times] for times, key in only(gone).items() if times in new_names}
    return {names.get(key, key): value for key, value in before.items()}


def _unit(event: ChargeItem[Fraction], cost: LogCost) -> Fraction:
    prices = ((runs, cost.components[name].total_macs) for name, runs in event.costs.items())
    return sum((runs * price for runs, price in prices), Fraction(0))


def _share(
    name: str, old: tuple[Fraction, Fraction] | None, new: tuple[Fraction, Fraction] | None
) -> EventShare:
    """Split one event's change; an event on one side only was chosen there, or no longer is."""
    n0, u0 = old or (Fraction(0), None)
    n1, u1 = new or (Fraction(0), None)
    before = u0 if u0 is not None else u1 or Fraction(0)
    after = u1 if u1 is not None else before
    return EventShare(
        name=name,
        old_times=old and n0,
        new_times=new and n1,
        old_macs=u0,
        new_macs=u1,
        choices=(n1 - n0) * (before + after) / 2,
        unit_costs=(after - before) * (n0 + n1) / 2,
    )


def _component_changes(old: LogCost, new: LogCost) -> tuple[ComponentChange, ...]:
    names = dict.fromkeys([*new.components, *old.components])
    pairs = [(name, old.components.get(name), new.components.get(name)) for name in names]
    return tuple(
        ComponentChange(
            name=name,
            old_spec=was.spec if was else "",
            new_spec=now.spec if now else "",
            old_macs=was.total_macs if was else None,
            new_macs=now.total_macs if now else None,
        )
        for name, was, now in pairs
        if was != now
    )
