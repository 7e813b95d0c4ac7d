"""The script for a short time on a GPU runs to its end on the CPU, and keeps what was measured."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO

import pytest
from conftest import ROOT
from running import run_here
from warm import run_python

sys.path.append(str(ROOT / "benchmarks"))

import device_session
from device_session import Part, run_part

from flopbench.replay.records import load_replay
from flopbench.timing.file import TimingFile


def run_warm(part: Part, seconds: float, text: IO[str]) -> tuple[str, int]:
    """Run a part as ``run_part`` does, without a new interpreter."""
    size = len(device_session.FLOPBENCH)
    if part.command[:size] == device_session.FLOPBENCH:
        done = run_here(part.command[size:], ROOT, os.environ)
    else:
        _, first, *rest = part.command
        script = f"import runpy; runpy.run_path({first!r}, run_name='__main__')"
        args = ["-m", *rest] if first == "-m" else ["-c", script, *rest]
        done = run_python(args, ROOT, os.environ)
    text.write(done.stdout + done.stderr)
    return ("failed" if done.returncode else "done"), done.returncode


@pytest.mark.slow
@pytest.mark.usefixtures("warm_workers")
def test_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is done, each leaves its text, and the measured files can be read."""
    monkeypatch.setattr(device_session, "run_part", run_warm)
    status = device_session.main(["--dry-run", "--minutes", "9", "-o", str(tmp_path)])
    out = tmp_path / "cpu"
    assert status == 0, [path.read_text(encoding="utf-8") for path in out.glob("*.txt")]
    session = json.loads((out / "session.json").read_text(encoding="utf-8"))
    assert [one["ended"] for one in session["parts"]] == ["done"] * 6
    assert {row.what.spec for row in TimingFile.load(out / "latency.json").rows} == {
        *device_session.TINY.values()
    }
    assert load_replay(out / "replay.json").modes
    assert "ms/video" in (out / "estimate.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "seconds", "ended", "status"),
    [
        ("print(1)", 30, "done", 0),
        ("raise SystemExit(3)", 30, "failed", 3),
        ("import time; print('kept', flush=True); time.sleep(600)", 3, "cut at its limit", None),
    ],
)
def test_parts_end(
    code: str, seconds: float, ended: str, status: int | None, tmp_path: Path
) -> None:
    """A part is interrupted at its limit, and what it printed stays."""
    with (tmp_path / "part.txt").open("w", encoding="utf-8") as text:
        found = run_part(Part("part", 30, (sys.executable, "-c", code)), seconds, text)
    assert found[0] == ended
    assert status in (None, found[1])
    if ended.startswith("cut"):
        assert "kept" in (tmp_path / "part.txt").read_text(encoding="utf-8")


def test_what_is_over_is_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the session's time is up, a part says so; on a machine without CUDA nothing runs."""
    assert device_session.main(["--dry-run", "--minutes", "0", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("no time") == 6
