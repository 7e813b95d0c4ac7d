"""What the decisions of a log take in time and energy, by measured times, without running them.

The sum is the estimator's: runs of a component × what one run takes, from a timing file. Its
interval joins two spreads, at each end in quadrature: that of the videos (the bootstrap), and where
a repeat of each component's timing is expected, all of them moved together, as they do when one
process is slower than another. What is outside the networks (gathering frames, waiting for a
decision) is in it only where it is charged beside them (``Further``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import number_of
from flopbench.estimate.estimator import Estimate, estimate, video_costs
from flopbench.estimate.groups import groups_of
from flopbench.estimate.prices import Price, PriceList
from flopbench.estimate.runs import Choices, Run
from flopbench.estimate.spread import interval_of_costs
from flopbench.policy.counts import LogCounts
from flopbench.policy.plan import Plan
from flopbench.replay.overheads import Overheads, times_by
from flopbench.replay.parts import timed_specs
from flopbench.replay.timed import DOUBTED, Further, Setting, TimedComponent
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile

TICK_S = 1e-12
"""Seconds in a unit of the price lists here. The estimator sums integers and prints 1e9 of a unit,
which are milliseconds, or with joules in place of seconds, millijoules."""


class TimedGroup(Struct, frozen=True, kw_only=True):
    """A class, or a level of difficulty: milliseconds a video, with a 95 % interval if known."""

    name: str
    videos: int | None
    ms_per_video: float
    interval_ms: Ends | None


class Prediction(Struct, frozen=True, kw_only=True):
    """What a log takes.

    Attributes:
        setting: how its components were timed.
        ms_per_video: mean milliseconds of a video.
        ms_per_frame: per sampled frame; None where a sample has no frames.
        interval_ms: 95 %, of ``ms_per_video``; None where a component was timed in one process,
            or the log has a single video.
        mj_per_video: mean millijoules of a video; None where energy was not measured.
        components: name -> its time; at the end what is charged beside the log's own.
        further: names of the latter.
        mode: of a replay; empty where every run is a share of a call of one batch.
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
    further: tuple[str, ...] = ()
    mode: str = ""
    actions_ms: Mapping[str, float]
    groups: tuple[TimedGroup, ...] = ()
    warnings: tuple[Remark, ...] = ()

    @property
    def videos_per_s(self) -> float:
        """Videos a second, one after the other."""
        return 1e3 / self.ms_per_video if self.ms_per_video else math.inf

    @property
    def setting_text(self) -> str:
        """How everything was timed, in words: ``AMD EPYC, cpu, fp32, 1 thread, batch 1``."""
        how = self.setting
        arranged = self.mode or f"batch {how.batch}"
        parts = [how.machine, how.device, how.dtype, number_of(how.threads, "thread"), arranged]
        return ", ".join(part for part in (*parts, how.options) if part)


def predict(
    run: Run,
    file: TimingFile | Overheads,
    choices: Choices | None = None,
    *,
    batch: int = 1,
    dtype: str | None = None,
    file_name: str = "the timing file",
    further: Sequence[Further] = (),
    calls: Mapping[str, Mapping[int, int]] | None = None,
) -> Prediction:
    """Price the decisions of a run with measured times.

    Args:
        run: a counted log.
        file: times of all its components, taken in one setting; or overheads, which hold them.
        choices: the same as for the run: variants, overrides, what to break down by.
        batch: of the calls that were timed; a run takes a share of its call.
        dtype: where the file has several.
        file_name: for messages.
        further: what is charged beside the components.
        calls: component -> items of a call -> how many such calls, in place of ``batch``.

    Example:
        >>> from flopbench.estimate.runs import run_of_log
        >>> run = run_of_log(["run.jsonl"])  # doctest: +SKIP
        >>> predict(run, TimingFile.load("timings.json")).ms_per_video  # doctest: +SKIP
        589.2
    """
    choices = choices or Choices()
    header = run.header
    specs, notes = timed_specs(run, choices)
    wanted = {name: str(one.spec) for name, one in specs.items()}
    only = batch if calls is None else None
    times = file.networks if isinstance(file, TimingFile) else file
    found = times_by(times, wanted, calls or {}, dtype, file_name, batch=only)
    timed = found.timed
    for one in further:
        if one.name in (header.components or {}):
            raise InputError(f"the log has a component {one.name!r}, as what is charged beside it")
    warnings = [Remark(text.partition(": ")[2], name) for name, text in notes.items()]
    warnings += found.remarks
    warnings += [
        Remark(f"its time is {one.timed.verdict}: {one.timed.note}", one.name)
        for one in further
        if one.timed.verdict in DOUBTED
    ]
    counts = replace(run.counts, plan=_charged(run.counts.plan, further))
    totals, rule = counts.totals(), run.primary.rule
    prices = _list(timed, further)
    whole = estimate(totals, counts.plan, prices, rule)
    components = _components(whole, timed, further)
    energy = None
    if all(one.joules is not None for one in timed.values()):
        energy = estimate(totals, counts.plan, _list(timed, further, "joules"), rule)
    return Prediction(
        method=run.method,
        setting=found.setting,
        facts=found.facts,
        ms_per_video=whole.gflops_per_video,
        ms_per_frame=whole.gflops_per_frame,
        interval_ms=_interval(replace(run, counts=counts), prices, whole, components, choices),
        mj_per_video=None if energy is None else energy.gflops_per_video,
        components=components,
        further=tuple(one.name for one in further),
        actions_ms={name: cost.gflops_per_video for name, cost in whole.by_action.items()},
        groups=_groups(replace(run, counts=counts), prices, timed, further, choices),
        warnings=tuple(warnings),
    )


