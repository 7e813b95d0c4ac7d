"""How far to trust a row: every verdict with its reason, and figures computed by hand.

Rows come out of the real loop on a clock of noise. A call takes 1/16 s unless a test says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from clocks import NoiseClock, some_device, timed
from conftest import ROOT
from msgspec.structs import replace

from flopbench.timing.gpu_readings import GpuReading, throttle_names
from flopbench.timing.records import Timing, TimingSpec, Work, at_one_pace
from flopbench.timing.sweeps import Probe
from flopbench.timing.verdicts import summarise

H100 = some_device("NVIDIA H100 80GB HBM3", "cuda")
CPU = some_device()
ON_CUDA = TimingSpec(spec="resnet18@32", device="cuda")
WORK = Work(dense_macs=10**9, params=10**7, activations=2 * 10**6, input="32")


def alike(count: int = 3, base_s: float = 1 / 16, **changes: Any) -> list[NoiseClock]:
    """Return the clocks of processes that differ by nothing but their seeds."""
    return [NoiseClock(base_s, seed=seed, **changes) for seed in range(count)]


def without_waits(row: Timing) -> Timing:
    """Return the row as a system without Linux's scheduler statistics gives it."""
    runs = [
        replace(run, columns={k: v for k, v in run.columns.items() if k != "wait_s"})
        for run in row.processes
    ]
    return replace(row, processes=tuple(runs))


def unlike(*factors: float) -> list[NoiseClock]:
    """Return the clocks of processes that are slower by these factors."""
    return [NoiseClock(factor / 16) for factor in factors]


def recorded(run: str) -> list[GpuReading]:
    """Return recorded readings of a GPU."""
    data = json.loads((ROOT / "tests/data/nvml-readings.json").read_text(encoding="utf-8"))
    return [
        GpuReading(
            t_s=line["t_s"],
            sm_mhz=line["sm_mhz"],
            memory_mhz=line["memory_mhz"],
            temperature_c=line["temperature_c"],
            power_w=line["power_mw"] / 1e3,
            power_limit_w=line["power_limit_mw"] / 1e3,
            throttle_reasons=throttle_names(line["reasons"]),
            energy_mj=line["energy_mj"],
            foreign_processes=len(set(line["pids"]) - {data["own_pid"]}),
            utilization_percent=line["utilization_percent"],
        )
        for line in data["runs"][run]
    ]


def on_cuda(readings: Sequence[GpuReading] = (), **changes: Any) -> Timing:
    """Return a steady row of three processes on a GPU, each with these readings."""
    run = {"readings": tuple(readings), "images_done": changes.pop("images_done", ())}
    return timed(alike(columns="cuda"), ON_CUDA, run=run, work=WORK, **changes)


# --- verdicts


