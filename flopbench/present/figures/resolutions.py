"""At which resolution an action looks at a frame, as far as a log says."""

from __future__ import annotations

from flopbench.core.errors import InputError
from flopbench.models.spec import parse_spec
from flopbench.policy.header import Component
from flopbench.policy.plan import Plan

WITHOUT_PIXELS = frozenset({"value", "lstm", "linear"})
"""Sources of specifications whose size, where there is one, is not that of an image."""


def action_size(plan: Plan, index: int) -> tuple[int, int] | None:
    """Return (height_px, width_px) of the frame as an action sees it.

    It is the largest input among the networks that the action runs; an action without networks of
    its own (AR-Net's 84 px, where the policy's prediction is used) is asked for by its name, where
    that is a specification (``mobilenet_v2@84``).

    Args:
        plan: what the decisions can be.
        index: of the action.

    Returns:
        None for a skip or a reuse, and where neither says.
    """
    action = plan.actions[index]
    if action.kind in {"skip", "reuse"}:
        return None
    sizes = [_component_size(plan, name) for name, n in action.costs.items() if n]
    known = [size for size in sizes if size is not None] or [
        size for size in [_spec_size(action.name)] if size is not None
    ]
    return max(known, key=lambda size: size[0] * size[1]) if known else None


def _component_size(plan: Plan, name: str) -> tuple[int, int] | None:
    component = (plan.header.components or {}).get(name)
    if isinstance(component, Component):
        component = component.variants[component.default]
    return None if component is None else _spec_size(component)


def _spec_size(text: str) -> tuple[int, int] | None:
    try:
        spec = parse_spec(text)
    except InputError:
        return None
    if not spec.size or spec.source in WITHOUT_PIXELS:
        return None
    return (spec.size[0], spec.size[0]) if len(spec.size) == 1 else (spec.size[-2], spec.size[-1])
