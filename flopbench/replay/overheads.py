"""What decisions take beside the networks: overheads, as a record and as a file.

A calibrating replay times three things in each process: the decisions of a log with everything
(``full``), the calls of the arms alone, one after the other (``arms``), and each network called
again and again in the sizes of its calls (``hot``), which is what ``flopbench latency`` times. With
t(n) the hot time of a call of n items, sums over all calls of the log, D decisions and F fragments
(calls of arms):

* ``per_fragment`` = (arms − Σ t(n) of the arms' calls) / F: a call of an arm that follows one of
  another network: its weights are no longer in the caches, nor its code;
* ``per_decision`` = (full − arms − Σ t(n) of policy and LSTM) / D: the same for policy network and
  LSTM, which every decision runs, gathering of frames and states, the choice itself, the host's
  waiting for it, and the loop around all of this.

The file holds t(n), so it prices the networks that ran, too, without a timing file: ``times_by``.

So for the log that was replayed the sum is what was measured, and for another one it holds as far
as its networks, batches and share of decisions that run something are alike. An overhead may be
negative where calls overlap or where CUDA graphs are faster than the calls that were timed.

File format (JSON): ``{"schema": 1, "kind": "flopbench.overheads", ...}`` with the fields of
``Overheads``; times are raw seconds; ``summary`` is recomputed when the file is read.

Schema history: 1, the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.files import check_schema, read_json
from flopbench.core.records import NonNegative, Positive, Record, decode
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends, median, repeat_range
from flopbench.replay.records import Arrangement, Executed, Row, Saved, Settings
from flopbench.replay.timed import FAR, Setting, TimedCalls, TimedComponent, call_time, timed_calls
from flopbench.timing.devices import DeviceFacts, differing
from flopbench.timing.file import TimingFile

SCHEMA = 1
KIND = "flopbench.overheads"
REMAKE = "flopbench replay --policy-log LOG --calibrate -o overheads.json"
HOST, DEVICE = 3, 4
"""Places of the clocks in a row: the primary one, and that of a device with events."""

HotRow = tuple[Positive, NonNegative, NonNegative]
"""(calls, seconds on the primary clock, seconds on the secondary clock)."""


class CalibratedMode(Record, frozen=True, kw_only=True):
    """What one process measured of one mode; rows as in ``ModeRun``."""

    full: list[Row]
    arms: list[Row]
    executed: Executed


class CalibrationProcess(Record, frozen=True, kw_only=True):
    """What one process measured; ``hot``: component -> items of a call -> a row a round."""

    modes: dict[str, CalibratedMode]
    hot: dict[str, dict[str, list[HotRow]]]
    notes: tuple[str, ...] = ()


class Overheads(Saved, frozen=True, kw_only=True):
    """One calibration; fields that a replay has, too, are the same.

    Attributes:
        components: component -> the network that ran.
        modes: mode -> arrangement.
    """

    schema: int = SCHEMA
    kind: str = KIND
    method: str
    source: str
    videos: Positive
    components: dict[str, str]
    modes: dict[str, Arrangement]
    settings: Settings
    clocks: tuple[str, str]
    runs: list[CalibrationProcess]
    device: DeviceFacts
    notes: tuple[str, ...] = ()
    failure: str = ""
    summary: Mapping[str, Any] = {}

    def mode(self, name: str, where: str) -> Arrangement:
        """Return the arrangement of a mode."""
        if name not in self.modes:
            hint = near_match(name, self.modes, "modes")
            raise InputError(f"{where} has no mode {name!r}", hint)
        return self.modes[name]


class Overhead(Struct, frozen=True, kw_only=True):
    """Seconds each time: medians of the processes.

    Attributes:
        host_s: on the primary clock; this is what is charged.
        device_s: on that of the device's events; None on a CPU.
        repeat_s: where a repeat of ``host_s`` is expected (95 %); None for one process.
        times: how often in the calibrating replay.
    """

    host_s: float
    device_s: float | None
    repeat_s: Ends | None
    times: int


class ModeOverheads(Struct, frozen=True, kw_only=True):
    """The overheads of one mode."""

    per_decision: Overhead
    per_fragment: Overhead


def overheads_of(file: Overheads, mode: str) -> ModeOverheads:
    """Return the overheads of one mode."""
    host = [_of_process(run, mode, HOST) for run in file.runs]
    device = None
    if file.settings.device == "cuda":
        device = [_of_process(run, mode, DEVICE) for run in file.runs]
    executed = file.runs[0].modes[mode].executed
    times = (executed.decided, sum(sum(sizes.values()) for sizes in executed.arms.values()))
    per_decision, per_fragment = (
        Overhead(
            host_s=median([one[at] for one in host]),
            device_s=None if device is None else median([one[at] for one in device]),
            repeat_s=repeat_range([one[at] for one in host]),
            times=times[at],
        )
        for at in (0, 1)
    )
    return ModeOverheads(per_decision=per_decision, per_fragment=per_fragment)


def _of_process(run: CalibrationProcess, mode: str, clock: int) -> tuple[float, float]:
    """Return seconds per decision and per fragment; see the module."""
    own = run.modes[mode]
    executed = own.executed
    hot = {name: _hot_s(run, name, clock) for name in run.hot}

    def networks_s(called: Mapping[str, Mapping[str, int]]) -> float:
        return sum(
            times * call_time(hot[name], int(n))
            for name, sizes in called.items()
            for n, times in sizes.items()
        )

    arms_s = _round_s(own.arms, clock)
    beyond_arms = arms_s - networks_s(executed.arms)
    beyond_policy = _round_s(own.full, clock) - arms_s - networks_s(executed.policy)
    fragments = sum(sum(sizes.values()) for sizes in executed.arms.values())
    if not executed.decided:  # nothing else to charge it to
        return 0.0, (beyond_arms + beyond_policy) / fragments
    return beyond_policy / executed.decided, beyond_arms / fragments if fragments else 0.0


def _hot_s(run: CalibrationProcess, name: str, clock: int = HOST) -> dict[int, float]:
    """Return t(n): items of a call of a component -> seconds, the median of the rounds."""
    rows = run.hot[name].items()
    return {int(n): median([row[clock - 2] / row[0] for row in own]) for n, own in rows}


def times_by(
    file: TimingFile | Overheads,
    wanted: Mapping[str, str],
    calls: Mapping[str, Mapping[int, int]],
    dtype: str | None,
    file_name: str,
    *,
    batch: int | None = None,
) -> TimedCalls:
    """Return ``timed_calls`` of a timing file, or the same by t(n) of a calibration."""
    if isinstance(file, TimingFile):
        return timed_calls(file, wanted, calls, dtype, file_name, batch=batch)
    names = {spec: name for name, spec in file.components.items() if file.runs[0].hot.get(name)}
    missing = [f"{name} ({spec})" for name, spec in wanted.items() if spec not in names]
    if missing:
        raise InputError(
            f"{file_name} has no times of {', '.join(missing)}, which did not run in it",
            "calibrate on a log that runs them: flopbench replay LOG --calibrate; or give their "
            "times, too: --times FILE",
        )
    timed, remarks = {}, []
    for name, spec in wanted.items():
        sizes = calls.get(name) or {1: 1}
        hot = [_hot_s(run, names[spec]) for run in file.runs]
        runs = sum(n * often for n, often in sizes.items())
        each = [sum(k * call_time(own, n) for n, k in sizes.items()) / runs for own in hot]
        timed[name] = TimedComponent(
            spec=spec, run_s=median(each), repeat_s=repeat_range(each), joules=None, verdict=""
        )
        most, largest = max(hot[0]), max(sizes)
        if largest > FAR * most:
            said = f"calls of up to {largest} items are charged as {largest} / {most} calls of "
            remarks.append(Remark(f"{said}{most}: calibrate on more videos", name))
    own = file.settings
    setting = Setting(file.device.name, own.device, own.dtype, own.threads or 1, 1, own.options)
    return TimedCalls(setting, timed, file.device, tuple(remarks))


def _round_s(rows: Sequence[Row], clock: int) -> float:
    """Return the seconds of a round, the median of them."""
    rounds: dict[int, float] = defaultdict(float)
    for row in rows:
        rounds[row[0]] += row[clock]
    return median(list(rounds.values()))


def summary_of(file: Overheads) -> dict[str, Any]:
    """Return the figures of every mode as plain JSON values."""
    return {mode: to_builtins(overheads_of(file, mode)) for mode in file.modes}


def refuse_unlike(
    measured: tuple[Settings, DeviceFacts, str], timed: tuple[Setting, DeviceFacts, str]
) -> None:
    """Refuse what was not measured where and how times were; both come with their names."""
    own, device, name = measured
    setting, facts, times_name = timed
    terms = {
        "dtype": (own.dtype, setting.dtype),
        "threads": (own.threads, setting.threads),
        "options": (own.options, setting.options),
    }
    pairs: list[tuple[str, object, object]] = [*differing(device, facts)]
    pairs += [(key, a, b) for key, (a, b) in terms.items() if a != b]
    if pairs:
        listed = "; ".join(f"{key} {_shown(a)} where that has {_shown(b)}" for key, a, b in pairs)
        raise InputError(
            f"{name} was measured in another setting than {times_name}: {listed}",
            "measure both alike: flopbench replay --calibrate, flopbench latency --for LOG",
        )


def _shown(value: object) -> object:
    return "none" if value in (None, "") else value


def load_overheads(path: str | Path) -> Overheads:
    """Read an overheads file."""
    where = str(path)
    data = read_json(Path(path), "flopbench overheads")
    check_schema(
        data, where, kind=KIND, schema=SCHEMA, what="a file of flopbench overheads", remake=REMAKE
    )
    file = decode(data, Overheads, where, complete=True)
    _check(file, where)
    return file


def _check(file: Overheads, where: str) -> None:
    """Refuse a file whose parts do not fit together."""
    if not file.runs or not file.modes:
        raise DataError(f"{where}: no process, or no mode")
    for number, run in enumerate(file.runs):
        place = f"{where}: runs[{number}]"
        if list(run.modes) != list(file.modes):
            raise DataError(
                f"{place}: the modes are {list(run.modes)} where {list(file.modes)} were expected"
            )
        for mode, own in run.modes.items():
            if not own.full or not own.arms:
                raise DataError(f"{place}.modes.{mode}: no times")
            called = own.executed.arms.keys() | own.executed.policy.keys()
            if not own.executed.decided and not own.executed.arms:
                raise DataError(f"{place}.modes.{mode}.executed: no decision and no call")
            for name in sorted(called | run.hot.keys()):
                sizes = run.hot.get(name) or {}
                if not sizes or not all(
                    n.isdecimal() and int(n) and rows for n, rows in sizes.items()
                ):
                    raise DataError(f"{place}.hot.{name}: no times of calls of this component")
