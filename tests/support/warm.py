"""Processes that start with torch imported: forked from a server that imported it once.

Importing torch and torchvision takes a new interpreter seconds, more than most of the work that
tests give to one. A process of this server is new in all other ways: nothing of flopbench or of a
user's is loaded, nothing has been computed. Signals and start-up need a new interpreter.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "torchvision"])


class WarmPopen:
    """What ``flopbench.core.workers`` needs of ``subprocess.Popen``."""

    warm_up_s: float | None = None

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], **_: Any) -> None:
        self._files = [tempfile.NamedTemporaryFile() for _ in range(3)]  # noqa: SIM115
        names = [file.name for file in self._files]
        start = (list(command[1:]), os.getcwd(), dict(env), names, self.warm_up_s)
        self._process = CONTEXT.Process(target=_python, args=start)

    def communicate(self, sent: str | None = "", timeout: float | None = None) -> tuple[str, str]:
        """Run to the end; return what was printed on stdout and stderr."""
        if self._process.pid is None:
            self._files[0].write((sent or "").encode())
            self._files[0].flush()
            # The libraries of the server read it when they are loaded.
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OMP_NUM_THREADS", "1")
                self._process.start()
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("flopbench", timeout or 0)
        out, err = (Path(file.name).read_text(errors="replace") for file in self._files[1:])
        return out, err

    def wait(self) -> int:
        """Wait for the end; return the exit status."""
        self._process.join()
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    @property
    def returncode(self) -> int:
        """Its exit status; negative where a signal ended it."""
        return self._process.exitcode or 0


class QuickPopen(WarmPopen):
    """The same, with a tenth of the usual warm-up where a network is timed."""

    warm_up_s = 0.1


def run_python(
    args: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run what ``python ARGS`` runs, where ``ARGS`` begin with ``-c`` or ``-m``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        process = WarmPopen([sys.executable, *args], env=environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(list(args), process.returncode, out, err)


@contextlib.contextmanager
def warm_workers() -> Iterator[None]:
    """Let flopbench start its measuring processes warm, warm networks up briefly, and keep roofs.

    Roofs that were measured while other tests had the processor would be measured at each call,
    and no row be stable while the machine is slow.
    """
    from flopbench.core import workers  # not at the top: no process starts with flopbench
    from flopbench.timing import roofs, verdicts

    names = ("PIPE", "DEVNULL", "TimeoutExpired")
    pipes = {name: getattr(subprocess, name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "subprocess", SimpleNamespace(Popen=QuickPopen, **pipes))
        patch.setattr(roofs, "WAITING", 1.0)
        patch.setattr(verdicts, "PACE_WITHIN", float("inf"))
        yield


def _python(
    args: list[str],
    cwd: str,
    environment: dict[str, str],
    streams: Sequence[str],
    warm_up_s: float | None,
) -> None:
    """Be ``python ARGS``, in the forked process."""
    for number, name in enumerate(streams):
        os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if warm_up_s is not None:
        from flopbench.timing.measure import sampling

        sampling.WARM_UP_S = sampling.PATIENCE_S = warm_up_s
    flag, code, *rest = args
    sys.argv = [flag, *rest]
    if flag == "-c":
        sys.path.insert(0, "")
        exec(code, {"__name__": "__main__"})
    else:
        sys.path.insert(0, cwd)
        runpy.run_module(code, run_name="__main__", alter_sys=True)
