"""Measuring roofs: a device's fastest square matrix product, copy, and operators of each family.

A roof is a maximum, so the best call counts, not the median: on a shared machine the best of many
shows what the hardware can do, the others what its other users left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch

from flopbench.core.errors import InputError
from flopbench.core.statistics import median
from flopbench.models.build.environment import SEED
from flopbench.timing.devices import DTYPES
from flopbench.timing.measure.clocks import clock_for, waited_ns
from flopbench.timing.measure.device import check_device
from flopbench.timing.measure.family_roofs import measure_families
from flopbench.timing.measure.precision import precision
from flopbench.timing.measure.sampling import best_pace
from flopbench.timing.roofs import CopyRoof, Roof, Roofs

BUDGET_S = 1.0
"""Seconds of timed calls per roof, to within a call."""

MATMUL_N = {"cpu": 1024, "cuda": 8192, "mps": 4096}
"""Rows and columns: large enough that arithmetic dominates.

CPU, one thread: 12 MiB of operands in blocks that fit the second-level cache, about 20 to 50 ms per
call, so that a second holds dozens. CUDA: 1.1e12 FLOPs, over a thousand tiles of 256 x 128 for
about a hundred multiprocessors, still 1.4 ms on the fastest."""

CPU_THREADS_N = 2048
"""For several CPU threads: 1024 gives each of 16 threads too little work."""

COPY_BYTES = {"cpu": 2**28, "cuda": 2**30, "mps": 2**28}
"""Size of each buffer: several times any last-level cache (32 to 128 MiB per CPU cluster, 50 to 96
MiB per GPU), so that every byte is read from and written to memory. On a CPU the cache reads a line
before it is overwritten, unless the copy avoids that; those reads are not counted."""

FAMILY_SHARE = 0.01
"""Of ``BUDGET_S``, for each of about 130 shapes and sizes of operators: a few calls of most."""

HEAD_START_CYCLES = 2_000_000
"""About a millisecond in which the host queues calls that are shorter than their launch."""

WALL = 4
"""Times the budget that events may take on the host's clock: short calls are mostly queueing."""

WARM_CALLS = 2
"""Untimed calls: the first call of a size chooses kernels and allocates."""


_Best = tuple[float, dict[str, Any]]
"""Seconds of the fastest call; the fields of ``roofs._Best``."""


