"""Summary of one row of timings: headline, spread, efficiency, bound, and how far to trust it.

Verdicts: ``stable``, ``noisy``, ``unstable``, ``invalid`` (faster than the hardware can be) and
``failed``, each with its reasons. No sample is ever left out because of its value; only because the
machine was slow, which other work beside it showed.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from flopbench.core.statistics import (
    FEWEST_PROCESSES,
    half_width,
    median,
    percentile,
    repeat_interval,
)
from flopbench.core.units import FLOPS_PER_MAC, gflops, percentage
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.gpu_readings import Energy, energy_per_image_j, foreign, throttled
from flopbench.timing.measure.sampling import PACE_WITHIN
from flopbench.timing.peaks import peak_of
from flopbench.timing.records import PACED, Timing

STABLE_WITHIN = 0.05
"""If a repeat is expected within ± this share, the headline may be quoted to two digits."""

NOISY_WITHIN = 0.20
"""Beyond ± this share a headline cannot show a quarter more work."""

LAUNCH_BOUND = 0.8
"""Enqueueing for more than this share of the device's time limits the device."""

ROOF_SLACK = 1.10
"""A measured roof is itself a measurement: only a row this far above it is invalid. (A convolution
by Winograd's method does fewer multiplications than its MACs: F(2×2, 3×3) takes 1 / 2.25 of them,
so such a row may be real; the reason says so.)"""

WAITING = 0.10
"""More than this share of the wall time in the run queue means that others had the processor: where
wall time is primary the headline holds it, where CPU time is, CPU and wall time differ by it."""

IDLE = 0.10
"""If CPU time is primary: in more than this share of the wall time the process neither computed nor
waited for a processor, so the model waits for something else and CPU time is not what it takes."""

WORTH_A_WORD = 0.10
"""Share of samples left out, from which a row says so."""

PROCESSES_DIFFER = "processes differ"

BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}

TimingVerdict = Literal["stable", "noisy", "unstable", "invalid", "failed"]
Bound = Literal["compute", "memory", "compute or memory", "launch", ""]


class Summary(Struct, frozen=True, kw_only=True):
    """One row, summarised.

    Attributes:
        verdict: how far to trust it.
        reasons: why, in words with numbers.
        headline_s: median of process medians of the primary column, per call; None if failed.
        interval_s: where a repeat of the command is expected (95 %); None for one process.
        samples: of all processes together.
        processes: how many.
        p50_s: median of all samples together.
        p90_s: percentile of all samples together; None if there are too few.
        p99_s: as ``p90_s``.
        first_s: median of the first calls.
        columns: name -> median of process medians.
        images_per_s: batch / headline; by the wall clock where the model waits (``call_s``).
        queued_images_per_s: the same with calls queued back to back, as in a busy service; None
            off CUDA.
        achieved_flops_per_s: 2 × dense MACs in an image × ``images_per_s``.
        share_of_roof: of the measured matmul roof in the same dtype.
        share_of_peak: of the data sheet's dense peak.
        intensity: FLOPs per byte: (with every activation through memory, with none).
        bound: what limits it by the roofline of the measured roofs, or ``launch``.
        launch_bound: whether enqueueing takes more than ``LAUNCH_BOUND`` of the device's time.
        least_s: the least time of the operators of a call on the measured roofs; None if unknown.
        binding: operator families with their shares of it, the largest first.
        peak_bytes: the largest of all processes.
        energy: joules per image, or the reason why there is none; None off CUDA.
    """

    verdict: TimingVerdict
    reasons: tuple[str, ...]
    headline_s: float | None = None
    interval_s: tuple[float, float] | None = None
    samples: int = 0
    processes: int = 0
    p50_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    first_s: float | None = None
    columns: dict[str, float] = {}
    images_per_s: float | None = None
    queued_images_per_s: float | None = None
    achieved_flops_per_s: float | None = None
    share_of_roof: float | None = None
    share_of_peak: float | None = None
    intensity: tuple[float, float] | None = None
    bound: Bound = ""
    launch_bound: bool = False
    least_s: float | None = None
    binding: tuple[tuple[str, float], ...] = ()
    peak_bytes: int | None = None
    energy: Energy | None = None

    @property
    def joules(self) -> float | None:
        """Energy of an image, where it could be measured."""
        return None if self.energy is None else self.energy.per_image_j


