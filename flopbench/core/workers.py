"""Processes to measure in: a fresh one for each job, one JSON value out; or a pool of them.

A worker is a new interpreter, not a fork: memory layout, library threads and caches start anew,
which is what makes processes replicates of each other. The job comes on stdin; the answer goes to
a file, since libraries print where they please.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flopbench.core import errors, stopping
from flopbench.core.errors import FlopbenchError, MeasureError
from flopbench.core.files import temporary

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

_QUIET = "ignore:resource_tracker"
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


class Pool(NamedTuple):
    """Worker processes: ``submit(function, *arguments)`` returns a future."""

    submit: Callable[..., Any]
    processes: Callable[[], list[Any]]


@contextlib.contextmanager
def pool_of(jobs: int) -> Iterator[Pool]:
    """Yield a pool of new interpreters; they end with the block, at any end."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context, resource_tracker

    # A process that ends at once leaves semaphores, which this removes: with words of its own.
    sys.warnoptions.append(_QUIET)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_QUIET)
    spawn = get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(os.getpid(),))

    def submit(*job: Any) -> Any:
        with _without_interrupts():  # it may start a process
            return pool.submit(*job)

    def processes() -> list[Any]:
        return list((pool._processes or {}).values())

    def end() -> None:
        for process in processes():
            process.kill()  # the pool itself would wait for running jobs

    try:
        with stopping.cleaned(end):
            yield Pool(submit, processes)
    except BaseException:
        end()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int) -> None:
    end_with_parent()
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


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
