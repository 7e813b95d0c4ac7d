"""The Python API: live modules stay unchanged, and the count is for the given input."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nets import Awkward, Failing, Scripted, ValueDependent, same_state, state_of
from torch import nn

import flopbench
from flopbench.core.errors import InputError
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.measure.profiler import profile_module
from flopbench.counting.registry import CounterInfo, find_counters

SHAPE = (1, 3, 8, 10)


@pytest.mark.parametrize("counter", DEFAULT_COUNTERS)
@pytest.mark.parametrize("training", [True, False])
def test_a_live_module_comes_back_untouched(counter: str, training: bool) -> None:
    """Keys, values, training flags, hooks, attributes: all as before; and the count is right."""
    net = Awkward().train(training)
    net.norm.train(not training)
    before = state_of(net)
    profile = flopbench.profile(net, SHAPE, counters=counter)
    assert same_state(before, state_of(net))
    assert net.calls == 0
    if not counter.startswith("thop"):  # THOP counts a shared module once a place
        assert profile.dense_macs == Awkward.dense_macs(8, 10)
    assert profile.params == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("counter", DEFAULT_COUNTERS)
def test_a_module_that_raises_comes_back_untouched(counter: str) -> None:
    """The model's own exception is named, and nothing is left behind in model or torch."""
    net = Failing().train()
    before = state_of(net)
    globally = len(nn.modules.module._global_forward_hooks)
    with pytest.raises(InputError, match="ValueError: half way"):
        flopbench.profile(net, SHAPE, counters=counter)
    assert same_state(before, state_of(net))
    assert len(nn.modules.module._global_forward_hooks) == globally
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


def test_inputs_in_every_form() -> None:
    """A shape, a size, a tensor, a tuple, keywords: the count follows the input."""
    conv = nn.Conv2d(3, 5, 1)
    macs = 3 * 5
    for given, positions in [
        ((2, 3, 4, 6), 48),
        (7, 49),
        ("7", 49),
        ("4x6", 24),
        (torch.zeros(1, 3, 2, 2), 4),
        ((torch.zeros(1, 3, 2, 2),), 4),
        ({"input": torch.zeros(1, 3, 2, 2)}, 4),
    ]:
        assert flopbench.profile(conv, given).dense_macs == macs * positions


class Writes(nn.Module):
    """Writes to its input, its weights and every generator of random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.linear.weight.data.mul_(0.5)
        x.add_(1)
        random.random()
        np.random.rand()
        return self.linear(x) + torch.rand(4) * float(x.sum())


def test_what_a_forward_writes_to_is_never_the_users() -> None:
    """Weights, inputs and generators are as they were, though this forward changes them all."""
    net, x = Writes(), torch.zeros(1, 4, requires_grad=True).detach()
    before, weights = state_of(net), net.linear.weight.clone()
    generators = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    profiles = flopbench.profile(net, x, counters=list(DEFAULT_COUNTERS))
    assert {p.dense_macs for p in profiles} == {16}
    assert torch.equal(x, torch.zeros(1, 4))
    assert torch.equal(net.linear.weight, weights)
    assert same_state(before, state_of(net))
    assert random.getstate() == generators[0]
    assert np.random.get_state()[1].tolist() == generators[1]
    assert torch.equal(torch.get_rng_state(), generators[2])


def test_inputs_may_require_gradients_and_weights_be_of_another_type() -> None:
    """A tensor with a gradient, a half-precision model, a module made under another device."""
    x = torch.zeros(1, 4, requires_grad=True)
    for net in (nn.Linear(4, 2), nn.Linear(4, 2).bfloat16(), nn.Linear(4, 2).double()):
        given = x if net.weight.dtype is torch.float32 else (1, 4)
        profiles = flopbench.profile(net, given, counters=list(DEFAULT_COUNTERS))
        assert [p.dense_macs for p in profiles] == [8] * 4
    with torch.device("meta"):
        assert flopbench.profile(nn.Linear(4, 2, device="cpu"), x, counters="thop").total == 8


def test_work_handed_to_numpy_is_reported() -> None:
    """It cannot be counted, so it is a gap of the reference counter."""

    class Arrays(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            array = x.numpy()
            return torch.from_numpy(array @ array.T)

    profile = flopbench.profile(Arrays(), (3, 4))
    assert profile.dense_macs == 0
    assert [(g.name, g.may_multiply) for g in profile.not_counted] == [("Tensor.numpy", True)]
    assert "numpy" not in vars(torch.Tensor)  # inherited, as before


def closure() -> nn.Module:
    """Return a module whose forward calls a layer that it does not own by attribute."""
    net = nn.Module()
    net.layer = nn.Linear(4, 4)
    layer = net.layer
    net.forward = lambda x: layer(x)  # type: ignore[method-assign]
    return net


class Locked(nn.Linear):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.lock = threading.Lock()


class Unreached(nn.Module):
    """Has a lazy layer that never runs, so that nothing gives it a shape."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.LazyLinear(2), nn.LazyLinear(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x)


