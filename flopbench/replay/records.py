"""A replay as a record and as a file: what was run, where, and every measured time.

File format (JSON): ``{"schema": 1, "kind": "flopbench.replay", ...}`` with the fields of
``Replay``, and ``summary``, which is recomputed when the file is read. Times are raw seconds, one
row per pass: (round, chunk, items, primary clock, secondary clock).

Schema history: 1, the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from flopbench.core.errors import DataError
from flopbench.core.files import check_schema, read_json, write_atomic
from flopbench.core.records import Count, NonNegative, Positive, Record, decode
from flopbench.core.units import number_of
from flopbench.timing.devices import DeviceFacts

SCHEMA = 1
KIND = "flopbench.replay"
MODES = ("online", "split", "bucketed")
_SIZE = re.compile("[1-9][0-9]{0,17}")
"""Items of a call, as a key."""

Row = tuple[int, int, Positive, NonNegative, NonNegative]
"""(round, chunk, items, seconds on the primary clock, seconds on the secondary clock)."""


class ReplayPart(Record, frozen=True, kw_only=True):
    """One component.

    Attributes:
        spec: the network that was run.
        variant: which variant of the log's component it is; empty for none.
        dense_macs: multiply-accumulates of one run, by the reference counter.
        arm_runs: runs as an arm (network of an action) in all videos.
        policy_runs: runs as a policy network or LSTM in all videos.
    """

    spec: str
    variant: str = ""
    dense_macs: Count = msgspec.field(name="macs")
    arm_runs: Count
    policy_runs: Count
    note: str = ""


class UniformBaseline(Record, frozen=True, kw_only=True):
    """The uniform program.

    Attributes:
        name: the action or exit that every step, or video, takes.
        per: ``step`` or ``video``.
        runs: component -> runs per step, or per video.
        units: steps of all videos, or videos.
    """

    name: str
    per: Literal["step", "video"]
    runs: dict[str, int]
    units: int

    @property
    def text(self) -> str:
        """What it runs: ``every step takes 224 (1 × resnet50)``."""
        runs = ", ".join(f"{n} × {name}" for name, n in self.runs.items())
        return f"every {self.per} takes {self.name} ({runs})"


class Arrangement(Record, frozen=True, kw_only=True):
    """How the videos of a mode are grouped.

    Attributes:
        group: videos that go through their steps together; at most the number of videos.
        bucket: items of a full bucket; None if an action's rows run at once.
        batch: items of a full call of an arm.
    """

    group: int
    bucket: int | None
    batch: int


class Settings(Record, frozen=True, kw_only=True):
    """The user's settings; see ``flopbench replay --help``."""

    device: str
    threads: int | None
    dtype: str
    channels_last: bool
    compiled: bool
    rounds: int
    processes: int
    seed: int
    frames: str | None = None

    @property
    def options(self) -> str:
        """As ``TimingSpec.options``."""
        names = {"channels last": self.channels_last, "compiled": self.compiled}
        return ", ".join(name for name, chosen in names.items() if chosen)

    def text(self, machine: str) -> str:
        """Return what times depend on, as captions list it, from the machine on."""
        threads = "" if self.threads is None else number_of(self.threads, "thread")
        layout = "channels last" if self.channels_last else ""
        compiler = "torch.compile" if self.compiled else ""
        return ", ".join(filter(None, (machine, self.dtype, threads, layout, compiler)))

    def repeats_text(self, processes: int) -> str:
        """Return how often everything was measured: ``3 processes × 2 rounds``."""
        return f"{number_of(processes, 'process')} × {number_of(self.rounds, 'round')}"

    @property
    def frames_text(self) -> str:
        """What was replayed on."""
        return "random frames" if self.frames is None else f"frames of {self.frames}"


class Executed(Record, frozen=True, kw_only=True):
    """What one round actually ran; every round was checked against it.

    Attributes:
        decisions: of each action.
        exits: of each exit.
        arms: component -> items of a call -> calls.
        policy: the same for policy networks and LSTMs.
        decided: rows for which something was decided.
        reads: how often the host waited for decisions.
    """

    decisions: list[Count]
    exits: list[Count]
    arms: dict[str, dict[str, int]]
    policy: dict[str, dict[str, int]]
    decided: Count
    reads: Count

    def __post_init__(self) -> None:
        for kind, called in (("arms", self.arms), ("policy", self.policy)):
            for name, sizes in called.items():
                for size, calls in sizes.items():
                    if not _SIZE.fullmatch(size) or calls < 1:
                        raise ValueError(f"{kind}.{name}: {calls} calls of {size!r} items")
                if not sizes:
                    raise ValueError(f"{kind}.{name}: no calls")


