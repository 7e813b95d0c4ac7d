"""A throughput sweep: which batches are tried, in which order, and its key batches."""

from __future__ import annotations

from collections.abc import Callable

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


def test_two_doublings_without_gain_end_a_sweep() -> None:
    """It rises up to 8, so 16 and 32 gain nothing and 64 is never tried."""
    machine = Machine(lambda batch: 10.0 * min(batch, 8))
    probes = sweep(machine, reference=4)
    assert machine.asked == [1, 2, 4, 8, 16, 32]
    assert [probe.batch for probe in probes] == [1, 2, 4, 8, 16, 32]


def test_one_bad_moment_does_not_end_a_sweep() -> None:
    """A dip at 8 is followed by a gain over the best so far: counting restarts."""
    rates = {1: 10.0, 2: 20.0, 4: 40.0, 8: 5.0, 16: 80.0, 32: 80.0, 64: 80.0}
    machine = Machine(lambda batch: rates[batch])
    sweep(machine, reference=1)
    assert machine.asked == [1, 2, 4, 8, 16, 32, 64]


def test_gains_within_five_per_cent_are_none() -> None:
    """4 % a doubling, over the best so far, ends it; so does 4 % and then 4 % of that."""
    machine = Machine(lambda batch: 100 * 1.04 ** (batch.bit_length() - 1))
    sweep(machine, reference=1)
    assert machine.asked == [1, 2, 4]


def test_out_of_memory_ends_a_sweep() -> None:
    """The failed probe is kept; a reference beyond it is not tried."""
    machine = Machine(rising, full=8)
    probes = sweep(machine, reference=32)
    assert machine.asked == [1, 2, 4, 8]
    assert probes[-1] == Probe(batch=8, images_per_s=None, failure="out of memory")


def test_a_failure_at_batch_one_ends_it_at_once() -> None:
    """Nothing was measured, and there are no key batches."""
    machine = Machine(rising, full=1)
    probes = sweep(machine, reference=32)
    assert machine.asked == [1]
    assert set(key_batches(probes, 32).values()) == {None}


def test_the_reference_is_measured_where_the_doubling_skips_it() -> None:
    """24 lies between powers of two; it comes last and stands in order."""
    machine = Machine(lambda batch: 10.0 * min(batch, 8))
    probes = sweep(machine, reference=24)
    assert machine.asked == [1, 2, 4, 8, 16, 32, 24]
    assert [probe.batch for probe in probes] == [1, 2, 4, 8, 16, 24, 32]


def test_the_reference_is_measured_where_the_doubling_ends_before_it() -> None:
    """Saturated at 4, but still measured at 32."""
    machine = Machine(lambda batch: 10.0)
    assert [probe.batch for probe in sweep(machine, reference=32)] == [1, 2, 4, 32]


def test_a_reference_above_the_most_is_left_out() -> None:
    """``most`` is a promise, also to the reference; and it need not be a power of two."""
    machine = Machine(rising)
    sweep(machine, reference=32, most=12)
    assert machine.asked == [1, 2, 4, 8]
    assert key_batches(sweep(machine, reference=32, most=12), 32)["reference"] is None


def test_memory_is_not_filled_beyond_four_fifths() -> None:
    """100 bytes and 50 an image: 16 take 900, of 1000 that is too much; 8 take 500."""
    machine = Machine(rising, peak=lambda batch: 100 + 50 * batch)
    probes = sweep(machine, reference=16, memory_bytes=1000)
    assert machine.asked == [1, 2, 4, 8]
    assert all(probe.images_per_s for probe in probes)
    roomy = Machine(rising, peak=lambda batch: 100 + 50 * batch)
    sweep(roomy, reference=16, memory_bytes=1125, most=16)
    assert roomy.asked == [1, 2, 4, 8, 16]


def test_a_smaller_reference_may_still_fit() -> None:
    """16 is expected to take too much, 12 is not: 700 of 1000."""
    machine = Machine(rising, peak=lambda batch: 100 + 50 * batch)
    sweep(machine, reference=12, memory_bytes=1000)
    assert machine.asked == [1, 2, 4, 8, 12]


def test_without_a_memory_to_protect_only_failure_ends_it() -> None:
    """A GPU itself reports when it is full."""
    machine = Machine(rising, full=64, peak=lambda batch: 2**batch)
    sweep(machine, reference=1)
    assert machine.asked == [1, 2, 4, 8, 16, 32, 64]


def test_key_batches_of_a_sweep() -> None:
    """Best is the fastest, the smaller of equals; B90 is the smallest within 90 % of it."""
    rates = {1: 10.0, 2: 50.0, 4: 90.0, 8: 100.0, 16: 100.0, 32: 99.0}
    probes = [Probe(batch=batch, images_per_s=rate) for batch, rate in rates.items()]
    assert key_batches(probes, 32) == {"one": 1, "reference": 32, "best": 8, "b90": 4}
    assert key_batches(probes, 24)["reference"] is None
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
