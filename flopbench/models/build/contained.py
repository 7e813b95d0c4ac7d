"""Running the user's own code: what it changes in this process is put back, whatever it does.

Its output goes to stderr, also what C code writes, so that stdout stays ours. A process that it
forks ends where the code ends, a thread that it leaves keeps no process from ending, and an exit
of the whole process is an error of this model alone. Code that should not harm other models by a
crash runs in worker processes: ``flopbench table --jobs 2``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from flopbench.models.build.environment import Name, replaced

_Setting = tuple[Callable[[], Any], Callable[[Any], Any]]


def _environment(wanted: dict[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


def _deterministic() -> tuple[bool, bool]:
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warns


def _default_device() -> Any:
    """Return the device of ``torch.set_default_device``, not that of a context around us."""
    context = getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None)
    return getattr(getattr(context, "device_context", None), "device", None)


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(wanted: dict[int, Any]) -> None:
    for number, handler in _handlers().items():
        if handler != wanted[number] and wanted[number] is not None:
            signal.signal(number, wanted[number])


def _timer() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


def _attribute(owner: Any, name: str) -> _Setting:
    return (lambda: getattr(owner, name)), (lambda value: setattr(owner, name, value))


_SETTINGS: tuple[_Setting, ...] = (
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), _environment),
    (torch.get_default_dtype, torch.set_default_dtype),
    (_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (_deterministic, lambda was: torch.use_deterministic_algorithms(was[0], warn_only=was[1])),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    *(_attribute(torch.backends.cudnn, n) for n in ("enabled", "benchmark", "deterministic")),
    *(_attribute(sys, name) for name in ("stdin", "excepthook")),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, lambda was: gc.enable() if was else gc.disable()),
    (_handlers, _set_handlers),
    (lambda: _timer() > 0, lambda was: None if was else signal.setitimer(signal.ITIMER_REAL, 0)),
)
"""What returns a setting of this process -> what sets it."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Run the user's own code; see the module's docstring.

    Raises:
        SystemExit: the code called ``os._exit``.
    """
    process = os.getpid()
    before = []
    for get, put in _SETTINGS:
        with contextlib.suppress(Exception):  # such as a working folder that was deleted
            before.append((get, put, get()))
    try:
        with (
            _written_to_stderr(),
            replaced([(os, "_exit")], _only_for_children),
            replaced([(threading.Thread, "start")], _without_waiting),
        ):
            yield
    finally:
        if os.getpid() != process:
            os._exit(0)  # the code forked, and only its parent goes on
        for get, put, was in before:
            with contextlib.suppress(Exception):
                if get() != was:
                    put(was)


@contextlib.contextmanager
def _written_to_stderr() -> Iterator[None]:
    """Let what Python, C and children write to stdout go to stderr."""
    if sys.stdout is not None:
        sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # one of them is closed: there is nothing to keep apart
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            stack.callback(_flush)
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield


def _flush() -> None:
    with contextlib.suppress(Exception):  # where C's library has another name
        ctypes.CDLL(None).fflush(None)


def _only_for_children(_key: Name, given: Callable[[int], Any]) -> Callable[[int], None]:
    """Let a forked child end; the whole process only seems to."""
    process, thread = os.getpid(), threading.get_ident()

    def leave(status: int) -> None:
        if (os.getpid(), threading.get_ident()) != (process, thread):
            given(status)
        raise SystemExit(f"os._exit({status})")

    return leave


def _without_waiting(_key: Name, given: Callable[[Any], None]) -> Callable[[Any], None]:
    """Start threads as daemons, for which no process waits."""

    ours = threading.get_ident()

    def start(thread: threading.Thread) -> None:
        if threading.get_ident() == ours and not thread.is_alive():
            thread.daemon = True
        given(thread)

    return start