class ModeRun(Record, frozen=True, kw_only=True):
    """What one process measured of one mode.

    Attributes:
        full: passes with everything; items are videos.
        nosync: the same without waiting for decisions.
        arms: the arms' calls alone.
        baseline: the uniform program; items are its steps, or videos.
        unit: component -> calls of a full batch; items are the component's.
        latencies: (round, video, seconds on the primary clock) until a video was done.
    """

    full: list[Row]
    nosync: list[Row]
    arms: list[Row]
    baseline: list[Row]
    unit: dict[str, list[Row]]
    latencies: list[tuple[int, int, float]]
    executed: Executed


class ReplayProcess(Record, frozen=True, kw_only=True):
    """What one process measured."""

    modes: dict[str, ModeRun]
    notes: tuple[str, ...] = ()


class Saved(Record, frozen=True, kw_only=True):
    """What is a file of its own."""

    def dumps(self) -> str:
        """Return the file's text."""
        return msgspec.json.encode(self).decode() + "\n"

    def save(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            InputError: the path cannot be written.
        """
        write_atomic(Path(path), self.dumps())


class Replay(Saved, frozen=True, kw_only=True):
    """One replay.

    Attributes:
        method: as the log's header names it, else its file.
        dataset: likewise, with the split; may be empty.
        source: the log's file name.
        videos: number of videos replayed.
        steps: their sampled steps.
        actions: name -> decisions in the log.
        exits: name -> how often taken in the log.
        parts: component -> its network and runs.
        baseline: the uniform program.
        modes: mode -> arrangement, in the order of running.
        settings: the user's settings.
        clocks: the primary and the secondary clock.
        runs: one per process that finished.
        device: the machine.
        notes: remarks printed with the figures.
        warnings: of the log's reader.
        counter: the counter, with its version, that gives the theoretical MACs.
        failure: why the process after the last of ``runs`` failed; empty if none did.
        summary: the figures; not read back.
    """

    schema: int = SCHEMA
    kind: str = KIND
    method: str
    dataset: str = ""
    source: str
    videos: Positive
    steps: Count
    actions: dict[str, int]
    exits: dict[str, int]
    parts: dict[str, ReplayPart]
    baseline: UniformBaseline
    modes: dict[str, Arrangement]
    settings: Settings
    clocks: tuple[str, str]
    runs: list[ReplayProcess]
    device: DeviceFacts
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counter: str
    failure: str = ""
    summary: Mapping[str, Any] = {}


def load_replay(path: str | Path) -> Replay:
    """Read a replay file.

    Raises:
        InputError: no such file.
        DataError: damaged, of another kind, or of a newer schema.
    """
    return read_replay(read_json(Path(path), "a flopbench replay"), str(path))


def read_replay(data: Any, where: str = "data") -> Replay:
    """Rebuild a replay from plain JSON values; ``where`` names it in messages."""
    check_schema(
        data,
        where,
        kind=KIND,
        schema=SCHEMA,
        what="a flopbench replay",
        remake="flopbench replay --policy-log ... -o replay.json",
    )
    replay = decode(data, Replay, where, complete=True)
    _check(replay, where)
    return replay


def _check(replay: Replay, where: str) -> None:
    """Refuse a file whose parts do not fit together."""
    if not replay.runs or not replay.modes:
        raise DataError(f"{where}: no process, or no mode")
    for name in replay.baseline.runs:
        if name not in replay.parts:
            raise DataError(f"{where}: baseline: there is no component {name!r}")
    for number, run in enumerate(replay.runs):
        if list(run.modes) != list(replay.modes):
            raise DataError(
                f"{where}: runs[{number}]: the modes are {list(run.modes)} where "
                f"{list(replay.modes)} were expected"
            )
        for name, mode in run.modes.items():
            _check_mode(mode, replay, f"{where}: runs[{number}].modes.{name}")


def _check_mode(mode: ModeRun, replay: Replay, place: str) -> None:
    passes = {name: getattr(mode, name) for name in ("full", "nosync", "arms", "baseline")}
    asked = [name for name, part in replay.parts.items() if part.arm_runs]
    passes |= {f"unit.{name}": mode.unit.get(name, []) for name in asked}
    rounds = {row[0] for row in mode.full}
    for name, rows in passes.items():
        if {row[0] for row in rows} != rounds or not rounds:
            raise DataError(
                f"{place}.{name}: its rounds are not those of 'full', or there are none"
            )
    for name in ("full", "baseline"):
        if not all(sum(r[3] for r in passes[name] if r[0] == n) > 0 for n in rounds):
            raise DataError(f"{place}.{name}: a round that took no time")
    executed = mode.executed
    if (len(executed.decisions), len(executed.exits)) != (len(replay.actions), len(replay.exits)):
        raise DataError(f"{place}.executed: not one number for each action and exit")
    for kind, calls in (("arms", executed.arms), ("policy", executed.policy)):
        for name in calls.keys() - replay.parts.keys():
            raise DataError(f"{place}.executed.{kind}.{name}: there is no such component")
