"""The components of a replay: the networks that run for them, their counted costs, their time.

The uniform program that a replay is compared with takes the most expensive decision at every step.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from flopbench.core.errors import InputError, near_match
from flopbench.core.units import FLOPS_PER_MAC, about, plural
from flopbench.core.workers import Progress
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.run import build_table
from flopbench.estimate.components import (
    Chosen,
    code_of_log,
    named,
    resolve_components,
    used_components,
)
from flopbench.estimate.prices import Price, price_book
from flopbench.estimate.runs import Choices, Run
from flopbench.models.spec import parse_spec
from flopbench.policy.header import Component, Costs, Header
from flopbench.policy.plan import Plan
from flopbench.replay.records import ReplayPart, Settings, UniformBaseline
from flopbench.replay.workload import Workload
from flopbench.timing.run import START_S

PASSES = 3
"""Of a round: with the host's waits, without them, and the arms alone."""
BASELINE_VIDEOS = 16
"""About as many videos of a round also run the uniform program."""
RECURRENT = ("lstm", "gru", "rnn")
"""Sources of networks that keep a state for each video."""
CPU_FLOPS_PER_S = 5e10
"""Of a core of a server, in networks as they are: enough for a first estimate of the duration."""


def timed_specs(run: Run, choices: Choices) -> tuple[dict[str, Chosen], dict[str, str]]:
    """Return the networks whose times price a run, and notes on them; see ``runnable_specs``.

    Nothing runs here: code that a log names is a name, under which somebody who trusts it timed it.
    """
    names = [name for name in used_components(run.header) if name in run.primary.by_component]
    chosen = choices.variants or {}, choices.components or {}
    return runnable_specs(run.header, names, *chosen, will_run=False)


def runnable_specs(
    header: Header,
    names: Sequence[str],
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
    *,
    will_run: bool = True,
) -> tuple[dict[str, Chosen], dict[str, str]]:
    """Return component -> network for all that are needed, and component -> a note on the choice.

    A constant cannot be run. If a component that is charged as one has a variant that is a network,
    that variant runs. Code that the log names must not (``will_run``).
    """
    components = header.components or {}
    found: dict[str, Chosen] = {}
    notes: dict[str, str] = {}
    constants = {}
    for name, chosen in resolve_components(header, variants, overrides, names).items():
        own = components[name]
        if chosen.spec.source != "value":
            found[name] = chosen
        elif (
            name in overrides
            or not isinstance(own, Component)
            or (network := _network(own)) is None
        ):
            constants[name] = chosen.text if chosen.counted else "MODEL"
        else:
            found[name] = network
            notes[name] = (
                f"{name}: the log charges the constant {chosen.variant!r}, which cannot be run; "
                f"its variant {network.variant!r}, {network.spec}, runs and is counted here"
            )
    code = code_of_log(found)
    if code and will_run:
        options = [w for name, one in code.items() for w in ("--component", f"{name}={one.spec}")]
        hint = f"if you trust the code: {shlex.join(options)}"
        raise InputError(f"{named(code)}: a log does not run code", hint)
    if constants:
        listed = ", ".join(constants)
        verb = "is a constant" if len(constants) == 1 else "are constants"
        pairs = " ".join(f"--component {name}={text}" for name, text in constants.items())
        raise InputError(
            f"{listed} {verb} in this log: a number cannot be run",
            f"name networks, such as resnet50@224 or your own factory: {pairs}",
        )
    return found, notes


def _network(component: Component) -> Chosen | None:
    """Return the first variant that is not a constant."""
    for variant, text in component.variants.items():
        spec = parse_spec(text)
        if spec.source != "value":
            return Chosen(spec=spec, variant=variant, is_default=False)
    return None


def price_parts(
    header: Header, chosen: Mapping[str, Chosen], progress: Progress | None
) -> tuple[dict[str, Price], str]:
    """Count every network; return component -> price, and the counter with its version.

    Raises:
        InputError: a model that does not exist.
        MeasureError: a model that the counter cannot count.
    """
    specs = list(dict.fromkeys(one.spec for one in chosen.values()))
    table = build_table(specs, [REFERENCE], progress=progress, keep_going=False)
    plain = msgspec.structs.replace(
        header,
        actions=None,
        exits=None,
        charges=None,
        components={name: str(one.spec) for name, one in chosen.items()},
    )
    # The table holds user code only if the user named it (``runnable_specs``).
    book = price_book(plain, counter=REFERENCE, table=table)
    prices = book.lists[REFERENCE]
    return dict(prices.prices), f"{REFERENCE} {prices.version}".strip()


def expected_time(
    parts: Mapping[str, ReplayPart],
    baseline: UniformBaseline,
    videos: int,
    modes: int,
    settings: Settings,
) -> str:
    """Say how many processes run, and on a CPU about how long they take."""
    many = f"{settings.processes} {plural(settings.processes, 'process', 'processes')}"
    if settings.device != "cpu":  # launches take most of the time, which MACs do not tell
        return many
    # A round runs the decisions in three passes, and the baseline for some of the videos.
    macs = PASSES * sum(p.dense_macs * (p.arm_runs + p.policy_runs) for p in parts.values())
    uniform = sum(parts[name].dense_macs * n for name, n in baseline.runs.items()) * baseline.units
    macs += uniform * min(videos, BASELINE_VIDEOS) // videos
    seconds = FLOPS_PER_MAC * macs * modes * settings.rounds / CPU_FLOPS_PER_S
    return f"{many}, {about(settings.processes * (START_S + seconds))}"


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
