"""A throughput sweep: which batches are tried, in which order, and its key batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clocks import NoiseClock, timed
from hypothesis import given
from hypothesis import strategies as st

from flopbench.timing.records import Timing, TimingSpec
from flopbench.timing.sweeps import LARGEST_BATCH, NEAR_BEST, Probe, key_batches, sweep


class Machine:
    """A machine that answers probes and remembers them.

    Args:
        rate: batch -> images a second.
        full: the first batch that memory has no room for.
        peak: batch -> bytes.
    """

    def __init__(
        self,
        rate: Callable[[int], float],
        full: int = 10**9,
        peak: Callable[[int], int] | None = None,
    ) -> None:
        self.rate, self.full, self.peak = rate, full, peak
        self.asked: list[int] = []

    def __call__(self, batch: int) -> Probe:
        self.asked.append(batch)
        if batch >= self.full:
            return Probe(batch=batch, images_per_s=None, failure="out of memory")
        peak = None if self.peak is None else self.peak(batch)
        return Probe(batch=batch, images_per_s=self.rate(batch), peak_bytes=peak)


def rising(batch: int) -> float:
    """Throughput that never stops rising."""
    return 10.0 * batch


def up_to_8(batch: int) -> float:
    """Throughput that a batch of 8 saturates."""
    return 10.0 * min(batch, 8)


def bytes_of(batch: int) -> int:
    """Return 100 bytes and 50 an image."""
    return 100 + 50 * batch


DIP = {1: 10.0, 2: 20.0, 4: 40.0, 8: 5.0, 16: 80.0, 32: 80.0, 64: 80.0}


@pytest.mark.parametrize(
    ("machine", "options", "asked"),
    [
        # It rises up to 8, so 16 and 32 gain nothing and 64 is never tried.
        (Machine(up_to_8), {"reference": 4}, [1, 2, 4, 8, 16, 32]),
        # A dip at 8 is followed by a gain over the best so far: counting restarts.
        (Machine(DIP.__getitem__), {"reference": 1}, [1, 2, 4, 8, 16, 32, 64]),
        # 4 % a doubling, over the best so far, is no gain; so is 4 % and then 4 % of that.
        (Machine(lambda b: 100 * 1.04 ** (b.bit_length() - 1)), {"reference": 1}, [1, 2, 4]),
        # Out of memory ends it, and a reference beyond is not tried.
        (Machine(rising, full=8), {"reference": 32}, [1, 2, 4, 8]),
        (Machine(rising, full=1), {"reference": 32}, [1]),
        # A reference that doubling skips, or ends before, comes last.
        (Machine(up_to_8), {"reference": 24}, [1, 2, 4, 8, 16, 32, 24]),
        (Machine(lambda b: 10.0), {"reference": 32}, [1, 2, 4, 32]),
        # ``most`` is a promise, also to the reference; and it need not be a power of two.
        (Machine(rising), {"reference": 32, "most": 12}, [1, 2, 4, 8]),
        # 16 take 900 bytes, of 1000 that is more than four fifths; 8 take 500, 12 take 700.
        (Machine(rising, peak=bytes_of), {"reference": 16, "memory_bytes": 1000}, [1, 2, 4, 8]),
        (Machine(rising, peak=bytes_of), {"reference": 12, "memory_bytes": 1000}, [1, 2, 4, 8, 12]),
        (
            Machine(rising, peak=bytes_of),
            {"reference": 16, "memory_bytes": 1125, "most": 16},
            [1, 2, 4, 8, 16],
        ),
        # Without a memory to protect (a GPU reports when it is full) only failure ends it.
        (
            Machine(rising, full=64, peak=lambda b: 2**b),
            {"reference": 1},
            [1, 2, 4, 8, 16, 32, 64],
        ),
    ],
)
def test_which_batches_are_tried(machine: Machine, options: Any, asked: list[int]) -> None:
    """In this order; results are in the order of batches, and a failed one is kept."""
    probes = sweep(machine, **options)
    assert machine.asked == asked
    assert [probe.batch for probe in probes] == sorted(asked)
    assert all((probe.images_per_s is None) == (probe.batch >= machine.full) for probe in probes)


def test_key_batches_of_a_sweep() -> None:
    """Best is the fastest, the smaller of equals; B90 is the smallest within 90 % of it."""
    rates = {1: 10.0, 2: 50.0, 4: 90.0, 8: 100.0, 16: 100.0, 32: 99.0}
    probes = [Probe(batch=batch, images_per_s=rate) for batch, rate in rates.items()]
    assert key_batches(probes, 32) == {"one": 1, "reference": 32, "best": 8, "b90": 4}
    assert key_batches(probes, 24)["reference"] is None
    assert set(key_batches([Probe(batch=1, failure="full")], 1).values()) == {None}
    failed = Probe(batch=64, images_per_s=None, failure="out of memory")
    assert key_batches([*probes[1:], failed], 64) == {
        "one": None,
        "reference": None,
        "best": 8,
        "b90": 4,
    }


def test_a_probe_reads_a_row() -> None:
    """Batch over the median of process medians, the largest peak, or the failure."""
    spec = TimingSpec(spec="resnet18@32", batch=8)
    row = timed([NoiseClock(1 / 16), NoiseClock(1 / 8), NoiseClock(1 / 4)], spec)
    assert Probe.of(row) == Probe(batch=8, images_per_s=64.0)
    row = timed([NoiseClock(1 / 16)], spec, run={"peak_bytes": 7})
    assert Probe.of(row).peak_bytes == 7
    failed = Timing(what=spec, lead="cpu_s", processes=(), failure="out of memory")
    assert Probe.of(failed) == Probe(batch=8, images_per_s=None, failure="out of memory")
    empty = Timing(what=spec, lead="cpu_s", processes=())
    assert Probe.of(empty).failure == "not measured"


@given(
    rates=st.lists(st.floats(0.1, 1e6), min_size=13, max_size=13),
    full=st.integers(1, 10_000),
    reference=st.integers(1, 10_000),
    most=st.integers(1, LARGEST_BATCH),
    memory=st.none() | st.integers(1, 10**7),
)
def test_no_sweep_oversteps(
    rates: list[float], full: int, reference: int, most: int, memory: int | None
) -> None:
    """Never above ``most``, no batch twice, results in order, nothing after a failure but less."""
    machine = Machine(
        lambda batch: rates[batch.bit_length() - 1], full=full, peak=lambda batch: 1000 * batch
    )
    probes = sweep(machine, reference=reference, most=most, memory_bytes=memory)
    asked = machine.asked
    assert asked[0] == 1
    assert max(asked) <= most
    assert len(set(asked)) == len(asked)
    assert [probe.batch for probe in probes] == sorted(asked)
    assert sum(batch >= full for batch in asked) <= 2  # the doubling's, and the reference
    keys = key_batches(probes, reference)
    done = {probe.batch: probe.images_per_s for probe in probes if probe.images_per_s is not None}
    assert set(keys.values()) <= {*done, None}
    if done:
        best, near = keys["best"], keys["b90"]
        assert best is not None
        assert near is not None
        assert done[best] == max(done.values())
        assert near <= best
        assert done[near] >= NEAR_BEST * done[best]
