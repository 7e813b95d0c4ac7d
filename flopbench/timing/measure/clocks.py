"""Clocks of real devices for the loop of ``sampling``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from flopbench.timing.measure.sampling import Call, Clock

SCHEDSTAT = Path("/proc/self/schedstat")
"""Linux, main thread: nanoseconds on a processor, nanoseconds waiting for one, time slices."""


FINE_S = 1e-5
"""A clock of smaller steps can time the machine's pace."""

PACE_STEPS, PACE_SIZE, PACE_CALLS = 5_000, 96, 10
"""Steps of Python, then products of small matrices, some 0.2 ms each: short beside a sample, long
beside the clock's microsecond. In phases of a shared processor the times of two networks followed
theirs with slopes of 0.97 and 0.87 and correlations of 0.98 and 0.95 (of logarithms); they followed
Python alone, or products alone, less well."""

PACE_AHEAD = 3
"""A third of that work goes ahead, as a call leaves caches cold: without it the pace after VGG-16
was a seventh slower than after SqueezeNet, with it as fast to 2 %."""


class CpuClock:
    """Wall time, CPU time of the whole process, and the main thread's wait for a processor.

    With one thread the primary column is CPU time, which on a shared machine leaves out time taken
    by other processes. With more threads it would include their spinning, so wall time is primary.

    Args:
        threads: of the numerical libraries.
    """

    groups_calls = True

    def __init__(self, threads: int) -> None:
        self.lead = "cpu_s" if threads == 1 else "wall_s"
        self._waits = waited_ns() is not None
        fine = time.get_clock_info("process_time").resolution < FINE_S
        self._paced = fine and self.lead == "cpu_s"
        shape = (3, PACE_SIZE, PACE_SIZE)
        self._matrices = torch.ones(shape, dtype=torch.float32, device="cpu")

    def now(self) -> float:
        return time.perf_counter()

    def time(self, call: Call, calls: int) -> dict[str, float]:
        waited = waited_ns() if self._waits else None
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(calls):
            call()
        cpu = time.process_time_ns() - cpu
        wall = time.perf_counter_ns() - wall
        sample = {"wall_s": wall / 1e9 / calls, "cpu_s": cpu / 1e9 / calls}
        if waited is not None:
            sample["wait_s"] = ((waited_ns() or waited) - waited) / 1e9 / calls
        return sample

    def pace(self) -> float | None:
        """Return the CPU time of the fixed piece of work.

        None with several threads, as it tells nothing of other cores, and by a coarse clock.
        """
        if not self._paced:
            return None
        self._work(PACE_AHEAD)
        begun = time.process_time_ns()
        self._work(1)
        return (time.process_time_ns() - begun) / 1e9

    def _work(self, divisor: int) -> None:
        left, right, product = self._matrices
        total = 0
        for step in range(PACE_STEPS // divisor):
            total += step
        for _ in range(PACE_CALLS // divisor):
            torch.mm(left, right, out=product)


def waited_ns() -> int | None:
    """Return how long the main thread has waited for a processor; None where nobody knows."""
    try:
        return int(SCHEDSTAT.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None


class CudaClock(Clock):
    """CUDA events inside host clocks: enqueue, GPU and end-to-end time of every single call.

    ``enqueue_s``: until the host has launched everything; ``gpu_s``: between the events around
    the call; ``end_to_end_s``: until the host has seen the result, starting on an idle device.
    """

    lead = "end_to_end_s"
    groups_calls = False

    def __init__(self) -> None:
        self._start = torch.cuda.Event(enable_timing=True)
        self._end = torch.cuda.Event(enable_timing=True)

    def now(self) -> float:
        return time.perf_counter()

    def time(self, call: Call, calls: int) -> dict[str, float]:
        torch.cuda.synchronize()
        begun = time.perf_counter_ns()
        self._start.record()
        for _ in range(calls):
            call()
        self._end.record()
        enqueued = time.perf_counter_ns()
        self._end.synchronize()
        done = time.perf_counter_ns()
        return {
            "enqueue_s": (enqueued - begun) / 1e9 / calls,
            "gpu_s": self._start.elapsed_time(self._end) / 1e3 / calls,
            "end_to_end_s": (done - begun) / 1e9 / calls,
        }

    def device_s(self, call: Call) -> float:
        """Return the device's time of one call, starting on an idle device."""
        torch.cuda.synchronize()
        self._start.record()
        call()
        self._end.record()
        self._end.synchronize()
        return float(self._start.elapsed_time(self._end) / 1e3)


class HostClock(Clock):
    """Host time around a call and a synchronisation, for devices without events (MPS)."""

    lead = "end_to_end_s"
    groups_calls = False

    def __init__(self, synchronise: Any) -> None:
        self._synchronise = synchronise

    def now(self) -> float:
        return time.perf_counter()

    def time(self, call: Call, calls: int) -> dict[str, float]:
        self._synchronise()
        begun = time.perf_counter_ns()
        for _ in range(calls):
            call()
        enqueued = time.perf_counter_ns()
        self._synchronise()
        done = time.perf_counter_ns()
        return {
            "enqueue_s": (enqueued - begun) / 1e9 / calls,
            "end_to_end_s": (done - begun) / 1e9 / calls,
        }


def clock_for(device: str, threads: int) -> Clock:
    """Return the clock of a device: ``cpu``, ``cuda`` or ``mps``."""
    if device == "cuda":
        return CudaClock()
    return HostClock(torch.mps.synchronize) if device == "mps" else CpuClock(threads)