@pytest.mark.parametrize(
    ("row", "verdict", "reasons"),
    [
        (lambda: timed(alike(noise=0.003)), "stable", ()),
        # Factors 1, 1.02, 1.04: s = 1.96 %, reach = 4.303 · s · √(2.35 / 3) = 7.5 %.
        (
            lambda: timed(unlike(1.0, 1.02, 1.04)),
            "noisy",
            ("processes differ: a repeat is expected only within ±7%",),
        ),
        # Factors 1, 1.1, 1.2: s = 9.1 %, reach 34.7 %, sinh(0.347) = 35 %.
        (
            lambda: timed(unlike(1.0, 1.1, 1.2)),
            "unstable",
            ("processes differ: a repeat is expected only within ±35%",),
        ),
        # However steady, fewer than three processes say too little.
        (
            lambda: timed(alike(1)),
            "noisy",
            ("1 process says little about others: use --processes 3 or more",),
        ),
        (
            lambda: timed(alike(2)),
            "noisy",
            ("2 processes say little about others: use --processes 3 or more",),
        ),
        # Five samples have no interval of their median.
        (
            lambda: timed(alike(), budget_s=1e-3, fewest=5),
            "noisy",
            ("a process has too few samples for an interval of its median: raise --budget",),
        ),
        # Ten samples in each process, five of 1/16 and five of 1/8 s.
        (
            lambda: timed(alike(warm_up=[1.0] * 26 + [2.0] * 5), budget_s=1e-3),
            "noisy",
            ("the median of a process is known only to ±33.3%",),
        ),
        # Wall time of 1.5 and CPU time of 1: a third of the time others had the processor.
        (
            lambda: timed(alike(waits=0.5), lead="wall_s"),
            "noisy",
            ("others used 33 % of the time: ms are wall time, with it",),
        ),
        # CPU time leaves it out and stays stable, but CPU and wall time differ: 1.7 of 2.7.
        (
            lambda: timed(alike(waits=1.7)),
            "stable",
            ("others used 63 % of the time: ms are CPU time, without it",),
        ),
        (lambda: timed(alike(waits=0.1)), "stable", ()),
        # Of 1 + 3 + 1, three parts: neither computing nor waiting for a processor.
        (
            lambda: timed(alike(waits=1.0, sleeps=3.0)),
            "noisy",
            (
                "the model waited 60% of the time, not for a processor (sleep, disk, network, a "
                "lock): ms are CPU time, img/s are by the wall clock",
                "others used 20 % of the time: ms are CPU time, without it",
            ),
        ),
        # A network that sleeps 20 ms and computes 0.4 ms.
        (
            lambda: timed(alike(sleeps=50.0)),
            "noisy",
            (
                "the model waited 98% of the time, not for a processor (sleep, disk, network, a "
                "lock): ms are CPU time, img/s are by the wall clock",
            ),
        ),
        # Where the system does not say who waited for what, both are possible.
        (
            lambda: without_waits(timed(alike(sleeps=1.0))),
            "noisy",
            (
                "the model waited 50% of the time, or others used the processor: this system does "
                "not say which: ms are CPU time, img/s are by the wall clock",
            ),
        ),
        (lambda: timed(alike(sleeps=0.1)), "stable", ()),
        (lambda: timed(alike(sleeps=3.0), lead="wall_s"), "stable", ()),
        # All takes twice as long every other half second: seven of twelve samples count, not the
        # four of a slow phase, nor the one that it begins in.
        (
            lambda: timed(alike(phases=lambda now: 1.0 + int(now * 2) % 2), fewest=20),
            "stable",
            ("45 % of the samples are left out: the machine was slow meanwhile",),
        ),
        # An eighth slower throughout, as the machine was: that counts, and is a repeat's time.
        (
            lambda: timed(alike(phases=lambda _now: 1.125), best_pace_s=1 / 1024, lead="paced_s"),
            "stable",
            (),
        ),
        # One that never sees the best pace, which it is told, waits and is marked.
        (
            lambda: timed(alike(phases=lambda _now: 1.25), best_pace_s=1 / 1024),
            "unstable",
            (
                "the machine ran at 80 % of its best pace in 3 of 3 processes: repeat it later, or "
                "measure its pace with --refresh",
                "97 % of the samples are left out: the machine was slow meanwhile",
            ),
        ),
        # Two others in the last recorded reading; idle starts and small steps of clocks are calm.
        (lambda: on_cuda(recorded("guest")), "noisy", ("2 other processes used the GPU",)),
        (lambda: on_cuda(recorded("calm")), "stable", ()),
        # The power cap that all three processes met is named once.
        (
            lambda: on_cuda(recorded("throttled")),
            "unstable",
            (
                "the GPU was throttled: sw power cap in 6 of 12 readings (50%); sw thermal "
                "slowdown in 3 of 12 readings (25%); the SM clock fell to 1410 MHz, 29% below the "
                "1980 MHz seen while busy",
            ),
        ),
        # No figures, with the failure as the reason; also where it came in a later process.
        (
            lambda: timed(alike(1), ON_CUDA, processes=(), failure="out of memory"),
            "failed",
            ("out of memory",),
        ),
        (lambda: timed(alike(1), processes=()), "failed", ("not measured",)),
        (lambda: timed(alike(), failure="killed (SIGKILL)"), "failed", ("killed (SIGKILL)",)),
    ],
)
def test_every_verdict_has_its_reasons(
    row: Callable[[], Timing], verdict: str, reasons: tuple[str, ...]
) -> None:
    """Each finding makes a row as bad as it is, in words with numbers and a way out."""
    timing = row()
    summary = summarise(timing, H100 if timing.what.device == "cuda" else CPU)
    assert (summary.verdict, summary.reasons) == (verdict, reasons)
    assert (summary.interval_s is None) == (summary.processes < 2)
    assert (summary.headline_s is None) == (verdict == "failed")


