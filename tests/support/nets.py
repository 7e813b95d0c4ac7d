"""Small networks that are awkward to profile without changing them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import weight_norm


class Awkward(nn.Module):
    """Shared layers, buffers, hooks, mixed training flags, dict output, a Python counter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Linear(4, 4)
        self.alias = self.shared
        self.normed = weight_norm(nn.Linear(4, 4))
        self.frozen = nn.Linear(4, 2)
        self.frozen.requires_grad_(False)
        self.register_buffer("steps", torch.zeros(()))
        self.calls = 0
        self.seen: list[str] = []
        self.conv.register_forward_hook(lambda *_: None)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        self.calls += 1
        self.steps += 1
        x = self.norm(self.conv(x)).mean((2, 3))
        return {"logits": self.frozen(self.normed(self.alias(self.shared(x)))), "none": None}

    @staticmethod
    def dense_macs(height: int, width: int) -> int:
        """conv 3·4·3·3 a position, three 4×4 linear layers, one 4×2."""
        return height * width * 3 * 4 * 9 + 3 * 16 + 8


class Failing(Awkward):
    """Runs halfway, then raises."""

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        super().forward(x)
        raise ValueError("half way")


class ValueDependent(nn.Module):
    """Multiplies once for each whole number below the first value of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(int(x[0, 0].item())):
            x = self.linear(x)
        return x


class Scripted(nn.Module):
    """Holds a scripted layer, which takes no hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.jit.script(nn.Linear(4, 4))

    def forward(self, x: Any) -> Any:
        return self.fc(x)


class RefusingCounter:
    """A counter that cannot count any model."""

    name, distribution, convention, needs_values = "refusing", "torch", "MACs", False

    def count(self, subject: object) -> object:
        raise NotImplementedError("never seen such a layer")


def state_of(module: nn.Module) -> dict[str, Any]:
    """Return everything about a module that counting must not change."""
    return {
        "keys": list(module.state_dict()),
        "values": {name: value.clone() for name, value in module.state_dict().items()},
        "training": [child.training for child in module.modules()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "identities": [id(p) for p in module.parameters()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in module.modules()
        ],
        "attributes": [sorted(vars(m)) for m in module.modules()],
    }


def same_state(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Compare two results of ``state_of``."""
    values, others = one.pop("values"), other.pop("values")
    return one == other and all(torch.equal(values[name], others[name]) for name in values)
