"""Which specification each component of a log stands for: its own, a variant, or an override.

A component is a specification (``resnet50@224,classes=200``), a constant with its source
(``value:3276800 "..."``), one of several named variants of either, or rows of a cost table, counted
when the log was written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from flopbench.core.errors import InputError, near_match
from flopbench.counting.cost_row import CostRow, trusted_row
from flopbench.models.spec import ModelSpec, parse_spec
from flopbench.policy.header import Component, CountedRow, Header


class Chosen(Struct, frozen=True, kw_only=True):
    """What one component stands for.

    Attributes:
        spec: the network or the constant; a constant too where the log itself has the counts.
        variant: the variant that was chosen; empty where the component has none.
        is_default: whether this is what the log takes by default.
        counted: the log's own counts, a row for each counter.
        of_log: whether the log names it, not the user.
    """

    spec: ModelSpec
    variant: str = ""
    is_default: bool = True
    counted: tuple[CostRow, ...] = ()
    of_log: bool = True

    @property
    def text(self) -> str:
        """What it is, for display."""
        return _counted_text(self.counted) if self.counted else str(self.spec)

    @property
    def is_code_of_log(self) -> bool:
        """Whether it is code that a log names, which therefore must not run."""
        return self.of_log and self.spec.is_user_code


def resolve_components(
    header: Header,
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
    names: Iterable[str] | None = None,
    *,
    variant_flag: str = "--variant",
) -> dict[str, Chosen]:
    """Choose a specification for every component.

    Args:
        header: a resolved header.
        variants: component -> variant in place of the default one.
        overrides: component -> specification in place of the log's.
        names: the components needed, in order; None means all of the header.
        variant_flag: where ``variants`` come from, for messages.

    Raises:
        InputError: an unknown component or variant, both a variant and an override for one
            component, or a specification that cannot be read.
    """
    components = header.components or {}
    for flag, given in ((variant_flag, variants), ("--component", overrides)):
        for name, value in given.items():
            if name not in components:
                hint = near_match(name, components, "components")
                raise InputError(f"{flag} {name}={value}: there is no component {name!r}", hint)
    for name in overrides:
        if name in variants:
            raise InputError(
                f"{variant_flag} {name}={variants[name]} and --component {name}={overrides[name]} "
                "exclude each other"
            )
    chosen = {}
    for name in components if names is None else names:
        own = components[name]
        if name in overrides:
            spec = parse_spec(overrides[name])
            same = _is_same(spec, default_text(own))
            chosen[name] = Chosen(spec=spec, is_default=same, of_log=False)
            continue
        variant = variants.get(name)
        if not isinstance(own, Component) and variant is not None:
            where = f"{variant_flag} {name}={variant}"
            raise InputError(f"{where}: the component {name!r} has no variants")
        if isinstance(own, str):
            chosen[name] = Chosen(spec=parse_spec(own))
            continue
        if isinstance(own, list):
            chosen[name] = Chosen(spec=_constant(own), counted=tuple(own))
            continue
        variant = own.default if variant is None else variant
        if variant not in own.variants:
            hint = near_match(variant, own.variants, "variants")
            where = f"{variant_flag} {name}={variant}"
            raise InputError(f"{where}: the component {name!r} has no variant {variant!r}", hint)
        spec = parse_spec(own.variants[variant])
        chosen[name] = Chosen(spec=spec, variant=variant, is_default=variant == own.default)
    return chosen


def default_text(component: str | Component | list[CountedRow]) -> str:
    """Return a component's default specification, or what was counted for it."""
    if isinstance(component, list):
        return _counted_text(component)
    return component if isinstance(component, str) else component.variants[component.default]


def _counted_text(rows: Sequence[CostRow]) -> str:
    """Return what a log counted: its specification, or a constant where that cannot be read."""
    with contextlib.suppress(InputError):
        return str(parse_spec(rows[0].spec))
    return str(_constant(rows))


def _constant(rows: Sequence[CostRow]) -> ModelSpec:
    """Return counts of a log as a constant, for what knows no counters."""
    row = trusted_row(rows) or rows[0]
    what = (row.spec or row.model).replace('"', "'")
    quote = f"{what}, counted by {row.counter} {row.counter_version}".strip()
    return ModelSpec(source="value", name=str(row.dense_macs or row.total_macs or 0), quote=quote)


def used_components(header: Header) -> list[str]:
    """List the components that an action, exit or charge uses, then all others."""
    charges = header.charges
    costs = [a.costs for a in header.actions or []] + [e.costs for e in header.exits or []]
    if charges is not None:
        costs += [charges.per_decision, charges.per_step, charges.per_view, charges.per_sample]
    used = dict.fromkeys(name for cost in costs for name in cost)
    return [*used, *(name for name in header.components or {} if name not in used)]


def specs_of_logs(logs: Sequence[str], preset: str | None = None) -> list[ModelSpec]:
    """List what the components of logs are, variants included; only headers are read.

    What was counted when a log was written is not among them.

    Args:
        logs: files or globs, each a log of its own, of any form.
        preset: what decisions mean, where a log does not say.

    Raises:
        InputError: no such file; no header and no preset; a specification that cannot be read.
        DataError: not a policy log.
    """
    found: list[ModelSpec] = []
    for log in logs:
        header = _header_of(log, preset)
        for name in used_components(header):
            own = (header.components or {})[name]
            if isinstance(own, Component):
                found += map(parse_spec, own.variants.values())
            elif isinstance(own, str):
                found.append(parse_spec(own))
    return list(dict.fromkeys(found))


def _header_of(log: str, preset: str | None) -> Header:
    """Return the resolved header of a log."""
    from flopbench.policy.forms import SHARE_FORMS, sniff
    from flopbench.policy.log import open_log
    from flopbench.policy.shards import find_files
    from flopbench.policy.usage import read_usage

    first = find_files([log], complete=False)[0]
    form = sniff(first)
    if form in SHARE_FORMS:
        return read_usage(first, form, preset=preset).plan.header
    return open_log([log], preset=preset, complete=False).plan.header


def named(chosen: Mapping[str, Chosen]) -> str:
    """Name components with what they are: ``a (nets.py:a@224), b (nets.py:b@84)``."""
    return ", ".join(f"{name} ({one.spec})" for name, one in chosen.items())


def code_of_log(chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
    """Return the components that are code which a log names."""
    return {name: one for name, one in chosen.items() if one.is_code_of_log}


def _is_same(spec: ModelSpec, text: str) -> bool:
    try:
        return spec == parse_spec(text)
    except InputError:
        return False
