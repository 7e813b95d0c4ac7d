"""The torch counter against truths by hand, whole models, and its own rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils import _python_dispatch  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from operator_zoo import TRUTHS, Call, Truth  # noqa: E402

from flopbench.costs import DENSE_FAMILIES  # noqa: E402
from flopbench.measure.counters import torch_formulas  # noqa: E402
from flopbench.measure.counters.base import Counted, Subject  # noqa: E402
from flopbench.measure.counters.free_ops import FREE_OPS, is_free  # noqa: E402
from flopbench.measure.counters.torch_counter import TorchCounter  # noqa: E402
from flopbench.measure.environment import counting_state  # noqa: E402


def count(module: nn.Module, *args: Any, device: str = "cpu", **kwargs: Any) -> Counted:
    """Count the way the harness does."""
    with counting_state():
        subject = Subject(module=module.eval(), args=args, kwargs=kwargs, device=device)
        return TorchCounter().count(subject)


def by_module(counted: Counted) -> dict[str, int]:
    """Sum MACs by module path."""
    sums: dict[str, int] = {}
    for op in counted.operators:
        sums[op.module] = sums.get(op.module, 0) + op.dense_macs
    return sums


def count_truth(case: Truth, device: str) -> Counted:
    """Build a truth's model and inputs on a device and count them."""
    with torch.device(device):
        module, args, kwargs = case.build(), case.args(), case.keyword_args()
    return count(module, *args, device=device, **kwargs)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_counts_the_truth(case: Truth, device: str) -> None:
    """Every model of the zoo costs what the formula beside it says, with no gap left."""
    if case.needs_values and device == "meta":
        pytest.skip("needs values")
    counted = count_truth(case, device)
    assert counted.total == case.macs
    assert counted.not_counted == ()
    assert sum(op.total for op in counted.operators) == counted.total
    assert {op.family for op in counted.operators} <= set(DENSE_FAMILIES)
    assert all(op.total == op.dense_macs for op in counted.operators)
    if case.families:
        assert {op.family for op in counted.operators} == set(case.families)


@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_says_the_same_on_meta_and_cpu(case: Truth) -> None:
    """Names, families, calls and activations do not depend on the kernels of a device."""
    if case.needs_values:
        pytest.skip("needs values")
    assert count_truth(case, "meta").operators == count_truth(case, "cpu").operators


def test_zoo_is_large_and_its_names_differ() -> None:
    """The table has at least seventy truths, each under a name of its own."""
    assert len({case.name for case in TRUTHS}) == len(TRUTHS) >= 70
