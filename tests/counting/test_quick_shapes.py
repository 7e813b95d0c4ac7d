"""Counting on shapes works on every torch: flopbench itself never forces it to the CPU."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

import flopbench
from flopbench.models.build import kernels


def net() -> nn.Module:
    """Return a convolution with batch normalisation: 432 MACs at each of 6 x 6 places."""
    return nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16)).eval()


@pytest.mark.parametrize("counter", ["thop-2020", "thop", "torch"])
def test_shapes_suffice_on_every_torch(counter: str) -> None:
    """These counters need no values, so they run on the meta device and have no note on values."""
    profile = flopbench.profile(net(), torch.empty(1, 3, 8, 8), counters=counter)

    assert profile.device == "meta"
    assert profile.dense_macs == 432 * 36
    assert not profile.notes


def test_quick_batch_norm_takes_effect_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel serves meta tensors within the block; afterwards torch's own does again."""
    served = []
    original = kernels._batch_norm_shapes

    def record(*args: Any) -> Any:
        served.append(args[0].shape)
        return original(*args)

    monkeypatch.setattr(kernels, "_batch_norm_shapes", record)
    model, image = net().to("meta"), torch.empty(2, 3, 8, 8, device="meta")
    for _ in range(2):
        served.clear()
        with torch.no_grad(), kernels.quick_shapes():
            assert model(image).shape == (2, 16, 6, 6)
        assert served == [(2, 16, 6, 6)]
        assert model(image).shape == (2, 16, 6, 6)
        assert len(served) == 1


def test_batch_norm_counts_without_the_quick_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that refuses the kernel costs time, not the meta device and not the count."""

    def refuse(*_args: object) -> contextlib.AbstractContextManager[None]:
        raise RuntimeError("no such kernel may be set")

    monkeypatch.setattr(torch.library, "_scoped_library", refuse)
    profile = flopbench.profile(net(), torch.empty(1, 3, 8, 8), counters="thop-2020")

    assert profile.device == "meta"
    assert profile.dense_macs == 432 * 36
