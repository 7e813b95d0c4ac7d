"""Fresh processes to measure in: one job in, one JSON value out.

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
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flopbench.core import errors
from flopbench.core.errors import FlopbenchError, MeasureError

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
    with tempfile.TemporaryDirectory(prefix="flopbench-") as folder:
        answer = Path(folder) / "answer.json"
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
            with _terminable():
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


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """End on SIGTERM as on an interrupt, so that no child goes on measuring without its parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _revived(error: Mapping[str, str]) -> FlopbenchError:
    kind = getattr(errors, error["kind"], MeasureError)
    revived: FlopbenchError = kind(error["message"], error["hint"])
    return revived