def measure_roofs(
    device: str,
    dtypes: Sequence[str],
    threads: int,
    *,
    budget_s: float = BUDGET_S,
    n: int | None = None,
    buffer_bytes: int | None = None,
    stream_bytes: tuple[int, ...] = (),
) -> Roofs:
    """Measure the matmul roof of every format, and the copy roof, ``budget_s`` each.

    Then operators of each family, three times as long in all, and between them the machine's pace.
    torch's threads are restored afterwards. None takes the device's default for rows and columns
    ``n`` and for ``buffer_bytes`` of each copied buffer, as an empty tuple does for
    ``stream_bytes``.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}, expected 1 or more")
    for dtype in dtypes:
        check_device(device, dtype)
    clock, paces = clock_for(device, threads), list[float | None]()

    def least_s(call: Callable[[], object]) -> float:
        paces.append(clock.pace())
        return _best(call, device, threads, FAMILY_SHARE * budget_s)[0]

    size = n or (CPU_THREADS_N if device == "cpu" and threads > 1 else MATMUL_N[device])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            asked = [dtype for dtype in DTYPES if dtype in dtypes]
            matmul = tuple(_matmul(device, dtype, size, threads, budget_s) for dtype in asked)
            copy = _copy(device, buffer_bytes or COPY_BYTES[device], threads, budget_s)
            families = [
                family
                for roof in matmul
                for family in measure_families(
                    device,
                    roof.dtype,
                    threads,
                    least_s,
                    matmul_flops_per_s=roof.flops_per_s,
                    sizes=stream_bytes,
                )
            ]
    finally:
        torch.set_num_threads(before)
    read = [pace for pace in paces if pace is not None]
    return Roofs(
        device=device,
        threads=threads,
        matmul=matmul,
        copy=copy,
        families=tuple(families),
        pace_s=best_pace(read) if read else None,
    )


def _matmul(device: str, dtype: str, n: int, threads: int, budget_s: float) -> Roof:
    """Time n x n matrices of random numbers: with zeros a GPU uses less power and clocks higher."""
    with precision(dtype) as kind:
        # A separate generator: the device's belongs to the caller.
        source = torch.Generator(device).manual_seed(SEED)
        a, b = (torch.randn(n, n, generator=source, device=device).to(kind) for _ in range(2))
        out = torch.empty(n, n, device=device, dtype=kind)
        best_s, timed = _best(lambda: torch.mm(a, b, out=out), device, threads, budget_s)
    return Roof(dtype=dtype, n=n, flops_per_s=2 * n**3 / best_s, **timed)


def _copy(device: str, buffer_bytes: int, threads: int, budget_s: float) -> CopyRoof:
    source = torch.ones(buffer_bytes, device=device, dtype=torch.uint8)
    target = torch.zeros_like(source)  # written once, so that its pages are mapped
    best_s, timed = _best(lambda: target.copy_(source), device, threads, budget_s)
    return CopyRoof(buffer_bytes=buffer_bytes, bytes_per_s=2 * buffer_bytes / best_s, **timed)


def _best(call: Callable[[], object], device: str, threads: int, budget_s: float) -> _Best:
    """Time calls; note when, at which load, and how much of the time others had the processor."""
    start = time.perf_counter()
    for _ in range(WARM_CALLS):
        call()
        if time.perf_counter() - start > budget_s:
            break  # float16 on a CPU without it takes seconds per call
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    before, start = waited_ns(), time.perf_counter()
    times, clock = _times(call, device, threads, budget_s)
    wall_s, after = time.perf_counter() - start, waited_ns()
    others = None
    if device == "cpu" and before is not None and after is not None:
        others = (after - before) / 1e9 / wall_s
    return min(times), {
        "seconds": sum(times),
        "repeats": len(times),
        "clock": clock,
        "spread": median(times) / min(times) - 1,
        "measured_unix_s": time.time(),
        "load": load,
        "others": others,
    }


def _times(
    call: Callable[[], object], device: str, threads: int, budget_s: float
) -> tuple[list[float], str]:
    """Return the seconds of each call, and the clock's name."""
    if device == "cuda":
        return _by_events(call, budget_s), "CUDA events"
    if device == "mps":
        return _by_clock(call, time.perf_counter, budget_s, torch.mps.synchronize), "wall"
    if threads == 1:  # leaves out time taken by other processes
        return _by_clock(call, time.process_time, budget_s), "process CPU time"
    return _by_clock(call, time.perf_counter, budget_s), "wall"


def _by_clock(
    call: Callable[[], object],
    clock: Callable[[], float],
    budget_s: float,
    synchronize: Callable[[], None] = lambda: None,
) -> list[float]:
    times: list[float] = []
    synchronize()
    while not times or sum(times) < budget_s:
        start = clock()
        call()
        synchronize()
        times.append(clock() - start)
    return times


def _by_events(call: Callable[[], object], budget_s: float) -> list[float]:
    """Queue calls back to back with an event between each two, so that no host wait is timed."""
    times: list[float] = []
    batch = 16
    wait = getattr(torch.cuda, "_sleep", lambda _cycles: None)  # torch's own tests use it
    start = time.perf_counter()
    while not times or (sum(times) < budget_s and time.perf_counter() - start < WALL * budget_s):
        events = [torch.cuda.Event(enable_timing=True) for _ in range(batch + 1)]
        wait(HEAD_START_CYCLES)
        events[0].record()
        for event in events[1:]:
            call()
            event.record()
        torch.cuda.synchronize()
        times += [a.elapsed_time(b) / 1e3 for a, b in pairwise(events)]
    return times
