"""Runs the command line and stops it by a signal at a named point: no clock, no chance.

A process imports what all cases need and forks for each one; the fork is what a new process is
once Python has started flopbench, since ``stopping.install`` is the first thing that it does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DRIVER = '''
import builtins, importlib, json, os, signal, sys
from flopbench import __main__, cli
from flopbench.core import files, stopping

def stop_at(case):
    """Send the signal before or after a call of what is named, or when a module is imported."""
    when, _, name = case["at"].partition(" ")
    send = lambda: [signal.raise_signal(number) for number in case["signals"]]
    if when == "import":
        class Finder:
            def find_spec(self, wanted, *_):
                if wanted == name:
                    send()
        sys.meta_path.insert(0, Finder())
        return
    module, _, attribute = name.rpartition(".")
    owner, seen = importlib.import_module(module), []
    call = getattr(owner, attribute)
    def patched(*args, **kwargs):
        seen.append(1)
        if when == "before" and len(seen) == case["nth"]:
            send()
        result = call(*args, **kwargs)
        if when == "after" and len(seen) == case["nth"]:
            send()
        return result
    setattr(owner, attribute, patched)

for module in sys.argv[1:]:
    importlib.import_module(module)
for case in json.load(sys.stdin):
    pid = os.fork()
    if not pid:
        os.chdir(case["cwd"])
        for number, name in (1, "out"), (2, "err"):
            os.dup2(os.open("../" + name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
        stop_at(case)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)
        sys.argv = ["flopbench", *case["args"]]
        sys.exit(__main__.main())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


@dataclass(frozen=True)
class Stop:
    """A command line, and where it is stopped.

    Attributes:
        at: ``import MODULE``, or ``before`` or ``after`` and a function with its module.
        nth: at which call of it.
        signals: their numbers; a second one comes right after the first.
    """

    args: Sequence[str]
    at: str
    signals: Sequence[int]
    nth: int = 1


@dataclass(frozen=True)
class Ended:
    """How it ended: exit status (negative: killed), stderr, the files of its folder."""

    status: int
    stderr: str
    files: dict[str, str]


def run_stopped(
    stops: Sequence[Stop], folder: Path, inputs: dict[str, bytes], *, imports: Sequence[str] = ()
) -> list[Ended]:
    """Run each in a folder of its own with these files, imports done; return how they ended."""
    cases = []
    for number, stop in enumerate(stops):
        cwd = folder / str(number) / "here"
        for name, content in inputs.items():
            (cwd / name).parent.mkdir(parents=True, exist_ok=True)
            (cwd / name).write_bytes(content)
        cases.append({**asdict(stop), "signals": list(map(int, stop.signals)), "cwd": str(cwd)})
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *imports],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env={**os.environ, "FLOPBENCH_CACHE_DIR": str(folder / "cache")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = []
    for case, status in zip(cases, done.stdout.split(), strict=True):
        here = Path(case["cwd"])
        files = {
            path.relative_to(here).as_posix(): path.read_text("utf-8", "replace")
            for path in sorted(here.rglob("*"))
            if path.is_file()
        }
        files |= {f"{p.relative_to(here)}/": "" for p in here.rglob(".*") if p.is_dir()}
        stderr = (here.parent / "err").read_text("utf-8")
        found.append(Ended(status=int(status), stderr=stderr, files=files))
    return found
