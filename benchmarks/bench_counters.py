"""Counting each arm of Table 2 under each default counter, in one warm process.

The cache is bypassed: every round builds the model and counts it. For comparison, building alone
and counting under all default counters at once, which share one build, are timed too.
"""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.run import measure, preset_specs
from flopbench.models.build.by_source import build
from flopbench.models.build.kernels import quick_shapes
from flopbench.models.presets import load_preset
from flopbench.models.spec import ModelSpec

ARMS = preset_specs(load_preset("arnet"))
WARMUP_ROUNDS = 1
"""The first count imports the counter's library."""
ROUNDS = 5
COUNTERS = {**{name: (name,) for name in DEFAULT_COUNTERS}, "all": DEFAULT_COUNTERS}

pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.parametrize("spec", ARMS, ids=lambda spec: f"{spec.model}@{spec.input}"),
]


@pytest.mark.parametrize("counters", COUNTERS.values(), ids=COUNTERS)
def test_count(benchmark: BenchmarkFixture, spec: ModelSpec, counters: tuple[str, ...]) -> None:
    """CPU time of building and counting an arm."""
    benchmark.group = f"counters, {spec}"
    measured = benchmark.pedantic(
        measure,
        args=([spec], counters),
        kwargs={"refresh": True},
        warmup_rounds=WARMUP_ROUNDS,
        rounds=ROUNDS,
    )
    assert not measured[0].failures
    benchmark.extra_info.update(
        spec=str(spec),
        total={p.counter: p.total for p in measured[0].profiles},
        versions={p.counter: p.counter_version for p in measured[0].profiles},
        devices={p.counter: p.device for p in measured[0].profiles},
    )


def test_build_alone(benchmark: BenchmarkFixture, spec: ModelSpec) -> None:
    """CPU time of building an arm without allocating its weights, as counters do if they can."""
    benchmark.group = f"counters, {spec}"
    benchmark.extra_info.update(spec=str(spec))
    with quick_shapes():
        benchmark.pedantic(build, (spec, "meta"), warmup_rounds=WARMUP_ROUNDS, rounds=ROUNDS)
