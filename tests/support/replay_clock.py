"""Replays under a clock of the tests' own: what each call takes is known."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from flopbench.core.workers import Progress
from flopbench.models.build.built import Built
from flopbench.models.build.by_source import build
from flopbench.models.spec import parse_spec
from flopbench.replay.measure import jobs
from flopbench.replay.measure.device import Device
from flopbench.replay.measure.jobs import replay
from flopbench.replay.measure.networks import Network
from flopbench.replay.processes import RunJob
from flopbench.replay.records import Replay
from flopbench.replay.run import ReplayChoices, replay_of_log

START_S, ITEM_S = (
    {"big": 7.0, "small": 5.0, "policy": 2.0, "lstm": 1.0},
    {"big": 16.0, "small": 4.0, "policy": 1.0, "lstm": 0.5},
)
"""Time of a call: seconds per call, and seconds per item."""
READ_S = 3.0
ADAPTIVE = {
    "actions": [
        {"name": "big", "costs": {"big": 1}},
        {"name": "small", "costs": {"small": 1}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
    "charges": {"per_decision": {"policy": 1, "lstm": 1}},
    "components": {
        "big": "linear:64x64",
        "small": "linear:32x32",
        "policy": "linear:16x16",
        "lstm": "lstm:8x4",
    },
}
MACS = {"big": 64 * 64, "small": 32 * 32, "policy": 16 * 16, "lstm": 4 * 4 * (8 + 4)}
VIDEOS = [[0, 1, 2, 2], [0, 0, 0, 0], [1, 2, 2, 0], [0, 2, 2, 2]]
"""7 × big, 2 × small, 4 × skip: 13 decisions; the last video's last skip is cut."""


def call_s(name: str, n: int) -> float:
    """Return what a call on n items takes."""
    return START_S[name] + ITEM_S[name] * n


class Clock(Device):
    """A device whose time is what its calls take.

    Args:
        switch_s: what a call takes besides, if the one before was of another network.
        factor: of all times of this process.
        noise: standard deviation of the logarithm of a call's time.
        seed: of the noise.
    """

    def __init__(
        self, *, switch_s: float = 0.0, factor: float = 1.0, noise: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.t, self._last = 0.0, ""
        self._switch_s, self._factor, self._noise = switch_s, factor, noise
        self._random = random.Random(seed)

    def now(self) -> float:
        return self.t

    other = now

    def called(self, name: str, n: int) -> None:
        """Let the time of a call pass."""
        seconds = call_s(name, n) + (self._switch_s if name != self._last else 0.0)
        self.t += seconds * self._factor * (2.718281828 ** self._random.gauss(0, self._noise))
        self._last = name

    def answer(self, asked: Any) -> list[int]:
        self.t += READ_S * self._factor
        return super().answer(asked)


def job_on(clock: Callable[[], Clock] = Clock) -> RunJob:
    """Return what runs a replay's job here: real executor, networks and records, that clock."""

    def advancing(built: Built, name: str, clock: Clock) -> Built:
        def advance(module: Any, args: tuple[Any, ...], *_: Any) -> None:
            clock.called(name, len(args[0]))

        built.module.register_forward_pre_hook(advance)
        return built

    def run(
        target: str,
        job: Mapping[str, Any],
        *,
        threads: int | None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        device = clock()
        networks = {
            name: Network(
                name,
                advancing(build(parse_spec(spec), "cpu"), name, device),
                device,
                largest=8,
                recurrent=spec.startswith("lstm"),
            )
            for name, spec in job["components"].items()
        }
        with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
            if progress is not None:
                patch.setattr(jobs, "tell", lambda k, n, what="": progress(k, n, what))
            result = replay(job, networks, device)
        facts = {"device": "cpu", "name": "a test", "facts": {}, "absent": {}}
        return json.loads(json.dumps({**result, "clocks": ["ours", "ours"], "device": facts}))

    return run


def choices_for(**options: Any) -> ReplayChoices:
    """Return choices of short replays."""
    return ReplayChoices(**{"rounds": 2, "processes": 3, "bucket": 2, "device": "cpu", **options})


def replayed(
    path: Path,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Replay:
    """Replay a log under the tests' clock."""
    return replay_of_log([path], choices_for(**options), progress=progress, say=say, run=job_on())
