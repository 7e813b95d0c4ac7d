"""From a log's decisions to work: which network runs when, for every video.

A video becomes visits, in the order in which a program would make them. A visit is a place (step
and slot) and a task: networks that run before a decision (policy, LSTM: the header's charges), the
decision, and the networks that it asks for (the arms). Decisions are those of the exact rule
(``policy.decisions``).

Exits are cumulative, so an exit is reached in stages: stage e runs what exit e costs beyond exit
e - 1, and after each stage except the last a gate decides whether to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flopbench.core.errors import InputError
from flopbench.policy.blocks import Block
from flopbench.policy.counts import LogCounts
from flopbench.policy.decisions import decisions
from flopbench.policy.header import Costs
from flopbench.policy.log import Log, count_log, without_duplicates
from flopbench.policy.plan import Plan
from flopbench.policy.samples import raise_first
from flopbench.replay.workload import Runs, Task, Visit, Workload

RECORD_SLOT, STEP_SLOT, STREAM_SLOT = 0, 1, 2
"""Order within a step: charges per video or view, charges per step, then the decisions, stream
after stream; exits and further counts come after the streams."""


def workload_of(
    log: Log, *, videos: int | None = None, most: int | None = None, duplicates: str = "error"
) -> tuple[Workload, LogCounts]:
    """Turn a log, or its first ``videos`` (distinct ids), into a workload.

    Without ``videos`` it is all of them, or the first ``most`` if there are more. The log must be
    opened with the exact reader (``Options(exact=True)``). The counts are those of the whole log.
    """
    counts = count_log(log, duplicates=duplicates)
    if videos is not None and videos > counts.videos:
        raise InputError(f"--videos is {videos}, but {log.source} holds {counts.videos} videos")
    wanted = videos or min(counts.videos, most or counts.videos)
    chosen = without_duplicates(log) if duplicates == "first" else log
    maker = _Maker(log.plan, counts)
    for record, block, i, rows in _records(chosen, log.plan):
        video = record if counts.video is None else int(counts.video[record])
        if video >= wanted:
            if counts.video is None:
                break
            continue
        maker.add(record, video, block, i, rows)
    workload = maker.finish()
    if not any(task.runs or task.before for task in workload.tasks):
        raise InputError(
            f"nothing ever runs in {log.source}: no decision costs a component",
            "state what actions cost: 'costs' in the header, or --preset NAME",
        )
    return workload, counts


def _records(log: Log, plan: Plan) -> Iterator[tuple[int, Block, int, list[Any]]]:
    """Yield (number, block, index in it, (step, action) of each stream) of every record."""
    import numpy as np

    number = 0
    for block in log.blocks(raise_first):
        found = decisions(block, plan)
        pairs = np.stack([found.first_step, found.action], axis=1)
        bounds: Any = np.searchsorted(found.sequence, np.arange(len(block.lengths)), side="right")
        rows = [pairs[a:b] for a, b in zip([0, *bounds[:-1]], bounds, strict=True)]
        sequences: list[list[Any]] = [[] for _ in range(block.size)]
        owners = range(block.size) if block.owner is None else block.owner
        for owner, own in zip(owners, rows, strict=True):
            sequences[int(owner)].append(own)
        for i in range(block.size):
            yield number, block, i, sequences[i]
            number += 1


class _Maker:
    """Builds a workload from records, one after the other."""

    def __init__(self, plan: Plan, counts: LogCounts) -> None:
        self._plan, self._counts = plan, counts
        self._tasks: dict[Task, int] = {}
        self._videos: dict[int, list[Visit]] = {}
        self._steps = 0
        charges = plan.charges
        self._charges = {
            name: _whole(getattr(charges, name), f"charges.{name}")
            for name in charges.__struct_fields__
        }
        # Options that the networks of every step decide among, if decisions have no networks.
        self._each_step = 0 if self._charges["per_decision"] else len(plan.actions)
        self._actions: dict[int, int] = {}
        self._stages: dict[int, list[int]] = {}
        self._components = tuple(plan.header.components or {})

    def add(self, record: int, video: int, block: Block, i: int, rows: list[Any]) -> None:
        """Add one record, ``i`` of its block."""
        visits = self._videos.setdefault(video, [])
        base = visits[-1].step + 1 if visits else 0
        steps = int(self._counts.steps[record])
        self._steps += steps
        once = self._charges["per_view"]
        if not visits:
            once = (*self._charges["per_sample"], *once)
        if once:
            choices = 0 if self._charges["per_step"] else self._each_step
            visits.append(Visit(base, RECORD_SLOT, self._task(before=once, choices=choices)))
        if self._charges["per_step"]:
            task = self._task(before=self._charges["per_step"], choices=self._each_step)
            visits += [Visit(base + step, STEP_SLOT, task) for step in range(steps)]
        taken = 0
        for stream, own in enumerate(rows):
            for step, action in own.tolist():
                visits.append(Visit(base + step, STREAM_SLOT + stream, self._action(action)))
                taken = max(taken, step + 1)
        late = STREAM_SLOT + len(self._plan.streams)
        exit = -1 if block.exits is None else int(block.exits[i])
        stages = self._stages_to(exit) if exit >= 0 else []
        visits += [Visit(base + taken + n, late, task) for n, task in enumerate(stages)]
        if block.counts is not None and (block.counts[i] > 0).any():
            row = zip(self._components, block.counts[i].tolist(), strict=True)
            runs = _whole(dict(row), f"{block.place(i)}: counts")
            end = base + max(steps, taken + len(stages))
            visits.append(Visit(end, late, self._task(runs=runs)))
        visits.sort(key=lambda visit: visit[:2])

    def finish(self) -> Workload:
        """Return the workload of all records."""
        return Workload(
            actions=tuple(self._plan.action_label(i) for i in range(len(self._plan.actions))),
            exits=tuple(exit.name for exit in self._plan.exits),
            tasks=tuple(self._tasks),
            videos=tuple(tuple(self._videos[n]) for n in sorted(self._videos)),
            steps=self._steps,
        )

    def _task(self, **fields: Any) -> int:
        return self._tasks.setdefault(Task(**fields), len(self._tasks))

    def _action(self, index: int) -> int:
        if index not in self._actions:
            action = self._plan.actions[index]
            own = self._charges["per_decision"]
            self._actions[index] = self._task(
                action=index,
                before=own,
                choices=self._plan.size(action.stream or "") if own else 0,
                runs=_whole(action.costs, f"the action {self._plan.action_label(index)!r}"),
            )
        return self._actions[index]

    def _stages_to(self, exit: int) -> list[int]:
        if exit not in self._stages:
            exits = self._plan.exits
            costs = [dict(_whole(e.costs, f"the exit {e.name!r}")) for e in exits[: exit + 1]]
            parts = _increments(costs)
            self._stages[exit] = [
                self._task(
                    runs=tuple((name, n) for name, n in part.items() if n),
                    gate=2 if number < len(exits) - 1 else 0,
                    exit=exit if number == exit else None,
                )
                for number, part in enumerate(parts, exit + 1 - len(parts))
            ]
        return self._stages[exit]


def _increments(costs: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """Return what each exit costs beyond the one before; the last one in full if one costs less."""
    parts = []
    before: Mapping[str, int] = {}
    for cost in costs:
        part = {name: cost.get(name, 0) - before.get(name, 0) for name in {**before, **cost}}
        if min(part.values(), default=0) < 0:
            return [dict(costs[-1])]
        parts.append(part)
        before = cost
    return parts


def _whole(costs: Costs, where: str) -> Runs:
    """Return costs as whole numbers of runs, without zeros; a fraction is an ``InputError``."""
    for name, times in costs.items():
        if times != int(times):
            raise InputError(
                f"{where} costs {times:g} runs of {name!r}, and a fraction of a run cannot be run",
                "replay needs whole numbers: give the smaller network its own component, which "
                "runs once; 'flopbench estimate' accepts fractions",
            )
    return tuple((name, int(times)) for name, times in costs.items() if times)
