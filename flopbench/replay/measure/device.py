"""The clock of a replay, and the traffic between host and device.

Everything that a replay needs from a machine besides arithmetic goes through one object: the time,
waiting for the device, marks in its queue, indices to it, decisions from it. Tests replace it with
a clock of their own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

WALL, CPU_TIME, EVENTS = "wall time", "process CPU time", "CUDA events"


class Device:
    """The CPU, and the interface of the other devices.

    With one thread process CPU time is the primary clock, since on a shared machine wall time
    includes other processes.
    """

    kind = "cpu"
    has_marks = True
    """Whether ``mark`` works without waiting."""

    def __init__(self, threads: int = 1) -> None:
        self.torch_device = torch.device(self.kind)
        self.primary, self.secondary = (CPU_TIME, WALL) if threads == 1 else (WALL, CPU_TIME)

    def now(self) -> float:
        """Return the primary clock, seconds."""
        return time.process_time() if self.primary == CPU_TIME else time.perf_counter()

    def secondary_now(self) -> float:
        """Return the secondary clock, seconds."""
        return time.perf_counter() if self.primary == CPU_TIME else time.process_time()

    def synchronise(self) -> None:
        """Wait until the device has finished its queue."""

    def start(self) -> Any:
        """Begin to time; return what ``stop`` and ``since`` need."""
        self.synchronise()
        secondary = self.secondary_now()
        return self.now(), secondary

    def stop(self, start: Any) -> tuple[float, float]:
        """Wait for the device; return the seconds since ``start`` on both clocks."""
        self.synchronise()
        primary_s = self.now() - start[0]
        return primary_s, self.secondary_now() - start[1]

    def mark(self) -> Any:
        """Put a mark behind the work queued on the device so far; see ``has_marks``."""
        return self.now()

    def since(self, start: Any, mark: Any) -> float:
        """Return the seconds from ``start`` to a mark; valid after ``stop``."""
        return float(mark - start[0])

    def indices(self, rows: Sequence[int]) -> torch.Tensor:
        """Return rows as a tensor (n,) on the device, without waiting for it."""
        return torch.tensor(rows, device=self.torch_device)

    def ask(self, decision: torch.Tensor) -> Any:
        """Begin to copy decisions (n,) to the host, without waiting."""
        return decision

    def answer(self, asked: Any) -> list[int]:
        """Wait for decisions that were asked for, but not for work queued after them."""
        return asked.tolist()


class MpsDevice(Device):
    """Apple's GPU: the host's clock around its queue."""

    kind = "mps"
    has_marks = False  # it has no timed events, and waiting for each bucket would be timed

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
