"""From a policy log to a replay: what runs, its counted costs, and the timing processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError, near_match
from flopbench.core.media import images_of
from flopbench.core.records import decode
from flopbench.core.workers import Progress, run_job
from flopbench.estimate.runs import method_name
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.forms.base import Options
from flopbench.policy.log import open_log
from flopbench.policy.plan import Plan
from flopbench.replay.figures import summary_of
from flopbench.replay.parts import (
    candidates,
    choose_baseline,
    expected_time,
    price_parts,
    runnable_specs,
)
from flopbench.replay.processes import RunJob, timed
from flopbench.replay.records import (
    MODES,
    Arrangement,
    Replay,
    ReplayPart,
    ReplayProcess,
    Settings,
    UniformBaseline,
)
from flopbench.replay.schedule import workload_of
from flopbench.replay.workload import Workload
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.run import describe_device

Keep = Callable[[Replay], None]
"""Called with everything measured so far each time a process has ended."""


class ReplayChoices(Struct, frozen=True, kw_only=True):
    """A user's choices.

    Attributes:
        preset: what the decisions mean, if the log does not say.
        variants: component -> variant.
        components: component -> specification in place of the log's.
        modes: arrangements, in the order to run them.
        batch: videos per batch in mode ``split``.
        group: videos per group in mode ``bucketed``.
        bucket: items per full bucket in mode ``bucketed``.
        videos: number of videos, from the first; None means all.
        baseline: the action (one per stream), exit or component of the uniform program; empty means
            the most expensive.
        device: ``cpu``, ``cuda`` or ``mps``; None takes CUDA if there is a device, else the CPU.
        threads: CPU threads; None means 1.
        dtype: ``fp32``, ``tf32``, ``bf16`` or ``fp16``.
        channels_last: memory format of images and weights.
        compiled: whether networks are compiled with ``torch.compile``.
        rounds: per process.
        processes: fresh processes, one after the other.
        seed: of random frames and of the bootstrap.
        frames: a folder of images; None means random frames.
        allow_truncated: leave out a last line that is cut off.
        duplicates: ``error`` or ``first``.
    """

    preset: str | None = None
    variants: Mapping[str, str] | None = None
    components: Mapping[str, str] | None = None
    modes: Sequence[str] = MODES
    batch: int = 16
    group: int = 64
    bucket: int = 16
    videos: int | None = None
    baseline: Sequence[str] = ()
    device: str | None = None
    threads: int | None = None
    dtype: str = "fp32"
    channels_last: bool = False
    compiled: bool = False
    rounds: int = 3
    processes: int = 3
    seed: int = 0
    frames: str | None = None
    allow_truncated: bool = False
    duplicates: str = "error"


def replay_of_log(
    patterns: str | Path | Sequence[str | Path],
    choices: ReplayChoices | None = None,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    keep: Keep | None = None,
    run: RunJob = run_job,
) -> Replay:
    """Replay a log's decisions with the real networks and time them.

    Args:
        patterns: a file or glob of one log with samples, or several.
        choices: see ``ReplayChoices``.
        progress: called before a component is priced, before each process, and now and then with
            the videos that are done in all processes, rounds and modes.
        say: called once, before anything runs, with how long it is expected to take.
        keep: called after each process with the replay so far.
        run: starts a job in a fresh process.

    Returns:
        The replay. After an interrupt or a failure with at least one process finished, it has fewer
        ``runs`` than ``settings.processes``, and after a failure its ``failure``.

    Raises:
        InputError: an invalid choice, a device that this machine lacks, components that cannot be
            run, a fraction of a run, a log in which nothing runs.
        DataError: a defect in the log, or an image that cannot be decoded.
        MeasureError: a network that fails in the first process, or too little memory.
        KeyboardInterrupt: before the first process has finished.
    """
    job, what = prepared(patterns, choices or ReplayChoices(), progress)
    if say is not None:
        parts, baseline, settings = what["parts"], what["baseline"], what["settings"]
        say(expected_time(parts, baseline, what["videos"], len(what["modes"]), settings))

    def recorded(results: Sequence[Mapping[str, Any]], failure: str = "") -> Replay:
        return _recorded(what, results, failure)

    return timed(job, recorded, run, progress, keep)


def prepared(
    patterns: str | Path | Sequence[str | Path],
    choices: ReplayChoices,
    progress: Progress | None,
    most: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the job of a process, and those fields of a replay that are not measured.

    Unless a number of videos was chosen, it is at most ``most``.
    """
    _check_choices(choices)
    if choices.device is None:
        choices = replace(choices, device=describe_device(None, [choices.dtype]).device)
    options = Options(allow_truncated=choices.allow_truncated, exact=True)
    log = open_log(patterns, preset=choices.preset, options=options)
    wanted = {"videos": choices.videos, "most": most}
    workload, counts = workload_of(log, **wanted, duplicates=choices.duplicates)
    parts, baseline, notes, counter = _parts(log.plan, workload, choices, progress)
    _check_parts(parts, baseline, log.source)
    modes, more = arrangements(choices, len(workload.videos))
    settings = _settings(choices)
    what = {
        **_what_was_logged(counts, workload),
        "parts": parts,
        "baseline": baseline,
        "modes": modes,
        "settings": settings,
        "counter": counter,
        "notes": (*notes, *more),
    }
    job = {
        "workload": msgspec.to_builtins(workload),
        "components": {name: part.spec for name, part in parts.items()},
        "baseline": msgspec.to_builtins(baseline),
        "modes": msgspec.to_builtins(modes),
        **msgspec.to_builtins(settings),
        "frames": choices.frames,
    }
    return job, what


