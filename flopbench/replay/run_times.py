"""What several runs take, by one list of times: all in one setting, what is missing named at once.

Each is a prediction (``predict``); here they become what ``estimate.compare`` sets side by side.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.estimate.methods import RunTime
from flopbench.estimate.prices import Price, PriceList
from flopbench.estimate.runs import Choices, Run
from flopbench.replay.parts import timed_specs
from flopbench.replay.prediction import TICK_S, Prediction, predict, prediction_data
from flopbench.replay.timed import differing_keys
from flopbench.timing.file import TimingFile


def run_times(
    runs: Sequence[Run],
    file: TimingFile,
    choices: Choices | None = None,
    *,
    batch: int = 1,
    dtype: str | None = None,
    file_name: str = "the timing file",
) -> list[RunTime]:
    """Predict what runs take, by times of all their components in one setting: see ``predict``."""
    choices = replace(choices or Choices(), by=None)
    _check_timed(runs, file, choices, batch, dtype, file_name)
    found = [
        predict(run, file, choices, batch=batch, dtype=dtype, file_name=file_name) for run in runs
    ]
    for run, one in zip(runs, found, strict=True):
        _check_alike(found[0], one, (runs[0].method, run.method), file_name)
    return [_run_time(one, file_name) for one in found]


def _check_timed(
    runs: Sequence[Run],
    file: TimingFile,
    choices: Choices,
    batch: int,
    dtype: str | None,
    file_name: str,
) -> None:
    """Name every component without a time, of all runs, and the one command that times them all."""
    wanted: dict[str, str] = {}
    for run in runs:
        specs, _ = timed_specs(run, choices)
        wanted |= {f"{name} ({one.spec})": str(one.spec) for name, one in specs.items()}
    timed = {
        row.what.spec
        for row in file.rows
        if not row.failed and row.what.batch == batch and dtype in (None, row.what.dtype)
    }
    missing = sorted(name for name, spec in wanted.items() if spec not in timed)
    anywhere = {row.what.spec for row in file.rows}
    if not missing or (not timed.intersection(wanted.values()) and anywhere & {*wanted.values()}):
        return  # there is none at this batch or dtype: a prediction says which ones there are
    logs = [*map(str, choices.beside)] or [str(run.source) for run in runs]
    # Models in place of a log's components are timed by name.
    networks = list(dict.fromkeys(wanted.values()))
    words = networks if choices.components else ["--for", *dict.fromkeys(logs)]
    words += ["--preset", choices.preset] if choices.preset and not choices.components else []
    words += ["--batch", str(batch)] if batch != 1 else []
    words += ["--dtype", dtype] if dtype else []
    raise InputError(
        f"{file_name} has no time at batch {batch} of {', '.join(missing)}",
        f"time them: {shlex.join(['flopbench', 'latency', *words, '-o', 'timings.json'])}",
    )


def _check_alike(
    first: Prediction, other: Prediction, methods: tuple[str, str], file_name: str
) -> None:
    """Refuse times of two settings, which cannot be set side by side."""
    if first.setting != other.setting:
        differ = differing_keys([first.setting, other.setting])
        raise InputError(
            f"{file_name} has {' and '.join(methods)} in different settings: {differ}",
            "choose one: --batch N, --dtype TYPE, or a file of one run",
        )


def _run_time(found: Prediction, source: str) -> RunTime:
    by_network: dict[str, float] = {}
    for one in found.components.values():
        by_network[one.spec] = by_network.get(one.spec, 0.0) + one.ms_per_video
    prices = {
        name: Price(component=name, spec=one.spec, total_macs=round(one.run_s / TICK_S))
        for name, one in found.components.items()
    }
    return RunTime(
        ms_per_video=found.ms_per_video,
        interval_ms=found.interval_ms,
        prices=PriceList(counter="", version="", source=source, prices=prices),
        ms_by_network=by_network,
        repeats={
            one.spec: None
            if one.repeat_s is None
            else (one.repeat_s[0] / one.run_s, one.repeat_s[1] / one.run_s)
            for one in found.components.values()
        },
        setting=found.setting_text,
        source=source,
        data={"source": source, **prediction_data(found)},
        warnings=found.warnings,
    )
