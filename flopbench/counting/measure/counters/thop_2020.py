"""Counts with THOP under its rules of January 2020, those of version 0.0.31.post2001170342.

They charge 1 for a multiply-add of a convolution, 2 for that of a linear layer, and 1 per output
element for a bias. Classes that they do not name are free, even if today's THOP has a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from flopbench.counting.measure.counters.base import Counted, Subject
from flopbench.counting.measure.counters.thop_ledger import Rule, RuleBook, count_by_rules

Charge = Callable[[Any, torch.Tensor, torch.Tensor], int]
"""Charge of one call: (module, first input, output) -> charge."""

UPSAMPLE = {"linear": 5, "bilinear": 11, "bicubic": 259}
"""Charge per output element by mode; every other mode is free."""


class Thop2020Counter:
    """Count with THOP's rules of January 2020."""

    convention = "MACs under THOP's rules of January 2020 (linear layers count 2 per multiply-add)"
    needs_values = False

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass."""
        return count_by_rules(subject, RULES, dense=dense_2020, leaves_only=True)


def dense_2020(module: Any, _inputs: tuple[Any, ...], output: Any, _charge: int) -> int:
    """Count a layer's multiply-accumulates once each, without its bias."""
    return int(output.numel() * _reduced(module))


def _reduced(module: Any) -> int:
    """Return how many products one output element sums."""
    if isinstance(module, nn.Linear):
        return module.in_features
    return module.in_channels // module.groups * math.prod(module.kernel_size)


def _bias(module: Any) -> int:
    return int(module.bias is not None)


def _convolution(module: Any, _x: torch.Tensor, y: torch.Tensor) -> int:
    return y.numel() * (_reduced(module) + _bias(module))


def _linear(module: Any, _x: torch.Tensor, y: torch.Tensor) -> int:
    products, sums = _reduced(module), _reduced(module) - 1
    return y.numel() * (products + sums + _bias(module))


def _adaptive_average(_module: Any, x: torch.Tensor, y: torch.Tensor) -> int:
    # The window is rounded down in each direction; 1 is the division.
    window = math.prod(n // m for n, m in zip(x.shape[2:], y.shape[2:], strict=True))
    return y.numel() * (window + 1)


def _upsample(module: Any, _x: torch.Tensor, y: torch.Tensor) -> int:
    return y.numel() * UPSAMPLE.get(module.mode, 0)


def _as_rule(charge: Charge) -> Rule:
    def rule(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        module.total_ops += charge(module, inputs[0], output)

    return rule


_CHARGES: dict[Charge, tuple[type[nn.Module], ...]] = {
    _convolution: (
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    ),
    _linear: (nn.Linear,),
    _adaptive_average: (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    _upsample: (nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d),
    # batch norm: one multiplication and one addition with the folded statistics
    lambda _module, x, _y: 2 * x.numel(): (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    lambda _module, _x, y: y.numel(): (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    lambda _module, x, _y: x.numel(): (nn.LeakyReLU,),
}

RULES: RuleBook = {kind: _as_rule(charge) for charge, kinds in _CHARGES.items() for kind in kinds}
"""The rule book; ReLU, ReLU6, max pooling and dropout were in it with a charge of 0."""
