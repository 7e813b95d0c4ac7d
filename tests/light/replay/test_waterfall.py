"""The chain from theory to measurement; no torch."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flopbench.replay.figures import Round, VideoWork, waterfall

# Of a baseline of 1000 MACs: 300 in arms (2 runs of "a", 1 of "b"), 100 in the policy.
WORK = VideoWork(
    baseline_macs=Fraction(1000),
    arms_macs=Fraction(300),
    policy_macs=Fraction(100),
    arm_runs={"a": Fraction(2), "b": Fraction(1)},
)
ROUND = Round(baseline_s=10.0, arms_s=5.0, nosync_s=8.0, full_s=10.0, unit_s={"a": 1.0, "b": 2.0})
FACTORS = ("arms", "fragmentation", "policy", "synchronisation")


def test_the_chain_by_hand() -> None:
    """Times in the order of the chain, and the quotients of successive ones."""
    chain = waterfall([[ROUND]], WORK)
    # 10 × 400/1000; 10 × 100/1000 + 2 × 1 + 1 × 2; 1 + 5; 8; 10
    assert list(chain.chain_s.values()) == pytest.approx([4, 5, 6, 8, 10])
    assert chain.theory == 2.5
    found = [getattr(chain, name) for name in FACTORS]
    assert found == pytest.approx([4 / 5, 5 / 6, 6 / 8, 8 / 10])
    assert chain.measured == pytest.approx(1.0)
    assert chain.realised == pytest.approx(0.4)
    assert chain.interval is None
    assert chain.unit_s == pytest.approx({"a": 1.0, "b": 2.0})


def test_what_doubles_a_whole_round_changes_no_factor() -> None:
    """A machine at half its speed is in the baseline's time too."""
    slow = Round(
        baseline_s=20.0, arms_s=10.0, nosync_s=16.0, full_s=20.0, unit_s={"a": 2.0, "b": 4.0}
    )
    one = waterfall([[ROUND]], WORK)
    both = waterfall([[ROUND, slow], [slow, slow], [slow]], WORK)
    for name in ("theory", *FACTORS, "measured"):
        assert getattr(both, name) == pytest.approx(getattr(one, name))
    assert both.interval == pytest.approx((1.0, 1.0))
    assert not both.is_wide


def test_an_interval_over_processes_that_differ_is_wide() -> None:
    """Processes that differ by a half give a wide interval."""
    other = replace(ROUND, full_s=15.0)
    chain = waterfall([[ROUND] * 3, [other] * 3, [ROUND] * 3], WORK)
    assert chain.measured == pytest.approx(1.0)
    assert chain.interval is not None
    low, high = chain.interval
    assert low <= chain.measured <= high
    # Student's t leaves the range of three processes, a bootstrap cannot: log 1.5 and twice 0.
    reach = 4.302653 * log(1.5) / 3
    assert low == pytest.approx(exp(-log(1.5) / 3 - reach), rel=1e-3)
    assert high == pytest.approx(exp(-log(1.5) / 3 + reach), rel=1e-3)
    assert chain.is_wide


def test_fewer_than_three_processes_have_no_interval() -> None:
    """Two cannot show a spread."""
    assert waterfall([[ROUND] * 3] * 2, WORK).interval is None
    assert waterfall([[ROUND] * 3] * 3, WORK).interval == pytest.approx((1.0, 1.0))


def test_an_empty_process_says_nothing_and_none_is_refused() -> None:
    """A process without rounds is left out; without any there is no chain."""
    assert waterfall([[], [ROUND]], WORK).measured == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no rounds"):
        waterfall([[]], WORK)
    nothing = replace(WORK, arms_macs=Fraction(0), policy_macs=Fraction(0))
    with pytest.raises(ValueError, match="no work"):
        waterfall([[ROUND]], nothing)


TIMES = st.floats(1e-4, 1e3)


@given(
    st.lists(
        st.lists(st.tuples(TIMES, TIMES, TIMES, TIMES, TIMES, TIMES), min_size=1, max_size=3),
        min_size=1,
        max_size=2,
    )
)
def test_factors_multiply_to_the_measured_ratio(
    data: list[list[tuple[float, float, float, float, float, float]]],
) -> None:
    """Whatever the clocks say, theory times the factors is the measured ratio."""
    processes = [
        [
            Round(baseline_s=b, arms_s=a, nosync_s=n, full_s=f, unit_s={"a": u, "b": v})
            for b, a, n, f, u, v in rounds
        ]
        for rounds in data
    ]
    chain = waterfall(processes, WORK)
    product = chain.theory
    for name in FACTORS:
        product *= getattr(chain, name)
    assert product == pytest.approx(chain.measured, rel=1e-9)
    assert chain.baseline_s / chain.chain_s["full"] == pytest.approx(chain.measured, rel=1e-9)
