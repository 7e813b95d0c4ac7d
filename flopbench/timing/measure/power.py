"""Clocks, power and energy of a GPU while a call repeats, read through NVML.

A separate phase after the samples: calls follow each other without synchronisation, as in service,
while a thread reads NVML; nothing is timed meanwhile, so reading disturbs no sample. Not yet run on
a device (docs/latency.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from msgspec import to_builtins

from flopbench.timing.measure.gpu_facts import open_nvml
from flopbench.timing.records import TimingSpec

WATCH_S = 3.0
"""Long enough for 30 ticks of an energy counter that moves every 100 ms."""

READ_EVERY_S = 0.01
"""Shorter than the tick of the fastest energy counter (20 ms)."""

AHEAD = 8
"""Calls in flight: enough to keep the device busy, few enough to know how many are done."""


def watch_gpu(spec: TimingSpec, call: Callable[[], Any]) -> dict[str, Any]:
    """Repeat a call for ``WATCH_S`` seconds; return ``readings`` and ``images_done``.

    Both are empty off CUDA; readings are empty if NVML is not available (the device facts hold the
    reason).
    """
    if spec.device != "cuda":
        return {"readings": [], "images_done": []}
    nvml = open_nvml()
    if isinstance(nvml, str):
        return {"readings": [], "images_done": _repeat(spec.batch, call)}
    readings: list[Any] = []
    over = threading.Event()

    def keep_reading() -> None:
        while not over.wait(READ_EVERY_S):
            readings.append(nvml.reading())

    with nvml:
        reader = threading.Thread(target=keep_reading, daemon=True)
        reader.start()
        try:
            done = _repeat(spec.batch, call)
        finally:
            over.set()
            reader.join()
    return {"readings": to_builtins(readings), "images_done": done}


def _repeat(batch: int, call: Callable[[], Any]) -> list[tuple[float, int]]:
    """Keep the device busy; return (seconds, images done by then) after each call."""
    done: list[tuple[float, int]] = []
    under_way: list[torch.cuda.Event] = []
    start = time.perf_counter()
    while time.perf_counter() - start < WATCH_S:
        call()
        event = torch.cuda.Event()
        event.record()
        under_way.append(event)
        if len(under_way) > AHEAD:
            under_way.pop(0).synchronize()
            done.append((time.perf_counter(), (len(done) + 1) * batch))
    torch.cuda.synchronize()
    return done
