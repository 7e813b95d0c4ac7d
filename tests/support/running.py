"""The command line without a new interpreter: what a new process does, in this one.

Importing torch takes a process seconds, so most tests run ``flopbench.cli.main`` here, between the
streams, the folder, the environment and the import path that a new process would have. Shell
commands run in a real shell, in which ``flopbench`` hands over its arguments and streams. What is
about the process itself (signals, imports, start-up) must be tested in a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from flopbench.__main__ import RARELY

Done = subprocess.CompletedProcess[str]

STOPPED = {128 + signal.SIGINT, 128 + signal.SIGTERM}

CLIENT = """\
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
sent = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(sent).to_bytes(8, "big")], [0, 1, 2])
server.sendall(sent)
sys.exit(server.recv(1)[0])
"""


def call(
    args: Sequence[str], cwd: Path, environment: Mapping[str, str], streams: Sequence[int]
) -> int:
    """Run the command line in this process as in a new one; return its status.

    Args:
        args: what follows ``flopbench``; or ``--script`` and a Python script.
        cwd: the working directory.
        environment: the whole environment.
        streams: file descriptors of stdin, stdout and stderr.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_streams(streams))
        stack.enter_context(_process_state(cwd, environment))
        stack.enter_context(_modules_of(cwd))
        stack.enter_context(_printed_warnings())
        try:
            if args[:1] == ["--script"]:
                runpy.run_path(str(cwd / args[1]), run_name="__main__")
                status = 0
            else:
                from flopbench.cli import main

                status = main(args)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                sys.stderr.write(f"{ended.code}\n")
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            status = 1
    if status in STOPPED:
        raise KeyboardInterrupt  # stopping the tests stops more than one command
    return status


def run_here(args: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Done:
    """Run the command line in this process; return what a process would have returned."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), out.fileno(), err.fileno()]
            status = call(args, cwd, environment, streams)
        return subprocess.CompletedProcess(list(args), status, _text(out), _text(err))


def run_shell(
    command: str | Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    *,
    together: bool = False,
) -> Done:
    """Run a command in bash, or a program, in which ``flopbench`` and ``python FILE`` are here.

    Pipes, loops and ``$?`` are those of the shell. Two commands of one pipe cannot both be
    ``flopbench``: there is only one process to run them.

    Args:
        environment: the whole environment; ``PATH`` gets this interpreter's programs, too.
        together: stderr goes into stdout, in the order printed.
    """
    server, programs = _server()
    path = [str(programs), str(Path(sys.executable).parent), environment["PATH"]]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            ["bash", "-c", command] if isinstance(command, str) else command,
            cwd=cwd,
            env={**environment, "PATH": os.pathsep.join(path)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out if together else err,
        )
        while process.poll() is None:
            if select.select([server], [], [], 0.01)[0]:
                _answer(server)
        return subprocess.CompletedProcess(command, process.returncode, _text(out), _text(err))


@cache
def _server() -> tuple[socket.socket, Path]:
    """Return the server that a ``flopbench`` calls, and its folder; both last for the run."""
    folder = Path(tempfile.mkdtemp(prefix="shell-"))  # not pytest's: a socket has a short path
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen()
    client = folder / "client.py"
    client.write_text(CLIENT.format(address=str(folder / "socket")), encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    words = shlex.join([sys.executable, "-I", "-S", str(client)])
    script = f'case "$1" in *.py) exec {words} --script "$@";; esac\n'
    for name, text in (
        ("flopbench", f'exec {words} "$@"\n'),
        ("python", f'{script}exec {shlex.quote(sys.executable)} "$@"\n'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
        (programs / name).chmod(0o755)
    return server, programs


def _answer(server: socket.socket) -> None:
    """Run what one ``flopbench`` was called with, on its streams; send it the status."""
    client, _ = server.accept()
    with client:
        head, streams, _, _ = socket.recv_fds(client, 8, 3)
        sent = b""
        while len(sent) < int.from_bytes(head, "big"):
            sent += client.recv(1 << 16)
        args, cwd, environment = json.loads(sent)
        try:
            status = call(args, Path(cwd), environment, streams)
        finally:
            for stream in streams:
                os.close(stream)
        client.sendall(bytes([status & 255]))


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8"))


@contextlib.contextmanager
def _streams(given: Sequence[int]) -> Iterator[None]:
    """Put the streams of a new process in place of ours: for Python, for C, for children."""
    ours = sys.stdin, sys.stdout, sys.stderr
    for stream in ours[1:]:
        stream.flush()
    saved = [os.dup(number) for number in range(3)]
    for number, stream in enumerate(given):
        os.dup2(stream, number)
    try:
        with (
            open(0, encoding="utf-8", closefd=False) as sys.stdin,
            contextlib.suppress(BrokenPipeError),
            open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
            open(2, "w", encoding="utf-8", closefd=False, buffering=1) as sys.stderr,
        ):
            yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = ours
        for number, kept in enumerate(saved):
            os.dup2(kept, number)
            os.close(kept)


@contextlib.contextmanager
def _process_state(cwd: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Work in a folder, with an environment; forget what was imported from there."""
    before = dict(os.environ), Path.cwd(), list(sys.path), set(sys.modules), gc.get_threshold()
    writes = sys.dont_write_bytecode
    # A file edited twice within a second would be loaded from its stale bytecode.
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        os.chdir(cwd)
        _set_environment(environment)
        sys.path.insert(0, str(cwd))
        gc.set_threshold(*RARELY)
        yield
    finally:
        _set_environment(before[0])
        os.chdir(before[1])
        sys.path[:] = before[2]
        for name in set(sys.modules) - before[3]:
            if _of_the_user(name, cwd):
                del sys.modules[name]
        gc.set_threshold(*before[4])
        sys.dont_write_bytecode = writes


@contextlib.contextmanager
def _modules_of(cwd: Path) -> Iterator[None]:
    """Hide modules of the tests that a file of the folder has the name of."""
    hidden = {p.stem: sys.modules.pop(p.stem) for p in cwd.glob("*.py") if p.stem in sys.modules}
    try:
        yield
    finally:
        sys.modules.update(hidden)


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _of_the_user(name: str, cwd: Path) -> bool:
    """Return whether a module came from a named file, or is in the folder."""
    known = getattr(sys.modules[name], "__dict__", {})  # some objects there are not modules
    places = [known.get("__file__"), *known.get("__path__", ())]
    return name.startswith("_flopbench_") or any(
        place and Path(place).is_relative_to(cwd) for place in places
    )


@contextlib.contextmanager
def _printed_warnings() -> Iterator[None]:
    """Print warnings on stderr as an interpreter does, in place of pytest's list of them."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for quiet in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", quiet)
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.showwarning = show
        yield
