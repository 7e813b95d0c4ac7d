"""The processes of a replay, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flopbench.core.errors import FlopbenchError
from flopbench.core.workers import Progress

JOB = "flopbench.replay.measure.jobs:run"

Measured = TypeVar("Measured")
"""A replay, or what else its processes measure."""

RunJob = Callable[..., Any]
"""As ``workers.run_job``."""


def timed(
    job: Mapping[str, Any],
    recorded: Callable[..., Measured],
    run: RunJob,
    progress: Progress | None,
    keep: Callable[[Measured], None] | None,
) -> Measured:
    """Run the processes one after the other; return the record of those that finished.

    ``recorded`` makes it from their results, and from why the one after them failed.
    """
    results: list[dict[str, Any]] = []
    count = job["processes"]
    each = job["rounds"] * len(job["modes"]) * len(job["workload"]["videos"])
    for number in range(count):
        listen = _listener(number, count, each, progress)
        try:
            own = {**job, "seed": job["seed"] + number}
            results.append(run(JOB, own, threads=job["threads"], **listen))
        except KeyboardInterrupt:
            if not results:
                raise
            break
        except FlopbenchError as error:
            if not results:
                raise
            return recorded(results, error.line)
        if keep is not None:
            keep(recorded(results))
    return recorded(results)


def _listener(number: int, count: int, each: int, progress: Progress | None) -> dict[str, Progress]:
    """Report a process as started; return the argument that passes on how far it is."""
    if progress is None:
        return {}
    process = f"process {number + 1} of {count}"
    progress(number * each, count * each, process)

    def told(done: int, _total: int, mode: str) -> None:
        progress(number * each + done, count * each, ", ".join(filter(None, (process, mode))))

    return {"progress": told}
