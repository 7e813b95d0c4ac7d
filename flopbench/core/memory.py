"""How much memory this process may still take, and the control groups that limit it.

``root`` is the folder that holds ``proc`` and ``sys``, so that tests can read recorded trees.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from flopbench.core.errors import MeasureError
from flopbench.core.units import gigabytes

SMALL_BYTES = 1 << 29
"""Weights that are made without asking: they fit into the memory that torch itself takes."""


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return how many bytes may still be taken; None where the system does not tell (not Linux).

    The least of what the machine has left, what each control group leaves (its limit less its use,
    without pages of files that it can drop) and what ``ulimit -v`` leaves.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and proc(5).
    """
    there = re.search(r"^MemAvailable:\s*(\d+) kB", text_of(root / "proc/meminfo"), re.MULTILINE)
    left = [int(there[1]) * 1024] if there else []
    new, old = group_folders("memory", root)
    files = ("memory.max", "memory.current", "inactive_file")
    older = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    groups = [(folder, *files) for folder in new] + [(folder, *older) for folder in old]
    for folder, limit, used, droppable in groups:
        with contextlib.suppress(ValueError):  # no limit ("max"), or no such file
            stat = text_of(folder / "memory.stat")
            dropped = re.search(rf"^{droppable} (\d+)", stat, re.MULTILINE)
            kept = int(text_of(folder / used)) - (int(dropped[1]) if dropped else 0)
            left.append(int(text_of(folder / limit)) - kept)
    address_space = _address_space_left(root)
    if address_space is not None:
        left.append(address_space)
    return max(0, min(left)) if left else None


def require_room(weights: int, activations: int = 0, *, hint: str = "") -> None:
    """Refuse what would not fit into the memory that is free; sizes are in bytes.

    Raises:
        MeasureError: it does not fit.
    """
    if weights + activations <= SMALL_BYTES:
        return
    free = free_bytes()
    if free is not None and weights + activations > free:
        sizes = {"weights": weights, "activations": activations}
        parts = [f"{gigabytes(n)} GB of {what}" for what, n in sizes.items() if n > free / 10]
        raise MeasureError(f"it needs {' and '.join(parts)}, {gigabytes(free)} GB free", hint)


def peak_resident_bytes() -> int:
    """Return the most memory that this process has had, 0 where the system does not tell."""
    # On Linux getrusage includes the peak of the process that started this one.
    found = re.search(r"^VmHWM:\s*(\d+) kB", text_of(Path("/proc/self/status")), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    with contextlib.suppress(ImportError):  # Windows
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    return 0


def _address_space_left(root: Path) -> int | None:
    """Return what ``ulimit -v`` leaves, None where there is no limit."""
    with contextlib.suppress(ImportError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(text_of(root / "proc/self/statm").partition(" ")[0])
            return int(limit) - pages * os.sysconf("SC_PAGE_SIZE")
    return None


def group_folders(controller: str, root: Path = Path("/")) -> tuple[list[Path], list[Path]]:
    """Return the folders of this process's control groups, from its own up to the root.

    Version 2 comes first, then version 1 of a controller (``cpu``, ``memory``). A container often
    sees its own group as the root, while /proc/self/cgroup still gives the path outside: some
    folders do not exist.
    """
    unified, own = "/", "/"
    for line in text_of(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            unified = path
        elif controller in controllers.split(","):
            own = path
    tree = root / "sys/fs/cgroup"
    together = [tree / "cpu,cpuacct"] if controller == "cpu" else []
    return (
        _levels([tree, tree / "unified"], unified),
        _levels([tree / controller, *together], own),
    )


def _levels(trees: list[Path], path: str) -> list[Path]:
    """Return every folder from the group up to the root of each tree."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [tree.joinpath(*parts[:count]) for tree in trees for count in range(len(parts), -1, -1)]


def text_of(path: Path) -> str:
    """Return a small file's text; an empty string if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
