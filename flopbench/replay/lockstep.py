"""Videos that go through their visits together: ticks, and the calls that result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from flopbench.replay.records import Arrangement
from flopbench.replay.workload import Runs, Task, Visit, Workload

Calls = list[tuple[str, int]]
"""(component, items in the call), in the order of running."""


class Charge(NamedTuple):
    """Networks that run on some rows of a chunk before a decision; see ``Task``."""

    before: Runs
    choices: int
    rows: tuple[int, ...]


class Tick(NamedTuple):
    """What the videos of a chunk do at one place: at the same step and slot.

    Attributes:
        charges: what runs before the decisions.
        visits: (row of the chunk, task) of every video that has a visit here.
        ends: rows whose last visit is here.
    """

    charges: tuple[Charge, ...]
    visits: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]


class Together(NamedTuple):
    """Videos that go through their visits together; ``calls`` are those of arms."""

    videos: range
    ticks: tuple[Tick, ...]
    calls: Calls


class CallCounts(NamedTuple):
    """All calls of some videos, by (component, items of the call), and for how many decisions.

    ``decided`` counts the rows for which something is decided, as ``Executed`` does.
    """

    arms: Counter[tuple[str, int]]
    policy: Counter[tuple[str, int]]
    decided: int


def together(
    workload: Workload, shape: Arrangement, at_once: Collection[str] = ()
) -> Iterator[Together]:
    """Yield the videos of a workload, group after group; ``at_once`` as in ``bucket_calls``."""
    tasks = workload.tasks
    for start in range(0, len(workload.videos), shape.group):
        videos = range(start, min(start + shape.group, len(workload.videos)))
        ticks = ticks_of([workload.videos[v] for v in videos], tasks)
        calls = split_calls(ticks, tasks)
        if shape.bucket is not None:
            calls = bucket_calls(ticks, tasks, shape.bucket, at_once)
        yield Together(videos, ticks, calls)


def count_calls(
    workload: Workload, shape: Arrangement, at_once: Collection[str] = ()
) -> CallCounts:
    """Return what ``Executed`` counts, without executing anything."""
    arms: Counter[tuple[str, int]] = Counter()
    policy: Counter[tuple[str, int]] = Counter()
    decided = 0
    for group in together(workload, shape, at_once):
        arms.update(group.calls)
        for tick in group.ticks:
            for before, choices, rows in tick.charges:
                policy.update((name, len(rows)) for name, times in before for _ in range(times))
                decided += len(rows) if choices else 0
            for _, number in tick.visits:
                task = workload.tasks[number]
                decided += bool(task.runs and task.gate)
    return CallCounts(arms, policy, decided)


def ticks_of(videos: Sequence[Sequence[Visit]], tasks: Sequence[Task]) -> tuple[Tick, ...]:
    """Return the ticks of a chunk from the visits of its videos; a row is an index of a video."""
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    last: dict[tuple[int, int], list[int]] = {}
    for row, visits in enumerate(videos):
        for visit in visits:
            places.setdefault(visit[:2], []).append((row, visit.task))
        if visits:
            last.setdefault(visits[-1][:2], []).append(row)
    ticks = []
    for place in sorted(places):
        charges: dict[tuple[Runs, int], list[int]] = {}
        for row, task in places[place]:
            if tasks[task].before:
                charges.setdefault((tasks[task].before, tasks[task].choices), []).append(row)
        made = tuple(Charge(*key, tuple(rows)) for key, rows in charges.items())
        ticks.append(Tick(made, tuple(places[place]), tuple(last.get(place, ()))))
    return tuple(ticks)


def shared_calls(tasks: Sequence[Task]) -> tuple[int, ...]:
    """Return task -> the task whose call it shares.

    The rows of an action are one call. At a stage of an exit, rows that will exit there and rows
    that will go on are one call: which of them exit is known only after it.
    """
    first: dict[tuple[Runs, int], int] = {}
    return tuple(
        n if task.action is not None else first.setdefault((task.runs, task.gate), n)
        for n, task in enumerate(tasks)
    )


def by_call(visits: Sequence[tuple[int, int]], shared: Sequence[int]) -> dict[int, list[int]]:
    """Group the rows of a tick by call; see ``shared_calls``."""
    groups: dict[int, list[int]] = {}
    for row, task in visits:
        groups.setdefault(shared[task], []).append(row)
    return groups


def split_calls(ticks: Sequence[Tick], tasks: Sequence[Task]) -> Calls:
    """Return the calls of the actions' networks if each action's rows are one call."""
    shared = shared_calls(tasks)
    return [
        (name, len(rows))
        for tick in ticks
        for task, rows in by_call(tick.visits, shared).items()
        for name, times in tasks[task].runs
        for _ in range(times)
    ]


def bucket_calls(
    ticks: Sequence[Tick], tasks: Sequence[Task], bucket: int, at_once: Collection[str] = ()
) -> Calls:
    """Return the calls of the actions' networks if items wait until ``bucket`` of them are there.

    A gate needs the outputs it decides on, so their buckets run before they are full; the others
    are emptied at the end. Components ``at_once`` cannot wait because they keep a state.
    """
    shared = shared_calls(tasks)
    waiting: dict[str, int] = {}
    calls: Calls = []

    def put(name: str, n: int) -> None:
        if name in at_once:
            calls.append((name, n))
            return
        waiting[name] = waiting.get(name, 0) + n
        while waiting[name] >= bucket:
            waiting[name] -= bucket
            calls.append((name, bucket))

    def flush(name: str) -> None:
        if waiting.get(name):
            calls.append((name, waiting[name]))
            waiting[name] = 0

    for tick in ticks:
        groups = by_call(tick.visits, shared).items()
        # Sorting is stable: what a gate waits for goes first, each group in the order of the rows.
        for number, rows in sorted(groups, key=lambda group: not tasks[group[0]].gate):
            for name, times in tasks[number].runs:
                for _ in range(times):
                    put(name, len(rows))
                    if tasks[number].gate:
                        flush(name)
    for name in waiting:
        flush(name)
    return calls
