"""Shared by all tests: running the command line as a user does, in a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

RunCli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole test run, so that each library model is measured once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", autouse=True)
def _use_shared_cache(shared_cache: Path) -> None:
    os.environ["FLOPBENCH_CACHE_DIR"] = str(shared_cache)


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Run ``python -m flopbench`` in an empty folder; return the finished process."""

    def run(
        *args: str, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flopbench", *args],
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


def assert_refused(
    result: subprocess.CompletedProcess[str], *needles: str, status: int = 2
) -> None:
    """Assert one clear message on stderr, nothing on stdout, no traceback, the exit status."""
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("error:") == 1, result.stderr
    for needle in needles:
        assert needle in result.stderr, f"{needle!r} is not in:\n{result.stderr}"
