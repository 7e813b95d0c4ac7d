"""``benchmarks/peers``: peers are really called, and what they leave behind is seen."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("thop", reason="THOP is the peer that is called")

import torch
from torch import nn

from benchmarks.peers.changes import State
from benchmarks.peers.tools import count_one


def test_thop_leaves_buffers_and_flopbench_nothing() -> None:
    """THOP prices norms too, adds two buffers to nine stages and wakes the frozen stem."""
    thop, own = (count_one((tool, "training")) for tool in ("thop", "flopbench"))
    assert thop == {
        "macs": 1_824_033_792,  # dense MACs and what norms and pools cost
        "changes": {"keys": "18: total_ops, total_params", "training": "1: bn1"},
    }
    assert own == {"macs": 1_814_073_344, "changes": {}}


def test_a_failure_is_a_result() -> None:
    """A tool that raises gives its message, not a traceback."""
    assert count_one(("unheard of", "lstm"))["error"] == "KeyError: 'unheard of'"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("values", lambda net: net[1].running_mean.add_(1)),
        ("requires_grad", lambda net: net[0].weight.requires_grad_(False)),
        ("training", lambda net: net[1].eval()),
        ("hooks", lambda net: net[0].register_forward_hook(print)),
        ("forward", lambda net: setattr(net[0], "forward", lambda x: x)),
        ("attributes", lambda net: setattr(net[0], "__flops__", 1)),
    ],
)
def test_each_change_is_seen(kind: str, change: Any) -> None:
    """What a tool could leave in a model, made by hand; nothing else is reported with it."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = State.of(net)
    assert before.changes(State.of(net)) == {}
    change(net)
    assert kind in before.changes(State.of(net))


def test_a_patched_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of ``torch``, of its functional module, or of tensors."""
    net = nn.Linear(2, 2)
    before = State.of(net)
    monkeypatch.setattr(torch.nn.functional, "linear", print)
    assert before.changes(State.of(net)) == {"torch": "1: linear"}
