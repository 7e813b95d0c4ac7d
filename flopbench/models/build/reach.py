"""Whether inputs reach the whole of a model: half of it is never counted as if it were all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from flopbench.core.errors import InputError
from flopbench.core.units import percent
from flopbench.models.build.copies import move_inputs
from flopbench.models.build.environment import counting_state
from flopbench.models.build.kept_integers import KeptIntegers
from flopbench.models.spec import ModelSpec

UNREAD_AT_MOST = 0.05
"""Largest share of the parameters that may take no part, such as heads for training."""

_OPTIONAL = re.compile(
    "position_ids|past|embeds|labels|cache|logits|output|return|dict|vision_feature|interpolate"
)
"""Parameters that are no inputs of a first pass."""

Sizes = dict[int, tuple[str, int]]
"""Identity of a parameter -> its name and number of elements."""


def forward_names(model: Any) -> tuple[str, ...]:
    """Name what the forward of a model or class takes."""
    names = inspect.signature(model.forward).parameters
    return tuple(name for name in names if name not in ("self", "args", "kwargs"))


def parameter_sizes(module: nn.Module) -> Sizes:
    """List the parameters of a model."""
    return {id(one): (name, one.numel()) for name, one in module.named_parameters()}


def run_on_shapes(module: nn.Module, kwargs: Mapping[str, Any], unread: Sizes) -> None:
    """Run a model that is on the meta device, and remove from ``unread`` what takes part."""
    with counting_state(), KeptIntegers(unread):
        module(**move_inputs(dict(kwargs), "meta", keep_integers=True))


def what_missed(module: nn.Module, unread: Sizes) -> str:
    """Say what took no part, where that is a model of its own (a tower) or too much."""
    total = sum(parameter.numel() for parameter in module.parameters())
    missed = sum(numel for _, numel in unread.values())
    parts = dict.fromkeys(name.rpartition(".")[0] or name for name, _ in unread.values())
    towers = [
        name
        for name, child in module.named_modules()
        if hasattr(child, "main_input_name")
        and (ids := {id(one) for one in child.parameters()})
        and ids <= unread.keys()
    ]
    if not towers and missed <= UNREAD_AT_MOST * total:
        return ""
    named = ", ".join((towers or list(parts))[:3])
    return f"{percent(missed, total)} of its parameters take no part: {named}"


def refusal(module: nn.Module, spec: ModelSpec, problem: str) -> InputError:
    """Say why a model is refused, what it takes, and what to do."""
    takes = [name for name in forward_names(module) if not _OPTIONAL.search(name)]
    return InputError(
        f"no example input reaches all of {str(spec)!r}: {problem}",
        "try another size or configuration, or write a factory that returns (model, inputs), and "
        f"name it as package.module:factory; its forward takes {', '.join(takes)}",
    )


def require_whole(module: nn.Module, spec: ModelSpec, kwargs: Mapping[str, Any]) -> None:
    """Refuse inputs that do not reach the whole of a model, where shapes suffice to see it.

    Raises:
        InputError: they do not.
    """
    unread = parameter_sizes(module)
    try:
        run_on_shapes(module, kwargs, unread)
    except Exception:
        return  # what fails on shapes is left to the counters
    if missed := what_missed(module, unread):
        raise refusal(module, spec, missed)
