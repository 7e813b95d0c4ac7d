"""Runs damaged inputs in a child process, which a watchdog ends where an input hangs.

The child works through the inputs one after another and says what came of each. Its time is limited
for each input: at ``LONGEST_S`` of CPU a signal raises ``Hang`` where Python runs, and some seconds
later another ends the process, whatever runs. The next input goes to a new child.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.kinds import Kind, lay_out
from benchmarks.fuzz.readers import Way, read
from flopbench.core.errors import FlopbenchError

LONGEST_S = 5
"""Of CPU: what the largest input, about 1 MB, may take."""
GRACE_S = 5
SILENT_S = 120
"""An input that does nothing for so long hangs, too."""
MOST_BYTES = 2 << 30
"""What an input may add to the memory of the process."""
OUTCOMES = ("clean", "accepted", "traceback", "hang", "memory")
"""Read or refused; read although no reader may; the three that must not be."""
TRIES = 60
"""To make a failure smaller."""


class Hang(BaseException):
    """An input took too long; no handler of exceptions catches it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One input to make and read."""

    kind: str
    seed: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one input.

    Attributes:
        outcome: one of ``OUTCOMES``.
        cpu_s: CPU time.
        peak_kib: largest memory of the process above what it had.
        said: for a failure, the error and where it was raised.
    """

    kind: str
    seed: str
    outcome: str
    cpu_s: float
    peak_kib: int
    said: str = ""


def run_all(
    jobs: Sequence[Job],
    kinds: Mapping[str, Kind],
    seeds: dict[str, list[bytes]],
    folder: Path,
    failures: Path | None = None,
) -> Iterator[Result]:
    """Yield what comes of each input, in order.

    Args:
        jobs: the inputs.
        kinds: by name.
        seeds: of each kind.
        folder: to work in.
        failures: a folder for the inputs that fail; None keeps none.
    """
    at = 0
    while at < len(jobs):
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            os.close(receive)
            _work(jobs[at:], kinds, seeds, folder, failures, send)
        os.close(send)
        with open(receive, "rb", buffering=0) as answers:
            for line in _lines_of(answers):
                yield Result(**json.loads(line))
                at += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if at < len(jobs):
            ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else status
            hung = ended in {"SIGXCPU", "SIGKILL"}
            outcome, job = "hang" if hung else "traceback", jobs[at]
            yield Result(job.kind, job.seed, outcome, 0.0, 0, f"the process ended: {ended}")
            if failures is not None:
                _keep(job, kinds[job.kind], seeds, failures, f"the process ended: {ended}")
            at += 1


def _lines_of(answers: Any) -> Iterator[bytes]:
    rest = b""
    while select.select([answers], [], [], SILENT_S)[0]:
        data = answers.read(1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _work(
    jobs: Sequence[Job],
    kinds: Mapping[str, Kind],
    seeds: dict[str, list[bytes]],
    folder: Path,
    failures: Path | None,
    send: int,
) -> None:
    """Be the child: never returns."""
    status = 1
    try:
        signal.signal(signal.SIGPROF, _stop)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
        for job in jobs:
            result = _one(job, kinds[job.kind], seeds, folder / job.kind, failures)
            os.write(send, json.dumps(asdict(result)).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _stop(*_: object) -> None:
    raise Hang


def _one(
    job: Job, kind: Kind, seeds: dict[str, list[bytes]], folder: Path, failures: Path | None
) -> Result:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        lay_out(folder, kind, seeds)
    os.chdir(folder)
    data, never, way = kind.draw(Random(f"{job.kind} {job.seed}"), seeds[job.kind])
    path = Path(kind.file)
    before = _peak_kib(reset=True)
    began = _cpu_s()
    outcome, said = _tried(path, data, never, way)
    cpu_s = _cpu_s() - began
    peak = max(0, _peak_kib() - before)
    if outcome != "clean" and failures is not None:
        if outcome == "traceback":
            data = _smaller(path, data, way, said)
        _keep(job, kind, seeds, failures, said, data)
    return Result(job.kind, job.seed, outcome, round(cpu_s, 3), peak, said)


def _tried(path: Path, data: bytes, never: bool, way: Way) -> tuple[str, str]:
    """Return the outcome of one input, and what a failure says."""
    path.write_bytes(data)
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    soft = int(_cpu_s()) + LONGEST_S + GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
    accepted = False
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
            try:
                accepted = read(way, path)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    except FlopbenchError:
        pass
    except Hang as error:
        return "hang", _told(error)
    except MemoryError as error:
        return "memory", _told(error)
    except BaseException as error:  # what this is about
        return "traceback", _told(error)
    printed = out.buffer.getvalue()  # type: ignore[attr-defined]
    if b"Traceback (most recent call last)" in printed:
        return "traceback", printed.decode("utf-8", "replace")[-500:]
    return ("accepted", f"accepted by {way}") if accepted and never else ("clean", "")


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames]
    return f"{type(error).__name__}: {str(error)[:200]!a} at {' < '.join(places[:-9:-1])}"


def _smaller(path: Path, data: bytes, way: Way, said: str) -> bytes:
    """Leave out pieces while the same error is raised at the same place."""

    def where(text: str) -> str:
        return text.split(":")[0] + text.rpartition(" at ")[2].split(" < ")[0]

    size, tries = len(data) // 2, 0
    while size and tries < TRIES:
        at = 0
        while at < len(data) and tries < TRIES:
            less, tries = data[:at] + data[at + size :], tries + 1
            outcome, other = _tried(path, less, False, way)
            if outcome == "traceback" and where(other) == where(said):
                data = less
            else:
                at += size
        size //= 2
    return data


def _keep(
    job: Job,
    kind: Kind,
    seeds: dict[str, list[bytes]],
    failures: Path,
    said: str,
    data: bytes | None = None,
) -> None:
    drawn, _, way = kind.draw(Random(f"{job.kind} {job.seed}"), seeds[job.kind])
    name = f"{job.kind}-{job.seed.replace(' ', '-')}"
    (failures / f"{name}{Path(kind.file).suffix}").write_bytes(drawn if data is None else data)
    how = way if isinstance(way, str) else way.__name__
    (failures / f"{name}.txt").write_text(f"{how}\n{said}\n", "utf-8", "replace")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_kib(*, reset: bool = False) -> int:
    """Return the largest resident memory since the last reset; 0 where the system does not say."""
    with contextlib.suppress(OSError, StopIteration):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0
