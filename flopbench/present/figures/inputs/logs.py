"""The policy logs that a figure is drawn from: read, counted, priced where needed, and named.

``--variant`` and ``--component`` change every figure in GFLOPS, and so does a counter that another
one stands in for; captions say so, and tables have the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import InputError
from flopbench.core.remarks import Remark
from flopbench.core.units import Words, common_words, number_of
from flopbench.estimate.compare import same_terms
from flopbench.estimate.components import default_text
from flopbench.estimate.methods import names_of_logs
from flopbench.estimate.runs import Choices, Run, counts_of_log, run_of_log
from flopbench.estimate.text import stand_ins
from flopbench.policy.counts import LogCounts, WithoutRecords
from flopbench.policy.file_kinds import LOG
from flopbench.present.figures.caption import by_key, listed
from flopbench.present.figures.inputs.files import CallerError, require_kind, several

Log: TypeAlias = "str | Path | Run | LogCounts | WithoutRecords"
"""One log: a file (a glob names the shards of one), or a run or counts made from it."""


class NamedCounts(Struct, frozen=True, kw_only=True):
    """One log, counted; ``name`` is what a figure calls it."""

    name: str
    counts: LogCounts | WithoutRecords


class NamedRun(Struct, frozen=True, kw_only=True):
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


COLUMN = "charged_otherwise"
"""Column of the table: ``charged_as`` of the row's run."""


def charged_as(run: Run) -> str:
    """Return what is not charged by default; empty for nothing.

    Returns:
        Such as ``lstm as its variant 'published' (value:3276800 "Table 1"), policy as
        mobilenet_v2@84 in place of resnet18@84``.
    """
    said = []
    for name, price in run.prices.prices.items():
        if price.variant and not price.is_default:
            said.append(f"{name} as its variant {price.variant!r} ({price.spec})")
        elif not price.is_default:
            default = default_text(run.header.components[name])
            said.append(f"{name} as {price.spec} in place of {default}")
    return ", ".join(said)


def charged_sentences(found: Sequence[NamedRun]) -> list[str]:
    """Return a sentence for each way of charging other than by default, for a caption."""
    ways = by_key((charged_as(one.run), one.name) for one in found)
    said = []
    for way, names in ways.items():
        whose = f" ({listed(names)})" if len(ways) > 1 else ""
        if way:
            said.append(f"Charged otherwise than by the log's default{whose}: {way}.")
    runs = [one.run for one in found]
    others = (text for run in runs for text in stand_ins([run.prices], run.primary.by_component))
    return [*said, *dict.fromkeys(others)]