def test_a_row_that_did_not_settle_is_unstable() -> None:
    """One of three processes went on changing; the reason counts it and its calls."""
    clocks = [*alike(2), NoiseClock(1 / 4, drift=1 / 16)]
    summary = summarise(timed(clocks), CPU)
    assert summary.verdict == "unstable"
    assert "1 of 3 processes did not settle in 40 warm-up calls" in summary.reasons


@pytest.mark.parametrize(
    ("dense_macs", "verdict"),
    [
        # 2 FLOPs · MACs · 16 a second; the sheet of the H100 says 67e12 FLOP/s in fp32
        (2 * 10**12, "stable"),  # 64e12
        (3 * 10**12, "invalid"),  # 96e12 = 1.43 · 67e12
    ],
)
def test_beyond_the_data_sheet_is_invalid(dense_macs: int, verdict: str) -> None:
    """A known GPU cannot be faster than its peak; below it any share is possible."""
    work = Work(dense_macs=dense_macs, params=1, activations=1)
    summary = summarise(timed(alike(columns="cuda"), ON_CUDA, work=work), H100)
    assert summary.verdict == verdict
    assert summary.share_of_peak == pytest.approx(32 * dense_macs / 67e12)
    if verdict == "invalid":
        assert "96000.0 GFLOP/s is 1.43 times the data sheet's peak" in summary.reasons[0]


def test_the_peak_is_that_of_the_number_format() -> None:
    """96e12 FLOP/s are possible in bf16 (989.5e12), and no sheet speaks of an unknown name."""
    work = Work(dense_macs=3 * 10**12)
    half = TimingSpec(spec="resnet18@32", device="cuda", dtype="bf16")
    summary = summarise(timed(alike(columns="cuda"), half, work=work), H100)
    assert summary.verdict == "stable"
    assert summary.share_of_peak == pytest.approx(96 / 989.5)
    unknown = some_device("NVIDIA Z9", "cuda")
    summary = summarise(timed(alike(columns="cuda"), ON_CUDA, work=work), unknown)
    assert (summary.verdict, summary.share_of_peak) == ("stable", None)


@pytest.mark.parametrize(("roof", "verdict"), [(32e9 / 1.09, "stable"), (32e9 / 1.11, "invalid")])
def test_beyond_the_measured_roof_is_invalid(roof: float, verdict: str) -> None:
    """1e9 MACs in 1/16 s are 32e9 FLOP/s: 1.09 times a roof is its own noise, 1.11 is not."""
    row = timed(alike(), work=WORK, roofs={"flops_per_s": roof, "bytes_per_s": 1e9})
    summary = summarise(row, CPU)
    assert summary.verdict == verdict
    if verdict == "invalid":
        assert "32.0 GFLOP/s is 1.11 times the measured roof" in summary.reasons[0]


