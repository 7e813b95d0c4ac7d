"""Verdicts on latencies: what trips the wire, what passes, what is inconclusive.

Rows come out of the real loop on a clock of noise (``clocks``); nothing is timed here.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from clocks import NoiseClock, interleaved, some_device, timed
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from flopbench.check.latency.bench import Bench
from flopbench.check.latency.judging import (
    TimedModel,
    judge_time,
    other_machine,
    outcome,
)
from flopbench.check.records import Budget
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing
from flopbench.timing.run import Effort

CPU = some_device()
BASE_S = 1 / 16


def row(factor: float, *, seed: int = 0, spread: float = 0.003, processes: int = 3) -> TimedModel:
    """Return a row of processes that differ a little, a call of ``factor`` / 16 s."""
    clocks = [
        NoiseClock(
            factor * BASE_S * (1 + spread * (number - 1)), noise=0.002, seed=10 * seed + number
        )
        for number in range(processes)
    ]
    return TimedModel(row=timed(clocks), facts=CPU)


def budget(gate: str = "same-machine", **changes: Any) -> Budget:
    """Return a budget of 10 %."""
    fields: dict[str, Any] = {"metric": "latency", "gate": gate, "max_increase": Fraction(1, 10)}
    return Budget(**{**fields, **changes})


def changed(timed: TimedModel, **changes: Any) -> TimedModel:
    """Return a row with fields of every process changed."""
    runs = tuple(structs.replace(run, **changes) for run in timed.row.processes)
    return replace(timed, row=structs.replace(timed.row, processes=runs))


def times(factor: float) -> Callable[[], float]:
    """Return a call that takes so many times the base."""
    return lambda: factor


def pair(factor: float) -> tuple[TimedModel, TimedModel]:
    """Return two rows that took turns in three processes that differ by 60 %."""
    clocks = [NoiseClock((1 + 0.3 * n) * BASE_S, noise=0.002, seed=n) for n in range(3)]
    rows = interleaved(clocks, [times(1.0), times(factor)])
    same = [structs.replace(one, what=structs.replace(one.what, spec="net@32")) for one in rows]
    return TimedModel(row=same[0], facts=CPU), TimedModel(row=same[1], facts=CPU)


# --- against an accepted time


@pytest.mark.parametrize(
    ("factor", "state", "failed"),
    [
        (1.5, "worse", True),
        (1.05, "same", False),
        (1.0, "same", False),
        (0.97, "same", False),
        (0.8, "better", False),
    ],
)
def test_only_what_is_beyond_the_allowance_for_sure_changes_the_state(
    factor: float, state: str, failed: bool
) -> None:
    """10 % allowed: +50 % fails, +5 % does not, -3 % is nothing to lock in, -20 % is."""
    result = judge_time(budget(), row(1.0), row(factor, seed=1))
    assert (result.state, result.failed, result.over_limit) == (state, failed, False)
    assert (result.metric, result.gate) == ("latency", "same-machine")
    assert bool(result.reason) == (state != "same")


def test_an_interval_around_the_allowance_is_inconclusive() -> None:
    """+10 % where 10 % is allowed: the reason has ratio, interval and allowance."""
    result = judge_time(budget(), row(1.0), row(1.1, seed=1, spread=0.01))
    assert (result.state, result.failed) == ("inconclusive", False)
    assert "times as long (95 %: 1.0" in result.reason
    assert "and 1.100 is allowed" in result.reason


def test_amounts_are_the_exact_decimal_text_of_the_headlines() -> None:
    """Seconds as fractions; allowed is old × 1.1, or old + min-delta if larger."""
    old, new = row(1.0), row(1.05, seed=1)
    result = judge_time(budget(), old, new)
    assert result.old == Fraction(repr(old.summary.headline_s))
    assert result.new == Fraction(repr(new.summary.headline_s))
    assert result.allowed == result.old * Fraction(11, 10)
    wide = judge_time(budget(min_delta=Fraction(1)), old, new)
    assert wide.allowed == result.old + 1


@pytest.mark.parametrize(("delta", "failed"), [("1/16", False), ("1/100", True)])
def test_a_growth_of_at_most_min_delta_passes(delta: str, failed: bool) -> None:
    """+50 % is 31 ms: still worse, but failing only where less is allowed."""
    result = judge_time(budget(min_delta=Fraction(delta)), row(1.0), row(1.5, seed=1))
    assert (result.state, result.failed) == ("worse", failed)
    assert ("so it passes" in result.reason) == (not failed)


def test_advisory_never_fails() -> None:
    """Worse, and over a limit: reported, not failed."""
    loose = budget("advisory", limit=Fraction(1, 1000))
    result = judge_time(loose, row(1.0), row(1.5, seed=1))
    assert (result.state, result.over_limit, result.failed) == ("worse", True, False)
    assert "advisory" in result.reason


@pytest.mark.parametrize("processes", [1, 2])
def test_fewer_than_three_processes_decide_nothing(processes: int) -> None:
    """Ten times as long, over the limit: inconclusive, and the reason says what is missing."""
    strict = budget(limit=Fraction(1, 1000))
    result = judge_time(strict, row(1.0), row(10.0, seed=1, processes=processes))
    assert (result.state, result.failed, result.over_limit) == ("inconclusive", False, False)
    assert "use --processes 3 or more" in result.reason
    assert "3 processes are needed" in result.reason


@pytest.mark.parametrize("which", ["old", "new"])
def test_an_unstable_row_is_not_judged_by(which: str) -> None:
    """A warm-up that never settled, on either side: inconclusive with that reason."""
    old, new = row(1.0), row(1.5, seed=1)
    if which == "old":
        old = changed(old, settled=False)
    else:
        new = changed(new, settled=False)
    result = judge_time(budget(), old, new)
    assert (result.state, result.failed) == ("inconclusive", False)
    assert ("the earlier time" if which == "old" else "the time") + " is unstable" in result.reason


def test_a_time_that_cannot_be_is_not_judged_by() -> None:
    """Faster than the roof allows: inconclusive, not better."""
    new = row(0.1, seed=1)
    work = structs.replace(new.row.work, dense_macs=10**12)
    fast = replace(new, row=structs.replace(new.row, work=work, roofs={"flops_per_s": 1e9}))
    result = judge_time(budget(), row(1.0), fast)
    assert result.state == "inconclusive"
    assert "the time is invalid" in result.reason


@pytest.mark.parametrize("gone", [{"failure": "no pictures today"}, {"processes": ()}])
def test_a_row_without_a_time_is_not_measured(gone: dict[str, Any]) -> None:
    """Missing is not passing; a failure is the reason."""
    new = row(1.0)
    result = judge_time(budget(), row(1.0), replace(new, row=structs.replace(new.row, **gone)))
    assert (result.state, result.failed, result.new) == ("not measured", False, None)
    assert result.reason == gone.get("failure", "no process timed it")


def test_rows_of_unlike_batches_are_not_compared() -> None:
    """Two batches: not comparable, and no ratio."""
    new = row(1.0)
    other = replace(new, row=structs.replace(new.row, what=structs.replace(new.row.what, batch=8)))
    result = judge_time(budget(), row(1.0), other)
    assert (result.state, result.failed) == ("not comparable", False)
    assert "batch: 1 and 8" in result.reason


# --- limits


def test_a_limit_fails_only_where_a_repeat_would_be_over_it_too() -> None:
    """62.5 ms: over 50 ms for sure; not over 62 ms for sure, since a repeat may be below."""
    assert judge_time(budget(limit=Fraction(1, 20)), None, row(1.0)).failed
    close = judge_time(budget(limit=Fraction(62, 1000)), None, row(1.0, spread=0.02))
    assert (close.state, close.failed, close.over_limit) == ("inconclusive", False, False)
    assert "seems to be over the limit, but a repeat may give" in close.reason


def test_a_limit_met_exactly_passes() -> None:
    """The limit is inclusive, and exact."""
    new = row(1.0)
    headline = Fraction(repr(new.summary.headline_s))
    met = judge_time(budget(limit=headline), None, new)
    assert (met.state, met.failed, met.reason) == ("new", False, "")


def test_a_limit_holds_without_an_accepted_time() -> None:
    """New, or of another machine: the state says so, and the limit still fails."""
    strict = budget(limit=Fraction(1, 1000), limit_text="1 ms")
    for state, reason in (("new", ""), ("not comparable", "elsewhere")):
        result = judge_time(strict, None, row(1.0), state=state, reason=reason)
        assert (result.state, result.reason) == (state, reason)
        assert (result.failed, result.over_limit, result.old) == (True, True, None)
        assert result.limit_text == "1 ms"


def test_a_doubtful_limit_does_not_hide_a_failure() -> None:
    """Worse for sure, and perhaps over the limit: it stays worse, with both reasons."""
    old, new = row(1.0, spread=0.01), row(1.5, seed=1, spread=0.01)
    limit = Fraction(repr(new.summary.headline_s)) - Fraction(1, 10**6)
    result = judge_time(budget(limit=limit), old, new)
    assert (result.state, result.failed, result.over_limit) == ("worse", True, False)
    assert "times as long" in result.reason
    assert "a repeat may give" in result.reason


def test_an_unstable_row_is_not_over_its_limit() -> None:
    """It may be: inconclusive, with the reason."""
    strict = budget(limit=Fraction(1, 1000))
    result = judge_time(strict, None, changed(row(1.0), settled=False))
    assert (result.state, result.failed, result.over_limit) == ("inconclusive", False, False)
    assert "but the time is unstable" in result.reason


# --- two revisions that took turns


@pytest.mark.parametrize(
    ("factor", "state"), [(1.2, "worse"), (1.0, "same"), (0.8, "better"), (1.1, "inconclusive")]
)
def test_rows_that_took_turns_are_told_apart_on_a_restless_machine(
    factor: float, state: str
) -> None:
    """Processes that differ by 60 % make both rows unstable, and the ratio none the less sharp."""
    old, new = pair(factor)
    assert {old.summary.verdict, new.summary.verdict} == {"unstable"}
    assert judge_time(budget("paired"), old, new).state == state
    apart = replace(new, row=structs.replace(new.row, interleaved=""))
    assert judge_time(budget("paired"), old, apart).state == "inconclusive"


# --- machines


def test_another_machine_is_named_with_both_values() -> None:
    """What differs, then and here; the same machine has nothing to say."""
    assert other_machine(CPU, CPU) == ""
    reason = other_machine(some_device(cpu__model="Xeon"), CPU)
    assert reason == (
        "the accepted time was measured on another machine "
        "(cpu.model: 'Xeon' then, 'AMD EPYC' here)"
    )


def test_another_torch_is_called_that() -> None:
    """The machine is the same: the reason names the library."""
    reason = other_machine(some_device(torch__version="2.4.0"), CPU)
    assert reason.startswith("the accepted time was measured with another torch (torch.version: ")


def test_many_differences_are_counted() -> None:
    """Three are named, the rest are counted."""
    keys = ("cpu__model", "cpu__hypervisor", "cpu__governor", "torch__blas", "torch__openmp")
    there = some_device(**dict.fromkeys(keys, "x"))
    assert other_machine(there, CPU).endswith(" and 2 more)")


# --- for any figures


@settings(max_examples=10)
@given(
    factor=st.floats(0.5, 2.0),
    spread=st.floats(0.0, 0.1),
    increase=st.fractions(0, 1, max_denominator=100),
    seed=st.integers(1, 50),
)
def test_nothing_fails_but_what_is_worse(
    factor: float, spread: float, increase: Fraction, seed: int
) -> None:
    """Without a limit a failure is ``worse``; the reverse comparison of it is never ``worse``."""
    old, new = row(1.0, spread=spread), row(factor, seed=seed, spread=spread)
    there = judge_time(budget(max_increase=increase), old, new)
    back = judge_time(budget(max_increase=increase), new, old)
    assert there.failed == (there.state == "worse")
    assert not (there.state == back.state == "worse")
    assert not (there.state == back.state == "better")


def test_an_outcome_without_amounts_fails_nothing() -> None:
    """New, gone elsewhere, not measured: a notice with its reason."""
    result = outcome(budget(), "new", "no latency has been accepted yet")
    assert (result.failed, result.allowed, result.delta) == (False, None, None)


def test_the_records_are_those_of_a_timing_file() -> None:
    """A row of a saved file is judged as it is."""
    from conftest import ROOT

    from flopbench.timing.file import TimingFile

    file = TimingFile.load(ROOT / "tests/data/timings.json")
    first: Timing = file.rows[0]
    one = TimedModel(row=first, facts=file.device_of(first))
    result = judge_time(budget(), one, one)
    assert (result.failed, result.old) == (False, result.new)


def test_the_progress_of_an_entry_is_part_of_that_of_all() -> None:
    """Process 3 of the second of two entries, three processes each, is the sixth."""
    told: list[tuple[int, int, str]] = []
    effort = Effort(processes=3, progress=lambda *how_far: told.append(how_far))
    bench = Bench(file=TimingFile(rows=(), devices=()), effort=effort)
    bench.entry(0, 2).effort.tell(0, 3, "net@32")
    bench.entry(1, 2).effort.tell(2, 3, "net@64")
    assert told == [(0, 6, "net@32"), (5, 6, "net@64")]
