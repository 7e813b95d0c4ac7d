"""Shared by the suites ``bench_*.py``: a separate cache, and the machine's name.

    tox -e bench

pytest collects the suites only on request (``-o python_files='bench_*.py'``), so that the
tests stay what plain ``pytest`` runs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of profiles for this run, initially empty, separate from the user's."""
    folder = tmp_path_factory.mktemp("profiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOPBENCH_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def cpu_name() -> str:
    """The processor's model name, else the name of its instruction set."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