def test_a_sample_without_time_is_invalid() -> None:
    """A clock that steps by 1/64 s does not see calls of 1/256 s."""
    summary = summarise(timed(alike(base_s=1 / 256, tick_s=1 / 64), work=WORK, fewest=6), CPU)
    assert summary.verdict == "invalid"
    assert summary.reasons[0].startswith("a sample took no time at all")
    assert (summary.headline_s, summary.images_per_s, summary.interval_s) == (0.0, None, None)
    assert summary.achieved_flops_per_s is None


def test_a_column_that_one_process_lacks_is_no_error() -> None:
    """A graph could be captured in one process only: its column is of those that have it."""
    runs = list(timed(alike(columns="cuda"), ON_CUDA).processes)
    columns = {**runs[0].columns, "graph_s": runs[0].columns["gpu_s"]}
    runs[0] = replace(runs[0], columns=columns)
    for order in (runs, runs[::-1]):
        row = timed(alike(columns="cuda"), ON_CUDA, processes=tuple(order))
        assert summarise(row, H100).headline_s == 1 / 16


def test_the_gravest_finding_gives_the_verdict_and_every_finding_its_reason() -> None:
    """Invalid before unstable before noisy, and none of them hides another."""
    clocks = [NoiseClock(1 / 4, drift=1 / 16), NoiseClock(1 / 4)]
    grave = summarise(timed(clocks, budget_s=1e-3, fewest=4), CPU)
    assert grave.verdict == "unstable"
    assert [reason.split(":")[0] for reason in grave.reasons] == [
        "1 of 2 processes did not settle in 40 warm-up calls",
        "2 processes say little about others",
        "a process has too few samples for an interval of its median",
    ]
    roofs = {"flops_per_s": 1.0, "bytes_per_s": 1.0}
    clocks = [NoiseClock(1 / 4, drift=1 / 16), NoiseClock(1 / 4)]
    worst = summarise(timed(clocks, budget_s=1e-3, fewest=4, work=WORK, roofs=roofs), CPU)
    assert worst.verdict == "invalid"
    assert worst.reasons[1:] == grave.reasons


# --- figures


def test_rates_by_hand() -> None:
    """Batch 4 in 1/16 s: 64 img/s and 2 · 1e9 · 4 · 16 = 128e9 FLOP/s, half of a roof of 256e9."""
    row = timed(
        alike(),
        TimingSpec(spec="resnet18@32", batch=4),
        work=WORK,
        roofs={"flops_per_s": 256e9, "bytes_per_s": 4e9},
    )
    summary = summarise(row, CPU)
    assert summary.headline_s == 1 / 16
    assert summary.images_per_s == 64
    assert summary.achieved_flops_per_s == 128e9
    assert summary.share_of_roof == 0.5
    assert summary.share_of_peak is None
    assert summary.energy is None


def test_the_headline_is_the_median_of_process_medians() -> None:
    """Not of all samples: processes of 10, 10 and 200 samples weigh the same."""
    rows = [
        timed([NoiseClock(factor / 16)], fewest=n) for factor, n in ((1, 10), (2, 10), (4, 200))
    ]
    runs = tuple(row.processes[0] for row in rows)
    summary = summarise(timed(alike(), processes=runs), CPU)
    assert summary.headline_s == 2 / 16
    assert summary.p50_s == 4 / 16
    assert (summary.samples, summary.first_s) == (220, 2 / 16)
    assert summary.columns == {"wall_s": 2 / 16, "cpu_s": 2 / 16, "wait_s": 0.0}