class Exits(nn.Module):
    """Ends the program."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


@pytest.mark.parametrize(
    ("make", "needle"),
    [
        (closure, "holds in a closure"),
        (Locked, r"attribute `model.lock` \(a lock\) cannot be copied: make it where it is used"),
        (Unreached, "the lazy layer .b. has no shape: the forward pass does not reach it"),
        (Exits, "SystemExit: 0"),
        (Scripted, "fvcore fails on a model that runs without it: "),
        (lambda: nn.Linear(4, 4, device="meta"), "the model is on the meta device"),
    ],
)
def test_modules_that_cannot_be_counted_are_told_why(make: Any, needle: str) -> None:
    """One message, and the module is not run."""
    with pytest.raises(flopbench.FlopbenchError, match=needle):
        flopbench.profile(make(), torch.zeros(1, 4), counters="fvcore")


def test_several_counters_give_a_list_in_order() -> None:
    """One counter gives a profile, several give a list."""
    net = nn.Linear(4, 2)
    one = flopbench.profile(net, (1, 4))
    many = flopbench.profile(net, (1, 4), counters=["fvcore", "torch"])
    assert one.counter == "torch"
    assert [p.counter for p in many] == ["fvcore", "torch"]
    assert {p.dense_macs for p in many} == {8}


def test_specifications_and_modules_agree() -> None:
    """A specification and the same live network cost the same."""
    from torchvision.models import resnet18

    live = flopbench.profile(resnet18(), (1, 3, 64, 64))
    text = flopbench.profile("resnet18@64")
    assert flopbench.profile("resnet18", 64) == text
    assert (live.dense_macs, live.params, live.activations) == (
        text.dense_macs,
        text.params,
        text.activations,
    )


def test_wrappers_are_seen_through() -> None:
    """torch.compile and DataParallel are counted as what they wrap."""
    net = nn.Linear(4, 2)
    for wrapped in (torch.compile(net), nn.DataParallel(net)):
        assert flopbench.profile(wrapped, (1, 4)).dense_macs == 8


def test_work_that_depends_on_values_is_counted_on_the_given_values() -> None:
    """Three rounds cost three linear layers; the profile says that values mattered."""
    profile = flopbench.profile(ValueDependent(), torch.full((1, 4), 3.0))
    assert profile.dense_macs == 3 * 16
    assert profile.device == "cpu"
    assert profile.notes == (
        "for these values: the work depends on values (Tensor.item); the model's own weights",
    )


@pytest.mark.parametrize(
    ("model", "input", "needle"),
    [
        (nn.Linear(4, 2), None, "a live module needs its input"),
        (nn.Linear(4, 2), 3.5, "inputs are float"),
        (nn.Linear(4, 2), (1, 0), "at least 1"),
        (nn.Linear(4, 2), (1, 5), "does not run at this input"),
        ("resnet18@64", 32, "already has its own input"),
        ("resnet18", (1, 3, 64, 64), "give a size such as 224"),
        ("value:7", None, "is a constant"),
        (nn.Linear, (1, 4), "expected a specification or a torch.nn.Module"),
    ],
)
def test_bad_calls_are_refused(model: object, input: object, needle: str) -> None:
    """Each is an InputError with one clear message."""
    with pytest.raises(InputError, match=needle):
        flopbench.profile(model, input)  # type: ignore[call-overload]


def test_a_counter_that_cannot_is_told_from_a_model_that_does_not_run() -> None:
    """The model runs, this counter cannot follow it: a failure of the counter, by name."""
    refusing = CounterInfo(
        name="refusing", target="nets:RefusingCounter", distribution="torch", extra=""
    )
    infos = [refusing, *find_counters(["torch"])]
    args = (torch.zeros(1, 4),)
    results = profile_module(nn.Linear(4, 2), args, {}, infos, name="net", input="1x4")
    assert results["refusing"] == (
        "refusing fails on a model that runs without it: "
        "NotImplementedError: never seen such a layer"
    )
    assert isinstance(results["torch"], flopbench.CostProfile)
    assert results["torch"].dense_macs == 8


def test_outputs_without_tensors_are_no_obstacle() -> None:
    """A forward that returns text and numbers is counted by every default counter."""

    class Speaks(nn.Linear):
        def forward(self, x: torch.Tensor) -> object:
            return {"text": "no tensor", "size": super().forward(x).numel(), "none": None}

    profiles = flopbench.profile(Speaks(4, 2), (1, 4), counters=["fvcore", "torch"])
    assert [p.dense_macs for p in profiles] == [8, 8]


def test_cost_table(tmp_path: Path) -> None:
    """Models are combined with resolutions, constants added; pandas and notebooks accept it."""
    table = flopbench.cost_table(
        ["resnet18", "squeezenet1_1"],
        resolutions=[64, "32x48"],
        counters=["torch", "thop"],
        classes=7,
    )
    assert [(r.model, r.input) for r in table][::2] == [
        ("resnet18", "64"),
        ("resnet18", "32x48"),
        ("squeezenet1_1", "64"),
        ("squeezenet1_1", "32x48"),
    ]
    assert {r.status for r in table} == {"verified"}
    frame = table.to_dataframe()
    assert list(frame["dense_macs"]) == [r.dense_macs for r in table]
    assert str(frame["dense_macs"].dtype) == str(frame["feature_dim"].dtype) == "Int64"
    assert frame["feature_dim"].isna().sum() == 4  # squeezenet's head is a convolution
    path = tmp_path / "t.json"
    table.save(path)
    assert flopbench.CostTable.load(path) == table
    assert "<td" in table._repr_html_()
    assert "resnet18 (7)" in table._repr_html_()
