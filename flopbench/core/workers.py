"""Processes to measure in: a fresh one for each job, one JSON value out; or several at once.

A worker is a new interpreter, not a fork: memory layout, library threads and caches start anew,
which is what makes processes replicates of each other. The job comes on stdin; the answer goes to
a file, since libraries print where they please.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import site
import subprocess
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from flopbench.core import errors, stopping
from flopbench.core.errors import FlopbenchError, MeasureError
from flopbench.core.files import temporary
from flopbench.core.memory import peak_resident_bytes

_Job = TypeVar("_Job")

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what comes next)."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by the libraries when they are loaded, so they are set before the child starts."""

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])

_START = (
    "import sys; sys.path.remove('') if '' in sys.path else None; "
    "from flopbench.core.worker_main import main; main()"
)
"""The working directory would come before all libraries, and a file of the user's with a library's
name would hide it."""

TOLD = ".told"
"""Suffix of the file, beside that of the answer, in which a worker says how far it is."""

LAST_WORDS = 2000
"""Characters of a dead child's stderr that are passed on."""


class WorkerDied(MeasureError):
    """A worker that ended without an answer.

    Attributes:
        out_of_memory: whether the system killed it, as it does when memory runs out.
    """

    out_of_memory = False


POLL_S = 0.5
"""Seconds between two looks at how far a worker is."""

JOBS_A_WORKER = 32
"""Libraries keep some memory for each model: 32 pay for the seconds in which they are imported."""

_QUIET = "ignore:resource_tracker"
_KILL = getattr(signal, "SIGKILL", 9)
_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux."""


def end_with_parent() -> None:
    """End this process when its parent does, even by ``kill -9``, where the system is Linux."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, int(signal.SIGKILL))