@pytest.mark.parametrize(
    ("bytes_per_s", "bound"),
    [
        # FLOPs of four images 8e9. Weights 1e7 · 4 bytes = 4e7; activations written and read
        # 2 · 2e6 · 4 images · 4 bytes = 6.4e7. Intensity 8e9 / 1.04e8 = 76.9 to 8e9 / 4e7 = 200.
        # Ridge: 256e9 FLOP/s over the bytes a second.
        (4e9, "compute"),  # 64
        (2e9, "compute or memory"),  # 128
        (1e9, "memory"),  # 256
        (None, ""),
    ],
)
def test_the_roofline_says_what_binds(bytes_per_s: float | None, bound: str) -> None:
    """Both bounds of the intensity on one side of the ridge, or on both sides."""
    row = timed(
        alike(),
        TimingSpec(spec="resnet18@32", batch=4),
        work=WORK,
        roofs={"flops_per_s": 256e9, "bytes_per_s": bytes_per_s},
    )
    summary = summarise(row, CPU)
    assert summary.intensity == (pytest.approx(8e9 / 1.04e8), 200.0)
    assert (summary.bound, summary.launch_bound) == (bound, False)


def test_half_precision_moves_half_the_bytes() -> None:
    """bf16 and fp16 have twice the intensity of fp32; tf32 lies in memory as fp32 does."""
    found = {}
    for dtype in ("fp32", "tf32", "bf16", "fp16"):
        spec = TimingSpec(spec="resnet18@32", device="cuda", dtype=dtype)
        found[dtype] = summarise(timed(alike(), spec, work=WORK), CPU).intensity
    # one image: 2e9 / (4e7 + 1.6e7) and 2e9 / 4e7
    assert found["fp32"] == found["tf32"] == (pytest.approx(2e9 / 5.6e7), 50.0)
    assert found["bf16"] == found["fp16"] == (pytest.approx(2e9 / 2.8e7), 100.0)


@pytest.mark.parametrize(
    "work", [Work(), Work(dense_macs=0, params=1, activations=1), Work(dense_macs=5)]
)
def test_unknown_work_has_no_intensity(work: Work) -> None:
    """Nothing is guessed: no intensity, no bound, and a model without MACs does not divide by 0."""
    row = timed(alike(), work=work, roofs={"flops_per_s": 1e9, "bytes_per_s": 1e9})
    summary = summarise(row, CPU)
    assert (summary.intensity, summary.bound, summary.verdict) == (None, "", "stable")
    assert (summary.achieved_flops_per_s is None) == (work.dense_macs is None)


@pytest.mark.parametrize(("share", "launch"), [(0.75, False), (0.875, True), (2.0, True)])
def test_enqueueing_beyond_four_fifths_of_the_gpu_time_binds(share: float, launch: bool) -> None:
    """The flag is set, and the bound says launch whatever the roofline would."""
    row = timed(
        alike(columns="cuda", enqueue_s=share / 16),
        ON_CUDA,
        work=WORK,
        roofs={"flops_per_s": 256e9, "bytes_per_s": 1e10},
    )
    summary = summarise(row, H100)
    assert summary.launch_bound == launch
    assert summary.bound == ("launch" if launch else "compute")
    assert summary.columns["gpu_s"] == 1 / 16


def test_percentiles_need_single_calls_and_enough_of_them() -> None:
    """Three processes of 22 samples have a p90, of 221 a p99; means of calls have neither."""
    some = summarise(timed(alike(), budget_s=1e-3, fewest=22), CPU)
    assert (some.samples, some.p90_s, some.p99_s) == (66, 1 / 16, None)
    many = summarise(timed(alike(), budget_s=1e-3, fewest=221), CPU)
    assert (many.samples, many.p90_s, many.p99_s) == (663, 1 / 16, 1 / 16)
    grouped = summarise(timed(alike(base_s=1 / 4096), budget_s=1e-3, fewest=221), CPU)
    assert (grouped.samples, grouped.p50_s, grouped.p90_s) == (663, 1 / 4096, None)


def test_the_largest_peak_of_memory_counts() -> None:
    """Of all processes; unknown if none reports it."""
    row = timed(alike())
    runs = tuple(
        timed([clock], run={"peak_bytes": peak}).processes[0]
        for clock, peak in zip(alike(), (10, None, 30), strict=True)
    )
    assert summarise(row, CPU).peak_bytes is None
    assert summarise(timed(alike(), processes=runs), CPU).peak_bytes == 30


