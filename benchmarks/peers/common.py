"""What the parts share: options, what a process costs, ratios with their spread, Markdown."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from flopbench.core.grid import Grid, columns, to_markdown
from flopbench.core.statistics import median
from flopbench.core.units import plain_number
from flopbench.timing.measure.cpu_facts import cpu_facts

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
"""Of the repository: processes start here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a part is asked for.

    Attributes:
        repeats: measured rounds; each runs every command once.
        tiny: the smallest case of everything, to see that it works.
        folder: an empty folder for files in between; it is removed.
    """

    repeats: int
    tiny: bool
    folder: Path


class Cost(TypedDict):
    """What one process cost, its children included; the peak is that of the largest of them."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Ratios of one thing to another, round by round: their median and both ends."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return plain_number(self.median)
        ends = f"{plain_number(self.low)} to {plain_number(self.high)}"
        return f"{plain_number(self.median)} ({ends})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison, as the top of the page sums it up.

    Attributes:
        what: what is compared: ``CPU, cold table``.
        peer: with whom; of a target, what has to reach it.
        ratio: flopbench's share of what the peer takes, with its spread: ``str(Ratio)``.
        ahead: whether flopbench takes less, or no more than its target.
        reason: why not, where it is not.
    """

    what: str
    peer: str
    ratio: str
    ahead: bool
    reason: str = ""


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command from the repository's root; return what it cost and its standard output.

    Raises:
        SystemExit: it failed; the message ends with what it said.
    """
    own = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as wrong:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=said, stderr=wrong)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)  # else Popen waits for it again
        for stream in (said, wrong):
            stream.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{wrong.read()}")
        output = said.read()
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB on Linux
    cost = Cost(
        wall_s=round(wall_s, 4),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 4),
        peak_mb=round(usage.ru_maxrss * unit / 1e6, 1),
    )
    return cost, output


def take_turns(calls: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Call each once a round, in an order that moves on by one; return the results by name."""
    names = list(calls)
    found: dict[str, list[T]] = {name: [] for name in names}
    for n in range(repeats):
        begun = time.monotonic()
        start = n % len(names)
        for name in (*names[start:], *names[:start]):
            found[name].append(calls[name]())
        say(f"round {n + 1} of {repeats}: {time.monotonic() - begun:.0f} s")
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratios of two sides that were measured round by round."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median=median(each), low=min(each), high=max(each))


def spread(values: Sequence[float]) -> str:
    """Print the median of values and both ends."""
    return str(Ratio(median=median(values), low=min(values), high=max(values)))


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> str:
    """Return a Markdown table; its first ``text`` columns hold text, the others numbers."""
    cells = tuple(tuple(row) for row in rows)
    return to_markdown(Grid(title=title, columns=columns(head, head[:text]), rows=cells))


def machine() -> dict[str, Any]:
    """Return what it runs on, and how busy that is; no names of hosts."""
    facts: dict[str, Any] = dict(cpu_facts().facts)
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {
        "processor": facts["cpu.model"] or platform.machine(),
        "cores": facts["cpu.cores_visible"] or os.cpu_count(),
        "memory_gb": round((facts["memory.total_bytes"] or 0) / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": load,
    }


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of distributions, and Python's; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
