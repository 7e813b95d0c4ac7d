"""Forward pass of every arm (network) of Table 2, at batches of 1 and 8.

On the CPU: one thread, and the process's CPU time, which a busy machine affects less than wall
time. On a GPU: wall time until the device has finished, with TF32 off, as cuDNN's default (on) and
matmul's (off) would favour convolutions. Rounds and warm-up are fixed: the first calls are up to
five times slower, and a calibration that starts with them ends too early.

One process is one sample: rounds within it agree far better than processes do. Compare the minima
of three runs or more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from flopbench.counting.agreement import REFERENCE
from flopbench.counting.run import measure, preset_specs
from flopbench.models.build.by_source import build
from flopbench.models.presets import load_preset
from flopbench.models.spec import ModelSpec

ARMS = preset_specs(load_preset("arnet"))
INPUTS = 4
"""Inputs that take turns, so that no round finds its input in the processor's cache."""
SEED = 0
CPU_ROUNDS = {1: (5, 30), 8: (2, 10)}
"""Batch -> (warm-up rounds, rounds): after two warm-up rounds times are stable."""
GPU_ROUNDS = {1: (20, 100), 8: (20, 100)}
"""The same on a GPU, where cuDNN chooses kernels and clocks rise in the first calls."""

each_arm = pytest.mark.parametrize("spec", ARMS, ids=lambda spec: f"{spec.model}@{spec.input}")


@pytest.fixture(autouse=True)
def _one_thread_fp32() -> Iterator[None]:
    """Compute with one thread and without TF32; restore the settings."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.get_num_threads(), cudnn.allow_tf32, matmul.allow_tf32
    torch.set_num_threads(1)
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    yield
    torch.set_num_threads(before[0])
    cudnn.allow_tf32, matmul.allow_tf32 = before[1:]


@each_arm
@pytest.mark.parametrize("batch", CPU_ROUNDS)
@pytest.mark.benchmark(timer=time.process_time, disable_gc=True)
def test_arm(benchmark: BenchmarkFixture, spec: ModelSpec, batch: int, cpu_name: str) -> None:
    """CPU time of one forward pass, one thread."""
    benchmark.group = f"arms, batch {batch}, cpu"
    benchmark.extra_info.update(facts(spec), batch=batch, device="cpu", device_name=cpu_name)
    forward(benchmark, spec, batch, "cpu", CPU_ROUNDS[batch])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@each_arm
@pytest.mark.parametrize("batch", GPU_ROUNDS)
@pytest.mark.benchmark(timer=time.perf_counter, disable_gc=True)
def test_arm_gpu(benchmark: BenchmarkFixture, spec: ModelSpec, batch: int) -> None:
    """Wall time of one forward pass, to the end of the device's work."""
    benchmark.group = f"arms, batch {batch}, gpu"
    name = torch.cuda.get_device_name()
    benchmark.extra_info.update(facts(spec), batch=batch, device="cuda", device_name=name)
    forward(benchmark, spec, batch, "cuda", GPU_ROUNDS[batch])


def facts(spec: ModelSpec) -> dict[str, Any]:
    """Return the context of an arm's times: its exact cost, and the software."""
    profile = measure([spec], [REFERENCE])[0].under(REFERENCE)
    assert profile is not None
    return {
        "spec": str(spec),
        "dense_macs_per_sample": profile.dense_macs,
        "activations_per_sample": profile.activations,
        "counter": f"{profile.counter} {profile.counter_version}",
        "precision": "fp32, TF32 off",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def forward(
    benchmark: BenchmarkFixture, spec: ModelSpec, batch: int, device: str, rounds: tuple[int, int]
) -> None:
    """Time the forward pass, without building and without drawing and moving inputs.

    Args:
        benchmark: measures the times.
        spec: the arm.
        batch: samples in an input.
        device: ``cpu`` or ``cuda``.
        rounds: (warm-up rounds, rounds).
    """
    built = build(spec, "cpu")
    module = built.module.to(device)
    shape = (batch, *built.args[0].shape[1:])
    generator = torch.Generator().manual_seed(SEED)
    with torch.inference_mode():
        inputs = [torch.rand(shape, generator=generator).to(device) for _ in range(INPUTS)]
        turns = cycle(inputs)

        def finished(x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = module(x)
            torch.cuda.synchronize()
            return y

        output = benchmark.pedantic(
            finished if device == "cuda" else module,
            setup=lambda: ((next(turns),), {}),
            warmup_rounds=rounds[0],
            rounds=rounds[1],
        )
    assert output.shape == (batch, spec.classes)
    assert torch.isfinite(output).all()
