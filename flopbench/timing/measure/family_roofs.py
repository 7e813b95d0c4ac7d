"""Measuring the roofs of operator families: the highest rates of several shapes and sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from flopbench.core.units import FLOPS_PER_MAC
from flopbench.timing.measure.precision import precision
from flopbench.timing.roofs import FamilyRoof

Fastest = Callable[[Callable[[], object]], float]
"""Takes a call, returns the seconds of the fastest."""

STREAM_BYTES = {"cpu": tuple(4**n for n in range(7, 14))}
"""16 KiB to 64 MiB on each side, by fours: from the smallest first-level cache to beyond the share
of the last level that one core gets. Between two, a bound takes the rate of the smaller one."""

STREAM_BYTES_ELSEWHERE = tuple(4**n for n in range(9, 15))
"""256 KiB to 256 MiB: a second-level cache has 4 to 100 MiB; below, a launch is all of the time."""

ALLOCATING_BYTES = {"cpu": 2**20}
"""Operators that allocate their output are only measured up to here: beyond, the system may have to
find memory for each call, which one with memory at hand does not wait for."""

GROUPED_BYTES = {"cpu": 2**20, "cuda": 2**28, "mps": 2**28}
"""Calls that move less are timed in groups: a clock or an event takes a microsecond itself."""

GROUPED_CALLS = 64
"""Most calls in a group."""

BATCH = {"cpu": 1, "cuda": 128, "mps": 32}
"""Images of a convolution, for each thread: enough to occupy all multiprocessors."""

_CONVOLUTIONS = (
    # family, channels in and out, height and width (three: depth too), kernel, groups
    ("convolution", 256, (14, 14), 3, 1),
    ("convolution", 64, (56, 56), 3, 1),
    ("convolution", 512, (14, 14), 1, 1),
    ("convolution", 256, (28, 28), 1, 1),
    ("convolution", 128, (14, 14), 5, 1),
    ("convolution", 64, (8, 14, 14), 3, 1),
    ("grouped convolution", 256, (14, 14), 3, 2),
    ("grouped convolution", 256, (28, 28), 3, 8),
    ("depthwise convolution", 128, (28, 28), 3, 128),
    ("depthwise convolution", 128, (28, 28), 5, 128),
    ("depthwise convolution", 128, (28, 28), 7, 128),
)
"""About 0.1e9 MACs each for a dense one, 2 ms on a core."""

_LINEAR = {"cpu": (256, 1024, 1024), "cuda": (8192, 4096, 4096), "mps": (2048, 2048, 2048)}
"""Rows, inputs and outputs: a linear layer multiplies by the transposed weight."""

_Moving = tuple[str, int, Callable[[], object]]
"""A family, the bytes of a call, both sides together, and the call."""

_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def measure_families(
    device: str,
    dtype: str,
    threads: int,
    fastest_s: Fastest,
    *,
    matmul_flops_per_s: float,
    sizes: tuple[int, ...] = (),
) -> tuple[FamilyRoof, ...]:
    """Measure every family in one number format; what a device lacks is left out.

    ``matmul_flops_per_s`` is of the best square product, in this format; ``sizes``, bytes on a
    side, are the device's by default.
    """
    flops = {"matmul": matmul_flops_per_s}
    streams: dict[str, dict[int, float]] = {}
    calls_s: dict[str, float] = {}
    sizes = sizes or STREAM_BYTES.get(device, STREAM_BYTES_ELSEWHERE)
    with precision(dtype) as kind:
        for family, macs, call in _dense(device, kind, threads):
            with contextlib.suppress(RuntimeError):  # not in this format, or no memory
                rate = FLOPS_PER_MAC * macs / fastest_s(call)
                flops[family] = max(rate, flops.get(family, 0.0))
        # On an accelerator a captured graph has no calls, so a bound must not charge them.
        for family, call in _smallest(kind) if device == "cpu" else ():
            with contextlib.suppress(RuntimeError):
                seconds = fastest_s(_repeated(call, GROUPED_CALLS)) / GROUPED_CALLS
                calls_s[family] = min(seconds, calls_s.get(family, seconds))
        for size in sizes:
            repeats = min(max(1, GROUPED_BYTES[device] // size), GROUPED_CALLS)
            calls = _moving(torch.zeros(0, device=device, dtype=kind), size)
            if size <= ALLOCATING_BYTES.get(device, size):
                calls = chain(calls, _allocating(torch.zeros(0, device=device, dtype=kind), size))
            for family, moved, call in calls:
                with contextlib.suppress(RuntimeError):
                    rate = repeats * moved / fastest_s(_repeated(call, repeats))
                    known = streams.setdefault(family, {})
                    known[size] = max(rate, known.get(size, 0.0))
    return tuple(
        FamilyRoof(
            dtype=dtype,
            family=family,
            flops_per_s=flops.get(family),
            streams=tuple(sorted(streams.get(family, {}).items())),
            call_s=calls_s.get(family, 0.0),
        )
        for family in (*flops, *streams)
    )


def _repeated(call: Callable[[], object], repeats: int) -> Callable[[], object]:
    if repeats == 1:
        return call

    def run() -> None:
        for _ in range(repeats):
            call()

    return run


def _dense(
    device: str, kind: torch.dtype, threads: int
) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Yield families with dense work: MACs of a call, and the call."""
    where: Mapping[str, Any] = {"device": device, "dtype": kind}
    rows, inputs, outputs = _LINEAR[device]
    x, weight = torch.ones(rows, inputs, **where), torch.ones(outputs, inputs, **where)
    yield "matmul", rows * inputs * outputs, lambda: functional.linear(x, weight)
    batch = BATCH[device] * (threads if device == "cpu" else 1)
    for family, width, sizes, kernel, groups in _CONVOLUTIONS:
        image = torch.ones(batch, width, *sizes, **where)
        weight = torch.ones(width, width // groups, *[kernel] * len(sizes), **where)
        macs = image.numel() * weight[0].numel()
        convolve = {4: torch.conv2d, 5: torch.conv3d}[image.dim()]
        options = {"padding": kernel // 2, "groups": groups}
        for form in (torch.contiguous_format, _LAST[image.dim()]):
            operands = [one.contiguous(memory_format=form) for one in (image, weight)]
            yield family, macs, partial(convolve, *operands, **options)


def _smallest(kind: torch.dtype) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield a call of each family with next to nothing to compute or to move, on the CPU."""
    one, two = torch.ones(1, 1, 1, 1, dtype=kind), torch.ones(1, 2, 1, 1, dtype=kind)
    vector, pair = torch.ones(1, dtype=kind), torch.ones(2, 1, 1, 1, dtype=kind)
    target = torch.ones_like(one)
    yield "convolution", partial(torch.conv2d, one, one)
    for family in ("grouped convolution", "depthwise convolution"):
        yield family, lambda: torch.conv2d(two, pair, groups=2)
    yield "matmul", partial(functional.linear, vector.view(1, 1), vector.view(1, 1))
    yield "copy", partial(target.copy_, one)
    yield "copy", vector.clone
    yield "pointwise", vector.relu_
    yield "pointwise", partial(vector.mul_, 1.0)
    yield "reduction", vector.sum
    yield (
        "normalisation",
        lambda: torch.batch_norm(one, None, None, vector, vector, False, 0.1, 1e-5, False),
    )
    yield "normalisation", partial(torch.layer_norm, vector, (1,))
    yield "softmax", partial(torch.softmax, vector, 0)
    yield "pooling", partial(functional.avg_pool2d, one, 1)


def _moving(like: torch.Tensor, size: int) -> Iterator[_Moving]:
    """Yield calls that move ``size`` bytes on the larger side, all into memory at hand.

    Buffers are read again by the next call, so they come from the highest cache that holds them.
    """
    source = like.new_ones(size // like.element_size())
    target = torch.ones_like(source)
    first, second = source.chunk(2)
    yield "copy", 2 * size, lambda: target.copy_(source)
    yield "copy", size, lambda: target.fill_(1.0)
    yield "pointwise", 2 * size, lambda: functional.relu_(source)
    yield "pointwise", size + size // 2, lambda: torch.add(first, second, out=target[: len(first)])
    yield "reduction", size, source.sum
    yield "reduction", size, partial(torch.mean, source.view(64, -1), 1)


def _allocating(like: torch.Tensor, size: int) -> Iterator[_Moving]:
    """Yield calls as ``_moving``, of operators that are known to allocate what they return."""
    count = size // like.element_size()
    side = 2 ** ((count.bit_length() - 7) // 2)
    image = like.new_ones(1, 64, side, count // 64 // side)
    norm = nn.BatchNorm2d(64, device=like.device, dtype=like.dtype).eval()
    rows = image.view(-1, 256)
    yield "normalisation", 2 * size, partial(functional.layer_norm, rows, (256,))
    yield "softmax", 2 * size, partial(functional.softmax, rows, -1)
    for x in (image, image.to(memory_format=torch.channels_last)):
        yield "normalisation", 2 * size, partial(norm, x)
        yield "pooling", size + size // 4, partial(functional.max_pool2d, x, 2)
        yield "pooling", size + size // 4, partial(functional.avg_pool2d, x, 2)
        yield "pooling", 2 * size, partial(functional.avg_pool2d, x, 3, 1, 1)
