"""Measured milliseconds of logs: replays joined to them by method and dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flopbench.core.errors import InputError, NotComparableError, Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import ms
from flopbench.present.figures.caption import by_key, listed
from flopbench.present.figures.inputs.logs import NamedRun, words_of
from flopbench.present.figures.inputs.replays import NamedReplay, check_mode, machine_text, terms_of
from flopbench.present.figures.tradeoff_costs import LogCosts, log_terms, unit_of
from flopbench.replay.figures import ModeFigures, figures_of, warnings_of


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
            *_terms(by_log, chosen),
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


def _terms(by_log: Mapping[str, NamedReplay], mode: str) -> list[str]:
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
