"""The numbers that a report begins with: cost, accuracy, and speed-up or share, of each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flopbench.core.errors import InputError
from flopbench.core.units import GIGA, interval_decimals, table_scale
from flopbench.estimate.estimator import dearest
from flopbench.estimate.methods import methods_of
from flopbench.estimate.runs import method_name
from flopbench.present.report.records import Headline, Number
from flopbench.replay.figures import figures_of

if TYPE_CHECKING:
    from flopbench.core.statistics import Ends
    from flopbench.estimate.compare import Comparison
    from flopbench.estimate.runs import Run
    from flopbench.present.figures.inputs.logs import NamedRun
    from flopbench.present.report.material import Material
    from flopbench.replay.records import Replay

MOST = 3
"""Of more runs, only those on the Pareto front are shown, and at most so many."""
DIGITS = 4
"""Decimals of a number without an interval."""


def headlines_of(material: Material, comparison: Comparison | None) -> tuple[Headline, ...]:
    """Return the numbers of each run, and of each replay of something else."""
    replays = [replay for _, replay in material.replays]
    found, joined = [], []
    for one in _leading(material.runs, comparison):
        whose = method_name(one.run.counts), one.run.header.data
        own = [replay for replay in replays if (replay.method, replay.dataset) == whose][:1]
        last = _speedup(own[0]) if own else _share(one.run)
        numbers = (_cost(one.run), _accuracy(one, material, comparison), last)
        found.append(Headline(name=one.name, numbers=tuple(n for n in numbers if n is not None)))
        joined += own
    found += [
        Headline(name=one.method, numbers=(_speedup(one),)) for one in replays if one not in joined
    ]
    return tuple(found[:MOST])


def _leading(runs: Sequence[NamedRun], comparison: Comparison | None) -> list[NamedRun]:
    if len(runs) <= MOST:
        return list(runs)
    front = comparison.front if comparison is not None else ()
    return [one for one in runs if one.name in front][:MOST]


def _accuracy(one: NamedRun, material: Material, comparison: Comparison | None) -> Number | None:
    """Return the accuracy of a run, with the reason where it cannot be computed."""
    try:
        if comparison is not None:
            metric, methods = comparison.metric, comparison.methods
        else:  # alone, or not comparable
            metric, methods = methods_of([one.run], [one.name], None, material.choices)
    except InputError as error:
        return Number(value="-", what="accuracy", more=error.message)
    method = next(method for method in methods if method.name == one.name)
    if method.percent is None:
        return None
    ends = method.accuracy.ci95_percent if method.accuracy is not None else None
    value, sure = _rounded(method.percent, ends, 2)
    quoted = "as its log quotes it" if method.quoted is not None else ""
    return Number(value=f"{value} %", what=metric, more=sure or quoted)


def _cost(run: Run) -> Number:
    """Return the cost of a video, as a share of that of running the dearest arm throughout."""
    main, ci = run.primary, run.interval
    unit = table_scale(float(main.macs_per_video))
    factor = GIGA / unit.divisor
    ends = (factor * ci.low, factor * ci.high) if ci else None
    value, sure = _rounded(factor * main.gflops_per_video, ends, DIGITS)
    whole = dearest(run.counts.totals(), run.counts.plan, run.prices)
    parts = [sure] if sure else []
    if whole is not None:
        name, macs, per = whole
        share = 100 * float(main.macs_per_video / macs)
        parts.insert(0, f"{share:.0f} % of {name} on every {per}, {float(macs) / unit.divisor:.4g}")
    return Number(
        value=value,
        what=f"{unit.prefix}FLOPS/{run.header.words.sample} by {main.counter}",
        more="; ".join(parts),
    )


def _share(run: Run) -> Number | None:
    """Return the share of frames that are processed, where some are not."""
    main, words = run.primary, run.header.words
    processed, frames = main.processed_frames_per_video, main.frames_per_video
    if not 0 < processed < frames:
        return None
    return Number(
        value=f"{100 * processed / frames:.0f} %",
        what=f"of the {words.steps} processed",
        more=f"{processed:.1f} of {frames:.4g} {words.a_sample}",
    )


def _speedup(replay: Replay) -> Number:
    """Return the measured speed-up of the first mode, and those of the others."""
    chains = {mode: figures_of(replay, mode).waterfall for mode in replay.modes}
    texts = {mode: _rounded(own.measured, own.interval, 3) for mode, own in chains.items()}
    first, *others = texts
    said = [f"{mode} {texts[mode][0]}×" for mode in others]
    parts = [texts[first][1], f"{chains[first].theory:.2f}× by count", *said]
    return Number(
        value=f"{texts[first][0]}×",
        what=f"measured speed-up, {first}",
        more="; ".join(part for part in parts if part),
    )


def _rounded(value: float, ends: Ends | None, most: int) -> tuple[str, str]:
    """Return a number, with two digits of the half-width of its interval, and the interval."""
    digits = interval_decimals([(ends[1] - ends[0]) / 2] if ends else [], most)
    sure = f"95 %: {ends[0]:.{digits}f} to {ends[1]:.{digits}f}" if ends else ""
    return f"{value:,.{digits}f}", sure
