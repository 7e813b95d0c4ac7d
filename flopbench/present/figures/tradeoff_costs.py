"""What logs cost, by count: GFLOPS, frames or parameters; ms are in ``predicted``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import CONVENTION, SCALES, VIDEOS, Scale, Words
from flopbench.estimate.clusters import drawn_text
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs import points as tables
from flopbench.present.figures.inputs.logs import (
    NamedRun,
    charged_sentences,
    left_out,
    videos_text,
    words_of,
)

Cost = Literal["gflops", "ms", "frames", "params"]
COSTS: tuple[Cost, ...] = ("gflops", "ms", "frames", "params")
COLUMNS: Mapping[Cost, str] = dict(zip(COSTS, tables.COSTS, strict=True))
"""Cost -> the column that has it, in tables that are read and in the one that is written."""
UNITS: Mapping[Cost, str] = {
    "gflops": "{prefix}FLOPS/{words.sample}",
    "ms": "ms/{words.sample}",
    "frames": "processed {words.steps}/{words.sample}",
    "params": "parameters",
}
"""Of each cost, but for the words of the logs and the size of the costs: see ``unit_of``."""
PREDICTED, MEASURED = "predicted", "measured"
"""How the ms of a log are known."""


class LogCosts(Struct, frozen=True, kw_only=True):
    """What logs cost, in one unit.

    Attributes:
        by_name: log's name -> its cost and the 95 % interval; logs without a cost are absent.
        terms: sentences on where the costs come from.
        intervals: how those of GFLOPS were made; empty where there are none.
        warnings: what did not match, and what makes costs questionable.
        kinds: log's name -> ``predicted`` or ``measured``, for times.
    """

    by_name: Mapping[str, tuple[float, Ends | None]]
    terms: tuple[str, ...]
    intervals: str = ""
    warnings: tuple[Remark, ...] = ()
    kinds: Mapping[str, str] = {}


def unit_of(cost: Cost, words: Words = VIDEOS, scale: Scale = SCALES[0]) -> str:
    """Return the unit of a cost, such as ``GFLOPS/image``."""
    return UNITS[cost].format(words=words, prefix=scale.prefix)


def frame_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the frames that the logs process, a video."""
    steps = words_of(found).steps
    said = f"Processed {steps}: those under an action that runs a network, or under an exit."
    return LogCosts(
        by_name={one.name: (one.run.primary.processed_frames_per_video, None) for one in found},
        terms=(*log_terms(found), *([said] if found else [])),
    )


def parameter_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the parameters of all networks that the logs charge, in millions."""
    by_name: dict[str, tuple[float, Ends | None]] = {}
    warnings = []
    for one in found:
        prices = [one.run.prices.prices[name] for name in one.run.primary.by_component]
        unknown = [f"{price.component} ({price.spec})" for price in prices if price.params is None]
        if unknown:
            text = f"the parameters of {listed(unknown)} are not known; left out"
            warnings.append(Remark(text, one.name))
        else:
            by_name[one.name] = sum(price.params or 0 for price in prices) / 1e6, None
    drawn = [one for one in found if one.name in by_name]
    said = "Parameters: millions, of every component that is charged; shared ones count twice."
    return LogCosts(
        by_name=by_name,
        terms=(*log_terms(drawn), *([said] if drawn else [])),
        warnings=tuple(warnings),
    )


def counted_costs(found: Sequence[NamedRun]) -> LogCosts:
    """Return the logs' GFLOPS/video by count."""
    if not found:
        return LogCosts(by_name={}, terms=(CONVENTION,))
    first = found[0].run
    rules = listed(list(dict.fromkeys(one.run.primary.rule for one in found)))
    intervals = {one.name: one.run.interval for one in found}
    over = {one.name: drawn_text(one.run.clusters, one.run.header.words) for one in found}
    ways = dict.fromkeys(
        i.method
        + (f" over {over[name]}, {i.resamples:,} resamples, seed {i.seed}" if i.resamples else "")
        for name, i in intervals.items()
        if i is not None
    )
    return LogCosts(
        by_name={
            one.name: (one.run.primary.gflops_per_video, None if i is None else (i.low, i.high))
            for one, i in zip(found, intervals.values(), strict=True)
        },
        terms=(
            *log_terms(found),
            f"Counter: {first.prices.counted_by}; {first.prices.origin}; {rules} rule.",
            CONVENTION,
            *charged_sentences(found),
        ),
        intervals="; ".join(ways),
    )


def log_terms(found: Sequence[NamedRun]) -> list[str]:
    """Return which videos the logs cover, and which of their samples are left out."""
    if not found:
        return []
    logs = [
        f"{o.name}: {videos_text(o.run.header.words, e.videos, e.records)}, {o.run.source}"
        for o in found
        for e in [o.run.primary]
    ]
    return [f"Logs: {'; '.join(logs)}.", *left_out([t for o in found for t in o.run.warnings])]
