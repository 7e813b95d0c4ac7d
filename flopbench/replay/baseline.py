"""The uniform program that a replay is compared with: the most expensive decision at every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from flopbench.core.errors import InputError, near_match
from flopbench.policy.header import Costs
from flopbench.policy.plan import Plan
from flopbench.replay.records import UniformBaseline
from flopbench.replay.workload import Workload

Ran = tuple[Mapping[str, int], Mapping[str, int]]
"""Component -> runs as an arm (network of an action); component -> runs as a policy network."""


def candidates(plan: Plan, named: Sequence[str], ran: Ran) -> list[str]:
    """List the components that the baseline may need, before they are priced."""
    options = _named(plan, named, ran) if named else _options(plan, ran)
    return list(dict.fromkeys(name for _, _, _, costs in options for name in costs))


def choose_baseline(
    plan: Plan, named: Sequence[str], dense_macs: Mapping[str, int], workload: Workload, ran: Ran
) -> UniformBaseline:
    """Choose the uniform program.

    Without ``named`` it is the most expensive ``run`` action of each stream; if no action runs
    anything, the most expensive exit; else the most expensive component, once per step.

    Args:
        plan: the possible decisions.
        named: actions, exits or components from the command line, one for each stream; streams
            without one take the most expensive.
        dense_macs: component -> multiply-accumulates of a run.
        workload: has the numbers of steps and videos.
        ran: what runs.

    Raises:
        InputError: an unknown name, two of one stream, or a fraction of a run.
    """
    options = _options(plan, ran)
    chosen: dict[str, Option] = {}
    for option in _named(plan, named, ran):
        if option[0] in chosen:
            raise InputError(
                f"--baseline names {chosen[option[0]][2]!r} and {option[2]!r}: one for each stream"
            )
        chosen[option[0]] = option
    per = {option[1] for option in chosen.values()}
    if len(per) > 1:
        raise InputError("--baseline names both an exit and an action: name one or the other")
    if not chosen or (per == {"step"} and plan.streams != ("",) and "" not in chosen):
        for option in sorted(options, key=lambda o: -_cost(o[3], dense_macs)):
            if not per or option[1] in per:
                chosen.setdefault(option[0], option)
    runs: dict[str, int] = {}
    for option in chosen.values():
        for name, times in option[3].items():
            runs[name] = runs.get(name, 0) + int(times)
    kind: Literal["step", "video"] = next(iter(chosen.values()))[1]
    whole_steps = kind == "step" and workload.steps > 0
    return UniformBaseline(
        name=" + ".join(option[2] for option in chosen.values()),
        per="step" if whole_steps else "video",
        runs=runs,
        units=workload.steps if whole_steps else len(workload.videos),
    )


Option = tuple[str, Literal["step", "video"], str, Costs]
"""(stream, ``step`` or ``video``, name, costs)."""


def _options(plan: Plan, ran: Ran) -> list[Option]:
    actions: list[Option] = [
        (action.stream or "", "step", plan.action_label(i), _paid(action.costs))
        for i, action in enumerate(plan.actions)
        if action.kind == "run"
    ]
    exits: list[Option] = [("", "video", exit.name, _paid(exit.costs)) for exit in plan.exits]
    components: list[Option] = [
        ("", "step", name, {name: 1}) for name in dict.fromkeys([*ran[0], *ran[1]])
    ]
    return next((found for found in (_whole(actions), _whole(exits)) if found), components)


def _named(plan: Plan, named: Sequence[str], ran: Ran) -> list[Option]:
    known: dict[str, Option] = {}
    for name in dict.fromkeys([*(plan.header.components or {})]):
        known[name] = ("", "step", name, {name: 1})
    for exit in plan.exits:
        known[exit.name] = ("", "video", exit.name, _paid(exit.costs))
    for i, action in enumerate(plan.actions):
        label = plan.action_label(i)
        option: Option = (action.stream or "", "step", label, _paid(action.costs))
        known[label] = option
        if action.stream is None:
            known[action.name] = option
    found = []
    for name in named:
        if name not in known:
            raise InputError(
                f"--baseline names {name!r}, which is not an action, exit or component of this log",
                near_match(name, known, "choices"),
            )
        if not _whole([known[name]]):
            raise InputError(
                f"--baseline {name!r} costs nothing, or a fraction of a run, which cannot be run"
            )
        found.append(known[name])
    return found


def _paid(costs: Costs) -> Costs:
    return {name: times for name, times in costs.items() if times}


def _whole(options: Iterable[Option]) -> list[Option]:
    """Return the options that run something, in whole runs."""
    return [
        option
        for option in options
        if option[3] and all(times == int(times) for times in option[3].values())
    ]


def _cost(costs: Costs, dense_macs: Mapping[str, int]) -> float:
    return sum(times * dense_macs[name] for name, times in costs.items())