def test_the_energy_is_that_of_the_middle_process() -> None:
    """The recorded counter rises by 30 J every 100 ms, 300 W. Processes of 50, 100 and 150 img/s:
    6, 3 and 2 J; one without readings does not count.
    """
    runs = []
    for rate in (50, 100, 150, 0):
        readings = recorded("calm") if rate else ()
        row = on_cuda(readings, images_done=((99.0, 0), (110.0, 11 * rate)))
        runs.append(row.processes[0])
    energy = summarise(on_cuda(processes=tuple(runs)), H100).energy
    assert energy is not None
    assert (energy.per_image_j, energy.reason) == (pytest.approx(3.0), "")


def test_no_energy_has_a_reason() -> None:
    """On a GPU that does not report it; off CUDA there is no such figure."""
    energy = summarise(on_cuda(), H100).energy
    assert energy is not None
    assert energy.per_image_j is None
    assert "no energy counter" in energy.reason
    assert summarise(timed(alike()), CPU).energy is None


@pytest.mark.parametrize(
    ("clock", "images_per_s"),
    [
        ({}, 8 * 16),
        ({"waits": 1.0}, 8 * 16),
        ({"sleeps": 0.1}, 8 * 16),
        ({"sleeps": 1.0}, 8 * 8),
        ({"sleeps": 3.0, "waits": 1.0}, 8 * 16 / 5),
        ({"sleeps": 54.0}, 8 * 16 / 55),
    ],
)
def test_a_model_that_waits_has_the_throughput_of_the_wall_clock(
    clock: dict[str, float], images_per_s: float
) -> None:
    """1/16 s of CPU time a batch of 8; what it waits for counts, what others take does not."""
    what = TimingSpec(spec="resnet18@32", batch=8)
    row = timed(alike(**clock), what, work=WORK)
    summary = summarise(row, CPU)
    assert summary.images_per_s == pytest.approx(images_per_s)
    assert summary.achieved_flops_per_s == pytest.approx(2e9 * images_per_s)
    assert summary.headline_s == 1 / 16
    assert Probe.of(row).images_per_s == summary.images_per_s


def test_a_headline_at_the_best_pace_is_that_of_a_machine_without_phases() -> None:
    """Processes that met the machine an eighth slower, a sixteenth and not at all agree at 1/16 s.

    CPU time stays as it was read; without a pace it is the headline.
    """
    runs = [
        timed([NoiseClock(1 / 16, phases=lambda _now, p=p: p)], best_pace_s=1 / 1024)
        for p in (1.125, 1.0625, 1.0)
    ]
    row = replace(runs[0], lead="paced_s", processes=tuple(run.processes[0] for run in runs))
    assert row.medians() == [1 / 16] * 3
    assert row.medians("cpu_s") == [9 / 128, 17 / 256, 1 / 16]
    summary = summarise(row, CPU)
    assert (summary.verdict, summary.headline_s, summary.columns["cpu_s"]) == (
        "stable",
        1 / 16,
        17 / 256,
    )
    plain = timed(alike(), lead="paced_s")
    assert plain.medians() == plain.medians("cpu_s") == [1 / 16] * 3


def test_all_processes_of_a_run_have_the_best_pace_that_one_of_them_saw() -> None:
    """The first ran while the machine was slow and knew no better; accelerators know none."""
    slow, quick = (timed([NoiseClock(p / 16, phases=lambda _now, p=p: p)]) for p in (1.5, 1.0))
    rows = at_one_pace([replace(slow, lead="paced_s"), quick, timed(alike())])
    assert [row.processes[0].best_pace_s for row in rows] == [1 / 1024, 1 / 1024, None]
    assert slow.medians() == [9 / 64]  # 1.5 / 16 s, half as long again
    assert rows[0].medians() == [3 / 32]
