"""What a report begins with: the numbers of each run, and the findings in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flopbench.core.errors import InputError
from flopbench.core.units import (
    GIGA,
    giga,
    interval_decimals,
    macs_text,
    millions,
    milliseconds,
    number_of,
    readable_giga,
    table_scale,
)
from flopbench.counting.cost_row import trusted_row
from flopbench.counting.table import CostTable
from flopbench.estimate.estimator import dearest
from flopbench.estimate.methods import methods_of
from flopbench.estimate.runs import method_name
from flopbench.estimate.wording import costs_of, half_widths, range_text, relative_halves
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs.logs import NamedRun
from flopbench.present.report.material import Material
from flopbench.present.report.records import Headline, Number
from flopbench.replay.figures import figures_of
from flopbench.timing.verdicts import summarise

if TYPE_CHECKING:
    from flopbench.core.statistics import Ends
    from flopbench.counting.run import Explanation
    from flopbench.estimate.compare import Comparison
    from flopbench.estimate.runs import Run
    from flopbench.replay.records import Replay
    from flopbench.timing.file import TimingFile


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


MOST_RUNS = 8
"""More runs than this are not summarised one by one."""


def summary_of(
    material: Material, comparison: Comparison | None, headlines: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the main findings, a sentence or two each, in the order of the sections.

    Runs of which a headline has the numbers are left out.
    """
    lines = [_table(name, table) for name, table in material.tables]
    lines += [_profiles(explanation) for _, explanation in material.profiles]
    if len(material.runs) > MOST_RUNS:
        lines += list(_many_runs(material.runs, comparison))
    else:
        lines += [_run(run) for run in material.runs if run.name not in headlines]
        lines += list(_comparison(comparison)) if comparison is not None else []
    lines += [line for name, file in material.timings for line in _timings(name, file)]
    lines += [_replay(replay) for _, replay in material.replays]
    return tuple(lines)


def _table(name: str, table: CostTable) -> str:
    lines, counters = table.lines(), table.counters()
    text = f"{name} holds {number_of(len(lines), 'network')}"
    text += " with its input" if len(lines) == 1 else ""
    text += f" under {listed(counters)}" if counters else ""
    trusted = [(trusted_row(line), line[0]) for line in lines]
    dense = [(r.dense_macs, r) for r, _ in trusted if r is not None and r.dense_macs is not None]
    if len(dense) > 1:
        low, high = min(dense, key=lambda d: d[0]), max(dense, key=lambda d: d[0])
        text += (
            f": from {readable_giga(low[0])} dense GMACs a forward pass ({low[1].model} at "
            f"{low[1].input}) to {readable_giga(high[0])} ({high[1].model} at {high[1].input})"
        )
    statuses = Counter(row.status for row in table if row.counter != "constant")
    said = ", ".join(f"{n} {status}" for status, n in statuses.items())
    text += f". Counts: {said}." if said else "."
    doubted = [f"{first.model} at {first.input}" for row, first in trusted if row is None]
    return f"{text} Not counted in full: {listed(doubted)}." if doubted else text


def _profiles(explanation: Explanation) -> str:
    profile = explanation.reference
    dense = macs_text(profile.dense_macs).replace(" ", " dense ")
    text = (
        f"{profile.model} at {profile.input}: {dense} and "
        f"{millions(profile.params)} M parameters, counted by {profile.counter}"
    )
    totals = {p.counter: p.total for p in explanation.profiles}
    if len(totals) == 1:
        return f"{text}."
    low, high = min(totals.values()), max(totals.values())
    if low == high:
        return f"{text}. All {len(totals)} counters give the same total." if low else f"{text}."
    few = next(name for name, total in totals.items() if total == low)
    many = next(name for name, total in totals.items() if total == high)
    return f"{text}. Totals range from {giga(low)} ({few}) to {giga(high)} GMACs ({many})."


