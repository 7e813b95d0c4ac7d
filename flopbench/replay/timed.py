"""Measured times of components, all taken in one setting, out of a timing file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, near_match
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing
from flopbench.timing.verdicts import Summary, call_s, summarise

VERDICTS = ("", "stable", "noisy", "unstable", "invalid", "failed")
"""From the best to the worst."""
DOUBTED = ("unstable", "invalid")
FAR = 2
"""A call of more than this many times the items of the largest one that was timed: on a CPU an item
of a small network takes a fifth of the time in a batch of 16."""


class Setting(NamedTuple):
    """What must be equal for times to be added: where and how a component was timed."""

    machine: str
    device: str
    dtype: str
    threads: int
    batch: int
    options: str


class TimedComponent(Struct, frozen=True, kw_only=True):
    """A component of the log, or something that is charged beside them, with its measured time.

    Attributes:
        run_s: seconds of one run, a call's time divided by its batch.
        repeat_s: where a repeat is expected (95 %); None from a single process.
        joules: of one run; None where energy was not measured.
        verdict: of its row, with the reasons in ``note``.
        runs_per_video: how often it runs in a video.
    """

    spec: str
    run_s: float
    repeat_s: Ends | None
    joules: float | None
    verdict: str
    note: str = ""
    runs_per_video: float = 0.0
    ms_per_video: float = 0.0
    share: float = 0.0


class Further(Struct, frozen=True, kw_only=True):
    """Something that a log takes beside its components: its time, and how often it is charged.

    Attributes:
        name: of its row; no component of the log may have it.
        timed: ``run_s`` and ``repeat_s`` are of one time; ``spec`` says what it is.
        per_decision: how often for each decision.
        per_step: how often for each sampled step.
        per_sample: how often for each video.
        per_run: component -> how often with each of its runs.
    """

    name: str
    timed: TimedComponent
    per_decision: float = 0.0
    per_step: float = 0.0
    per_sample: float = 0.0
    per_run: Mapping[str, float] = {}


class TimedCalls(NamedTuple):
    """Times of components: their setting, component -> time of a run, the machine, remarks."""

    setting: Setting
    timed: dict[str, TimedComponent]
    facts: DeviceFacts
    remarks: tuple[Remark, ...]


def rows_in_one_setting(
    file: TimingFile, wanted: Mapping[str, str], batch: int, dtype: str | None, file_name: str
) -> tuple[Setting, dict[str, Timing]]:
    """Return the one setting in which everything was timed, and component -> its last row."""
    found = {key: rows for key, rows in _by_setting(file, dtype).items() if key.batch == batch}
    needed = set(wanted.values())
    whole = {setting: rows for setting, rows in found.items() if needed <= rows.keys()}
    if len(whole) == 1:
        [(setting, rows)] = whole.items()
        return setting, {name: rows[spec] for name, spec in wanted.items()}
    if whole:
        raise InputError(
            f"{file_name} has the components in several settings: {differing_keys(whole)}",
            "choose one: --batch N, --dtype TYPE, or a file of one run",
        )
    anywhere = {spec for rows in found.values() for spec in rows}
    missing = sorted(name for name, spec in wanted.items() if spec not in anywhere)
    if not missing:
        raise InputError(
            f"{file_name} has no setting with all components: {differing_keys(found)}",
            "times add up only where they were taken alike; time them together: "
            "flopbench latency --for LOG -o timings.json",
        )
    listed = ", ".join(f"{name} ({wanted[name]})" for name in missing)
    hint = "time them: flopbench latency --for LOG -o timings.json"
    batches = sorted({row.what.batch for row in file.rows if row.what.spec in needed})
    if batches and batch not in batches:
        hint = f"it has batch {', '.join(map(str, batches))}: --batch {batches[0]}"
    dtypes = sorted({row.what.dtype for row in file.rows})
    if dtype is not None and dtype not in dtypes:
        hint = near_match(dtype, dtypes, "dtypes")
    raise InputError(f"{file_name} has no time at batch {batch} of {listed}", hint)


def timed_calls(
    file: TimingFile,
    wanted: Mapping[str, str],
    calls: Mapping[str, Mapping[int, int]],
    dtype: str | None,
    file_name: str,
    *,
    batch: int | None = None,
) -> TimedCalls:
    """Return component -> the time of a run where runs are put together in calls.

    A time that would not come out again gets a remark, and so do calls much larger than all that
    were timed. ``wanted`` is component -> what was timed, ``calls`` component -> items of a call ->
    how many such calls; without a ``batch``, times of all batches are taken.
    """
    sizes = {n for own in calls.values() for n in own}
    batch = 1 if batch is None and sizes == {1} else batch
    needed, found = set(wanted.values()), _by_setting(file, dtype)
    whole = [key for key, rows in found.items() if needed <= rows.keys()]
    smallest = min((key.batch for key in whole), default=1) if batch is None else batch
    setting, first = rows_in_one_setting(file, wanted, smallest, dtype, file_name)
    alike = [key for key in whole if key._replace(batch=smallest) == setting]
    alike = alike if batch is None else [setting]
    timed = {}
    for name, spec in wanted.items():
        rows = {key.batch: timed_component(found[key][spec], file) for key in alike}
        timed[name] = _put_together(rows, calls.get(name) or {smallest: 1})
    remarks = [
        Remark(f"its time is {one.verdict}: {one.note}", name)
        for name, one in timed.items()
        if one.verdict in DOUBTED
    ]
    most, largest = max(key.batch for key in alike), max(sizes, default=1)
    if batch is None and largest > FAR * most:
        said = f"calls of up to {largest} items are charged as {largest} / {most} calls of {most}"
        remarks.append(Remark(f"{said}: flopbench latency --batch {largest} times them", file_name))
    return TimedCalls(setting, timed, file.device_of(next(iter(first.values()))), tuple(remarks))


def _put_together(rows: Mapping[int, TimedComponent], calls: Mapping[int, int]) -> TimedComponent:
    """Return the time of a run, on average over calls; its verdict is the worst of those used."""
    runs = sum(n * times for n, times in calls.items())

    def mean(of_run: Callable[[TimedComponent], float]) -> float:
        of_call = {batch: batch * of_run(one) for batch, one in rows.items()}
        return sum(times * call_time(of_call, n) for n, times in calls.items()) / runs

    worst = max(rows.values(), key=lambda one: VERDICTS.index(one.verdict))
    ends = [one.repeat_s for one in rows.values()]
    known = None not in ends
    return replace(
        worst,
        run_s=mean(lambda one: one.run_s),
        repeat_s=(
            mean(lambda one: one.repeat_s[0]),  # type: ignore[index]
            mean(lambda one: one.repeat_s[1]),  # type: ignore[index]
        )
        if known
        else None,
        joules=mean(lambda one: one.joules or 0.0)
        if all(one.joules is not None for one in rows.values())
        else None,
    )


def call_time(times: Mapping[int, float], n: int) -> float:
    """Return the time of a call of n items from those of other sizes.

    Between two of them it is interpolated; below the smallest and above the largest an item takes
    as long as there.
    """
    sizes = sorted(times)
    if n <= sizes[0] or n >= sizes[-1]:
        nearest = sizes[0] if n <= sizes[0] else sizes[-1]
        return times[nearest] * n / nearest
    at = bisect_left(sizes, n)
    low, high = sizes[at - 1], sizes[at]
    return times[low] + (times[high] - times[low]) * (n - low) / (high - low)


def _by_setting(file: TimingFile, dtype: str | None) -> dict[Setting, dict[str, Timing]]:
    """Return setting -> specification -> its last row."""
    found: dict[Setting, dict[str, Timing]] = {}
    for row in file.rows:
        if not row.failed and dtype in (None, row.what.dtype):
            found.setdefault(_setting(row, file), {})[row.what.spec] = row
    return found


def _setting(row: Timing, file: TimingFile) -> Setting:
    what = row.what
    machine = file.device_of(row).name
    return Setting(machine, what.device, what.dtype, what.threads, what.batch, what.options)


def differing_keys(settings: Iterable[Setting]) -> str:
    """Name the keys in which settings differ, with their values."""
    every = list(settings)
    parts = []
    for key, *values in zip(Setting._fields, *every, strict=True):
        several = list(dict.fromkeys(map(str, values)))
        if len(several) > 1:
            parts.append(f"{key} {', '.join(text or 'none' for text in several)}")
    return "; ".join(parts) or "equal ones of different machines"


def timed_component(row: Timing, file: TimingFile) -> TimedComponent:
    """Return what a row says of a component; how often it runs is left open."""
    summary: Summary = summarise(row, file.device_of(row))
    seconds = call_s(row)
    ends = summary.interval_s
    factor = seconds / summary.headline_s / row.what.batch if summary.headline_s else 0.0
    return TimedComponent(
        spec=row.what.spec,
        run_s=seconds / row.what.batch,
        repeat_s=None if ends is None else (ends[0] * factor, ends[1] * factor),
        joules=summary.joules,
        verdict=summary.verdict,
        note="; ".join(summary.reasons),
    )
