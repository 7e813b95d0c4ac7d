"""Plan of one mode of a replay: its chunks, what each of them measures, its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, convert

from flopbench.replay.lockstep import Calls, Tick, together
from flopbench.replay.measure.device import Device
from flopbench.replay.measure.executor import ExecutionCounts, Executor
from flopbench.replay.measure.networks import Bucket, Network
from flopbench.replay.records import Arrangement
from flopbench.replay.workload import Runs, Workload

BASELINE_VIDEOS = 8
"""Online: every video of the baseline is the same work, so this many represent all."""
BASELINE_CALLS = 16
"""Calls of the baseline per round in the other modes, spread over the chunks; also the most per
chunk. AR-Net's videos have 16 frames: a video online, a whole batch for a short log."""
UNIT_CALLS = 8
"""Full batches of each arm per round in the other modes, spread over the chunks."""
UNIT_CALLS_ONLINE = 4
"""The same online, at each chunk that times the baseline: a call there is a single frame."""


class Chunk(Struct):
    """Videos that go through their visits together.

    ``calls`` are those of arms; ``extra`` has units of the baseline to time here, and calls of
    each arm, 0 for none.
    """

    number: int
    videos: Sequence[int]
    ticks: tuple[Tick, ...]
    calls: Calls
    extra: tuple[int, int] = (0, 0)


class ModePlan(Struct):
    """One mode, ready to run, and what was measured of it.

    ``compared`` is whether it is timed without waiting and against the uniform program, too.
    """

    name: str
    batch: int
    chunks: list[Chunk]
    executor: Executor
    baseline: Runs
    arms: list[str]
    compared: bool
    rows: dict[str, list[tuple[int, int, int, float, float]]] = {}
    latencies: list[tuple[int, int, float]] = []
    executed: ExecutionCounts | None = None


def plan_mode(
    name: str,
    job: Mapping[str, Any],
    workload: Workload,
    networks: Mapping[str, Network],
    device: Device,
) -> ModePlan:
    """Plan the chunks of one mode, and which of them time the baseline too."""
    shape = job["modes"][name]
    tasks, bucket = workload.tasks, shape["bucket"]
    baseline: Runs = tuple((c, n) for c, n in job["baseline"]["runs"].items())
    arms = list(dict.fromkeys(c for task in tasks for c, _ in task.runs))
    stateful = [c for c in networks if networks[c].recurrent]
    buckets = {}
    if bucket is not None:
        waiting = dict.fromkeys([*arms, *(c for c, _ in baseline)])
        buckets = {
            c: Bucket(networks[c], bucket, device) for c in waiting if not networks[c].recurrent
        }
    groups = together(workload, convert(shape, Arrangement), stateful)
    chunks = [Chunk(number, *group) for number, group in enumerate(groups)]
    if "hot" not in job:
        _spread(chunks, job["baseline"], len(workload.videos), shape["batch"])
    executor = Executor(networks, tasks, device, buckets)
    return ModePlan(name, shape["batch"], chunks, executor, baseline, arms, "hot" not in job)


def _spread(chunks: Sequence[Chunk], baseline: Mapping[str, Any], videos: int, batch: int) -> None:
    """Choose the chunks at which the baseline and the arms alone are timed."""
    a_unit = max(1, sum(baseline["runs"].values()))
    a_video = max(1, round(baseline["units"] / videos))
    most = min(a_video, max(1, BASELINE_CALLS // a_unit))
    if batch == 1 and len(chunks[0].videos) == 1:
        chosen, units, calls = min(len(chunks), BASELINE_VIDEOS), most, UNIT_CALLS_ONLINE
    else:
        chosen = min(len(chunks), BASELINE_CALLS)
        units = min(most, -(-BASELINE_CALLS // (chosen * a_unit)))
        calls = -(-UNIT_CALLS // chosen)
    for n in range(chosen):
        chunks[n * len(chunks) // chosen].extra = units, calls


def passes_of(plan: ModePlan, chunk: Chunk) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Return name -> (items, work) of every pass of a chunk."""
    executor, of = plan.executor, len(chunk.videos)

    def unmeasured() -> None:
        kept, executor.executed = executor.executed, ExecutionCounts()
        executor.whole(chunk.ticks, of, read=False)
        executor.executed = kept

    units, calls = chunk.extra
    passes: dict[str, tuple[int, Callable[[], Any]]] = {
        "full": (of, lambda: executor.whole(chunk.ticks, of))
    }
    if plan.compared:
        passes["nosync"] = (of, unmeasured)
    passes["arms"] = (of, lambda: executor.arms(chunk.calls))
    if units:
        passes["baseline"] = (
            units * plan.batch,
            lambda: executor.uniform(plan.baseline, plan.batch, units),
        )
    if calls:
        for name in plan.arms:
            own = [(name, plan.batch)] * calls
            passes[f"unit {name}"] = (calls * plan.batch, lambda own=own: executor.arms(own))  # type: ignore[misc]
    return passes


def check_executed(plan: ModePlan, workload: Workload) -> None:
    """Assert that a round ran the log's decisions, and the calls that ``arms`` times."""
    executed = plan.executor.executed
    if executed.tasks != workload.task_counts():
        raise AssertionError(f"{plan.name}: ran {executed.tasks}, not {workload.task_counts()}")
    expected = Counter(call for chunk in plan.chunks for call in chunk.calls)
    if executed.arms != expected:
        raise AssertionError(f"{plan.name}: ran {executed.arms}, not {expected}")
    runs: Counter[str] = Counter()
    policy: Counter[str] = Counter()
    for calls, totals in ((executed.arms, runs), (executed.policy, policy)):
        for (name, n), times in calls.items():
            totals[name] += n * times
    if (runs, policy) != workload.component_runs():
        raise AssertionError(f"{plan.name}: {runs}, {policy} runs")
    plan.executed = executed


def mode_run(plan: ModePlan, workload: Workload) -> dict[str, Any]:
    """Return the fields of a ``ModeRun``."""
    executed = plan.executed
    assert executed is not None
    decisions, exits = workload.decided(executed.tasks)
    units = {name: rows for name, rows in plan.rows.items() if name.startswith("unit ")}
    return {
        **{name: plan.rows.get(name, []) for name in ("full", "nosync", "arms", "baseline")},
        "unit": {name.removeprefix("unit "): rows for name, rows in units.items()},
        "latencies": plan.latencies,
        "executed": {
            "decisions": decisions,
            "exits": exits,
            "arms": _by_size(executed.arms),
            "policy": _by_size(executed.policy),
            "decided": executed.decided,
            "reads": executed.reads,
        },
    }


def _by_size(calls: Counter[tuple[str, int]]) -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = {}
    for (name, n), times in sorted(calls.items()):
        sizes.setdefault(name, {})[str(n)] = times
    return sizes