def run_job(
    target: str,
    job: Mapping[str, Any],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Any:
    """Run one job in a fresh interpreter.

    Args:
        target: ``package.module:function``; the function takes the job and returns JSON values.
        job: JSON values.
        threads: how many threads the numerical libraries may start; None leaves it to them.
        progress: called with what the job tells (``worker_main.tell``), twice a second at most.

    Raises:
        FlopbenchError: what the job raised, of the same class.
        WorkerDied: the child was killed.
        RuntimeError: the job failed through a fault of flopbench's; holds its traceback.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if _PACKAGE_ROOT not in site.getsitepackages():  # a checkout that was not installed
        paths = [_PACKAGE_ROOT, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # The caller's import path comes after the child's own: a model of the user's is found, and a
    # file of the user's with a library's name hides nothing.
    sent = {"job": job, "path": [path or os.getcwd() for path in sys.path]}
    with temporary(Path(tempfile.gettempdir()), "flopbench-") as folder:
        folder.mkdir(0o700)
        answer = folder / "answer.json"
        command = [sys.executable, "-c", _START, target, str(answer)]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            with stopping.cleaned(child.kill):
                said = _waited_for(child, json.dumps(sent), answer.with_suffix(TOLD), progress)
        except BaseException:
            child.kill()
            child.wait()
            raise
        if child.returncode == -signal.SIGINT or child.returncode == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        if child.returncode != 0 or not answer.exists():
            raise _death(child.returncode, said)
        result = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in result:
        raise _revived(result["error"])
    return result["value"]


class Answer(NamedTuple):
    """What a worker process says of one job.

    Attributes:
        value: what the function returned, or the ``FlopbenchError`` that is there in its place.
        cpu_s: processor time that the job took, seconds.
        peak_bytes: the most memory that its process has had so far.
    """

    value: Any
    cpu_s: float = 0.0
    peak_bytes: int = 0


class _Worker(Struct, kw_only=True):
    """A process that does one job after another, and the line to it."""

    process: Any
    line: Any
    jobs_left: int
    job: Any = None
    until: float = math.inf

    def give(self, job: Any, limit_s: float) -> None:
        self.job, self.until = job, time.monotonic() + limit_s
        self.jobs_left -= 1
        with contextlib.suppress(OSError):  # it has died: that is heard below
            self.line.send(job)

    def hear(self, limit_s: float) -> Answer | None:
        """Return its answer, None where it was killed; without one it takes no further job."""
        why = f"took longer than {limit_s:g} s"
        if self.line.poll():
            with contextlib.suppress(EOFError, OSError):
                answer: Answer = self.line.recv()
                return answer
            self.process.join()
            why = _end_of(self.process.exitcode or 0)
        killed = self.process.exitcode == -_KILL
        self.process.kill()
        self.jobs_left = 0
        return None if killed else Answer(MeasureError(f"its worker process {why}"))


def answers(
    function: Callable[[_Job], Any], jobs: Sequence[_Job], count: int, *, limit_s: float = math.inf
) -> Iterator[tuple[_Job, Answer]]:
    """Call a function on each job in new interpreters; yield jobs and answers as they are done.

    A process is replaced after ``JOBS_A_WORKER`` jobs, and whatever it kept goes with it. They all
    end with the iterator, at any end. A job whose process was killed has another try at the end,
    alone: its neighbours may have taken the memory.

    Args:
        function: of a module, so that other processes find it.
        jobs: what it takes; jobs and results are pickled.
        count: of processes at once.
        limit_s: seconds that one job may take; its process is then killed.
    """
    from multiprocessing.connection import wait

    waiting, killed = deque(jobs), list[_Job]()
    crew: list[_Worker] = []

    def end() -> None:
        for worker in crew:
            worker.process.kill()

    with stopping.cleaned(end):
        try:
            while waiting or crew:
                while waiting and len(crew) < count:
                    crew.append(_started(function, count))
                    crew[-1].give(waiting.popleft(), limit_s)
                left_s = max(0.0, min(worker.until for worker in crew) - time.monotonic())
                wait([worker.line for worker in crew], None if math.isinf(left_s) else left_s)
                for worker in [w for w in crew if w.line.poll() or w.until <= time.monotonic()]:
                    job, answer = worker.job, worker.hear(limit_s)
                    if waiting and worker.jobs_left:
                        worker.give(waiting.popleft(), limit_s)
                    else:
                        worker.line.close()  # then it ends
                        crew.remove(worker)
                    if answer is not None:
                        yield job, answer
                    elif count > 1:
                        killed.append(job)
                    else:
                        yield job, Answer(MeasureError(f"its worker process {_end_of(-_KILL)}"))
        finally:
            end()
    if killed:
        yield from answers(function, killed, 1, limit_s=limit_s)


def _started(function: Callable[[Any], Any], count: int) -> _Worker:
    """Start one of several workers, a new interpreter."""
    from multiprocessing import get_context, resource_tracker

    # A process that ends at once leaves semaphores, which this removes: with words of its own.
    sys.warnoptions.append(_QUIET)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_QUIET)
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    threads = max(1, (os.cpu_count() or 1) // count)
    process = spawn.Process(target=_serve, args=(theirs, function, os.getpid(), threads))
    with _without_interrupts(), theirs:
        process.start()
    return _Worker(process=process, line=ours, jobs_left=JOBS_A_WORKER)


def _serve(line: Any, function: Callable[[Any], Any], parent: int, threads: int) -> None:
    """Do jobs until the other end of the line is closed."""
    end_with_parent()
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    with contextlib.suppress(EOFError):
        while True:
            job, began_s = line.recv(), time.process_time()
            try:
                value = function(job)
            except FlopbenchError as error:
                value = error
            except Exception as error:
                traceback.print_exc()
                said = f"{type(error).__name__}: {error}"
                value = MeasureError(f"a fault of flopbench: {said}", "its traceback is on stderr")
            line.send(Answer(value, time.process_time() - began_s, peak_resident_bytes()))


def _end_of(status: int) -> str:
    """Say how a process ended that gave no answer."""
    if status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name
    killed = "was killed, probably for lack of memory" if name == "SIGKILL" else "crashed"
    return f"{killed} ({name})"


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start children that Ctrl-C does not reach: a terminal sends it to all, and we end them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _waited_for(
    child: subprocess.Popen[str], sent: str, told: Path, progress: Progress | None
) -> str:
    """Wait until a worker has ended, passing on how far it is; return its stderr."""
    unsent: str | None = sent
    latest = ""
    while True:
        try:
            return child.communicate(unsent, timeout=POLL_S if progress else None)[1]
        except subprocess.TimeoutExpired:
            unsent = None  # it is sent only once
        with contextlib.suppress(FileNotFoundError):
            text = told.read_text(encoding="utf-8")
            if progress is not None and text != latest:
                latest = text
                progress(*json.loads(text))


def _death(status: int, said: str) -> Exception:
    if status < 0:
        name = signal.Signals(-status).name
        died = WorkerDied(
            f"the measuring process was killed ({name})",
            "probably out of memory: use a smaller --batch" if name == "SIGKILL" else "",
        )
        died.out_of_memory = name == "SIGKILL"
        return died
    if status and "Traceback" not in said:
        return WorkerDied(f"the measuring process ended with exit status {status}")
    return RuntimeError(f"a measuring process failed:\n{said[-LAST_WORDS:]}")


def _revived(error: Mapping[str, str]) -> FlopbenchError:
    kind = getattr(errors, error["kind"], MeasureError)
    revived: FlopbenchError = kind(error["message"], error["hint"])
    return revived
