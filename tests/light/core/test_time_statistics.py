"""Statistics of timings: each claim about an interval is checked by counting or by simulation.

Every simulation is seeded, so that a figure that holds once holds always.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import each

from flopbench.core.bootstrap import expanded_bootstrap, ratio_bootstrap
from flopbench.core.statistics import (
    FEWEST_FOR_INTERVAL,
    PERCENTILE_SAMPLES,
    T_95,
    half_width,
    median,
    median_interval,
    median_of_medians,
    percentile,
    repeat_interval,
    student_95,
    student_interval,
)

times = st.floats(min_value=1e-6, max_value=1e3)
several = st.lists(times, min_size=1, max_size=40)


def mean_of_means(groups: Sequence[Sequence[float]]) -> float:
    """A statistic that is quick to compute."""
    return statistics.fmean(float(sum(group)) / len(group) for group in groups)


# --- median and percentiles


def test_the_median_is_the_middle_or_between_the_two_middle_ones() -> None:
    """The median of an odd and an even number of values; an empty list has none."""
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    with pytest.raises(ValueError, match="no median"):
        median([])


@given(several, st.integers(-8, 8), st.randoms(use_true_random=False))
def test_the_median_scales_and_forgets_the_order(
    values: list[float], power: int, shuffler: random.Random
) -> None:
    """Units and the order of the samples do not matter."""
    shuffled = values[:]
    shuffler.shuffle(shuffled)
    assert median(shuffled) == median(values)
    assert median([value * 2.0**power for value in values]) == median(values) * 2.0**power
    assert median_of_medians([values, shuffled]) == median(values)


@pytest.mark.parametrize(
    ("q", "fewest", "value"),
    [
        # of n values 1, 2, …, n: the first that q per cent do not exceed is the ceil(q·n / 100)th
        (90, 64, 58.0),  # 57.6
        (95, 130, 124.0),  # 123.5
        (99, 662, 656.0),  # 655.38
    ],
)
def test_a_percentile_needs_its_samples(q: int, fewest: int, value: float) -> None:
    """With one sample too few it is not stated; with enough it is one of the samples."""
    assert PERCENTILE_SAMPLES[q] == fewest
    values = [float(number) for number in range(fewest, 0, -1)]
    assert percentile(values, q) == value
    assert percentile(values[1:], q) is None


def test_the_median_as_a_percentile_needs_one_sample() -> None:
    """p50 is the median itself, also of an even number."""
    assert percentile([5.0], 50) == 5.0
    assert percentile([1.0, 2.0], 50) == 1.5


@pytest.mark.parametrize("q", [90, 95, 99])
def test_the_numbers_of_samples_follow_from_the_binomial_rule(q: int) -> None:
    """They are the least with which two samples lie beyond the percentile in 99 of 100 cases."""

    def two_beyond(n: int) -> float:
        beyond = 1 - q / 100
        return 1 - (1 - beyond) ** n - n * beyond * (1 - beyond) ** (n - 1)

    assert two_beyond(PERCENTILE_SAMPLES[q]) >= 0.99
    assert two_beyond(PERCENTILE_SAMPLES[q] - 1) < 0.99


@given(st.lists(times, min_size=64, max_size=130), st.randoms(use_true_random=False))
def test_a_percentile_is_a_sample_with_its_share_below(
    values: list[float], shuffler: random.Random
) -> None:
    """90 % of the samples do not exceed it, and no smaller sample has that."""
    stated = percentile(values, 90)
    assert stated in values
    assert sum(value <= stated for value in values) * 10 >= len(values) * 9
    smaller = [value for value in values if value < stated]
    assert len(smaller) * 10 < len(values) * 9
    shuffler.shuffle(values)
    assert percentile(values, 90) == stated


# --- the interval of one process's own median


def test_too_few_values_have_no_interval() -> None:
    """Five values cover their median with 94 % at most; six do with 97 %."""
    assert 1 - 2 * 0.5 ** (FEWEST_FOR_INTERVAL - 1) < 0.95 <= 1 - 2 * 0.5**FEWEST_FOR_INTERVAL
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert median_interval(values) is None
    assert half_width(values) == math.inf
    assert median_interval([*values, 6.0]) == (1.0, 6.0)
    assert half_width([*values, 6.0]) == 2.5 / 3.5
    assert half_width([]) == math.inf
    assert half_width([0.0] * 20) == math.inf


def test_the_interval_of_a_median_covers_it_by_the_binomial_rule() -> None:
    """Ranks low and high hold the median whenever low ≤ #(values below it) < high: 95 % or more.

    From 95.0 % to 99.2 %, which is as near as ranks of few values come.
    """

    def check(n: int) -> None:
        low, high = median_interval([float(rank) for rank in range(1, n + 1)]) or (0.0, 0.0)
        covered = sum(comb(n, below) for below in range(int(low), int(high))) / 2**n
        assert 0.95 <= covered < 0.993

    each([*range(6, 120), 250, 662, 1000], check)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_the_interval_of_a_median_covers_it_in_simulation(n: int) -> None:
    """Times are skewed, as on machines: no shape is assumed."""
    generator = random.Random(7)
    hits = 0
    for _ in range(2000):
        low, high = median_interval([generator.expovariate(1.0) for _ in range(n)]) or (9.0, 0.0)
        hits += low <= math.log(2) <= high
    assert 0.94 <= hits / 2000 <= 0.995


@given(st.lists(times, min_size=6, max_size=60), st.randoms(use_true_random=False))
def test_the_interval_of_a_median_holds_it_in_any_order(
    values: list[float], shuffler: random.Random
) -> None:
    """It scales with the unit and its ends are samples."""
    low, high = median_interval(values) or (0.0, 0.0)
    assert low in values
    assert high in values
    assert low <= median(values) <= high
    assert median_interval([value * 4 for value in values]) == (low * 4, high * 4)
    assert half_width([value * 4 for value in values]) == half_width(values)
    shuffler.shuffle(values)
    assert median_interval(values) == (low, high)


# --- Student's t, and where a repeat is expected


@pytest.mark.parametrize(
    ("degrees", "point"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (40, 2.021), (120, 1.980)],
)
def test_student_points_are_those_of_the_tables(degrees: int, point: float) -> None:
    """Printed tables to their last digit up to 30 degrees, within 0.002 beyond."""
    assert student_95(degrees) == pytest.approx(point, abs=1e-9 if degrees <= 30 else 2e-3)


def test_student_points_hold_95_per_cent_of_the_density() -> None:
    """Simpson's rule over the density, from minus to plus the point."""

    def check(degrees: int) -> None:
        scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))
        scale /= math.sqrt(degrees * math.pi)

        def density(x: float) -> float:
            return scale * (1 + x * x / degrees) ** (-(degrees + 1) / 2)

        steps, reach = 4000, student_95(degrees)
        step = 2 * reach / steps
        inner = sum((4 if k % 2 else 2) * density(-reach + k * step) for k in range(1, steps))
        covered = (2 * density(reach) + inner) * step / 3
        assert covered == pytest.approx(0.95, abs=2e-4)

    each([*range(1, 36), 60, 1000], check)


