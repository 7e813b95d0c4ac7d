"""Milliseconds of logs by measured times of their networks, beside replays where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from flopbench.core.errors import Remark
from flopbench.estimate.methods import RunTime
from flopbench.estimate.runs import Choices
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import by_key, listed
from flopbench.present.figures.inputs.files import read_all, several
from flopbench.present.figures.inputs.logs import NamedRun, words_of
from flopbench.present.figures.inputs.replays import NamedReplay, Replays, loaded
from flopbench.present.figures.measured import check_terms, measured_costs
from flopbench.present.figures.tradeoff_costs import MEASURED, PREDICTED, LogCosts, log_terms
from flopbench.replay.run_times import run_times
from flopbench.timing.file import TimingFile, merge

Times: TypeAlias = "str | Path | TimingFile | Sequence[str | Path | TimingFile]"
"""Timing files of the networks of logs."""


def timed_costs(
    found: Sequence[NamedRun],
    replays: Replays,
    times: Times,
    choices: Choices | None,
    *,
    mode: str | None,
    batch: int | None,
    dtype: str | None,
    anyway: bool,
) -> tuple[LogCosts, dict[str, RunTime]]:
    """Return the logs' ms/video: of its replay where a log has one, else predicted.

    Returns:
        The costs, and the predictions among them by the log's name.

    Raises:
        InputError: as ``measured_costs`` and ``run_times``; a file that is not one of timings.
        NotComparableError: as ``measured_costs``; replays and times of different machines or
            settings, without ``anyway``.
        DataError: a damaged file.
    """
    read, given = loaded(replays), several(times, TimingFile)
    if not given or not found:
        return measured_costs(found, read, mode=mode, anyway=anyway), {}
    measured = LogCosts(by_name={}, terms=())
    if read:
        measured = measured_costs(found, read, mode=mode, anyway=anyway, otherwise=PREDICTED)
    rest = [one for one in found if one.name not in measured.by_name]
    paths = [str(one) for one in given if not isinstance(one, TimingFile)]
    times_of_rest = run_times(
        [one.run for one in rest],
        merge(read_all(given, TIMINGS, TimingFile, TimingFile.load)),
        choices,
        batch=batch or 1,
        dtype=dtype,
        file_name=", ".join(paths) or "the timing file",
    )
    predicted = {one.name: time for one, time in zip(rest, times_of_rest, strict=True)}
    methods = {one.run.method for one in found if one.name in measured.by_name}
    used = [one for one in read if one.replay.method in methods]
    doubts = _check_alike(predicted, used, anyway)
    warnings = [text for one in predicted.values() for text in one.warnings]
    by_name = {name: (one.ms_per_video, one.interval_ms) for name, one in predicted.items()}
    return (
        LogCosts(
            by_name={**measured.by_name, **by_name},
            terms=(*measured.terms, *_terms(rest, predicted, bool(measured.by_name))),
            warnings=(*measured.warnings, *doubts, *dict.fromkeys(warnings)),
            kinds={
                **dict.fromkeys(measured.by_name, MEASURED),
                **dict.fromkeys(by_name, PREDICTED),
            },
        ),
        predicted,
    )


def _check_alike(
    predicted: Mapping[str, RunTime], read: Sequence[NamedReplay], anyway: bool
) -> list[Remark]:
    """Compare how networks were timed, which is one way, with how replays were measured."""
    doubts: list[str] = []
    for time in [*predicted.values()][:1]:
        how = time.data["setting"]
        ours = {"device": how["machine"], "dtype": how["dtype"], "threads": str(how["threads"])}
        for one in read:
            doubts += check_terms(f"{time.source} and a replay", ours, one, anyway)
    return [*map(Remark, doubts)]


def _terms(
    found: Sequence[NamedRun], predicted: Mapping[str, RunTime], beside_replays: bool
) -> list[str]:
    """Say where predicted times come from, and what is not in them."""
    if not predicted:
        return []
    where = by_key((f"{one.source}, {one.setting}", name) for name, one in predicted.items())
    sources = "; ".join(f"{listed(names)} by {text}" for text, names in where.items())
    lacks = "gathering, copies and waiting are not in it"
    if beside_replays:
        lacks += ", but are in what a replay measures"
    sentences = [
        f"Predicted, not run: each network's measured time × how often it runs: {sources}; {lacks}."
    ]
    if any(one.interval_ms for one in predicted.values()):
        sentences.append(
            f"Intervals of predicted ms: the spread of the {words_of(found).samples}, and where a "
            "repeat of the timings is expected."
        )
    return [*sentences, *log_terms(found)]