def summarise(row: Timing, device: DeviceFacts) -> Summary:
    """Summarise one row.

    Args:
        row: the raw samples.
        device: the machine that they were measured on.
    """
    if row.failed:
        return Summary(verdict="failed", reasons=(row.failure or "not measured",))
    medians, pooled = row.medians(), row.pooled()
    headline = median(medians)
    single = all(run.calls_per_sample == 1 for run in row.processes)
    names = dict.fromkeys(name for run in row.processes for name in run.columns)
    columns = {name: median(row.medians(name)) for name in names}
    seconds = call_s(row)
    images_per_s = row.what.batch / seconds if seconds > 0 else None
    achieved = None
    if row.work.dense_macs is not None and seconds > 0:
        achieved = FLOPS_PER_MAC * row.work.dense_macs * row.what.batch / seconds
    peak = peak_of(device.name)
    sheet = None if peak is None else peak.flops_per_s(row.what.dtype)
    roof = row.roofs.get("flops_per_s")
    launch = columns.get("enqueue_s", 0.0) > LAUNCH_BOUND * columns.get("gpu_s", math.inf)
    verdict, reasons = _verdict(row, columns, achieved, sheet)
    bounds = intensity(row)
    return Summary(
        verdict=verdict,
        reasons=reasons,
        headline_s=headline,
        interval_s=repeat_interval(medians) if min(medians) > 0 else None,
        samples=len(pooled),
        processes=len(medians),
        p50_s=median(pooled),
        p90_s=percentile(pooled, 90) if single else None,
        p99_s=percentile(pooled, 99) if single else None,
        first_s=median([run.first_s for run in row.processes]),
        columns=columns,
        images_per_s=images_per_s,
        queued_images_per_s=_queued(row),
        achieved_flops_per_s=achieved,
        share_of_roof=achieved / roof if achieved is not None and roof else None,
        share_of_peak=achieved / sheet if achieved is not None and sheet else None,
        intensity=bounds,
        bound="launch" if launch else _bound(bounds, roof, row.roofs.get("bytes_per_s")),
        launch_bound=launch,
        least_s=row.least_s(),
        binding=tuple(row.binding()),
        peak_bytes=row.peak_bytes(),
        energy=_energy(row),
    )


def call_s(row: Timing) -> float:
    """Return the seconds that a call takes: the headline, or wall time where the model waits."""
    return median(row.medians("wall_s" if idle_share(row) > IDLE else ""))


def _is_cpu_time(row: Timing) -> bool:
    return row.lead in ("cpu_s", PACED)


def idle_share(row: Timing) -> float:
    """Return the share of the wall time in which the model neither computed nor was kept from it.

    It is known only where CPU time is primary.
    """
    wall, cpu, wait = (median(row.medians(name) or [0.0]) for name in ("wall_s", "cpu_s", "wait_s"))
    known = _is_cpu_time(row) and cpu > 0 and wall > 0
    return max(0.0, 1 - (cpu + wait) / wall) if known else 0.0


def intensity(row: Timing) -> tuple[float, float] | None:
    """Return bounds of the arithmetic intensity, FLOPs per byte.

    For the upper bound only the weights move through memory; for the lower one every output of a
    dense operator is also written and read once. A fused network lies between the two; one whose
    other operators go through memory too lies below.

    Returns:
        None if the work is unknown.
    """
    work, batch = row.work, row.what.batch
    if not work.dense_macs or work.params is None or work.activations is None:
        return None
    size = BYTES[row.what.dtype]
    flops = FLOPS_PER_MAC * work.dense_macs * batch
    weights = work.params * size
    through = weights + 2 * work.activations * batch * size
    return flops / through, flops / max(weights, 1)


def _bound(
    bounds: tuple[float, float] | None, flops_per_s: float | None, bytes_per_s: float | None
) -> Bound:
    """Return on which side of the ridge of the measured roofline a row lies."""
    if bounds is None or not flops_per_s or not bytes_per_s:
        return ""
    ridge = flops_per_s / bytes_per_s
    if bounds[0] >= ridge:
        return "compute"
    return "memory" if bounds[1] < ridge else "compute or memory"


def _queued(row: Timing) -> float | None:
    """Return images per second between the first and the last done, median over processes."""
    ends = [(run.images_done[0], run.images_done[-1]) for run in row.processes if run.images_done]
    rates = [(n1 - n0) / (t1 - t0) for (t0, n0), (t1, n1) in ends if t1 > t0]
    return median(rates) if rates else None


