"""Shared by all tests: running the command line as a user does, in a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from running import run_here

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # last, so that the installed flopbench is tested: for benchmarks.*

RunCli = Callable[..., "subprocess.CompletedProcess[str]"]

# A deadline would fail on a busy machine. Where CI runs, each run tries the same examples.
settings.register_profile("flopbench", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("flopbench")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the environment with torch leave out what the one without has run (see tox.ini)."""
    parser.addoption(
        "--without-light",
        action="store_true",
        help="leave out the files below tests/light that skip nothing where extras are missing",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep a file that may skip a test for want of an extra: that test must run somewhere."""
    light = collection_path.is_relative_to(ROOT / "tests" / "light")
    if config.getoption("--without-light") and light and collection_path.suffix == ".py":
        return "importorskip" not in collection_path.read_text(encoding="utf-8") or None
    return None


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole test run, so that each library model is measured once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all workers share
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session", autouse=True)
def _use_shared_cache(shared_cache: Path) -> None:
    os.environ["FLOPBENCH_CACHE_DIR"] = str(shared_cache)


@pytest.fixture(scope="module")
def warm_workers() -> Iterator[None]:
    """Fork the measuring processes of the module from one that has torch (see ``warm``)."""
    from warm import warm_workers

    with warm_workers():
        yield


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Run ``flopbench`` in an empty folder; return what the finished process would.

    It runs in this process; ``process=True`` starts one, where that is what the test is about.
    """

    def run(
        *args: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        process: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        folder, environment = cwd or tmp_path, {**os.environ, **(env or {})}
        if not process:
            assert not any(name.startswith("PYTHON") for name in env or {}), "read at start-up"
            return run_here(args, folder, environment)
        return subprocess.run(
            [sys.executable, "-m", "flopbench", *args],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=900,
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
