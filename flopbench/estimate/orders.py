"""The order of methods by GFLOPS and by ms, the two Pareto fronts, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

from flopbench.core.units import interval_decimals, number_of
from flopbench.estimate.compare import Comparison, Dominance, Inversion
from flopbench.estimate.methods import Method
from flopbench.estimate.wording import Costs, costs_of, half_widths, ms_column

MOST_NAMED = 3
"""At most so many better methods are named in a cell; the JSON has all."""
MOST_INVERSIONS = 5
"""At most so many are put in words, those that are resolved first; the JSON has all."""
SURE = {True: "", False: " (an interval includes 0)", None: " (no interval)"}
"""What is added to a verdict on two methods that their intervals do not settle."""


def orders(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return headings with cells: the methods by GFLOPS and by ms, and their place on each."""
    costs = costs_of([one.run for one in comparison.methods])
    by_cost = sorted(comparison.methods, key=lambda one: one.run.primary.macs_per_video)
    timed = [(one.time.ms_per_video, one) for one in comparison.methods if one.time is not None]
    by_time = [one for _, one in sorted(timed, key=lambda pair: pair[0])]
    places = [pareto_text(one, comparison, ms=True) for one in by_time]
    none = ["-"] * (len(by_cost) - len(by_time))
    return [
        (f"by {costs.short_per_sample}", [one.name for one in by_cost]),
        ("Pareto", [pareto_text(one, comparison) for one in by_cost]),
        (f"by {costs.short_ms}", [one.name for one in by_time] + none),
        ("Pareto", places + none),
    ]


def pareto_text(method: Method, comparison: Comparison, *, ms: bool = False) -> str:
    """Say where a method lies: on the front, or which ones dominate it."""
    dominance: Sequence[Dominance] = comparison.dominance_ms if ms else comparison.dominance
    front = comparison.front_ms if ms else comparison.front
    beaten_by = [d.winner + SURE[d.clear] for d in dominance if d.loser == method.name]
    if not beaten_by:
        return "front" if method.name in front else "-"
    more = len(beaten_by) - (MOST_NAMED - 1)
    if more > 1:
        beaten_by = [*beaten_by[: MOST_NAMED - 1], f"{more} more"]
    return f"dominated by {', '.join(beaten_by)}"


def inversion_lines(comparison: Comparison) -> list[str]:
    """Put the pairs that GFLOPS and ms order differently in words, the resolved ones first."""
    costs = costs_of([one.run for one in comparison.methods])
    found = sorted(comparison.inversions, key=lambda one: not one.resolved)
    lines = [_inversion_text(one, costs) for one in found[:MOST_INVERSIONS]]
    if more := found[MOST_INVERSIONS:]:
        sure = sum(bool(one.resolved) for one in more)
        lines.append(f"{number_of(len(more), 'more such pair')}, {sure} of them resolved.")
    return lines


def _inversion_text(one: Inversion, costs: Costs) -> str:
    apart = one.difference
    ends = apart.ci95_gflops_per_video
    decimals = interval_decimals(map(costs.of, half_widths([ends])), costs.scale.decimals)
    less = f"{costs.of(apart.gflops_per_video):+.{decimals}f} {costs.short_per_sample}"
    less += "" if ends is None else f" (95 % {costs.range(ends, decimals, '+')})"
    (more,), (reach,) = ms_column([apart.ms_per_video], [apart.ci95_ms_per_video], "+")
    more += f" {costs.short_ms}" + ("" if reach == "-" else f" (95 % {reach})")
    said = f"{apart.name} is cheaper in GFLOPS than {apart.less}, slower in ms: {less}, {more}."
    return said if one.resolved else f"Not resolved{SURE[one.resolved]}: {said}"
