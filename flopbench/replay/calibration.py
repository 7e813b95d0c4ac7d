"""A short replay that yields overheads: ``flopbench replay --calibrate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flopbench.core.records import decode
from flopbench.core.workers import Progress, run_job
from flopbench.replay.overheads import CalibrationProcess, Overheads, summary_of
from flopbench.replay.parts import expected_time
from flopbench.replay.processes import RunJob, timed
from flopbench.replay.run import ReplayChoices, arrangements, prepared
from flopbench.timing.devices import DeviceFacts

ROUNDS, MOST_VIDEOS = 1, 16
"""Unless others are asked for: enough for a full batch of mode ``split``."""


def calibrate(
    patterns: str | Path | Sequence[str | Path],
    choices: ReplayChoices | None = None,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    keep: Callable[[Overheads], None] | None = None,
    run: RunJob = run_job,
) -> Overheads:
    """Measure what the decisions of a log take beside its networks.

    Arguments, errors and what an interrupt leaves are those of ``replay_of_log``; the uniform
    program is not run.
    """
    choices = choices or ReplayChoices(rounds=ROUNDS)
    job, what = prepared(patterns, choices, progress, MOST_VIDEOS)
    job["hot"] = True
    if say is not None:
        none = msgspec.structs.replace(what["baseline"], units=0)
        say(
            expected_time(what["parts"], none, what["videos"], len(what["modes"]), what["settings"])
        )
    kept = {key: what[key] for key in ("method", "source", "videos", "settings", "notes")}
    kept["components"] = job["components"]
    # As asked for: another log may have enough videos for it.
    kept["modes"], _ = arrangements(choices, max(choices.batch, choices.group))

    def recorded(results: Sequence[Mapping[str, Any]], failure: str = "") -> Overheads:
        runs = [decode(_measured(result), CalibrationProcess, "a process") for result in results]
        notes = dict.fromkeys([*kept["notes"], *(text for one in runs for text in one.notes)])
        file = Overheads(
            **{**kept, "notes": tuple(notes)},
            clocks=tuple(results[0]["clocks"]),
            runs=runs,
            device=decode(results[0]["device"], DeviceFacts, "the device"),
            failure=failure,
        )
        return msgspec.structs.replace(file, summary=summary_of(file))

    return timed(job, recorded, run, progress, keep)


def _measured(result: Mapping[str, Any]) -> dict[str, Any]:
    modes = {
        mode: {key: own[key] for key in ("full", "arms", "executed")}
        for mode, own in result["modes"].items()
    }
    return {"modes": modes, "hot": result["hot"], "notes": result["notes"]}
