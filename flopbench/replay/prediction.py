"""What the decisions of a log take in time and energy, by measured times, without running them.

The sum is the estimator's: runs of a component × what one run takes, from a timing file. Its
interval joins two spreads, at each end in quadrature: that of the videos (the bootstrap), and where
a repeat of each component's timing is expected, all of them moved together, as they do when one
process is slower than another. What is outside the networks (gathering frames, waiting for a
decision) is not in it; ``flopbench replay`` measures that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from flopbench.core.bootstrap import interval
from flopbench.core.errors import InputError, Remark, near_match
from flopbench.core.statistics import Ends
from flopbench.estimate.components import used_components
from flopbench.estimate.estimator import Estimate, estimate, video_costs
from flopbench.estimate.groups import groups_of
from flopbench.estimate.prices import Price, PriceList
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.counts import LogCounts
from flopbench.replay.parts import runnable_specs
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing
from flopbench.timing.verdicts import Summary, call_s, summarise

TICK_S = 1e-12
"""Seconds in a unit of the price lists here. The estimator sums integers and prints 1e9 of a unit,
which are milliseconds, or with joules in place of seconds, millijoules."""
DOUBTED = ("unstable", "invalid")


class Setting(NamedTuple):
    """What must be equal for times to be added: where and how a component was timed."""

    machine: str
    device: str
    dtype: str
    threads: int
    batch: int
    options: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedComponent:
    """A component of the log with its measured time.

    Attributes:
        spec: what was timed.
        run_s: seconds of one run, a call's time divided by its batch.
        repeat_s: where a repeat is expected (95 %); None from a single process.
        joules: of one run; None where energy was not measured.
        verdict: of its row, with the reasons in ``note``.
        runs_per_video: how often it runs in a video.
        ms_per_video: what that takes.
        share: of the total.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedGroup:
    """A class, or a level of difficulty: milliseconds a video, with a 95 % interval if known."""

    name: str
    videos: int | None
    ms_per_video: float
    interval_ms: Ends | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a log takes.

    Attributes:
        method: the log's.
        setting: how its components were timed.
        facts: of the machine.
        ms_per_video: mean milliseconds of a video.
        ms_per_frame: per sampled frame; None where a sample has no frames.
        interval_ms: 95 %, of ``ms_per_video``; None where a component was timed in one process,
            or the log has a single video.
        mj_per_video: mean millijoules of a video; None where energy was not measured.
        components: name -> its time.
        actions_ms: action -> milliseconds a video of its decisions, charges included.
        groups: by class or difficulty, where the run has them.
        warnings: on doubtful rows and on variants.
    """

    method: str
    setting: Setting
    facts: DeviceFacts
    ms_per_video: float
    ms_per_frame: float | None
    interval_ms: Ends | None
    mj_per_video: float | None
    components: Mapping[str, TimedComponent]
    actions_ms: Mapping[str, float]
    groups: tuple[TimedGroup, ...] = ()
    warnings: tuple[Remark, ...] = ()

    @property
    def videos_per_s(self) -> float:
        """Videos a second, one after the other."""
        return 1e3 / self.ms_per_video if self.ms_per_video else math.inf


def predict(
    run: Run,
    file: TimingFile,
    choices: Choices | None = None,
    *,
    batch: int = 1,
    dtype: str | None = None,
    file_name: str = "the timing file",
) -> Prediction:
    """Price the decisions of a run with measured times.

    Args:
        run: a counted log.
        file: times of all its components, taken in one setting.
        choices: the same as for the run: variants, overrides, what to break down by.
        batch: of the calls that were timed; a run takes a share of its call.
        dtype: where the file has several.
        file_name: for messages.

    Raises:
        InputError: components without a time; times of different settings, or of several.

    Example:
        >>> from flopbench.estimate.runs import run_of_log
        >>> run = run_of_log(["run.jsonl"])  # doctest: +SKIP
        >>> predict(run, TimingFile.load("timings.json")).ms_per_video  # doctest: +SKIP
        589.2
    """
    choices = choices or Choices()
    header = run.header
    names = [name for name in used_components(header) if name in run.primary.by_component]
    specs, notes = runnable_specs(header, names, choices.variants or {}, choices.components or {})
    wanted = {name: str(one.spec) for name, one in specs.items()}
    setting, rows = _rows(file, wanted, batch, dtype, file_name)
    timed = {name: _timed(row, file) for name, row in rows.items()}
    warnings = [Remark(text.partition(": ")[2], name) for name, text in notes.items()]
    warnings += [
        Remark(f"its time is {one.verdict}: {one.note}", name)
        for name, one in timed.items()
        if one.verdict in DOUBTED
    ]
    prices = _list(timed, {name: one.run_s for name, one in timed.items()})
    rule = run.primary.rule
    totals, plan = run.counts.totals(), run.counts.plan
    whole = estimate(totals, plan, prices, rule)
    joules = {name: one.joules for name, one in timed.items() if one.joules is not None}
    energy = None
    if len(joules) == len(timed):
        energy = estimate(totals, plan, _list(timed, joules), rule)
    return Prediction(
        method=run.method,
        setting=setting,
        facts=file.device_of(next(iter(rows.values()))),
        ms_per_video=whole.gflops_per_video,
        ms_per_frame=whole.gflops_per_frame,
        interval_ms=_interval(run, prices, whole, timed, choices),
        mj_per_video=None if energy is None else energy.gflops_per_video,
        components=_components(whole, timed),
        actions_ms={name: cost.gflops_per_video for name, cost in whole.by_action.items()},
        groups=_groups(run, prices, timed, choices),
        warnings=tuple(warnings),
    )


def _rows(
    file: TimingFile, wanted: Mapping[str, str], batch: int, dtype: str | None, file_name: str
) -> tuple[Setting, dict[str, Timing]]:
    """Return the one setting in which everything was timed, and component -> its last row."""
    found: dict[Setting, dict[str, Timing]] = {}
    for row in file.rows:
        if not row.failed and row.what.batch == batch and dtype in (None, row.what.dtype):
            found.setdefault(_setting(row, file), {})[row.what.spec] = row
    needed = set(wanted.values())
    whole = {setting: rows for setting, rows in found.items() if needed <= rows.keys()}
    if len(whole) == 1:
        [(setting, rows)] = whole.items()
        return setting, {name: rows[spec] for name, spec in wanted.items()}
    if whole:
        raise InputError(
            f"{file_name} has the components in several settings: {_differing(whole)}",
            "choose one: --batch N, --dtype TYPE, or a file of one run",
        )
    anywhere = {spec for rows in found.values() for spec in rows}
    missing = sorted(name for name, spec in wanted.items() if spec not in anywhere)
    if not missing:
        raise InputError(
            f"{file_name} has no setting with all components: {_differing(found)}",
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


def _setting(row: Timing, file: TimingFile) -> Setting:
    what = row.what
    machine = file.device_of(row).name
    return Setting(machine, what.device, what.dtype, what.threads, what.batch, what.options)


def _differing(settings: Iterable[Setting]) -> str:
    """Name the keys in which settings differ, with their values."""
    every = list(settings)
    parts = []
    for key, *values in zip(Setting._fields, *every, strict=True):
        several = list(dict.fromkeys(map(str, values)))
        if len(several) > 1:
            parts.append(f"{key} {', '.join(text or 'none' for text in several)}")
    return "; ".join(parts) or "equal ones of different machines"


def _timed(row: Timing, file: TimingFile) -> TimedComponent:
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


def _list(timed: Mapping[str, TimedComponent], amounts: Mapping[str, float]) -> PriceList:
    prices = {
        name: Price(component=name, spec=timed[name].spec, total_macs=round(amount / TICK_S))
        for name, amount in amounts.items()
    }
    return PriceList(counter="", version="", source="", prices=prices)


def _components(whole: Estimate, timed: Mapping[str, TimedComponent]) -> dict[str, TimedComponent]:
    return {
        name: replace(
            timed[name],
            runs_per_video=cost.runs_per_video,
            ms_per_video=cost.gflops_per_video,
            share=cost.share,
        )
        for name, cost in whole.by_component.items()
    }


def _interval(
    run: Run,
    prices: PriceList,
    whole: Estimate,
    timed: Mapping[str, TimedComponent],
    choices: Choices,
) -> Ends | None:
    if not isinstance(run.counts, LogCounts):
        return None
    videos = interval(
        video_costs(run.counts, prices, whole.rule),
        clusters=None if run.clusters is None else run.clusters.drawn,
        resamples=choices.resamples,
        seed=choices.seed,
    )
    return None if videos is None else _joined(whole, timed, videos.ends)


def _joined(whole: Estimate, timed: Mapping[str, TimedComponent], videos: Ends) -> Ends | None:
    """Join the spread of the videos with that of the times; None where the latter is unknown."""
    mean = whole.gflops_per_video
    moved = []
    for end in (0, 1):
        total = 0.0
        for name, cost in whole.by_component.items():
            repeat = timed[name].repeat_s
            if repeat is None:
                return None
            total += cost.gflops_per_video * (repeat[end] / timed[name].run_s - 1)
        moved.append(total)
    low = mean - math.hypot(mean - videos[0], moved[0])
    return max(low, 0.0), mean + math.hypot(videos[1] - mean, moved[1])


def _groups(
    run: Run, prices: PriceList, timed: Mapping[str, TimedComponent], choices: Choices
) -> tuple[TimedGroup, ...]:
    if choices.by is None:
        return ()
    groups, _ = groups_of(
        run.counts,
        prices,
        run.primary.rule,
        by=choices.by,
        difficulty=choices.difficulty,
        clusters=run.clusters,
        resamples=choices.resamples,
        seed=choices.seed,
    )
    return tuple(
        TimedGroup(
            name=group.name,
            videos=group.estimate.videos,
            ms_per_video=group.estimate.gflops_per_video,
            interval_ms=None
            if group.interval is None
            else _joined(group.estimate, timed, group.interval.ends),
        )
        for group in groups
    )


def prediction_data(found: Prediction) -> dict[str, Any]:
    """Return a prediction as plain JSON values."""
    data = asdict(found)
    return {
        "ms_per_video": data.pop("ms_per_video"),
        "ms_per_frame": data.pop("ms_per_frame"),
        "videos_per_s": found.videos_per_s,
        "ci95_ms_per_video": data.pop("interval_ms"),
        "mj_per_video": data.pop("mj_per_video"),
        "setting": found.setting._asdict(),
        "by_component": data["components"],
        "by_action_ms_per_video": data["actions_ms"],
        "groups": data["groups"],
        "warnings": [str(text) for text in found.warnings],
    }