def _energy(row: Timing) -> Energy | None:
    """Return the energy of the process with the median joules per image."""
    if row.what.device != "cuda":
        return None
    found = [energy_per_image_j(run.readings, run.images_done) for run in row.processes]
    known = [energy for energy in found if energy.per_image_j is not None]
    known.sort(key=lambda energy: energy.per_image_j or 0)
    return known[len(known) // 2] if known else found[0]


def _verdict(
    row: Timing, columns: dict[str, float], achieved: float | None, sheet: float | None
) -> tuple[TimingVerdict, tuple[str, ...]]:
    """Judge a row: the most severe finding gives the verdict, every finding a reason."""
    impossible = _impossible(row, achieved, sheet)
    severe, minor = _findings(row, columns)
    others = _others(row, columns)
    if others and not _is_cpu_time(row):
        minor.append(others)
    verdict: TimingVerdict = "noisy" if minor else "stable"
    if impossible or severe:
        verdict = "invalid" if impossible else "unstable"
    remarks = [others] if others and _is_cpu_time(row) else []
    return verdict, (*impossible, *severe, *minor, *remarks, *_left_out(row))


def _left_out(row: Timing) -> list[str]:
    """Say which share of the samples does not count, where it is worth a word."""
    left = sum(len(next(iter(run.left_out.values()), ())) for run in row.processes)
    share = left / (left + len(row.pooled()))
    if share < WORTH_A_WORD:
        return []
    return [f"{percentage(share)} of the samples are left out: the machine was slow meanwhile"]


def _impossible(row: Timing, achieved: float | None, sheet: float | None) -> list[str]:
    reasons = []
    if any(value <= 0 for value in row.pooled()):
        reasons.append("a sample took no time at all: the clock is too coarse for this model")
    if achieved is None:
        return reasons
    roof = row.roofs.get("flops_per_s")
    rate = f"{gflops(achieved):.1f} GFLOP/s is"
    causes = "not all the work was done, convolutions ran by Winograd's method"
    if sheet is not None and achieved > sheet:
        times = f"{achieved / sheet:.2f} times the data sheet's peak"
        reasons.append(f"{rate} {times}: {causes}, or the clock was above that of the sheet")
    elif roof and achieved > ROOF_SLACK * roof:
        times = f"{achieved / roof:.2f} times the measured roof"
        others = row.roofs.get("others") or 0.0
        busy = f" (others used {percentage(others)} of the time)" if others > WAITING else ""
        moment = f"or the roof was measured at a bad moment{busy}; --refresh measures it again"
        reasons.append(f"{rate} {times}: {causes}, {moment}")
    return reasons


def _findings(row: Timing, columns: dict[str, float]) -> tuple[list[str], list[str]]:
    """Return what makes a row unstable, and what makes it noisy."""
    severe: list[str] = []
    minor: list[str] = []
    unsettled = sum(not run.settled for run in row.processes)
    if unsettled:
        calls = max(run.warm_up_calls for run in row.processes)
        severe.append(
            f"{unsettled} of {len(row.processes)} processes did not settle in {calls} warm-up calls"
        )
    slow = [pace for pace in row.paces() if pace * (1 + PACE_WITHIN) < 1]
    if slow:
        severe.append(
            f"the machine ran at {percentage(min(slow))} of its best pace in {len(slow)} of "
            f"{len(row.processes)} processes: repeat it later, or measure its pace with --refresh"
        )
    held = next(filter(None, (throttled(run.readings) for run in row.processes)), "")
    if held:
        severe.append(f"the GPU was throttled: {held}")
    others = max(foreign(run.readings) or 0 for run in row.processes)
    if others:
        minor.append(f"{others} other processes used the GPU")
    _spread(row, severe, minor)
    widths = [half_width(run.samples(row.lead)) for run in row.processes]
    if max(widths) > STABLE_WITHIN:
        minor.append(
            f"the median of a process is known only to ±{max(widths):.1%}"
            if max(widths) < 1
            else "a process has too few samples for an interval of its median: raise --budget"
        )
    idle = idle_share(row)
    if idle > IDLE:
        known = "not for a processor (sleep, disk, network, a lock)"
        unknown = "or others used the processor: this system does not say which"
        minor.append(
            f"the model waited {idle:.0%} of the time, {known if 'wait_s' in columns else unknown}:"
            " ms are CPU time, img/s are by the wall clock"
        )
    return severe, minor


def _others(row: Timing, columns: dict[str, float]) -> str:
    """Say which share of the wall time others had the processor; empty where it is small."""
    share = columns.get("wait_s", 0.0) / (columns.get("wall_s") or math.inf)
    if share <= WAITING:
        return ""
    what = "CPU time, without it" if _is_cpu_time(row) else "wall time, with it"
    return f"others used {percentage(share)} of the time: ms are {what}"


def _spread(row: Timing, severe: list[str], minor: list[str]) -> None:
    medians = row.medians()
    if row.sweep and len(medians) == 1:
        minor.append("the sweep only passed this batch, in one process")
        return
    if len(medians) < FEWEST_PROCESSES:
        minor.append(too_few(len(medians)))
        return
    span = repeat_interval(medians) if min(medians) > 0 else None
    if span is None:
        return
    reach = (span[1] - span[0]) / 2 / median(medians)
    if reach > STABLE_WITHIN:
        (severe if reach > NOISY_WITHIN else minor).append(
            f"{PROCESSES_DIFFER}: a repeat is expected only within ±{reach:.0%}"
        )


def too_few(processes: int) -> str:
    """Return what fewer than ``FEWEST_PROCESSES`` mean, and what to do."""
    count = "1 process says" if processes == 1 else f"{processes} processes say"
    return f"{count} little about others: use --processes {FEWEST_PROCESSES} or more"
