"""The modules of a model: what determines the cost of each, and where its class is defined."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from flopbench.counting.profile import ModuleFacts
from flopbench.models.build.copies import is_compiled
from flopbench.models.build.trees import INSTALLED

_DEFAULTS: dict[str, Any] = {
    "kernel_size": None,
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "num_heads": None,
    "num_layers": 1,
    "bidirectional": False,
}
"""Settings of torch's layers that determine their cost, and their defaults."""


def module_facts(module: nn.Module, *, located: bool) -> tuple[ModuleFacts, ...]:
    """List every module of a model, in order of registration.

    ``located`` says where classes are defined, for the user's own code.
    """
    seen: set[int] = set()
    places: dict[type, str] = {}
    facts = []
    for path, child in module.named_modules():
        if is_compiled(child):  # its original follows, and is what is counted in its place
            continue
        kind = type(child)
        if located and kind not in places:
            places[kind] = _place(kind)
        own = {id(p): p.numel() for p in child.parameters(recurse=False) if id(p) not in seen}
        seen.update(own)
        facts.append(
            ModuleFacts(
                path=path.replace("._orig_mod", ""),
                type=kind.__name__,
                params=sum(own.values()),
                shape=_shape(child),
                source=places.get(kind, ""),
            )
        )
    return tuple(facts)


def _shape(module: nn.Module) -> dict[str, Any]:
    shape: dict[str, Any] = {
        name: list(p.shape) for name, p in module.named_parameters(recurse=False) if p.dim()
    }
    for name, default in _DEFAULTS.items():
        value = _plain(vars(module).get(name))
        if name == "kernel_size" and "weight" in shape:
            continue  # the weight's shape contains it
        everywhere = [default] * len(value) if isinstance(value, list) else default
        if value is not None and value not in (default, everywhere):
            shape[name] = value
    return shape


def _plain(value: Any) -> Any:
    """Return a setting as JSON can hold it, else None."""
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (tuple, list)) and all(type(n) is int for n in value):
        return list(value)
    return None


def _place(kind: type) -> str:
    """Return ``file:line`` of a class below the working folder, else an empty string."""
    try:
        file = Path(inspect.getsourcefile(kind) or "").resolve()
        inside = file.relative_to(Path.cwd().resolve())
        line = inspect.getsourcelines(kind)[1]
    except (OSError, TypeError, ValueError):  # built in, made at run time, or elsewhere
        return ""
    return "" if INSTALLED & set(inside.parts) else f"{inside.as_posix()}:{line}"
