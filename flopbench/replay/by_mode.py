"""A prediction of one mode of ``flopbench replay``: the calls that its arrangement makes of a log's
decisions, by measured times, and overheads beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.estimate.runs import Choices, Run
from flopbench.policy.counts import LogCounts
from flopbench.policy.forms.base import Options
from flopbench.policy.log import open_log
from flopbench.replay.lockstep import CallCounts, count_calls
from flopbench.replay.overheads import (
    ModeOverheads,
    Overhead,
    Overheads,
    overheads_of,
    refuse_unlike,
)
from flopbench.replay.parts import RECURRENT, runnable_specs
from flopbench.replay.prediction import Prediction, predict
from flopbench.replay.schedule import workload_of
from flopbench.replay.timed import Further, TimedComponent
from flopbench.replay.workload import Workload
from flopbench.timing.file import TimingFile

MOST_VIDEOS = 4096
"""The calls of that many videos stand for those of a longer log: putting them together takes about
half a millisecond a video."""
DECISION, FRAGMENT = "each decision", "each fragment"


def predict_mode(
    run: Run,
    file: TimingFile | None,
    overheads: Overheads,
    log: str | Path | Sequence[str | Path],
    choices: Choices | None = None,
    *,
    mode: str = "online",
    dtype: str | None = None,
    file_name: str = "the timing file",
    overheads_name: str = "the overheads file",
    further: Sequence[Further] = (),
) -> Prediction:
    """Price the decisions of a run as one mode of a replay takes them.

    Args:
        run: a counted log.
        file: times of its components; at several batches for modes with larger calls. None takes
            those of the calibration.
        overheads: of the same device and options.
        log: the files that the run was counted from: the order of decisions makes the calls.
        choices: the same as for the run.
        mode: ``online``, ``split`` or ``bucketed``, arranged as in the calibration.
        dtype: where the file has several.
        file_name: for messages.
        overheads_name: for messages.
        further: what else is charged, such as the stages of a pipeline.
    """
    choices = choices or Choices()
    shape = overheads.mode(mode, overheads_name)
    if not isinstance(run.counts, LogCounts) or run.counts.decisions is None:
        raise InputError(
            f"{run.source} has no decisions in their order: --overheads needs them",
            "give the log itself",
        )
    options = Options(allow_truncated=choices.allow_truncated, exact=True)
    opened = open_log(log, preset=choices.preset, options=options)
    workload, _ = workload_of(opened, most=MOST_VIDEOS, duplicates=choices.duplicates)
    used = list(dict.fromkeys(name for runs in workload.component_runs() for name in runs))
    chosen = choices.variants or {}, choices.components or {}
    specs, _ = runnable_specs(run.header, used, *chosen, will_run=False)
    at_once = [name for name, one in specs.items() if one.spec.source in RECURRENT]
    calls = count_calls(workload, shape, at_once)
    found = predict(
        run,
        overheads if file is None else file,
        choices,
        dtype=dtype,
        file_name=file_name,
        further=[*further_of(overheads_of(overheads, mode), calls, workload), *further],
        calls=sizes_of(calls.arms, calls.policy),
    )
    refuse_unlike(
        (overheads.settings, overheads.device, overheads_name),
        (found.setting, found.facts, file_name),
    )
    known = overheads.components.values()
    text = f"did not run when {overheads_name} was measured: its overhead may differ"
    new = [(name, str(one.spec)) for name, one in specs.items()]
    others = [Remark(f"{spec} {text}", name) for name, spec in new if spec not in known]
    return replace(found, mode=mode, warnings=(*found.warnings, *others))


def sizes_of(*called: Counter[tuple[str, int]]) -> dict[str, dict[int, int]]:
    """Return component -> items of a call -> how many such calls."""
    sizes: dict[str, dict[int, int]] = {}
    for (name, n), times in sum(called, Counter()).items():
        sizes.setdefault(name, {})[n] = times
    return sizes


def further_of(own: ModeOverheads, calls: CallCounts, workload: Workload) -> list[Further]:
    """Return overheads as what is charged beside the components of a log.

    Decisions of exits, which follow networks, are spread evenly over the videos.
    """
    logged = sum(workload.decided()[0])
    runs = Counter[str]()
    for (name, n), times in [*calls.arms.items(), *calls.policy.items()]:
        runs[name] += n * times
    fragments = Counter[str]()
    for (name, _), times in calls.arms.items():
        fragments[name] += times
    return [
        Further(
            name=DECISION,
            timed=_timed(own.per_decision),
            per_decision=calls.decided / logged if logged else 0.0,
            per_sample=0.0 if logged else calls.decided / len(workload.videos),
        ),
        Further(
            name=FRAGMENT,
            timed=_timed(own.per_fragment),
            per_run={name: times / runs[name] for name, times in fragments.items()},
        ),
    ]


def _timed(one: Overhead) -> TimedComponent:
    return TimedComponent(
        spec="overhead", run_s=one.host_s, repeat_s=one.repeat_s, joules=None, verdict=""
    )
