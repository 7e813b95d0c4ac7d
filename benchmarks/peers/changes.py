"""What counting left behind in a model, and in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

WATCHED = {"torch": torch, "torch.nn.functional": nn.functional, "torch.Tensor": torch.Tensor}
NAMED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that counting must not change.

    Attributes:
        values: those of the state_dict.
        parts: its keys; training flags, hooks, forward methods and attributes of modules;
            requires_grad of parameters; functions of torch: each by name.
    """

    values: dict[str, torch.Tensor]
    parts: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, model: nn.Module) -> State:
        """Look at a model; values are copied."""
        modules = dict(model.named_modules())
        parts: dict[str, dict[str, Any]] = {
            "keys": dict.fromkeys(model.state_dict()),
            "training": {name: module.training for name, module in modules.items()},
            "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
            "hooks": {name: _hooks(module) for name, module in modules.items()},
            "forward": {name: _function(module) for name, module in modules.items()},
            "attributes": {f"{n}.{a}": None for n, m in modules.items() for a in vars(m)},
            "torch": {
                f"{w}.{n}": f for w, owner in WATCHED.items() for n, f in vars(owner).items()
            },
        }
        return cls(values={k: v.clone() for k, v in model.state_dict().items()}, parts=parts)

    def changes(self, after: State) -> dict[str, str]:
        """Return kind -> what changed, for the kinds that did."""
        found = {kind: _difference(own, after.parts[kind]) for kind, own in self.parts.items()}
        # Importing a submodule adds its name to torch, which changes nothing.
        found["torch"] = [n for n in found["torch"] if n in self.parts["torch"]]
        found["values"] = [
            name
            for name, value in self.values.items()
            if name in after.values and not torch.equal(value, after.values[name])
        ]
        return {kind: _said(names) for kind, names in found.items() if names}


def _hooks(module: nn.Module) -> tuple[int, ...]:
    return tuple(len(value) for name, value in vars(module).items() if name.endswith("_hooks"))


def _function(module: nn.Module) -> Any:
    return getattr(module.forward, "__func__", module.forward)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names that are new, gone, or have another value."""
    missing = object()
    return [
        name
        for name in {**before, **after}
        if before.get(name, missing) is not after.get(name, missing)
        and before.get(name, missing) != after.get(name, missing)
    ]


def _said(names: list[str]) -> str:
    """Put names in words: how many, and the distinct last parts of the first few."""
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in names if name)) or ["itself"]
    more = ", …" if len(ends) > NAMED else ""
    return f"{len(names)}: {', '.join(ends[:NAMED])}{more}"
