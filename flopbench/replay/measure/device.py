"""The clock that a replay is timed with, and what a host and its device say to each other.

All that a replay asks of a machine besides arithmetic goes through one object: the time, waiting
for the device, marks in its queue, indices up, decisions down. Tests put a clock of their own in
its place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

WALL, CPU_TIME, EVENTS = "wall time", "process CPU time", "CUDA events"


class Device:
    """The CPU, and the interface of the others.

    Args:
        threads: of the arithmetic. With one, the process CPU time leads, since on a shared machine
            the wall clock counts the neighbours too.
    """

    kind = "cpu"
    has_marks = True
    """Whether ``mark`` can be had without waiting."""

    def __init__(self, threads: int = 1) -> None:
        self.torch_device = torch.device(self.kind)
        self.primary, self.secondary = (CPU_TIME, WALL) if threads == 1 else (WALL, CPU_TIME)

    def now(self) -> float:
        """Return the leading clock, seconds."""
        return time.process_time() if self.primary == CPU_TIME else time.perf_counter()

    def secondary_now(self) -> float:
        """Return the clock beside it, seconds."""
        return time.perf_counter() if self.primary == CPU_TIME else time.process_time()

    def synchronise(self) -> None:
        """Wait until the device has done everything."""

    def start(self) -> Any:
        """Begin to time; returns what ``stop`` and ``since`` want."""
        self.synchronise()
        secondary = self.secondary_now()
        return self.now(), secondary

    def stop(self, start: Any) -> tuple[float, float]:
        """Wait for the device; return the seconds since ``start`` on both clocks."""
        self.synchronise()
        primary_s = self.now() - start[0]
        return primary_s, self.secondary_now() - start[1]

    def mark(self) -> Any:
        """Put a mark behind what the device has been given so far; see ``has_marks``."""
        return self.now()

    def since(self, start: Any, mark: Any) -> float:
        """Return the seconds from ``start`` to a mark; to be asked after ``stop``."""
        return float(mark - start[0])

    def indices(self, rows: Sequence[int]) -> torch.Tensor:
        """Return rows as a tensor (n,) on the device, without waiting for it."""
        return torch.tensor(rows, device=self.torch_device)

    def ask(self, decision: torch.Tensor) -> Any:
        """Begin to bring decisions (n,) to the host, without waiting."""
        return decision

    def answer(self, asked: Any) -> list[int]:
        """Wait for decisions that were asked for, and for nothing behind them."""
        return asked.tolist()


class MpsDevice(Device):
    """Apple's GPU: the host's clock around its queue."""

    kind = "mps"
    has_marks = False  # no event tells when; waiting for each bucket would be timed

    def __init__(self) -> None:
        super().__init__(threads=0)

    def synchronise(self) -> None:
        torch.mps.synchronize()


class CudaDevice(Device):
    """A CUDA device, the current one, through its current stream."""

    kind = "cuda"

    def __init__(self) -> None:
        super().__init__(threads=0)
        self.secondary = EVENTS

    def synchronise(self) -> None:
        torch.cuda.synchronize()

    def start(self) -> Any:
        self.synchronise()
        event = torch.cuda.Event(enable_timing=True)
        now = self.now()
        event.record()
        return now, event

    def stop(self, start: Any) -> tuple[float, float]:
        end = self.mark()
        self.synchronise()
        return self.now() - start[0], self.since(start, end)

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def since(self, start: Any, mark: Any) -> float:
        return start[1].elapsed_time(mark) / 1e3

    def indices(self, rows: Sequence[int]) -> torch.Tensor:
        # Pageable memory would make the host wait; torch keeps the pinned block until it is copied.
        return torch.tensor(rows, pin_memory=True).to(self.torch_device, non_blocking=True)

    def ask(self, decision: torch.Tensor) -> Any:
        host = torch.empty(decision.shape, dtype=decision.dtype, pin_memory=True)
        host.copy_(decision, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        return host, event

    def answer(self, asked: Any) -> list[int]:
        host, event = asked
        event.synchronize()
        return host.tolist()


def open_device(name: str, threads: int) -> Device:
    """Return the device of that name: ``cpu``, ``cuda`` or ``mps``."""
    if name == "cuda":
        return CudaDevice()
    return MpsDevice() if name == "mps" else Device(threads)
