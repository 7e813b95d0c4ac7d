"""Ctrl-C, SIGTERM and a closed terminal: what the command line does about them, in one place.

The process ends where the signal finds it, with 128 + its number, after what the blocks of
``cleaned`` registered. It raises no exception: at most lines one would run into a library, which
may swallow it, print it, or crash. Only ``flopbench`` itself installs this (``__main__.py``): a
program that imports flopbench keeps its own handlers, and Ctrl-C raises ``KeyboardInterrupt``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

NOTHING_HALF = "no file is half written"
"""What is true after each of these."""

_to_clean: list[Callable[[], object]] = []
_process = 0


def install() -> None:
    """Handle signals from now on; one that is ignored, as below ``nohup``, stays ignored."""
    global _process
    _process = os.getpid()
    atexit.register(_ignore)  # the first one registered runs last: when all is done
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


@contextlib.contextmanager
def cleaned(clean: Callable[[], object]) -> Iterator[None]:
    """Call ``clean`` where a signal ends the process within the block."""
    _to_clean.append(clean)
    try:
        yield
    finally:
        _to_clean.remove(clean)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal act only after the block, which takes milliseconds: also in other programs."""
    before = {}
    came: list[int] = []
    if threading.current_thread() is threading.main_thread():  # no other one may set handlers
        found = ((one, signal.getsignal(one)) for one in STOPPING)
        before = {one: handler for one, handler in found if handler is not None}
    try:
        for one in before:
            signal.signal(one, lambda number, _: came.append(number))
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in came[:1]:
            signal.raise_signal(number)


@contextlib.contextmanager
def raising(when: Callable[[], bool]) -> Iterator[list[int]]:
    """Let the first signal raise ``KeyboardInterrupt`` where there is something to keep by then.

    Args:
        when: whether there is.

    Yields:
        The number of that signal, once it came.
    """
    ours = [number for number in STOPPING if signal.getsignal(number) is _end]
    came: list[int] = []

    def stop(number: int, frame: object) -> None:
        for one in ours:
            signal.signal(one, _end)
        if not when():
            _end(number, frame)
        came.append(number)
        raise KeyboardInterrupt

    try:
        for one in ours:
            signal.signal(one, stop)
        yield came
    finally:
        for one in ours:
            signal.signal(one, _end)


def status_of(came: Sequence[int]) -> int:
    """Return the exit status for what ``raising`` yields; without a signal that of Ctrl-C."""
    return 128 + next(iter(came), signal.SIGINT)


def leave(status: int) -> int:
    """End the process with a status, the text written: at once, unless a thread is to end first.

    Python would first search all objects for garbage, more than once, and free them one by one.
    """
    if threading.active_count() > 1:
        return status
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):  # its reader has left, or it is closed
            stream.flush()
    os._exit(status)


def _end(number: int, _frame: object) -> None:
    """Clean up and end: at once, and without what Python does at an exit."""
    if os.getpid() != _process:  # a fork, whose files and workers are its parent's
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _ignore()
    for clean in reversed(_to_clean):
        with contextlib.suppress(Exception):  # the others are to be cleaned all the same
            clean()
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    with contextlib.suppress(OSError):  # sys.stderr may be in the middle of a line
        os.write(2, f"flopbench: {what}; {NOTHING_HALF}\n".encode())
    os._exit(128 + number)


def _ignore() -> None:
    """Ignore further signals: a second Ctrl-C while cleaning up, one while Python ends."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
