"""Ctrl-C, SIGTERM and SIGHUP at named points: exit status, files, processes, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from stopped import Ended, Stop, run_stopped

from flopbench.core import stopping

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
LOG, TABLE = ROOT / "tests/data/selective.jsonl", ROOT / "reports/table2.json"
OLD = {"out.json": b"old", "out.csv": b"old", "out.header.json": b"old"}
ESTIMATE = ("estimate", "log.jsonl", "--table", "table.json", "-o", "out.json")
CONVERT = ("log", "convert", "log.jsonl", "-o", "out.csv")
SHOW = ("table", "--from", "table.json", "-o", "out.json")
STOPS = {
    "while a module is imported": Stop(ESTIMATE, "import flopbench.estimate.runs", [INT]),
    "while a library is imported": Stop(ESTIMATE, "import numpy", [TERM]),
    "before anything is written": Stop(SHOW, "before os.chmod", [HUP]),
    "before the new file has its name": Stop(ESTIMATE, "before os.replace", [INT]),
    "when the new file has its name": Stop(ESTIMATE, "after os.replace", [TERM]),
    "twice": Stop(SHOW, "before os.replace", [INT, INT]),
    "by two signals": Stop(SHOW, "before os.replace", [TERM, INT]),
    "while a log is converted": Stop(CONVERT, "before csv.writer", [TERM]),
    "before a log's files have their names": Stop(CONVERT, "before os.chmod", [TERM]),
    "between the two files of a log": Stop(CONVERT, "after os.replace", [INT]),
    "at the end": Stop(SHOW, "after flopbench.cli.main", [TERM]),
}
"""What is new after them; after all others everything is as it was."""
WHOLE = {
    "when the new file has its name": {"out.json"},
    "before a log's files have their names": {"out.csv", "out.header.json"},
    "between the two files of a log": {"out.csv", "out.header.json"},
    "at the end": {"out.json"},
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Run all of ``STOPS``."""
    inputs = {"log.jsonl": LOG.read_bytes(), "table.json": TABLE.read_bytes(), **OLD}
    done = run_stopped(list(STOPS.values()), tmp_path_factory.mktemp("stopped"), inputs)
    return dict(zip(STOPS, done, strict=True))


@pytest.mark.parametrize("where", STOPS)
def test_a_stopped_verb_leaves_the_old_file_or_the_new_one(
    where: str, ended: dict[str, Ended]
) -> None:
    """128 + the signal, one line on stderr, no other file, and each file old or whole."""
    one, number = ended[where], STOPS[where].signals[0]
    assert one.status == 128 + number
    what = "interrupted" if number == INT else f"ended by {number.name}"
    assert one.stderr == f"flopbench: {what}; no file is half written\n"
    assert set(one.files) == {"log.jsonl", "table.json", *OLD}
    assert {name for name in OLD if one.files[name] != "old"} == WHOLE.get(where, set())
    assert all(one.files[name].endswith("\n") for name in WHOLE.get(where, ()))


FIRST = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "argparse":
            signal.raise_signal(signal.{name})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    ("name", "handler", "status"),
    [
        ("SIGINT", signal.SIG_DFL, 130),
        ("SIGTERM", signal.SIG_DFL, 143),
        ("SIGHUP", signal.SIG_IGN, 0),
    ],
)
def test_signals_are_handled_before_the_command_line_is_imported(
    name: str, handler: signal.Handlers, status: int, tmp_path: Path
) -> None:
    """In a real process, while argparse is imported; what is ignored, as by nohup, stays so."""
    (tmp_path / "sitecustomize.py").write_text(FIRST.format(name=name))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "flopbench", "--version"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(getattr(signal, name), handler),
    )
    assert done.returncode == status
    assert (bool(done.stdout), done.stderr.count("\n")) == ((False, 1) if status else (True, 0))


# --- workers

WORKERS = """
import os, signal, sys, time
from flopbench.core import stopping, workers
os.environ["TMPDIR"] = sys.argv[2]
def stop():
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
def in_a_job():
    sys.path.insert(0, sys.argv[2])
    workers.run_job("slow:job", {}, progress=lambda pid, *_: (print(pid, flush=True), stop()))
def nap(seconds):
    time.sleep(seconds)
    return os.getpid()
def in_one_of_several():
    for _, answer in workers.answers(nap, [0, 600], 1):
        print(answer.value, flush=True)
        stop()
if __name__ == "__main__":
    stopping.install()
    globals()[sys.argv[3]]()
"""
SLOW = """
import os, time
from flopbench.core import worker_main
def job(job):
    worker_main._told_at = -1e9
    worker_main.tell(os.getpid(), 0)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends workers on Linux only")
@pytest.mark.parametrize("where", ["in_a_job", "in_one_of_several"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_their_parent(where: str, name: str, tmp_path: Path) -> None:
    """Stopped or killed: no worker goes on, nothing is printed about it, no folder is left."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "workers_.py").write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "workers_.py"), name, str(tmp_path), where],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (143 if name == "SIGTERM" else -9), done.stderr
    assert "leaked" not in done.stderr
    assert "Traceback" not in done.stderr
    until = time.monotonic() + 60
    while is_running(int(done.stdout)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(int(done.stdout))
    if name == "SIGTERM":
        assert list(tmp_path.glob("flopbench-*")) == []


# --- in programs that import flopbench


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN])
def test_held_puts_every_handler_back_and_loses_no_signal(handler: object) -> None:
    """A signal in the block acts after it, as it would have: once, in the handler of before."""
    came: list[int] = []
    before = signal.signal(TERM, lambda number, _: came.append(number))
    interrupt = signal.signal(INT, handler)  # type: ignore[arg-type]
    try:
        with stopping.held():
            signal.raise_signal(TERM)
            assert came == []
        assert came == [TERM]
        assert signal.getsignal(INT) is handler
    finally:
        signal.signal(TERM, before)
        signal.signal(INT, interrupt)


def test_a_library_keeps_its_interrupts() -> None:
    """Without ``install`` nothing handles a signal, and Ctrl-C is a ``KeyboardInterrupt``."""
    handlers = [signal.getsignal(number) for number in (INT, TERM)]
    with pytest.raises(KeyboardInterrupt), stopping.raising(when=lambda: True), stopping.held():
        signal.raise_signal(INT)
    assert [signal.getsignal(number) for number in (INT, TERM)] == handlers


@pytest.mark.parametrize(
    "after", ["", "import threading; threading.Timer(0.1, print, 'x').start()"]
)
def test_a_process_leaves_at_once(after: str) -> None:
    """It writes its text and does what it registered; Python's own end waits for threads."""
    code = f"""
import atexit
from flopbench.core import stopping
class Slow:
    def __del__(self): print("searched")
kept = Slow()
atexit.register(print, "cleaned")
print("said")
{after}
raise SystemExit(stopping.leave(3))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = "said\nx\ncleaned\nsearched\n" if after else "said\ncleaned\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, said, "")