def test_student_points_fall() -> None:
    """More processes never widen them, not even where the table ends."""
    points = [student_95(degrees) for degrees in range(1, len(T_95) + 200)]
    assert points == sorted(points, reverse=True)
    assert points[-1] > 1.96


def test_the_repeat_interval_of_two_processes_by_hand() -> None:
    """Medians 1 and e²: logs 0 and 2, mean 1, s = √2, reach 12.706 · √2 · √(2 / 2)."""
    low, high = repeat_interval([1.0, math.e**2]) or (0.0, 0.0)
    assert math.log(low) == pytest.approx(1 - 12.706 * math.sqrt(2))
    assert math.log(high) == pytest.approx(1 + 12.706 * math.sqrt(2))
    assert repeat_interval([1.0]) is None
    assert repeat_interval([]) is None


def test_equal_processes_expect_the_same_again() -> None:
    """Without any spread the interval is the headline itself."""
    assert repeat_interval([0.5] * 3) == (0.5, 0.5)


@pytest.mark.parametrize("count", [3, 5])
def test_the_repeat_interval_holds_the_next_headline_in_95_of_100_runs(count: int) -> None:
    """10 000 pairs of runs; processes differ by 8 % as on the machine it was made for."""
    generator = random.Random(count)
    hits = 0
    for _ in range(10_000):
        once = [math.exp(generator.gauss(0, 0.08)) for _ in range(count)]
        again = [math.exp(generator.gauss(0, 0.08)) for _ in range(count)]
        low, high = repeat_interval(once) or (1.0, 0.0)
        hits += low <= median(again) <= high
    assert hits / 10_000 == pytest.approx(0.95, abs=0.01)