def _parts(
    plan: Plan, workload: Workload, choices: ReplayChoices, progress: Progress | None
) -> tuple[dict[str, ReplayPart], UniformBaseline, list[str], str]:
    """Return the components that run, the baseline, notes on them, and the counter."""
    ran = workload.component_runs()
    needed = dict.fromkeys([*ran[0], *ran[1], *candidates(plan, choices.baseline, ran)])
    specs, notes = runnable_specs(
        plan.header, list(needed), choices.variants or {}, choices.components or {}
    )
    prices, counter = price_parts(plan.header, specs, progress)
    dense_macs = {name: price.total_macs for name, price in prices.items()}
    baseline = choose_baseline(plan, choices.baseline, dense_macs, workload, ran)
    parts = {
        name: ReplayPart(
            spec=str(specs[name].spec),
            variant=specs[name].variant,
            dense_macs=dense_macs[name],
            arm_runs=ran[0].get(name, 0),
            policy_runs=ran[1].get(name, 0),
            note=prices[name].note,
        )
        for name in needed
        if name in {*ran[0], *ran[1], *baseline.runs}
    }
    return parts, baseline, [text for name, text in notes.items() if name in parts], counter


def _check_choices(choices: ReplayChoices) -> None:
    for mode in choices.modes:
        if mode not in MODES:
            raise InputError(f"--modes names {mode!r}", near_match(mode, MODES, "modes"))
    if not choices.modes:
        raise InputError("--modes names no mode", f"modes: {', '.join(MODES)}")
    for flag in ("batch", "group", "bucket", "videos", "rounds", "processes", "threads"):
        value = getattr(choices, flag)
        if value is not None and value < 1:
            raise InputError(f"--{flag} is {value} where at least 1 was expected")
    if choices.seed < 0:
        raise InputError(f"--seed is {choices.seed} where 0 or more was expected")
    if choices.frames is not None:
        images_of(Path(choices.frames), "--frames")


def _check_parts(
    parts: Mapping[str, ReplayPart], baseline: UniformBaseline, source: Source
) -> None:
    """Refuse a ratio that would divide by zero."""
    if not any(p.dense_macs * (p.arm_runs + p.policy_runs) for p in parts.values()):
        raise InputError(f"nothing that runs in {source} holds a multiply-accumulate")
    if not any(parts[name].dense_macs * n for name, n in baseline.runs.items()):
        raise InputError(
            f"the baseline {baseline.name!r} costs nothing", "name another: --baseline"
        )


def arrangements(choices: ReplayChoices, videos: int) -> tuple[dict[str, Arrangement], list[str]]:
    """Return mode -> arrangement for that many videos, and notes on smaller groups."""
    batch, group = min(choices.batch, videos), min(choices.group, videos)
    known = {
        "online": Arrangement(group=1, bucket=None, batch=1),
        "split": Arrangement(group=batch, bucket=None, batch=batch),
        "bucketed": Arrangement(group=group, bucket=choices.bucket, batch=choices.bucket),
    }
    modes = {mode: known[mode] for mode in dict.fromkeys(choices.modes)}
    notes = [
        f"{mode}: {videos} videos per group where {asked} were asked for: there are no more"
        for mode, asked in (("split", choices.batch), ("bucketed", choices.group))
        if mode in modes and asked > videos
    ]
    return modes, notes


def _recorded(
    what: Mapping[str, Any], results: Sequence[Mapping[str, Any]], failure: str = ""
) -> Replay:
    """Return what was run (fields of a replay) with the results of its processes."""
    runs = [
        decode({k: result[k] for k in ("modes", "notes")}, ReplayProcess, "a process")
        for result in results
    ]
    notes = dict.fromkeys(text for one in runs for text in one.notes)
    measured = {
        "clocks": tuple(results[0]["clocks"]),
        "runs": runs,
        "device": decode(results[0]["device"], DeviceFacts, "the device"),
        "notes": (*what["notes"], *notes),
        "failure": failure,
    }
    replay = Replay(**{**what, **measured})
    _compare(replay)
    return msgspec.structs.replace(replay, summary=summary_of(replay))


def _what_was_logged(counts: LogCounts, workload: Workload) -> dict[str, Any]:
    """Return those fields of a replay that follow from its log."""
    header, source = counts.plan.header, counts.source
    decisions, exits = workload.decided()
    return {
        "method": method_name(counts),
        "dataset": header.data,
        "source": str(replace(source, first=source.name)),
        "videos": len(workload.videos),
        "steps": workload.steps,
        "actions": dict(zip(workload.actions, decisions, strict=True)),
        "exits": dict(zip(workload.exits, exits, strict=True)),
        "warnings": tuple(map(str, counts.warnings)),
    }


def _settings(choices: ReplayChoices) -> Settings:
    return Settings(
        device=choices.device or "cpu",
        threads=choices.threads or 1,
        dtype=choices.dtype,
        channels_last=choices.channels_last,
        compiled=choices.compiled,
        rounds=choices.rounds,
        processes=choices.processes,
        seed=choices.seed,
        frames=None if choices.frames is None else Path(choices.frames).resolve().name,
    )


def _compare(replay: Replay) -> None:
    """Assert again, in this process, that what ran is what the log holds."""
    for run in replay.runs:
        for mode, own in run.modes.items():
            ran = (own.executed.decisions, own.executed.exits)
            if ran != (list(replay.actions.values()), list(replay.exits.values())):
                raise AssertionError(f"{mode}: {ran} where the log has other decisions")
