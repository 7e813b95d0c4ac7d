"""GPU readings taken under load, and what follows: throttling, other processes, energy."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from flopbench.core.records import Record

THROTTLE_BITS = {
    0x001: "gpu idle",
    0x002: "applications clocks setting",
    0x004: "sw power cap",
    0x008: "hw slowdown",
    0x010: "sync boost",
    0x020: "sw thermal slowdown",
    0x040: "hw thermal slowdown",
    0x080: "hw power brake slowdown",
    0x100: "display clock",
    0x200: "board limit",
    0x400: "reliability",
}
"""Source: nvml.h, ``nvmlClocksEventReason*`` (``nvmlClocksThrottleReason*`` in older drivers)."""

NO_THROTTLING = frozenset({"gpu idle", "applications clocks setting"})
"""An idle GPU lowers its clocks, and a user may fix them: neither affects a timing."""

THROTTLED_SHARE = 0.05
"""A reason in a smaller share of readings than this held too briefly to move a median."""

CLOCK_FALL = 0.10
"""A busy SM clock this far below the highest one seen counts as throttling.

A boost step of 15 MHz in about 1500 MHz is 1 %, and a GPU moves by a few of them normally."""

BUSY_PERCENT = 50
"""Below this utilisation the clock is not evaluated: it may still be rising from idle."""

MIN_TICKS = 20
"""Fewest ticks of the energy counter from which an energy is computed.

The counter moves in ticks of 20 to 100 ms, and each end of the window can be off by one of them:
with 20 ticks that is 10 % at worst."""


class GpuReading(Record, frozen=True, kw_only=True):
    """One reading of a GPU; a field is None if the device or its driver does not report it.

    Attributes:
        t_s: host clock (``time.perf_counter``) when the energy counter was read.
        sm_mhz: clock of the multiprocessors.
        memory_mhz: clock of the memory.
        temperature_c: of the chip.
        power_w: drawn by the whole board, averaged by the driver.
        power_limit_w: the limit in force.
        throttle_reasons: why the clocks are not higher, by name; empty where nothing holds them.
        energy_mj: energy since the driver was loaded, in millijoules.
        foreign_processes: compute processes on this GPU that are not the caller's.
        utilization_percent: share of the driver's last sample period in which a kernel ran.
    """

    t_s: float
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    energy_mj: int | None = None
    foreign_processes: int | None = None
    utilization_percent: int | None = None


class Energy(Struct, frozen=True, kw_only=True):
    """Energy of the whole GPU over a window that begins and ends at ticks of its counter.

    Attributes:
        per_image_j: joules per image, idle power of the board included; None with a reason.
        reason: why there is no figure; empty where there is one.
    """

    per_image_j: float | None = None
    reason: str = ""


def throttle_names(mask: int) -> tuple[str, ...]:
    """Decode NVML's bit mask; an unknown bit (of a newer driver) is named by its value."""
    bits = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
    return tuple(THROTTLE_BITS.get(bit, f"unknown bit {bit:#x}") for bit in bits)


def throttled(readings: Sequence[GpuReading]) -> str:
    """Describe how the GPU was throttled; an empty string if no reading shows it.

    Two signs: a reason other than ``NO_THROTTLING`` that the driver gives in ``THROTTLED_SHARE`` of
    the readings or more; and an SM clock that fell more than ``CLOCK_FALL`` below the highest one
    seen, both while busy.
    """
    reported = [set(r.throttle_reasons) for r in readings if r.throttle_reasons is not None]
    seen = Counter(name for names in reported for name in sorted(names - NO_THROTTLING))
    parts = [
        f"{name} in {count} of {len(reported)} readings ({count / len(reported):.0%})"
        for name, count in seen.most_common()
        if count >= THROTTLED_SHARE * len(reported)
    ]
    clocks = [r.sm_mhz for r in readings if r.sm_mhz is not None and _busy(r)]
    if clocks and min(clocks) < max(clocks) * (1 - CLOCK_FALL):
        fall = 1 - min(clocks) / max(clocks)
        parts.append(
            f"the SM clock fell to {min(clocks)} MHz, {fall:.0%} below the {max(clocks)} MHz"
            " seen while busy"
        )
    return "; ".join(parts)


def foreign(readings: Sequence[GpuReading]) -> int | None:
    """Return the most foreign processes in any reading; None if no reading has their number."""
    counts = [r.foreign_processes for r in readings if r.foreign_processes is not None]
    return max(counts, default=None)


def energy_per_image_j(
    readings: Sequence[GpuReading], images_done: Sequence[tuple[float, float]]
) -> Energy:
    """Divide energy by images between two ticks of the counter.

    The counter stands still between ticks, so a window that begins or ends between two of them
    would charge energy to the wrong images. Only the time from the first to the last observed
    change counts, and only while images were processed. Readings must be more frequent than ticks;
    ``images_done`` has (host clock in seconds, images since the start), both increasing.
    """
    counted = [(r.t_s, r.energy_mj) for r in readings if r.energy_mj is not None]
    if not counted:
        return Energy(reason="the GPU has no energy counter, or its driver does not report it")
    if len(images_done) < 2:
        return Energy(reason="the number of images done is known at fewer than two instants")
    if any(energy < before for (_, before), (_, energy) in pairwise(counted)):
        return Energy(reason="the energy counter went back: the driver was reloaded")
    first_s, last_s = images_done[0][0], images_done[-1][0]
    ticks = [  # when the change was seen, and the counter after it
        (t, energy)
        for (_, before), (t, energy) in pairwise(counted)
        if energy != before and first_s <= t <= last_s
    ]
    if len(ticks) <= MIN_TICKS:
        moved = max(len(ticks) - 1, 0)
        why = f"the energy counter moved {moved} times while images were processed"
        return Energy(reason=f"{why}; {MIN_TICKS} are needed")
    (start, at_start), (end, at_end) = ticks[0], ticks[-1]
    images = _images_at(end, images_done) - _images_at(start, images_done)
    if images <= 0:
        return Energy(reason="no image was processed between two ticks")
    return Energy(per_image_j=(at_end - at_start) / 1e3 / images)


def _busy(reading: GpuReading) -> bool:
    """Return whether the GPU worked: neither idle nor little used, as far as reported."""
    idle = "gpu idle" in (reading.throttle_reasons or ())
    used = reading.utilization_percent
    return not idle and (used is None or used >= BUSY_PERCENT)


def _images_at(t_s: float, images_done: Sequence[tuple[float, float]]) -> float:
    """Interpolate the images done at an instant between the first and the last known one."""
    after = min(bisect_right(images_done, t_s, key=lambda pair: pair[0]), len(images_done) - 1)
    (t0, done0), (t1, done1) = images_done[after - 1], images_done[after]
    return done0 + (done1 - done0) * (t_s - t0) / (t1 - t0) if t1 > t0 else done1
