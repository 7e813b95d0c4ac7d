"""Two timings compared: what is comparable, and which verdicts are possible.

Rows come out of the real loop on a clock of noise, so every verdict here is one of seeded samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from clocks import NoiseClock, interleaved, some_device, timed
from msgspec.structs import replace

from flopbench.core.errors import InputError, NotComparableError
from flopbench.timing.comparison import (
    compare_files,
    compare_interleaved,
    compare_rows,
)
from flopbench.timing.comparison_text import time_comparison_tables
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.records import Timing, TimingSpec, Work

CPU = some_device()
NAMES = ("a.json", "b.json")


def row(
    factor: float, *, spec: str = "resnet18@32", seed: int = 0, spread: float = 0.003
) -> Timing:
    """Return a row of three processes that differ a little, a call of ``factor`` / 16 s."""
    clocks = [
        NoiseClock(factor / 16 * (1 + spread * (number - 1)), noise=0.002, seed=10 * seed + number)
        for number in range(3)
    ]
    return timed(clocks, TimingSpec(spec=spec), work=Work(dense_macs=1000))


def file(*rows: Timing, device: object = CPU) -> TimingFile:
    """Return a file of rows on one machine."""
    return TimingFile(rows=rows, devices=(device,))  # type: ignore[arg-type]


def machines(drift: float = 0.0, count: int = 3) -> list[NoiseClock]:
    """Return processes that differ by 10 % and drift while they run."""
    return [
        NoiseClock((1 + 0.1 * number) / 16, noise=0.002, drift=drift, seed=number)
        for number in range(count)
    ]


def times(factor: float) -> Callable[[], float]:
    """Return a call that takes that many times the base."""
    return lambda: factor


# --- verdicts


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.5, "faster"), (0.9, "faster"), (1.1, "slower"), (1.0, "same")]
)
def test_rows_apart_are_told_apart(factor: float, verdict: str) -> None:
    """Processes within 0.3 %: ten per cent are seen, and no difference is called the same."""
    result = compare_rows(row(1.0), row(factor, seed=1))
    assert (result.verdict, result.reason, result.paired) == (verdict, "", False)
    assert result.ratio == pytest.approx(factor, rel=0.01)
    assert result.interval is not None
    assert result.interval[0] <= result.ratio <= result.interval[1]
    assert (result.a_s, result.b_s) == (
        pytest.approx(1 / 16, rel=0.01),
        pytest.approx(factor / 16, rel=0.01),
    )


def test_processes_that_differ_more_than_the_rows_are_inconclusive() -> None:
    """Processes within ±10 %, rows 3 % apart: the interval contains 1, and the reason says so."""
    result = compare_rows(row(1.0, spread=0.1), row(1.03, seed=1, spread=0.1))
    assert result.verdict == "inconclusive"
    assert "contains 1 and exceeds ±2 %" in result.reason


def test_one_process_is_inconclusive() -> None:
    """However far apart: one process says nothing about others; the reason says what to do."""
    one = timed([NoiseClock(1 / 16)])
    result = compare_rows(one, timed([NoiseClock(1 / 4)]))
    assert (result.verdict, result.interval, result.ratio) == ("inconclusive", None, 4.0)
    assert "--processes 3" in result.reason


def test_a_failed_row_is_inconclusive() -> None:
    """Its failure is the reason, also of a later process; the other row's time is still there.
    Missing is not passing.
    """
    failed = timed([NoiseClock(1.0)], TimingSpec(spec="n@32"), processes=(), failure="no memory")
    killed = replace(row(0.5, spec="n@32"), failure="no memory")
    for bad in (failed, killed):
        for pair in ((bad, row(1.0)), (row(1.0), bad)):
            result = compare_rows(*pair)
            assert (result.verdict, result.ratio, result.interval) == ("inconclusive", None, None)
            assert result.reason == "n@32 · batch 1 · fp32 · cpu: no memory"
            assert [result.a_s is None, result.b_s is None] == [one is bad for one in pair]


def test_a_sample_without_time_is_inconclusive() -> None:
    """A ratio to zero is None."""
    clocks = [NoiseClock(1 / 256, tick_s=1 / 64) for _ in range(3)]
    result = compare_rows(row(1.0), timed(clocks, fewest=6))
    assert (result.verdict, result.ratio) == ("inconclusive", None)
    assert result.reason == "resnet18@32 · batch 1 · fp32 · cpu: a sample took no time"


def test_macs_stand_beside_the_time() -> None:
    """Dense MACs of B / those of A; None if either is unknown."""
    one, other = row(1.0), replace(row(1.0), work=Work(dense_macs=250))
    assert compare_rows(one, other).macs_ratio == 0.25
    assert compare_rows(one, replace(other, work=Work())).macs_ratio is None


# --- taking turns


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.97, "faster"), (1.03, "slower"), (1.0, "same"), (1.01, "same")]
)
def test_rows_that_took_turns_are_told_apart_by_three_per_cent(factor: float, verdict: str) -> None:
    """Although processes differ by 10 % and drift: what disturbs one disturbs the other."""
    one, other = interleaved(machines(drift=1e-3), [times(1.0), times(factor)])
    result = compare_rows(one, other)
    assert (result.verdict, result.paired) == (verdict, True)
    assert result.ratio == pytest.approx(factor, rel=0.003)


def test_pairs_beat_rows_apart_on_a_drifting_machine() -> None:
    """The same samples treated as independent: the interval is at least ten times as wide."""
    one, other = interleaved(machines(drift=1e-3), [times(1.0), times(0.97)])
    paired = compare_rows(one, other)
    apart = compare_rows(replace(one, interleaved=""), replace(other, interleaved=""))
    assert (paired.verdict, apart.verdict) == ("faster", "inconclusive")
    assert (paired.paired, apart.paired) == (True, False)
    assert paired.interval is not None
    assert apart.interval is not None
    widths = [high - low for low, high in (apart.interval, paired.interval)]
    assert widths[0] > 10 * widths[1]


def test_turns_cancel_a_drift_within_a_process() -> None:
    """ABBA: a machine that slows down by 0.2 % a call favours neither of two equal calls."""
    one, other = interleaved(machines(drift=2e-3), [times(1.0), times(1.0)])
    assert compare_rows(one, other).ratio == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("ratios", [(0.97, 0.98, 0.99), (1.01, 1.03)])
def test_a_few_processes_on_one_side_are_no_evidence(ratios: tuple[float, ...]) -> None:
    """Where nothing differs, three processes fall on one side of 1 in one of four runs, two in one
    of two. Logs -0.030, -0.020, -0.010: mean -0.020 ± 4.303 · 0.010 / √3 = 0.025, which holds 0.
    """
    turns = [
        interleaved([NoiseClock(1 / 16, seed=number)], [times(1.0), times(ratio)])
        for number, ratio in enumerate(ratios)
    ]
    one, other = (
        replace(turns[0][place], processes=tuple(rows[place].processes[0] for rows in turns))
        for place in range(2)
    )
    assert compare_rows(one, other).verdict == "inconclusive"


def test_rows_with_unlike_samples_are_not_paired() -> None:
    """One of two lost a process: what is left is compared, but not sample by sample."""
    one, other = interleaved(machines(), [times(1.0), times(2.0)])
    result = compare_rows(one, replace(other, processes=other.processes[:2]))
    assert (result.paired, result.ratio) == (False, pytest.approx(2.0, rel=0.1))
    other_label = replace(other, interleaved="something else")
    assert not compare_rows(one, other_label).paired


def test_the_rows_of_one_file_that_took_turns_are_compared_with_the_first() -> None:
    """Three took turns, a fourth did not: two pairs."""
    rows = interleaved(machines(), [times(1.0), times(0.5), times(2.0)])
    result = compare_interleaved(file(row(1.0), *rows))
    assert [(pair.a.what.spec, pair.b.what.spec, pair.verdict) for pair in result.pairs] == [
        ("net0@32", "net1@32", "faster"),
        ("net0@32", "net2@32", "slower"),
    ]
    assert [pair.macs_ratio for pair in result.pairs] == [2.0, 3.0]


def test_a_file_without_turns_has_nothing_to_compare() -> None:
    """The message says what would."""
    with pytest.raises(InputError, match="no rows of this file took turns") as caught:
        compare_interleaved(file(row(1.0), row(2.0, spec="resnet34@32")))
    assert "--vs B" in caught.value.hint


def test_two_runs_of_one_comparison_are_two_comparisons() -> None:
    """Merged files: rows of different runs were not interleaved."""
    first, second = (
        file(*interleaved(machines(count=2 + number), [times(1.0), times(0.5)]))
        for number in range(2)
    )
    result = compare_interleaved(merge([first, second]))
    assert [(pair.a.what.spec, pair.b.what.spec) for pair in result.pairs] == [
        ("net0@32", "net1@32"),
        ("net0@32", "net1@32"),
    ]
    assert [len(pair.a.processes) for pair in result.pairs] == [2, 3]
    assert [len(pair.b.processes) for pair in result.pairs] == [2, 3]


def test_rows_of_two_machines_never_took_turns() -> None:
    """One comparison measured on two machines, merged: no pair reaches across."""
    first = file(*interleaved(machines(), [times(1.0), times(0.5)]))
    second = file(
        *interleaved(machines(), [times(1.0), times(0.5)]),
        device=some_device("other", cpu__model="B"),
    )
    result = compare_interleaved(merge([first, second]))
    assert [(pair.a.device, pair.b.device) for pair in result.pairs] == [(0, 0), (1, 1)]


# --- two files


def test_files_are_compared_row_by_row() -> None:
    """Rows of one specification belong together, whatever their order; others are listed."""
    a = file(row(1.0), row(1.0, spec="resnet34@32"), row(1.0, spec="vgg11@32"))
    b = file(row(2.0, spec="resnet34@32", seed=1), row(1.0, spec="alexnet@64"), row(0.5, seed=2))
    result = compare_files(a, b, names=NAMES)
    assert [(pair.a.what, pair.verdict) for pair in result.pairs] == [
        (TimingSpec(spec="resnet18@32"), "faster"),
        (TimingSpec(spec="resnet34@32"), "slower"),
    ]
    assert all(pair.a.what == pair.b.what for pair in result.pairs)
    assert [only.what.spec for only in result.only_a] == ["vgg11@32"]
    assert [only.what.spec for only in result.only_b] == ["alexnet@64"]


def test_single_rows_are_compared_as_they_are() -> None:
    """Two files of one row each, of different models: the reader chose them."""
    result = compare_files(
        file(row(1.0)), file(row(0.5, spec="mobilenet_v2@32", seed=1)), names=NAMES
    )
    (pair,) = result.pairs
    assert pair.verdict == "faster"
    assert pair.changed == ("spec: resnet18@32 and mobilenet_v2@32",)
    assert (result.only_a, result.only_b) == ((), ())


def test_what_changed_is_named() -> None:
    """Options may be what is compared, so they are named and not refused."""
    one = row(1.0)
    spec = replace(one.what, dtype="bf16", channels_last=True, compiled=True)
    (pair,) = compare_files(file(one), file(replace(one, what=spec)), names=NAMES).pairs
    assert pair.changed == (
        "dtype: fp32 and bf16",
        "channels_last: False and True",
        "compiled: False and True",
    )


@pytest.mark.parametrize(("field", "value"), [("batch", 8), ("threads", 2), ("device", "cuda")])
def test_another_batch_device_or_thread_count_is_refused(field: str, value: object) -> None:
    """A ratio between them means nothing; both values are named."""
    one = row(1.0)
    other = replace(one, what=replace(one.what, **{field: value}))
    with pytest.raises(NotComparableError, match="cannot be compared") as caught:
        compare_files(file(one), file(other), names=NAMES, anyway=True)
    assert f"{field}: {'cpu' if field == 'device' else 1} and {value}" in caught.value.message


def test_files_of_one_machine_are_compared_at_one_pace() -> None:
    """The first was measured while all took an eighth longer, before a better pace was known.

    Another machine has a pace of its own.
    """

    def at(pace: float) -> TimingFile:
        clocks = [NoiseClock(1 / 16, phases=lambda _now: pace) for _ in range(3)]
        return file(timed(clocks, lead="paced_s"))

    (pair,) = compare_files(at(1.125), at(1.0), names=NAMES).pairs
    assert (pair.a_s, pair.b_s, pair.ratio) == (1 / 16, 1 / 16, 1.0)
    other = replace(at(1.0), devices=(some_device("AMD EPYC", cpu__model="another"),))
    (pair,) = compare_files(at(1.125), other, names=NAMES, anyway=True).pairs
    assert (pair.a_s, pair.b_s) == (9 / 128, 1 / 16)


def test_files_without_a_row_in_common_are_refused() -> None:
    """One row of each is named, so that the reader sees what differs."""
    a = file(row(1.0), row(1.0, spec="resnet34@32"))
    b = file(row(1.0, spec="vgg11@32"))
    with pytest.raises(NotComparableError, match=r"a\.json and b\.json have no row in common") as e:
        compare_files(a, b, names=NAMES)
    assert "resnet18@32" in e.value.hint
    assert "vgg11@32" in e.value.hint


@pytest.mark.parametrize("empty", ["a.json", "b.json"])
def test_an_empty_file_is_named(empty: str) -> None:
    """A file without rows cannot be compared."""
    files = [file() if name == empty else file(row(1.0)) for name in NAMES]
    with pytest.raises(NotComparableError, match=f"{empty} holds no rows"):
        compare_files(files[0], files[1], names=NAMES)


def test_unlike_machines_are_refused_with_every_key_and_both_values() -> None:
    """Only what matters is named, with a way out; another kernel or Python does not matter."""
    other = some_device(cpu__model="Intel", torch__version="2.16.0", os__kernel="Linux 7")
    with pytest.raises(NotComparableError) as caught:
        compare_files(file(row(1.0)), file(row(1.0), device=other), names=NAMES)
    message = caught.value.message
    assert message == (
        "a.json and b.json were not measured under the same conditions: "
        "cpu.model: 'AMD EPYC' and 'Intel'; "
        "torch.version: '2.15.0' and '2.16.0'"
    )
    assert "--anyway" in caught.value.hint
    assert "--vs" in caught.value.hint
    result = compare_files(
        file(row(1.0)), file(row(0.5, seed=1), device=other), names=NAMES, anyway=True
    )
    assert result.pairs[0].verdict == "faster"
    alike = some_device(os__kernel="Linux 7", python__version="3.13")
    assert compare_files(file(row(1.0)), file(row(1.0), device=alike), names=NAMES).pairs


def test_only_machines_of_compared_rows_must_be_alike() -> None:
    """A row of another machine without a counterpart does not prevent comparing the rest."""
    foreign = replace(row(1.0, spec="vgg11@32"), device=1)
    b = TimingFile(rows=(row(0.5, seed=1), foreign), devices=(CPU, some_device(cpu__model="Intel")))
    result = compare_files(file(row(1.0), row(1.0, spec="alexnet@64")), b, names=NAMES)
    assert [pair.verdict for pair in result.pairs] == ["faster"]
    assert result.only_b == (foreign,)


def test_a_specification_that_a_file_holds_twice_does_not_vanish() -> None:
    """A merged file may hold two runs of one command: both are in the result."""
    twice = merge([file(row(1.0)), file(row(4.0, seed=1))])
    result = compare_files(file(row(1.0, seed=2)), twice, names=NAMES)
    shown = [pair.b for pair in result.pairs] + list(result.only_b)
    assert len(shown) == 2


def test_rows_of_two_files_never_took_turns() -> None:
    """The same ``--vs`` command run twice: as many samples under one label, and still no pairs."""
    a, b = (file(*interleaved(machines(), [times(1.0), times(0.5)])) for _ in range(2))
    result = compare_files(a, b, names=NAMES)
    assert [pair.paired for pair in result.pairs] == [False, False]


# --- text


def test_every_format_holds_every_row() -> None:
    """Pairs with their verdict, and rows without a counterpart as inconclusive, in each format."""
    a = file(row(1.0), row(1.0, spec="vgg11@32"))
    b = file(row(0.5, seed=1), row(1.0, spec="alexnet@64"))
    result = compare_files(a, b, names=NAMES)
    for format in ("md", "latex"):
        text = time_comparison_tables(result, NAMES).render(format, None) or ""  # type: ignore[arg-type]
        for words in ("faster", "apart", "vgg11@32", "only in a.json", "only in b.json"):
            assert words in text
        assert text.count("inconclusive") == 2
    lines = (time_comparison_tables(result, NAMES).render("csv", None) or "").splitlines()  # type: ignore[arg-type]
    assert [line.rsplit(",", 2)[1:] for line in lines[1:]] == [
        ["faster", ""], ["inconclusive", "only in a"], ["inconclusive", "only in b"],
    ]  # fmt: skip
    data = json.loads(time_comparison_tables(result, NAMES).render("json", None) or "")  # type: ignore[arg-type]
    assert (data["schema"], data["kind"]) == (1, "flopbench.time-comparison")
    assert (data["a"], data["b"]) == NAMES
    assert data["pairs"][0]["verdict"] == "faster"
    assert data["pairs"][0]["ci95"][0] <= data["pairs"][0]["ratio"] <= data["pairs"][0]["ci95"][1]
    assert [only["spec"] for only in data["only_a"]] == ["vgg11@32"]
    assert [only["spec"] for only in data["only_b"]] == ["alexnet@64"]
