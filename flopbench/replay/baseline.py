"""The uniform program that a replay is compared with: the most expensive decision at every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from flopbench.core.errors import InputError, near_match
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan
from flopbench.replay.records import UniformBaseline
from flopbench.replay.workload import Workload

Ran = tuple[Mapping[str, int], Mapping[str, int]]
"""Component -> runs as an arm (network of an action); component -> runs as a policy network."""


class Option(NamedTuple):
    """What the uniform program may do at every step, or once a video; costs without zeros."""

    stream: str
    per: Literal["step", "video"]
    name: str
    costs: Costs

    @property
    def runs(self) -> bool:
        """Whether it runs something, in whole runs."""
        return bool(self.costs) and all(times == int(times) for times in self.costs.values())


def candidates(plan: Plan, named: Sequence[str], ran: Ran) -> list[str]:
    """List the components that the baseline may need, before they are priced."""
    options = _named(plan, named) if named else _options(plan, ran)
    return list(dict.fromkeys(name for option in options for name in option.costs))


def choose_baseline(
    plan: Plan, named: Sequence[str], dense_macs: Mapping[str, int], workload: Workload, ran: Ran
) -> UniformBaseline:
    """Choose the uniform program: actions, exits or components that are named, one for each stream.

    Without a name it is the most expensive ``run`` action of each stream; if no action runs
    anything, the most expensive exit; else the most expensive component, once per step.
    """
    chosen: dict[str, Option] = {}
    for option in _named(plan, named):
        other = chosen.setdefault(option.stream, option)
        if other is not option:
            raise InputError(
                f"--baseline names {other.name!r} and {option.name!r}: one for each stream"
            )
    per = {option.per for option in chosen.values()}
    if len(per) > 1:
        raise InputError("--baseline names both an exit and an action: name one or the other")
    if not chosen or (per == {"step"} and plan.streams != ("",) and "" not in chosen):

        def macs(option: Option) -> float:
            return sum(times * dense_macs[name] for name, times in option.costs.items())

        for option in sorted(_options(plan, ran), key=macs, reverse=True):
            if not per or option.per in per:
                chosen.setdefault(option.stream, option)
    runs: dict[str, int] = {}
    for option in chosen.values():
        for name, times in option.costs.items():
            runs[name] = runs.get(name, 0) + int(times)
    whole_steps = next(iter(chosen.values())).per == "step" and workload.steps > 0
    return UniformBaseline(
        name=" + ".join(option.name for option in chosen.values()),
        per="step" if whole_steps else "video",
        runs=runs,
        units=workload.steps if whole_steps else len(workload.videos),
    )


def _options(plan: Plan, ran: Ran) -> list[Option]:
    actions = [
        Option(action.stream or "", "step", plan.action_label(i), _paid(action.costs))
        for i, action in enumerate(plan.actions)
        if action.kind == "run"
    ]
    exits = [Option("", "video", exit.name, _paid(exit.costs)) for exit in plan.exits]
    components = _components([*ran[0], *ran[1]])
    for kind in (actions, exits):
        found = [option for option in kind if option.runs]
        if found:
            return found
    return components


def _components(names: Iterable[str]) -> list[Option]:
    return [Option("", "step", name, {name: 1}) for name in dict.fromkeys(names)]


def _named(plan: Plan, named: Sequence[str]) -> list[Option]:
    known = {option.name: option for option in _components(plan.header.components or {})}
    for exit in plan.exits:
        known[exit.name] = Option("", "video", exit.name, _paid(exit.costs))
    for i, action in enumerate(plan.actions):
        label = plan.action_label(i)
        known[label] = Option(action.stream or "", "step", label, _paid(action.costs))
        if action.stream is None:
            known[action.name] = known[label]
    for name in named:
        if name not in known:
            raise InputError(
                f"--baseline names {name!r}, which is not an action, exit or component of this log",
                near_match(name, known, "choices"),
            )
        if not known[name].runs:
            raise InputError(
                f"--baseline {name!r} costs nothing, or a fraction of a run, which cannot be run"
            )
    return [known[name] for name in named]


def _paid(costs: Costs) -> Costs:
    return {name: times for name, times in costs.items() if times}
