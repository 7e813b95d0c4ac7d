"""Networks that are trained with branches and deployed without: noted, or fused as timm does it."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from flopbench.core.errors import InputError
from flopbench.models.build.copies import private_copy
from flopbench.models.build.environment import silence
from flopbench.models.spec import ModelSpec

OPTION = "fused"
"""Option of a specification of timm: the form that is deployed."""

_IN_PLACE = ("reparameterize", "switch_to_deploy")
"""Methods that fuse a module's branches; timm's ``fuse`` returns another module."""


def fused(module: nn.Module, spec: ModelSpec) -> nn.Module:
    """Fuse the branches of a timm model, in evaluation mode.

    Raises:
        InputError: it has none.
    """
    if not _fusable(module):
        raise InputError(f"timm:{spec.name} has no branches to fuse: leave out {OPTION}=True")
    return _fuse(module.eval())


def branch_notes(module: nn.Module, spec: ModelSpec | None = None) -> tuple[str, ...]:
    """Say that a model is deployed without some branches, where fusing them saves weights.

    It is tried on a copy without values; folding a norm into a convolution saves none.
    """
    kinds = _fusable(module)
    if kinds:
        with contextlib.suppress(Exception), silence(), torch.no_grad(), torch.device("meta"):
            deployed = _fuse(private_copy(module, "meta"))
            if _weights(deployed) < _weights(module):
                how = f"add {OPTION}=True" if spec and spec.source == "timm" else "fuse them"
                return (
                    f"has branches that are fused before deployment ({', '.join(kinds)}): {how} "
                    "to count the form that is deployed",
                )
    return ()


def _fusable(module: nn.Module) -> list[str]:
    """Name the classes of the modules that can be fused."""
    methods = (*_IN_PLACE, "fuse") if _is_timms(module) else _IN_PLACE
    kinds = {type(child) for child in module.modules()}
    return sorted(k.__name__ for k in kinds if any(hasattr(k, method) for method in methods))


def _fuse(module: nn.Module) -> nn.Module:
    if _is_timms(module):
        from timm.utils.model import reparameterize_model

        result: nn.Module = reparameterize_model(module, inplace=True)
        return result
    for child in list(module.modules()):
        for method in _IN_PLACE:
            getattr(child, method, lambda: None)()
    return module


def _is_timms(module: nn.Module) -> bool:
    return type(module).__module__.partition(".")[0] == "timm"


def _weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.dim() > 1)
