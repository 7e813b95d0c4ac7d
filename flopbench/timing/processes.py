"""What fresh processes measure, each with the code of ``measure``: roofs, and one run of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from flopbench.core.records import decode
from flopbench.core.workers import WorkerDied, run_job
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.lower_bound import charged
from flopbench.timing.records import Operator, ProcessRun, Timing
from flopbench.timing.roofs import FamilyRoof, Roofs, load_roofs, store_roofs

JOBS = "flopbench.timing.measure.jobs"


def roofs_of(
    facts: DeviceFacts,
    dtypes: Sequence[str],
    threads: int,
    *,
    refresh: bool,
    tell: Callable[[int, int, object], None],
) -> Roofs:
    """Return the roofs of a device in some formats, from the cache or measured now.

    ``refresh`` measures these formats again, and forgets what they were; else the higher of an old
    measurement and a new one counts. ``tell`` is told before anything is measured.
    """
    known = load_roofs(facts, threads)
    missing = list(dtypes) if known is None or refresh else list(known.lacks(dtypes))
    if known is not None and not missing:
        return known
    tell(0, 1, f"roofs of {facts.name}")
    job = {"device": facts.device, "dtypes": missing, "threads": threads}
    roofs = decode(run_job(f"{JOBS}:roofs", job, threads=threads), Roofs, "the roofs")
    if known is not None:
        roofs = roofs.completed_by(known) if refresh else known.merged(roofs)
    store_roofs(facts, roofs)
    return roofs


def one_more_process(
    rows: Sequence[Timing],
    budget_s: float,
    fewest: int,
    *,
    roots: Sequence[str] = (),
    families: Sequence[FamilyRoof] = (),
    best_pace_s: float | None = None,
    target: str = f"{JOBS}:time_rows",
    more: Mapping[str, Any] = MappingProxyType({}),
) -> list[Timing]:
    """Time rows in one more process, in which several take turns; return them with its results.

    Rows are of one device, number format and thread count. ``roots`` are the source trees of the
    rows, ``families`` roofs for operators of rows that have none yet: without any, none are listed.
    ``best_pace_s`` is the best pace of this machine that is known; ``more`` is what else the job
    takes.
    """
    job: dict[str, Any] = {
        "rows": [to_builtins(row.what) for row in rows],
        "budget_s": budget_s,
        "fewest": fewest,
        "best_pace_s": best_pace_s,
        "graphs": not any(row.interleaved or row.sweep for row in rows),
        "operators": bool(families) and not all(row.operators for row in rows),
        "roots": list(roots),
        **more,
    }
    try:
        answers = run_job(target, job, threads=rows[0].what.threads)
    except WorkerDied as died:
        return [replace(row, failure=died.line) for row in rows]
    updated = []
    for row, answer in zip(rows, answers, strict=True):
        if "failure" in answer:
            updated.append(replace(row, failure=answer["failure"]))
            continue
        run = decode(answer["run"], ProcessRun, str(row.what))
        found = decode(answer.get("operators", []), list[Operator], str(row.what))
        operators = row.operators or charged(found, families)
        updated.append(replace(row, processes=(*row.processes, run), operators=operators))
    return updated
