"""Milliseconds of logs: by replays, joined by method and dataset, else by times of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from flopbench.core.errors import InputError, NotComparableError
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import ms
from flopbench.estimate.methods import RunTime
from flopbench.estimate.runs import Choices
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import by_key, listed
from flopbench.present.figures.inputs.files import read_all, several
from flopbench.present.figures.inputs.logs import NamedRun, words_of
from flopbench.present.figures.inputs.replays import (
    NamedReplay,
    Replays,
    check_mode,
    loaded,
    machine_text,
    terms_of,
)
from flopbench.present.figures.tradeoff_costs import (
    MEASURED,
    PREDICTED,
    LogCosts,
    log_terms,
    unit_of,
)
from flopbench.replay.figures import ModeFigures, figures_of, warnings_of
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


def measured_costs(
    found: Sequence[NamedRun],
    read: Sequence[NamedReplay],
    *,
    mode: str | None,
    anyway: bool,
    otherwise: str = "left out",
) -> LogCosts:
    """Return the logs' measured ms/video, from replays that are joined to them.

    ``otherwise`` is what becomes of a log without one, for its warning.

    Raises:
        InputError: a mode that is unknown or not chosen, two replays of one log.
        NotComparableError: replays of different machines or settings, without ``anyway``.
    """
    words = words_of(found)
    if not read:
        names = listed([one.name for one in found])
        bare = f"{names}: no replay, so no {unit_of('ms', words)}; left out"
        warned = (Remark(bare),) if found else ()
        return LogCosts(by_name={}, terms=(), warnings=warned)
    chosen = _mode(read, mode)
    by_log, warnings = _joined(found, read, chosen, otherwise)
    videos = {one.name: one.run.primary.videos for one in found}
    warnings += _check_terms(list(by_log.values()), anyway)
    mismatched: list[str] = []
    costs: dict[str, tuple[float, Ends | None]] = {}
    for name, one in by_log.items():
        figures = figures_of(one.replay, chosen)
        costs[name] = ms(figures.waterfall.chain_s["full"]), _ends_ms(figures)
        own, of_log = one.replay.videos, videos[name]
        if of_log not in {None, own}:
            fewer = f"{name}: the time is of {own:,} {words.samples}, the accuracy of {of_log:,}"
            mismatched.append(fewer)
            warnings.append(fewer)
        more = warnings_of(one.replay, {chosen: figures})
        warnings += [f"{name}: {text}" for text in more]
    timed = [one for one in found if one.name in costs]
    return LogCosts(
        by_name=costs,
        terms=(
            *_measured_terms(by_log, chosen),
            *(f"Note: {text}." for text in mismatched),
            *log_terms(timed),
        ),
        warnings=tuple(map(Remark, warnings)),
    )


def _mode(read: Sequence[NamedReplay], mode: str | None) -> str:
    if mode is not None:
        check_mode(mode, read)
        return mode
    known = list(dict.fromkeys(name for one in read for name in one.replay.modes))
    if len(known) > 1:
        raise InputError(
            f"the replays have the modes {listed(known)}, whose times differ",
            f"say which one to draw, such as --mode {known[0]}",
        )
    return known[0]


def _joined(
    found: Sequence[NamedRun], read: Sequence[NamedReplay], mode: str, otherwise: str
) -> tuple[dict[str, NamedReplay], list[str]]:
    by_log: dict[str, NamedReplay] = {}
    warnings, used = [], set()
    for one in found:
        dataset = one.run.header.data
        matching = [
            r for r in read if (r.replay.method, r.replay.dataset) == (one.run.method, dataset)
        ]
        used |= {r.file for r in matching}
        able = [r for r in matching if mode in r.replay.modes]
        if len(able) > 1:
            raise InputError(
                f"{listed([r.file for r in able])} are both replays of {one.name}",
                "give one replay a log",
            )
        if able:
            by_log[one.name] = able[0]
        elif matching:
            warnings.append(f"{one.name}: {matching[0].file} has no mode {mode!r}; {otherwise}")
        else:
            whose = f"method {one.run.method!r} and dataset {dataset!r}"
            warnings.append(f"{one.name}: no replay of {whose}; {otherwise}")
    warnings += [
        f"{r.file}: a replay of method {r.replay.method!r} and dataset {r.replay.dataset!r}, of "
        "which no log is given; left out"
        for r in read
        if r.file not in used
    ]
    return by_log, warnings


def _check_terms(used: Sequence[NamedReplay], anyway: bool) -> list[str]:
    for other in used[1:]:
        if doubts := check_terms("the replays", terms_of(used[0].replay), other, anyway):
            return doubts
    return []


def check_terms(what: str, ours: Mapping[str, str], other: NamedReplay, anyway: bool) -> list[str]:
    """Compare the terms of times, by name, with those of a replay; return how they differ.

    Raises:
        NotComparableError: they do, without ``anyway``.
    """
    theirs = terms_of(other.replay)
    for key, value in ours.items():
        if value == theirs[key]:
            continue
        text = f"{what} differ in {key!r}: {value!r} and {theirs[key]!r} ({other.file})"
        if not anyway:
            raise NotComparableError(
                text, "times under different terms cannot share an axis; --anyway does it"
            )
        return [text]
    return []


def _ends_ms(figures: ModeFigures) -> Ends | None:
    """Return the interval of ms/video: the baseline's median over that of the speed-up."""
    chain = figures.waterfall
    if chain.interval is None:
        return None
    low, high = chain.interval
    return ms(chain.baseline_s / high), ms(chain.baseline_s / low)


def _measured_terms(by_log: Mapping[str, NamedReplay], mode: str) -> list[str]:
    logs = by_key(
        (machine_text(one.replay), f"{name} ({one.file})") for name, one in by_log.items()
    )
    if not logs:
        return []
    return [
        f"Measured by flopbench replay, mode {mode}: "
        + "; ".join(f"{listed(names)} on {where}" for where, names in logs.items())
        + ".",
        "Intervals of ms: the baseline's median time over the ends of the measured speed-up's "
        "95 % interval (the wider of a bootstrap over processes and rounds and of Student's t).",
    ]