def _charged(plan: Plan, further: Sequence[Further]) -> Plan:
    """Return the plan with what is charged beside it; what comes with a run is in the prices."""
    more = {
        key: {
            **getattr(plan.charges, key),
            **{one.name: getattr(one, key) for one in further if getattr(one, key)},
        }
        for key in ("per_decision", "per_step", "per_sample")
    }
    return replace(plan, charges=msgspec.structs.replace(plan.charges, **more))


def _list(
    timed: Mapping[str, TimedComponent], further: Sequence[Further], unit: str = "run_s"
) -> PriceList:
    """Return prices in seconds or in joules; a component's has what is charged with its runs."""
    amounts = {name: getattr(one, unit) for name, one in timed.items()}
    for one in further:
        amounts[one.name] = own = getattr(one.timed, unit) or 0.0
        for name in one.per_run.keys() & timed.keys():
            amounts[name] += one.per_run[name] * own
    prices = {
        name: Price(component=name, spec="", total_macs=round(amount / TICK_S))
        for name, amount in amounts.items()
    }
    return PriceList(counter="", version="", source="", prices=prices)


def _components(
    whole: Estimate, timed: Mapping[str, TimedComponent], further: Sequence[Further]
) -> dict[str, TimedComponent]:
    """Return everything that was charged, apart from each other."""
    own = {name: cost.runs_per_video for name, cost in whole.by_component.items()}
    runs = {name: own[name] for name in timed if name in own}
    for one in further:
        with_runs = sum(times * own.get(name, 0.0) for name, times in one.per_run.items())
        runs[one.name] = own.get(one.name, 0.0) + with_runs
    parts = {**timed, **{one.name: one.timed for one in further}}
    found = {}
    for name, often in runs.items():
        ms = 1e3 * parts[name].run_s * often
        share = ms / whole.gflops_per_video if whole.gflops_per_video else 0.0
        found[name] = replace(parts[name], runs_per_video=often, ms_per_video=ms, share=share)
    return found


def _interval(
    run: Run,
    prices: PriceList,
    whole: Estimate,
    components: Mapping[str, TimedComponent],
    choices: Choices,
) -> Ends | None:
    counts, rule = run.counts, whole.rule
    videos = interval_of_costs(
        counts,
        prices,
        rule,
        video_costs(counts, prices, rule) if isinstance(counts, LogCounts) else None,
        clusters=None if run.clusters is None else run.clusters.drawn,
        resamples=choices.resamples,
        seed=choices.seed,
    )
    return None if videos is None else _joined(whole, components, videos.ends)


def _joined(whole: Estimate, components: Mapping[str, TimedComponent], videos: Ends) -> Ends | None:
    """Join the spread of the videos with that of the times; None where the latter is unknown."""
    mean = whole.gflops_per_video
    moved = []
    for end in (0, 1):
        total = 0.0
        for one in components.values():
            if one.repeat_s is None:
                return None
            total += 1e3 * one.runs_per_video * (one.repeat_s[end] - one.run_s)
        moved.append(total)
    low = mean - math.hypot(mean - videos[0], moved[0])
    return max(low, 0.0), mean + math.hypot(videos[1] - mean, moved[1])


def _groups(
    run: Run,
    prices: PriceList,
    timed: Mapping[str, TimedComponent],
    further: Sequence[Further],
    choices: Choices,
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
            else _joined(
                group.estimate, _components(group.estimate, timed, further), group.interval.ends
            ),
        )
        for group in groups
    )


def prediction_data(found: Prediction) -> dict[str, Any]:
    """Return a prediction as plain JSON values."""
    data = to_builtins(found)
    return {
        "ms_per_video": data.pop("ms_per_video"),
        "ms_per_frame": data.pop("ms_per_frame"),
        "videos_per_s": found.videos_per_s if found.ms_per_video else None,
        "ci95_ms_per_video": data.pop("interval_ms"),
        "mj_per_video": data.pop("mj_per_video"),
        "setting": found.setting._asdict(),
        "by_component": data["components"],
        "further": list(found.further),
        "mode": found.mode or None,
        "by_action_ms_per_video": data["actions_ms"],
        "groups": data["groups"],
        "warnings": [str(text) for text in found.warnings],
    }
