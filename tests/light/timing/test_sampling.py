"""The timing loop, driven by a clock of noise: when it stops, how often it calls, in which order.

Base times are powers of two, so that sums of them are exact and counts can be worked out by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from clocks import NoiseClock, idle
from hypothesis import given, settings
from hypothesis import strategies as st

from flopbench.core.statistics import half_width, median
from flopbench.timing.measure.sampling import (
    FEWEST_SAMPLES,
    PATIENCE_S,
    PRECISE_WITHIN,
    WARM_UP_LIMIT_S,
    WARM_UP_S,
    Sampled,
    best_pace,
    first_call,
    sample,
    warm_up,
)


def warmed(clock: NoiseClock, call: Callable[[], Any] = idle) -> Sampled:
    """Return the result of a warm-up."""
    sampled = Sampled()
    warm_up(clock, call, sampled)
    assert clock.made == sampled.warm_up_calls
    assert clock.now() == sampled.warm_up_s
    return sampled


def taking(*factors: float) -> Callable[[], float]:
    """Return a call that takes these times in turn."""
    made = -1

    def call() -> float:
        nonlocal made
        made += 1
        return factors[made % len(factors)]

    return call


@pytest.mark.parametrize(
    ("base_s", "calls"),
    [
        (1 / 16, 20),  # two blocks take 1.25 s
        (1 / 32, 40),  # 30 calls take 0.94 s, less than the second that is asked for; 40 take 1.25
        (1 / 1024, 1030),  # 1024 calls take a second; blocks are of ten
        (1.0, 20),  # two blocks of ten take 20 s, which is just the limit
        (1.25, 16),  # 20 / (2 · 1.25) = 8 calls a block
        (2.0, 10),  # 20 / (2 · 2) = 5 calls a block
        (4.0, 4),  # 20 / (2 · 4) = 2.5: two calls a block
        (64.0, 4),  # never fewer than two
    ],
)
def test_a_steady_call_settles_after_two_blocks_and_a_second(base_s: float, calls: int) -> None:
    """Two blocks of ten calls and a second at least; blocks shrink for calls of seconds."""
    sampled = warmed(NoiseClock(base_s))
    assert (sampled.warm_up_calls, sampled.settled) == (calls, True)


def test_slow_first_calls_prolong_the_warm_up() -> None:
    """Fifteen calls at double time: block medians 2, 1.5, 1, 1, so it ends after the fourth."""
    sampled = warmed(NoiseClock(1 / 16, warm_up=[2.0] * 15))
    assert (sampled.warm_up_calls, sampled.settled) == (40, True)


def test_a_change_within_two_per_cent_is_settled() -> None:
    """Blocks of 1.0156 and 1 agree; those of 1.031 and 1 do not, and the next of 1 does."""
    inside = warmed(NoiseClock(1 / 16, warm_up=[1 + 1 / 64] * 10))
    assert (inside.warm_up_calls, inside.settled) == (20, True)
    outside = warmed(NoiseClock(1 / 16, warm_up=[1 + 1 / 32] * 10))
    assert (outside.warm_up_calls, outside.settled) == (30, True)


def test_a_call_that_never_settles_is_given_up_at_the_limit() -> None:
    """Calls n = 0, 1, … of (1 + n/16) / 4 s: 40 take 22.2 s, over 20 s; blocks differ by 40 %."""
    sampled = warmed(NoiseClock(1 / 4, drift=1 / 16))
    assert sampled.warm_up_s == (40 + 39 * 40 / 2 / 16) / 4
    assert (sampled.warm_up_calls, sampled.settled) == (40, False)


def test_a_very_slow_call_that_does_not_settle_costs_four_calls() -> None:
    """A warm-up of calls of half a minute compares two blocks of two and gives up."""
    sampled = warmed(NoiseClock(32.0, drift=1 / 2))
    assert (sampled.warm_up_calls, sampled.settled) == (4, False)


def test_a_pause_in_a_block_does_not_unsettle_it() -> None:
    """Medians are compared: up to four outliers in a block of ten change nothing."""
    factors = [1.0] * 10 + [9.0] * 4 + [1.0] * 6
    sampled = warmed(NoiseClock(1 / 16), taking(*factors))
    assert (sampled.warm_up_calls, sampled.settled) == (20, True)


def test_the_first_call_stands_apart() -> None:
    """It is wall time, and neither the warm-up nor a sample includes it."""
    clock = NoiseClock(1 / 16, warm_up=[64.0], waits=0.5)
    assert first_call(clock, idle) == 64 / 16 * 1.5
    (sampled,) = sample(clock, [idle], budget_s=2.0)
    assert (sampled.warm_up_calls, sampled.settled) == (20, True)
    assert sampled.warm_up_s == 20 / 16 * 1.5
    assert max(sampled.columns["cpu_s"]) == 1 / 16
    assert clock.made == 1 + 20 + 10


# --- the pace of the machine


def slow_between(start_s: float, end_s: float, factor: float = 1.5) -> Callable[[float], float]:
    """Return phases of a machine that is slow for a while."""
    return lambda now: factor if start_s <= now < end_s else 1.0


def paced(phases: Callable[[float], float], **options: Any) -> Sampled:
    """Return what the loop sampled of a call of 1/16 s; the warm-up takes the first 1.25 s."""
    (sampled,) = sample(NoiseClock(1 / 16, phases=phases), [idle], **{"budget_s": 0.0, **options})
    return sampled


def test_samples_of_a_slow_phase_are_set_apart() -> None:
    """A phase that ends 0.25 s into the samples holds 3 of 3/32 s each. Seven of the first ten
    count, so that ten more are taken.
    """
    sampled = paced(slow_between(1.25, 1.5))
    assert sampled.columns["cpu_s"] == [1 / 16] * 17
    assert sampled.left_out["cpu_s"] == [3 / 32] * 3
    assert sampled.paces == [1 / 1024] * 17
    assert sampled.best_pace_s == 1 / 1024
    assert sampled.stopped == "precise"


def test_a_machine_that_stays_slow_is_waited_for_and_said_to_be_slow() -> None:
    """Its best pace is known from before: after a while the quickest samples are taken."""
    sampled = paced(slow_between(0.0, math.inf), best_pace_s=1 / 1024)
    assert sampled.columns["cpu_s"] == [3 / 32] * FEWEST_SAMPLES
    taken = FEWEST_SAMPLES + len(sampled.left_out["cpu_s"])
    assert PATIENCE_S <= taken * 3 / 32 < PATIENCE_S + 10 / 16
    assert (median(sampled.paces), sampled.best_pace_s) == (1.5 / 1024, 1 / 1024)
    assert sampled.stopped == "budget"


def test_a_pace_within_the_tolerance_counts() -> None:
    """A seventh slower is within 15 %, a sixth is not."""
    inside = paced(slow_between(1.5, math.inf, 8 / 7), best_pace_s=1 / 1024)
    assert not inside.left_out
    outside = paced(slow_between(1.5, 2.5, 7 / 6), best_pace_s=1 / 1024)
    assert outside.left_out


def test_samples_are_precise_at_their_pace() -> None:
    """Five of ten are an eighth slower, as the machine is: that is no noise of the call."""
    sampled = paced(slow_between(1.25 + 5 / 16, math.inf, 9 / 8), best_pace_s=1 / 1024)
    assert sampled.columns["cpu_s"] == [1 / 16] * 5 + [9 / 128] * 5
    assert (sampled.stopped, sampled.left_out) == ("precise", {})


def test_calls_that_take_turns_leave_the_same_samples_out() -> None:
    """One reading a round, so that pairs stay pairs."""
    clock = NoiseClock(1 / 64, phases=lambda now: 2.0 if int(now * 8) % 4 == 3 else 1.0)
    one, other = sample(clock, [lambda: 1.0, lambda: 3.0], budget_s=1.0, fewest=20)
    assert len(one.columns["cpu_s"]) == len(other.columns["cpu_s"]) >= 20
    assert len(one.left_out["cpu_s"]) == len(other.left_out["cpu_s"]) > 0
    assert median(other.columns["cpu_s"]) == 3 * median(one.columns["cpu_s"]) == 3 / 64


def test_a_lucky_moment_is_no_best_pace() -> None:
    """One reading of twenty-one that is twice as quick leaves no sample out."""
    assert best_pace([1.0] * 20 + [0.5]) == 1.0
    sampled = paced(lambda now: 0.5 if 1.3 < now < 1.4 else 1.0, fewest=20)
    assert not sampled.left_out


def test_without_a_pace_nothing_is_left_out() -> None:
    """On accelerators and with several threads it is not read."""
    (sampled,) = sample(NoiseClock(1 / 16, outliers=0.3), [idle], budget_s=2.0)
    assert (sampled.left_out, sampled.paces, sampled.best_pace_s) == ({}, [], None)


@pytest.mark.parametrize(("fewest", "samples"), [(1, 10), (6, 10), (10, 10), (11, 20), (25, 30)])
def test_a_steady_call_is_precise_at_the_first_look(fewest: int, samples: int) -> None:
    """Checks are every ten samples, from the fewest on; the budget is far away."""
    (sampled,) = sample(NoiseClock(1 / 16), [idle], budget_s=1000.0, fewest=fewest)
    assert (len(sampled.columns["cpu_s"]), sampled.stopped) == (samples, "precise")


def test_the_budget_ends_what_does_not_become_precise() -> None:
    """Samples of 1/16 and 3/16 s in turn: sixteen take 2 s, which is the budget."""
    (sampled,) = sample(NoiseClock(1 / 16), [taking(1.0, 3.0)], budget_s=2.0)
    assert (len(sampled.columns["cpu_s"]), sampled.stopped) == (16, "budget")


@pytest.mark.parametrize("fewest", [1, 6, FEWEST_SAMPLES, 64])
def test_a_budget_below_one_call_still_gives_the_fewest_samples(fewest: int) -> None:
    """A millisecond for calls of a second: as many samples as were asked for, no more."""
    clock = NoiseClock(1.0)
    (sampled,) = sample(clock, [taking(1.0, 3.0)], budget_s=1e-3, fewest=fewest)
    assert (len(sampled.columns["cpu_s"]), sampled.stopped) == (fewest, "budget")
    assert clock.made == sampled.warm_up_calls + fewest


@pytest.mark.parametrize(
    ("base_s", "columns", "calls"),
    [
        (1 / 512, "cpu", 1),  # longer than a millisecond
        (1 / 1024, "cpu", 2),  # 0.98 ms
        (1 / 4096, "cpu", 5),  # 0.001 · 4096 = 4.096
        (1 / 4096, "cuda", 1),  # events time every single call
    ],
)
def test_short_calls_are_grouped_into_samples_of_a_millisecond(
    base_s: float, columns: str, calls: int
) -> None:
    """A sample is the mean of as many calls as last a millisecond, on a host clock only; slow
    first calls do not decide how many.
    """
    clock = NoiseClock(base_s, columns=columns)
    (sampled,) = sample(clock, [idle], budget_s=1.0)
    assert sampled.calls_per_sample == calls
    assert clock.timed == [1] * sampled.warm_up_calls + [calls] * 10
    assert set(sampled.columns[clock.lead]) == {base_s}
    slow_first = NoiseClock(base_s, columns=columns, warm_up=[256.0] * 15)
    (sampled,) = sample(slow_first, [idle], budget_s=1.0)
    assert (sampled.settled, sampled.calls_per_sample) == (True, calls)


def test_every_column_of_a_noise_free_clock_is_exact() -> None:
    """Nothing is rounded, smoothed or left out."""
    (cpu,) = sample(NoiseClock(1 / 16, waits=0.5), [idle], budget_s=1.0)
    assert {name: median(values) for name, values in cpu.columns.items()} == {
        "wall_s": 1.5 / 16,
        "cpu_s": 1 / 16,
        "wait_s": 0.5 / 16,
    }
    (cuda,) = sample(NoiseClock(1 / 16, columns="cuda", enqueue_s=1 / 8), [idle], budget_s=1.0)
    assert {name: set(values) for name, values in cuda.columns.items()} == {
        "enqueue_s": {1 / 8},
        "gpu_s": {1 / 16},
        "end_to_end_s": {1 / 8},
    }


def test_outliers_are_kept() -> None:
    """No sample is left out because of its value: all are there, the slow ones too."""
    clock = NoiseClock(1 / 16, outliers=0.05, outlier_factor=100.0, seed=3)
    (sampled,) = sample(clock, [idle], budget_s=1e9, fewest=200)
    samples = sampled.columns["cpu_s"]
    assert len(samples) == clock.made - sampled.warm_up_calls == 200
    assert 0 < sum(value > 1 for value in samples) < 30
    assert median(samples) == 1 / 16


@pytest.mark.parametrize(
    ("names", "order"), [("A", "AAAA"), ("AB", "ABBAABBA"), ("ABC", "ABCCBAABCCBA")]
)
def test_interleaved_calls_go_forwards_and_backwards(names: str, order: str) -> None:
    """ABBA: neither always follows the other. Warm-ups come before, one call after the other."""
    made: list[str] = []
    clock = NoiseClock(1 / 16)
    calls = [lambda name=name: made.append(name) for name in names]
    results = sample(clock, calls, budget_s=1e-3, fewest=4)
    assert "".join(made) == "".join(name * 20 for name in names) + order
    assert [len(one.columns["cpu_s"]) for one in results] == [4] * len(names)


def test_interleaved_calls_stop_together_once_all_are_precise() -> None:
    """A steady call goes on until the unsteady one is precise too or the budget is spent."""
    # 1 / 16 s for the steady call, 2 / 16 s on average for the other: a pair takes 3 / 16 s.
    # The budget is 3 s a call, 6 s for two: 32 pairs.
    results = sample(NoiseClock(1 / 16), [idle, taking(1.0, 3.0)], budget_s=3.0)
    assert [len(one.columns["cpu_s"]) for one in results] == [32, 32]
    assert {one.stopped for one in results} == {"budget"}
    both = sample(NoiseClock(1 / 16), [idle, lambda: 2.0], budget_s=3.0)
    assert [len(one.columns["cpu_s"]) for one in both] == [10, 10]
    assert {one.stopped for one in both} == {"precise"}
    assert [median(one.columns["cpu_s"]) for one in both] == [1 / 16, 2 / 16]


def test_interleaved_calls_are_grouped_each_for_itself() -> None:
    """A short and a long call: each is grouped separately."""
    short, long = sample(NoiseClock(1 / 4096), [idle, lambda: 64.0], budget_s=1.0)
    assert (short.calls_per_sample, long.calls_per_sample) == (5, 1)


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.001, 0.02, 0.3]),
    st.sampled_from([0.0, 0.05]),
    st.floats(1 / 4096, 8.0),
    st.integers(1, 30),
)
def test_the_loop_keeps_its_promises_on_any_machine(
    seed: int, noise: float, outliers: float, base_s: float, fewest: int
) -> None:
    """Enough warm-up, enough samples, no early stop, and the same clock gives the same samples."""

    def run() -> tuple[NoiseClock, Sampled]:
        clock = NoiseClock(base_s, noise=noise, outliers=outliers, seed=seed)
        (sampled,) = sample(clock, [idle], budget_s=0.5, fewest=fewest)
        return clock, sampled

    clock, sampled = run()
    assert run()[1] == sampled
    samples = sampled.columns["cpu_s"]
    assert len(samples) >= fewest
    assert len({len(values) for values in sampled.columns.values()}) == 1
    assert sampled.warm_up_s >= WARM_UP_S
    assert sampled.settled or sampled.warm_up_s >= WARM_UP_LIMIT_S
    assert clock.made == sampled.warm_up_calls + len(samples) * sampled.calls_per_sample
    if sampled.stopped == "precise":
        assert half_width(samples) <= PRECISE_WITHIN
    else:
        spent = clock.now() - sampled.warm_up_s
        last_s = samples[-1] * sampled.calls_per_sample
        assert spent >= 0.5
        assert len(samples) == fewest or spent - last_s < 0.5