def _run(one: NamedRun) -> str:
    run = one.run
    main, ci = run.primary, run.interval
    what = run.header.data
    on = f" on {what}" if what and what not in one.name else ""
    costs, words = costs_of([run]), run.header.words
    ends = None if ci is None else ci.ends
    relative = relative_halves([main.gflops_per_video], [ends])
    (mean,), decimals = costs.column([main.gflops_per_video], relative)
    text = f"{one.name}{on}: {mean} {costs.per_sample} (= {costs.scale.prefix}MACs"
    text += f"; 95 % interval {costs.range(ends, decimals)})" if ends is not None else ")"
    if main.gflops_per_frame is not None:
        text += f", {costs.column([main.gflops_per_frame], relative)[0][0]} per {words.step}"
    videos = "" if main.videos is None else f", over {number_of(main.videos, words.sample)}"
    return f"{text}{videos}, priced by {main.counter}."


def _many_runs(runs: Sequence[NamedRun], comparison: Comparison | None) -> Iterator[str]:
    ordered = sorted(runs, key=lambda one: one.run.primary.gflops_per_video)
    yield f"{len(runs)} runs. The cheapest: {_run(ordered[0])}"
    yield f"The most expensive: {_run(ordered[-1])}"
    if comparison is None or not comparison.front:
        return
    percents = {a.name: a.percent for a in comparison.methods}
    front = [f"{name} ({percents[name]:.2f} %)" for name in comparison.front[:MOST_RUNS]]
    more = len(comparison.front) - len(front)
    front += [f"{more} more"] if more else []
    yield f"No other run is both cheaper and better in {comparison.metric} than {listed(front)}."


def _comparison(comparison: Comparison) -> Iterator[str]:
    rules = {a.name: a.run.primary.rule for a in comparison.methods}
    costs = costs_of([a.run for a in comparison.methods])
    for one in comparison.differences:
        ends = one.ci95_gflops_per_video
        decimals = interval_decimals(map(costs.of, half_widths([ends])), costs.scale.decimals)
        text = f"{one.name} against {one.less}: {costs.of(one.gflops_per_video):+.{decimals}f} "
        text += costs.per_sample
        text += f" (95 % {costs.range(ends, decimals, '+')})" if ends is not None else ""
        if one.percent is not None:
            ends = one.ci95_percent
            decimals = interval_decimals(half_widths([ends]), 2)
            text += f" and {one.percent:+.{decimals}f} points of {comparison.metric}"
            text += f" (95 % {range_text(ends, decimals, '+')})" if ends is not None else ""
        own, other = rules[one.name], rules[one.less]
        # Part of such a difference is due to the rules, not to the policies.
        text += (
            f"; the first by the {own} rule, the second by the {other} rule" if own != other else ""
        )
        yield f"{text}."


def _timings(name: str, file: TimingFile) -> Iterator[str]:
    for number, device in enumerate(file.devices):
        rows = [row for row in file.rows if row.device == number]
        summaries = [(row, summarise(row, device)) for row in rows]
        known = [(s.headline_s, row) for row, s in summaries if s.headline_s is not None]
        text = f"{device.name}: {number_of(len(rows), 'timing')}"
        if known:
            low, high = min(known, key=lambda k: k[0]), max(known, key=lambda k: k[0])
            text += f", from {milliseconds(low[0])} ms a call ({low[1].what})"
            text += f" to {milliseconds(high[0])} ms ({high[1].what})" if len(known) > 1 else ""
        verdicts = Counter(s.verdict for _, s in summaries)
        said = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
        yield f"{text}; {said}."


def _replay(replay: Replay) -> str:
    parts = []
    for mode in replay.modes:
        chain = figures_of(replay, mode).waterfall
        ends = chain.interval
        sure = f" (95 % {ends[0]:.3f} to {ends[1]:.3f})" if ends is not None else ""
        parts.append(
            f"{mode} {chain.measured:.3f}×{sure}, {100 * chain.realised:.0f} % of the theoretical "
            f"{chain.theory:.3f}×"
        )
    return f"{replay.method}, measured speed-up over {replay.baseline.name}: {'; '.join(parts)}."
