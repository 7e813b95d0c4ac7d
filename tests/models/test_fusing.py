"""Networks that are trained with branches: counted as they are with a note, or fused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from flopbench import profile
from flopbench.core.errors import InputError

WIDTH, SIDE = 8, 6
POINTS = WIDTH * WIDTH * SIDE * SIDE
"""MACs of a convolution of 1 × 1; one of 3 × 3 has nine times as many."""


class Branches(nn.Module):
    """A convolution of 3 × 3 beside one of 1 × 1, and how to fuse them."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.narrow: nn.Module | None = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Any) -> Any:
        return self.wide(x) if self.narrow is None else self.wide(x) + self.narrow(x)

    def switch_to_deploy(self) -> None:
        if self.narrow is not None:
            self.wide.weight.data[:, :, 1:2, 1:2] += self.narrow.weight.data
            self.wide.bias.data += self.narrow.bias.data
            self.narrow = None


class Normed(nn.Sequential):
    """Folds a norm into a convolution, which saves no products."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH))

    def switch_to_deploy(self) -> None:
        self[1] = nn.Identity()


class Refusing(Branches):
    """Its method cannot be called so."""

    def switch_to_deploy(self, when: int) -> None:  # type: ignore[override]
        raise NotImplementedError(when)


@pytest.mark.parametrize(
    ("make", "macs", "noted"),
    [
        (Branches, 10 * POINTS, True),
        (lambda: nn.Sequential(Branches(), Branches()), 20 * POINTS, True),
        (Normed, POINTS, False),
        (Refusing, 10 * POINTS, False),
        (lambda: nn.Conv2d(WIDTH, WIDTH, 1), POINTS, False),
    ],
    ids=["branches", "inside", "norm", "refusing", "plain"],
)
def test_branches_that_can_be_fused_are_noted(make: Any, macs: int, noted: bool) -> None:
    """Only where fusing saves weights, and the model keeps its branches."""
    model = make()
    counted = profile(model, (1, WIDTH, SIDE, SIDE))
    assert counted.dense_macs == macs
    note = "has branches that are fused before deployment (Branches): fuse them to count"
    assert [one.startswith(note) for one in counted.notes] == [True] * noted
    before = torch.rand(1, WIDTH, SIDE, SIDE)
    expected = model.eval()(before)
    for child in model.modules():
        if noted and isinstance(child, Branches):
            child.switch_to_deploy()
    assert torch.allclose(model(before), expected, atol=1e-5)
    fused = profile(model, (1, WIDTH, SIDE, SIDE))
    assert (fused.dense_macs, fused.notes) == (macs - macs // 10 * noted, ())


def test_timms_form_for_deployment() -> None:
    """MobileOne-S0: 275,110,400 MACs, as published (0.275 G); with its branches 3.8 times that."""
    pytest.importorskip("timm")
    with_branches = profile("timm:mobileone_s0@224")
    assert with_branches.dense_macs > 10**9
    assert with_branches.notes[0].endswith(
        "(MobileOneBlock): add fused=True to count the form that is deployed"
    )
    as_it_is = profile("timm:mobileone_s0@224,fused=false")
    assert as_it_is.dense_macs == with_branches.dense_macs
    for counted in profile("timm:mobileone_s0@224,fused=True", counters=["torch", "thop"]):
        assert (counted.dense_macs, counted.notes) == (275_110_400, ())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:resnet18@64,fused=True", "timm:resnet18 has no branches to fuse"),
        ("timm:repvgg_a0@64,fused=later", "fused is 'later': expected True or False"),
    ],
)
def test_what_cannot_be_fused_is_refused(spec: str, message: str) -> None:
    """One message."""
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=message):
        profile(spec)
