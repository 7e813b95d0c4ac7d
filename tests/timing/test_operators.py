"""What each dispatched operator must compute and move, on the CPU, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sweeps import each  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from flopbench.timing.measure.operators import operators_of  # noqa: E402
from flopbench.timing.measure.roofs import measure_roofs  # noqa: E402

X = torch.ones(2, 4, 6, 6)  # 288 elements, 1152 bytes
ROWS = torch.ones(8, 16)  # 128 elements, 512 bytes
DOUBLE, NARROW, WHOLE = ROWS.double(), ROWS.bfloat16(), ROWS.int()
CACHE = torch.ones(10, 16)
WEIGHT = torch.ones(8, 4, 3, 3)  # 288 elements


def found(call: Callable[[], Any], dtype: Any = torch.float32) -> list[tuple[Any, ...]]:
    """Return family, MACs, bytes read and written of each operator, times its calls."""
    with torch.inference_mode():
        made = operators_of(call, dtype)
    return [
        (one.family, one.macs, one.read_bytes, one.written_bytes)
        for one in made
        for _ in range(one.calls)
    ]


CASES: dict[str, tuple[Callable[[], Any], list[tuple[Any, ...]]]] = {
    # 2·8·6·6 outputs of 4·9 products; reads input and weight.
    "convolution": (
        lambda: F.conv2d(X, WEIGHT, padding=1),
        [("convolution", 576 * 36, 1152 + 1152, 576 * 4)],
    ),
    # A 1 x 1 window with a stride of 2 reads a quarter of the input.
    "strided 1x1": (
        lambda: F.conv2d(X, torch.ones(8, 4, 1, 1), stride=2),
        [("convolution", 2 * 8 * 9 * 4, 1152 // 4 + 128, 2 * 8 * 9 * 4)],
    ),
    "depthwise": (
        lambda: F.conv2d(X, torch.ones(4, 1, 3, 3), padding=1, groups=4),
        [("depthwise convolution", 288 * 9, 1152 + 144, 1152)],
    ),
    "grouped": (
        lambda: F.conv2d(X, torch.ones(4, 2, 1, 1), groups=2),
        [("grouped convolution", 288 * 2, 1152 + 32, 1152)],
    ),
    "linear": (
        lambda: F.linear(ROWS, torch.ones(4, 16), torch.ones(4)),
        [("matmul", 8 * 4 * 16, 512 + 256 + 16, 128)],
    ),
    # One tensor in three places is read once.
    "attention": (
        lambda: F.scaled_dot_product_attention(ROWS[None], ROWS[None], ROWS[None]),
        [("attention", 2 * 8 * 8 * 16, 512, 512)],
    ),
    "causal attention may do half": (
        lambda: F.scaled_dot_product_attention(ROWS[None], ROWS[None], ROWS[None], is_causal=True),
        [("attention", 8 * 8 * 16, 512, 512)],
    ),
    "wider numbers": (lambda: DOUBLE @ DOUBLE.T, [("matmul", 8 * 8 * 16, 1024, 512)]),
    "narrower numbers": (lambda: NARROW @ NARROW.T, [("matmul", 0, 256, 128)]),
    "whole numbers": (lambda: WHOLE @ WHOLE.T, [("matmul", 0, 512, 256)]),
    "in place": (lambda: torch.ones(8, 16).relu_(), [("pointwise", 0, 512, 512)]),
    "out": (lambda: torch.add(ROWS, ROWS, out=torch.ones(8, 16)), [("pointwise", 0, 512, 512)]),
    "broadcast": (
        lambda: ROWS + torch.ones(8, 1).expand(8, 16),
        [("pointwise", 0, 512 + 32, 512)],
    ),
    "views": (lambda: X.transpose(0, 1)[1:].unsqueeze(0).expand(3, -1, -1, -1, -1), []),
    "dropout does nothing": (lambda: F.dropout(X, 0.5, training=False), []),
    "identity": (lambda: ROWS.contiguous().to(torch.float32).reshape(16, 8), []),
    "a copy of a view": (lambda: X.transpose(2, 3).contiguous(), [("copy", 0, 1152, 1152)]),
    "into a cache": (lambda: CACHE[3:5].copy_(ROWS[:2]), [("copy", 0, 128, 128)]),
    "one row everywhere": (lambda: CACHE.copy_(ROWS[:1].expand(10, 16)), [("copy", 0, 64, 640)]),
    "a few rows": (lambda: F.embedding(torch.tensor([1, 2]), ROWS), [("copy", 0, 128, 128)]),
    "cat": (lambda: torch.cat([ROWS, ROWS[:2]]), [("copy", 0, 512, 640)]),
    "constants": (lambda: torch.ones(8).zero_().fill_(3), []),
    "reduction": (lambda: X.mean((2, 3)), [("reduction", 0, 1152, 32)]),
    "pooling": (
        lambda: F.avg_pool2d(X, 2),
        [("pooling", 0, 1152, 288)],
    ),
    "pooling steps over": (lambda: F.avg_pool2d(X, 1, 2), [("pooling", 0, 288, 288)]),
    "softmax": (lambda: F.softmax(ROWS, -1), [("softmax", 0, 512, 512)]),
    "an operator of no group": (lambda: torch.fft.fft(ROWS[:1]), [("other", 0, 0, 128)]),
}


def test_each_operator_moves_what_it_must() -> None:
    """Views move nothing, in-place operators read and write, doubtful traffic is left out."""

    def check(name: str) -> None:
        call, wanted = CASES[name]
        assert found(call) == wanted

    each(list(CASES), check)


def test_normalisation_keeps_its_running_statistics() -> None:
    """In evaluation they are read, not written; equal calls are one operator called twice."""
    layer = torch.nn.BatchNorm2d(4).eval()
    with torch.inference_mode():
        (one,) = operators_of(lambda: layer(layer(X)), torch.float32)
    assert (one.family, one.calls, one.read_bytes) == ("normalisation", 2, 1152 + 4 * 16)
    assert 1152 <= one.written_bytes <= 1152 + 32  # some versions return statistics


def test_recurrent_weights_are_read_once() -> None:
    """Every step multiplies by them, and they may stay in a cache."""
    layer = torch.nn.LSTM(4, 4, batch_first=True)
    (one,) = [o for o in found(lambda: layer(torch.ones(1, 5, 4))) if o[1]]
    # 5 steps of two 16 x 4 matrices; 5·4 inputs, two states of 4, 128 + 32 parameters.
    assert one == ("recurrent", 5 * 128, 4 * (20 + 8 + 160), 4 * (20 + 8))


def test_every_family_is_measured() -> None:
    """Those with dense work in FLOP/s, those that move bytes at each size, on one thread."""
    roofs = measure_roofs(
        "cpu", ["fp32"], 1, budget_s=0.01, n=64, buffer_bytes=2**20, stream_bytes=(2**14, 2**16)
    )
    dense = {one.family for one in roofs.families if one.flops_per_s}
    assert dense == {"matmul", "convolution", "grouped convolution", "depthwise convolution"}
    streams = {one.family: [size for size, _ in one.streams] for one in roofs.families}
    moving = ("copy", "pointwise", "reduction", "normalisation", "softmax", "pooling")
    assert {family for family, sizes in streams.items() if sizes == [2**14, 2**16]} == {*moving}
    assert all(one.call_s > 0 for one in roofs.families)
    assert roofs.lacks(["fp32"]) == () or roofs.matmul[0].busy
