"""Counting in tests as the harness does, and reading what came out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from flopbench.counting.measure.counters.base import Counted, Counter, Subject
from flopbench.models.build.environment import counting_state


def count(
    counter: Counter, module: nn.Module, *args: Any, device: str = "cpu", **kwargs: Any
) -> Counted:
    """Count in the state the harness makes, and check what holds for every result."""
    with counting_state():
        subject = Subject(module=module.eval(), args=args, kwargs=kwargs, device=device)
        counted = counter.count(subject)
    assert sum(op.total for op in counted.operators) == counted.total
    assert type(counted.total) is int
    assert all(type(op.total) is int and type(op.dense_macs) is int for op in counted.operators)
    return counted


def dense(counted: Counted) -> int:
    """Return the dense MACs."""
    return sum(op.dense_macs for op in counted.operators)


def gaps(counted: Counted) -> set[tuple[str, str, str]]:
    """Return kind, name and module of the gaps that may hide dense MACs."""
    return {(gap.kind, gap.name, gap.module) for gap in counted.not_counted if gap.may_multiply}


def zeros(*shape: int) -> torch.Tensor:
    """Return an input of zeros."""
    return torch.zeros(shape)
