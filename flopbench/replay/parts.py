"""The components of a replay: those that can be run, and what they cost by count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from flopbench.core.errors import InputError, near_match
from flopbench.core.workers import Progress
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.run import build_table
from flopbench.estimate.prices import Price, price_book
from flopbench.models.spec import parse_spec
from flopbench.policy.header import Component, Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Runnable:
    """A network that stands for a component.

    Attributes:
        text: its specification.
        variant: the component's variant that it is, empty for none.
    """

    text: str
    variant: str = ""


def runnable_specs(
    header: Header,
    names: Sequence[str],
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
) -> tuple[dict[str, Runnable], dict[str, str]]:
    """Find a network for every component.

    A constant cannot be run. Where a component that is charged as one has a variant that is a
    network, that one runs.

    Args:
        header: a resolved header.
        names: components that are needed.
        variants: component -> variant, from the command line.
        overrides: component -> specification in place of the log's.

    Returns:
        Component -> network; component -> what is to be said of the choice.

    Raises:
        InputError: an unknown component or variant, code of the user's own that the log names, or
            components that are constants and nothing else.
    """
    components = header.components or {}
    _check_names(components, variants, overrides)
    found: dict[str, Runnable] = {}
    notes: dict[str, str] = {}
    constants = []
    for name in names:
        if name in overrides:
            chosen, note = _network(overrides[name]), ""
        else:
            chosen, note = _own(name, components[name], variants.get(name))
        if chosen is None:
            constants.append(name)
            continue
        found[name] = chosen
        if note:
            notes[name] = note
        spec = parse_spec(chosen.text)
        if spec.is_user_code and name not in overrides:
            raise InputError(
                f"the component {name!r} is {chosen.text!r}, code that a log may not start by "
                "itself",
                f"if you trust it: --component {name}={chosen.text}",
            )
    if constants:
        listed = ", ".join(constants)
        verb = "is a constant" if len(constants) == 1 else "are constants"
        raise InputError(
            f"{listed} {verb} in this log: a figure cannot be run",
            f"name a network for it: --component {constants[0]}=MODEL, such as resnet50@224",
        )
    return found, notes


def _check_names(
    components: Mapping[str, str | Component],
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
) -> None:
    for given, flag in ((variants, "--variant"), (overrides, "--component")):
        for name in given:
            if name not in components:
                hint = near_match(name, components, "components")
                raise InputError(f"{flag} names {name!r}, which is no component of this log", hint)
            if name in overrides and name in variants:
                raise InputError(f"--variant and --component both name {name!r}")


def _network(text: str) -> Runnable | None:
    return None if parse_spec(text).source == "value" else Runnable(text=text)


def _own(name: str, component: str | Component, variant: str | None) -> tuple[Runnable | None, str]:
    if isinstance(component, str):
        if variant is not None:
            raise InputError(f"--variant {name}={variant}: the component {name!r} has no variants")
        return _network(component), ""
    wanted = component.default if variant is None else variant
    if wanted not in component.variants:
        hint = near_match(wanted, component.variants, "variants")
        raise InputError(f"the component {name!r} has no variant {wanted!r}", hint)
    for own in (wanted, *component.variants):
        text = component.variants[own]
        if parse_spec(text).source == "value":
            continue
        note = ""
        if own != wanted:
            note = (
                f"{name}: the log charges the constant {wanted!r}, which cannot be run; its "
                f"variant {own!r}, {text}, runs and is counted here"
            )
        return Runnable(text=text, variant=own), note
    return None, ""


def price_parts(
    header: Header, specs: Mapping[str, Runnable], progress: Progress | None
) -> tuple[dict[str, Price], str]:
    """Count every network by the reference counter.

    Args:
        header: of the log.
        specs: component -> network.
        progress: told before each is counted.

    Returns:
        Component -> price; the counter with its version.

    Raises:
        InputError: a model that does not exist.
        MeasureError: a model that the counter cannot count.
    """
    parsed = {name: parse_spec(own.text) for name, own in specs.items()}
    table = build_table(list(dict.fromkeys(parsed.values())), [REFERENCE], progress=progress)
    plain = msgspec.structs.replace(
        header,
        actions=None,
        exits=None,
        charges=None,
        components={name: str(spec) for name, spec in parsed.items()},
    )
    # The table holds code of the user's own only where the user named it (``runnable_specs``).
    book = price_book(plain, counter=REFERENCE, table=table)
    prices = book.lists[REFERENCE]
    return dict(prices.prices), f"{REFERENCE} {prices.version}".strip()
