"""Damaged inputs of every kind, a fixed seed: see ``benchmarks/fuzz``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_2000_damaged_inputs_are_read_or_refused(tmp_path: Path) -> None:
    """None of any kind ends in a traceback, hangs, fills the memory or is wrongly accepted."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--count", "2000", "-o", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1].split()
    assert last[:7] == ["all", "2000", "2000", "0", "0", "0", "0"]
