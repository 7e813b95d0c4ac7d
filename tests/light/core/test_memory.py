"""How much memory is free: the machine, control groups of both versions, ``ulimit -v``."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from flopbench.core import memory
from flopbench.core.errors import MeasureError
from flopbench.core.memory import SMALL_BYTES, free_bytes, require_room

MEMINFO = {"proc/meminfo": "MemTotal: 900 kB\nMemAvailable:    500 kB\n"}
OWN = {"proc/self/cgroup": "4:memory:/c\n0::/a/b\n"}


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a recorded machine."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (MEMINFO, 500 * 1024),
        ({"sys/fs/cgroup/memory.max": "max\n", **MEMINFO}, 500 * 1024),
        (
            {"sys/fs/cgroup/a/memory.max": "9000", "sys/fs/cgroup/a/memory.current": "2000"},
            9000 - 2000,
        ),
        (  # pages of files are dropped where memory is needed
            {
                "sys/fs/cgroup/a/b/memory.max": "9000",
                "sys/fs/cgroup/a/b/memory.current": "2000",
                "sys/fs/cgroup/a/b/memory.stat": "anon 7\ninactive_file 1500\n",
                **MEMINFO,
            },
            9000 - (2000 - 1500),
        ),
        (
            {
                "sys/fs/cgroup/memory/c/memory.limit_in_bytes": "8000",
                "sys/fs/cgroup/memory/c/memory.usage_in_bytes": "3000",
                "sys/fs/cgroup/memory/c/memory.stat": "inactive_file 1\ntotal_inactive_file 400\n",
            },
            8000 - (3000 - 400),
        ),
        ({"sys/fs/cgroup/memory.max": "10", "sys/fs/cgroup/memory.current": "30"}, 0),
    ],
)
def test_the_tightest_limit_counts(tmp_path: Path, files: dict[str, str], free: int | None) -> None:
    """Own group and those above it, whatever the machine has."""
    assert free_bytes(tree(tmp_path, {**OWN, **files})) == free


def test_an_address_space_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ulimit -v`` of 100 pages, 40 of them taken, leaves 60."""
    page = resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100 * page, 100 * page))
    files = {"proc/self/statm": "40 7 3 1 0 5 0\n", "proc/meminfo": "MemAvailable: 9000000 kB\n"}
    assert free_bytes(tree(tmp_path, files)) == 60 * page


@pytest.mark.parametrize(
    ("weights", "activations", "said"),
    [
        (SMALL_BYTES, 0, ""),
        (9 * 10**9, 0, ""),
        (26_953_662_464, 0, "it needs 26.95 GB of weights, 9.00 GB free"),
        (3 * 10**9, 7 * 10**9, "it needs 3.00 GB of weights and 7.00 GB of activations, 9.00 GB"),
        (10**6, 10**10, "it needs 10.00 GB of activations, 9.00 GB free"),
    ],
)
def test_what_does_not_fit_is_told_in_gigabytes(
    monkeypatch: pytest.MonkeyPatch, weights: int, activations: int, said: str
) -> None:
    """9 GB are free: what fits passes silently, where the system tells nothing everything does."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 9 * 10**9)
    if said:
        with pytest.raises(MeasureError) as refused:
            require_room(weights, activations, hint="a smaller one")
        assert refused.value.message.startswith(said)
        assert refused.value.line.endswith("free: a smaller one")
    else:
        require_room(weights, activations)
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    require_room(weights, activations)
