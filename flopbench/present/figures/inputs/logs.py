"""The policy logs that a figure is drawn from: read, counted, priced where needed, and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from flopbench.core.errors import InputError, Remark
from flopbench.core.units import Words, common_words, number_of
from flopbench.estimate.compare import same_terms
from flopbench.estimate.methods import names_of_logs
from flopbench.estimate.runs import Choices, Run, counts_of_log, run_of_log
from flopbench.policy.counts import LogCounts, WithoutRecords
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs.files import CallerError, require_kind, several

Log: TypeAlias = "str | Path | Run | LogCounts | WithoutRecords"
"""One log: a file (a glob names the shards of one), or a run or counts made from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCounts:
    """One log, counted; ``name`` is what a figure calls it."""

    name: str
    counts: LogCounts | WithoutRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """One log, counted and priced; ``name`` is what a figure calls it."""

    name: str
    run: Run


def counted(
    logs: Log | Sequence[Log], choices: Choices | None = None, *, names: Sequence[str] = ()
) -> list[NamedCounts]:
    """Count logs; no prices are needed. Names are by method and dataset where none are given."""
    found = []
    for log in logs_of(logs):
        if isinstance(log, Run):
            found.append(log.counts)
        elif isinstance(log, (LogCounts, WithoutRecords)):
            found.append(log)
        else:
            require_kind(log, (LOG,))
            found.append(counts_of_log([log], choices))
    chosen = names_of_logs(found, names)
    return [NamedCounts(name=n, counts=c) for n, c in zip(chosen, found, strict=True)]


def priced(
    logs: Log | Sequence[Log],
    choices: Choices | None = None,
    *,
    names: Sequence[str] = (),
    keep_scores: bool = False,
) -> list[NamedRun]:
    """Count logs and price them, all under the first log's counter; nothing is measured.

    Counts alone cannot be priced. What the choices' table lacks comes from the cache.
    ``keep_scores`` keeps ids, scores and predictions.
    """
    given = logs_of(logs)
    files = tuple(str(log) for log in given if isinstance(log, (str, Path)))
    terms = replace(choices or Choices(), may_measure=False, beside=files)
    runs: list[Run] = []
    for log in given:
        if isinstance(log, (LogCounts, WithoutRecords)):
            raise CallerError(" needs prices: give the log's file, or a Run")
        if isinstance(log, Run):
            runs.append(log)
            continue
        require_kind(log, (LOG,))
        terms = same_terms(terms, runs[0]) if runs else terms
        runs.append(run_of_log([log], terms, keep_scores=keep_scores))
    counters = dict.fromkeys(run.primary.counter for run in runs)
    if len(counters) > 1:
        raise CallerError(
            f": the runs are priced under {listed(list(counters))}",
            "figures under different counters cannot be set side by side: choose one",
        )
    chosen = names_of_logs([run.counts for run in runs], names)
    return [NamedRun(name=n, run=r) for n, r in zip(chosen, runs, strict=True)]


def logs_of(logs: Log | Sequence[Log]) -> list[Log]:
    """Return one log or several as a list; refuse none."""
    found = several(logs, Run, LogCounts, WithoutRecords)
    if not found:
        raise InputError("no policy log was given")
    return found


def words_of(found: Sequence[NamedRun]) -> Words:
    """Return what a figure of these logs calls a sample and a step."""
    return common_words(one.run.header.words for one in found)


def videos_text(words: Words, videos: int | None, views: int | None = None) -> str:
    """Return ``50 videos (150 views)``, as the log calls them; views where one has several."""
    if videos is None:
        return "a published distribution"
    more = f" ({views:,} views)" if views is not None and views != videos else ""
    return f"{number_of(videos, words.sample)}{more}"


def left_out(warnings: Sequence[Remark]) -> list[str]:
    """Return the sentences of a caption on samples that reading left out."""
    return [f"Note: {one}." for one in dict.fromkeys(warnings) if one.kind == "left out"]