@given(st.lists(times, min_size=2, max_size=9), st.floats(0.01, 100.0))
def test_the_repeat_interval_holds_the_headline_in_any_unit(
    medians: list[float], factor: float
) -> None:
    """The headline lies inside, order does not matter, and seconds or milliseconds neither."""
    low, high = repeat_interval(medians) or (0.0, 0.0)
    assert low * (1 - 1e-9) <= median(medians) <= high * (1 + 1e-9) or len(medians) % 2 == 0
    assert repeat_interval(medians[::-1]) == pytest.approx((low, high))
    scaled = repeat_interval([value * factor for value in medians])
    assert scaled == pytest.approx((low * factor, high * factor), rel=1e-6)


def test_the_interval_of_a_ratio_has_the_degrees_of_welch() -> None:
    """By hand: logs -1 and 1 (mean 0, variance 2) below, three times 0 above.

    The squared error is 2 / 2 + 0, and all of it is of the two: 1 degree of freedom. Degrees
    pooled over both sides, as for equal variances, would be 3, and the interval a fourth of it.
    """
    low, high = student_interval([1 / math.e, math.e], [1.0] * 3) or (0.0, 0.0)
    assert math.log(low) == pytest.approx(-12.706)
    assert math.log(high) == pytest.approx(12.706)


# --- bootstrap over processes


def processes(
    generator: random.Random, count: int, between: float, within: float, size: int = 12
) -> list[list[float]]:
    """Return the samples of several processes around 1."""
    return [
        [
            math.exp(centre + generator.gauss(0, within))
            for centre in [generator.gauss(0, between)] * size
        ]
        for _ in range(count)
    ]


def test_one_process_has_no_bootstrap() -> None:
    """Nor is there one for an empty process, or for a ratio with one process on either side."""
    two = [[1.0, 2.0], [1.5]]
    assert expanded_bootstrap([[1.0, 2.0]], median_of_medians) is None
    assert expanded_bootstrap([], median_of_medians) is None
    assert expanded_bootstrap([[1.0], []], median_of_medians) is None
    assert ratio_bootstrap(two, [[1.0]], median_of_medians) is None
    assert ratio_bootstrap([[1.0]], two, median_of_medians) is None
    assert ratio_bootstrap(two, [[1.0], []], median_of_medians) is None


def test_a_bootstrap_is_seeded() -> None:
    """The same samples give the same interval; another seed gives another, within the noise."""
    groups = processes(random.Random(1), 3, 0.02, 0.05)
    once = expanded_bootstrap(groups, median_of_medians, resamples=300)
    assert once == expanded_bootstrap(groups, median_of_medians, resamples=300)
    assert once != expanded_bootstrap(groups, median_of_medians, resamples=300, seed=1)
    ratio = ratio_bootstrap(groups, groups, median_of_medians, resamples=300)
    assert ratio == ratio_bootstrap(groups, groups, median_of_medians, resamples=300)


