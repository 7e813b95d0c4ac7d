"""The components of a replay: the networks that run for them, their counted costs, their time."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import msgspec

from flopbench.core.errors import InputError
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
from flopbench.policy.header import Component, Header
from flopbench.replay.records import ReplayPart, Settings, UniformBaseline
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
