"""Which specification each component of a log stands for: its own, a variant, or an override.

A component is a specification (``resnet50@224,classes=200``), a constant with its source
(``value:3276800 "..."``), one of several named variants of either, or rows of a cost table, counted
when the log was written.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from flopbench.core.errors import InputError, near_match
from flopbench.counting.cost_row import CostRow, trusted_row
from flopbench.models.spec import ModelSpec, parse_spec
from flopbench.policy.header import Component, CountedRow, Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What one component stands for.

    Attributes:
        spec: the network or the constant; a constant too where the log itself has the counts.
        variant: the variant that was chosen; empty where the component has none.
        is_default: whether this is what the log takes by default.
        counted: the log's own counts, a row for each counter.
    """

    spec: ModelSpec
    variant: str = ""
    is_default: bool = True
    counted: tuple[CostRow, ...] = ()

    @property
    def text(self) -> str:
        """What it is, for display."""
        return self.counted[0].spec if self.counted else str(self.spec)


def resolve_components(
    header: Header,
    variants: Mapping[str, str],
    overrides: Mapping[str, str],
    names: Iterable[str] | None = None,
    *,
    trusted: Container[str] = (),
    variant_flag: str = "--variant",
) -> dict[str, Chosen]:
    """Choose a specification for every component.

    Args:
        header: a resolved header.
        variants: component -> variant in place of the default one.
        overrides: component -> specification in place of the log's.
        names: the components needed, in order; None means all of the header.
        trusted: specifications of user code that a log may name.
        variant_flag: where ``variants`` come from, for messages.

    Raises:
        InputError: an unknown component or variant, both a variant and an override for one
            component, a specification that cannot be read, or user code that is not trusted.
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
            chosen[name] = Chosen(spec=spec, is_default=_is_same(spec, default_text(own)))
            continue
        variant = variants.get(name)
        if not isinstance(own, Component) and variant is not None:
            where = f"{variant_flag} {name}={variant}"
            raise InputError(f"{where}: the component {name!r} has no variants")
        if isinstance(own, str):
            chosen[name] = Chosen(spec=own_spec(name, own, trusted))
            continue
        if isinstance(own, list):
            chosen[name] = Chosen(spec=_constant(own), counted=tuple(own))
            continue
        variant = own.default if variant is None else variant
        if variant not in own.variants:
            hint = near_match(variant, own.variants, "variants")
            where = f"{variant_flag} {name}={variant}"
            raise InputError(f"{where}: the component {name!r} has no variant {variant!r}", hint)
        spec = own_spec(name, own.variants[variant], trusted)
        chosen[name] = Chosen(spec=spec, variant=variant, is_default=variant == own.default)
    return chosen


def default_text(component: str | Component | list[CountedRow]) -> str:
    """Return a component's default specification, or what was counted for it."""
    if isinstance(component, list):
        return component[0].spec
    return component if isinstance(component, str) else component.variants[component.default]


def _constant(rows: list[CountedRow]) -> ModelSpec:
    """Return counts of a log as a constant, for what knows no counters."""
    row = trusted_row(rows) or rows[0]
    quote = f"{row.spec}, counted by {row.counter} {row.counter_version}".strip()
    return ModelSpec(source="value", name=str(row.dense_macs or row.total_macs or 0), quote=quote)


def own_spec(name: str, text: str, trusted: Container[str] = ()) -> ModelSpec:
    """Read a specification that a log gives for one of its components.

    Raises:
        InputError: it cannot be read, or it is user code that is not ``trusted``.
    """
    spec = parse_spec(text)
    if spec.is_user_code and str(spec) not in trusted:
        raise InputError(
            f"the component {name!r} is {text!r}, code that a log must not start by itself",
            f"if you trust it: --component {name}={text}",
        )
    return spec


def _is_same(spec: ModelSpec, text: str) -> bool:
    try:
        return spec == parse_spec(text)
    except InputError:
        return False