def test_processes_without_noise_bound_their_bootstrap() -> None:
    """Constant processes 1, 2, 4: three may be drawn alike, so the interval goes from 1 to 4."""
    groups = [[1.0] * 5, [2.0] * 5, [4.0] * 5]
    assert expanded_bootstrap(groups, median_of_medians, resamples=500) == (1.0, 4.0)
    halves = [[0.5] * 5, [1.0] * 5, [2.0] * 5]
    low, high = ratio_bootstrap(halves, groups, median_of_medians, resamples=2000) or (0.0, 0.0)
    assert (low, high) == (1.0 / 2.0, 4.0 / 0.5)


def test_the_bootstrap_of_few_processes_reaches_its_rarest_draws() -> None:
    """Of four processes one is drawn four times in 1 of 256 draws, and that is inside.

    The plain percentiles cut off 2.5 % on each side; Hesterberg's, Φ(-√(4/3) · 3.182), 0.01 %.
    """
    groups = [[1.0] * 5, [2.0] * 5, [4.0] * 5, [8.0] * 5]
    assert expanded_bootstrap(groups, mean_of_means, resamples=5000) == (1.0, 8.0)
    # A ratio is only as certain as its side with fewer processes.
    twelve = [[1.0] * 5] * 12
    assert ratio_bootstrap(groups, twelve, mean_of_means, resamples=5000) == (1 / 8, 1.0)


def test_a_ratio_without_noise_is_exact() -> None:
    """Twice the time in every sample: the interval is 2."""
    assert ratio_bootstrap([[1.0] * 4] * 3, [[2.0] * 4] * 3, median_of_medians) == (2.0, 2.0)


@settings(max_examples=25)
@given(st.lists(st.lists(times, min_size=1, max_size=5), min_size=2, max_size=4))
def test_a_bootstrap_scales_with_the_unit(groups: list[list[float]]) -> None:
    """Milliseconds give a thousand times the interval in seconds; a ratio does not change."""
    scaled = [[value * 4 for value in group] for group in groups]
    low, high = expanded_bootstrap(groups, mean_of_means, resamples=50) or (0.0, 0.0)
    assert expanded_bootstrap(scaled, mean_of_means, resamples=50) == pytest.approx(
        (low * 4, high * 4)
    )
    smallest, largest = min(map(min, groups)), max(map(max, groups))
    assert smallest * (1 - 1e-9) <= low <= high <= largest * (1 + 1e-9)
    ratio = ratio_bootstrap(groups, groups, mean_of_means, resamples=50)
    assert ratio == pytest.approx(ratio_bootstrap(scaled, scaled, mean_of_means, resamples=50))


@pytest.mark.parametrize(
    ("count", "between", "within", "share"),
    [(5, 0.001, 0.03, 0.95), (5, 0.03, 0.03, 0.90), (3, 0.001, 0.03, 0.95)],
)
def test_the_bootstrap_covers_the_truth(
    count: int, between: float, within: float, share: float
) -> None:
    """Its share of hits in 60 runs: too many where processes hardly differ, some 95 % at five."""
    generator = random.Random(11)
    hits = 0
    for _ in range(60):
        groups = processes(generator, count, between, within)
        low, high = expanded_bootstrap(groups, mean_of_means, resamples=400) or (9.0, 0.0)
        hits += low <= math.exp(within**2 / 2) <= high
    assert hits / 60 >= share


def test_the_bootstrap_of_a_ratio_covers_one() -> None:
    """Two runs of one thing, five processes each that differ by 5 %: 1 lies inside."""
    generator = random.Random(13)
    hits = 0
    for _ in range(60):
        once, again = (processes(generator, 5, 0.05, 0.01) for _ in range(2))
        low, high = ratio_bootstrap(once, again, mean_of_means, resamples=400) or (9.0, 0.0)
        hits += low <= 1 <= high
    assert hits / 60 >= 0.90
