"""The work of videos as a record: visits, each a place and a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from flopbench.core.records import Record

Runs = tuple[tuple[str, int], ...]
"""(component, successive runs), in the order of the header."""


class Task(NamedTuple):
    """What a visit does.

    Attributes:
        action: index of the decided action in the plan; None for none.
        before: networks that run before the decision: policy, LSTM.
        choices: number of options decided among after ``before``; 0 for no decision.
        runs: networks that the decision asks for (arms).
        gate: number of options decided among after ``runs``; 0 for no decision.
        exit: index of the exit taken here; None for none.
    """

    action: int | None = None
    before: Runs = ()
    choices: int = 0
    runs: Runs = ()
    gate: int = 0
    exit: int | None = None


class Visit(NamedTuple):
    """A task and its place: step, slot in the step, index in ``Workload.tasks``."""

    step: int
    slot: int
    task: int


class Workload(Record, frozen=True, kw_only=True):
    """The work of videos.

    Attributes:
        actions: names of the actions, with their streams.
        exits: names of the exits.
        tasks: the distinct tasks, in order of first appearance.
        videos: the visits of each video, in order.
    """

    actions: tuple[str, ...]
    exits: tuple[str, ...]
    tasks: tuple[Task, ...]
    videos: tuple[tuple[Visit, ...], ...]
    steps: int

    def task_counts(self) -> Counter[int]:
        """Return how often each task occurs in the videos."""
        return Counter(visit.task for video in self.videos for visit in video)

    def decided(self, counts: Mapping[int, int] | None = None) -> tuple[list[int], list[int]]:
        """Return how often each action is decided, and how often each exit is taken.

        ``counts`` has how often each task is done; None takes ``task_counts``.
        """
        decisions, exits = [0] * len(self.actions), [0] * len(self.exits)
        for number, n in (self.task_counts() if counts is None else counts).items():
            task = self.tasks[number]
            if task.action is not None:
                decisions[task.action] += n
            if task.exit is not None:
                exits[task.exit] += n
        return decisions, exits

    def component_runs(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return component -> runs as an arm, and component -> runs as policy network or LSTM."""
        arms: dict[str, int] = {}
        policy: dict[str, int] = {}
        for task, n in sorted(self.task_counts().items()):
            for runs, totals in ((self.tasks[task].runs, arms), (self.tasks[task].before, policy)):
                for name, times in runs:
                    totals[name] = totals.get(name, 0) + n * times
        return arms, policy
