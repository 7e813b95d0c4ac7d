"""A comparison of runs as text, Markdown, CSV, LaTeX and JSON.

File format (JSON): ``{"schema": 1, "kind": "flopbench.comparison", ...}``, see ``comparison_json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins
from msgspec.structs import asdict, replace

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.remarks import Remark
from flopbench.core.tables import Tables
from flopbench.core.units import CONVENTION, interval_decimals
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.clusters import drawn_text
from flopbench.estimate.compare import COMPARED, TIMED, Comparison
from flopbench.estimate.methods import Method
from flopbench.estimate.orders import inversion_lines, orders, pareto_text
from flopbench.estimate.wording import (
    SHORT,
    Costs,
    costs_of,
    half_widths,
    ms_column,
    range_text,
    relative_halves,
)

SCHEMA = 1
KIND = "flopbench.comparison"
REPEATS = (
    "Intervals of ms: a network was timed once for all logs, so what both run equally often "
    "cancels."
)


def comparison_json(comparison: Comparison) -> str:
    """Return the comparison file; the same runs give the same bytes."""
    differences = [asdict(d) for d in comparison.differences]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "metric": comparison.metric,
        "approaches": [_method_data(a) for a in comparison.methods],
        "differences": differences,
        "dominance": [asdict(d) for d in comparison.dominance],
        "pareto_front": list(comparison.front),
        "notes": list(map(str, comparison.notes)),
    }
    if comparison.timed:
        for own, method in zip(data["approaches"], comparison.methods, strict=True):
            own["time"] = None if method.time is None else method.time.data
        data["dominance_ms"] = [asdict(d) for d in comparison.dominance_ms]
        data["pareto_front_ms"] = list(comparison.front_ms)
        data["inversions"] = to_builtins(comparison.inversions)
    else:
        for one in differences:
            del one["ms_per_video"], one["ci95_ms_per_video"]
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def comparison_warnings(comparison: Comparison) -> list[Remark]:
    """List the warnings of every run, each with the run's name, and those on times."""
    times = [text for a in comparison.methods if a.time is not None for text in a.time.warnings]
    own = [remark.of(a.name) for a in comparison.methods for remark in a.run.warnings]
    return [*own, *dict.fromkeys(times)]


def _method_data(method: Method) -> dict[str, Any]:
    accuracy = method.accuracy
    return {
        "name": method.name,
        "percent": method.percent,
        "percent_is_quoted": method.quoted is not None,
        "ci95_percent": None if accuracy is None else accuracy.ci95_percent,
        "absent_classes": [] if accuracy is None else list(accuracy.absent_classes),
        "estimate": estimate_data(method.run),
    }


def comparison_tables(comparison: Comparison) -> Tables:
    """Return a comparison, ready to be shown."""
    return Tables(
        grids=_grids(comparison),
        csv=lambda: comparison_csv(comparison),
        json=lambda: comparison_json(comparison),
        warnings=comparison_warnings(comparison),
    )


def comparison_grids(comparison: Comparison) -> list[Grid]:
    """Lay out a comparison as Python shows it."""
    first, *others = _grids(comparison).values()
    return [first.with_warnings(comparison_warnings(comparison)), *others]


def _grids(comparison: Comparison) -> dict[str, Grid]:
    grids = {"comparison": methods_grid(comparison), "differences": differences_grid(comparison)}
    return {**grids, "order": order_grid(comparison)} if comparison.timed else grids


def methods_grid(comparison: Comparison) -> Grid:
    """Lay out one line per method, in the form of AR-Net's Table 3."""
    methods = comparison.methods
    costs = costs_of([one.run for one in methods])
    words, metric = costs.words, f"{comparison.metric} %"
    primary = [one.run.primary for one in methods]
    percents, ranges = _percents(methods)
    ends = [None if one.run.interval is None else one.run.interval.ends for one in methods]
    relative = relative_halves([one.gflops_per_video for one in primary], ends)
    per_sample, decimals = costs.column([one.gflops_per_video for one in primary], relative)
    length = f"{words.steps}/{SHORT.get(words.sample, words.sample)}"
    times = [one.time for one in methods]
    time_cells, time_ranges = ms_column(
        [None if one is None else one.ms_per_video for one in times],
        [None if one is None else one.interval_ms for one in times],
    )
    return _grid(
        "Method against method",
        [
            ("approach", [one.name for one in methods]),
            (metric, percents),
            ("95 %", ranges),
            (
                costs.short_per_step,
                costs.column([p.gflops_per_frame for p in primary], relative)[0],
            ),
            (costs.short_per_sample, per_sample),
            ("95 %", [costs.range(own, decimals) for own in ends]),
            (costs.short_ms, time_cells),
            ("95 %", time_ranges),
            (
                f"{words.samples}/s",
                ["-" if one is None else f"{one.videos_per_s:.4g}" for one in times],
            ),
            (length, [f"{p.frames_per_video:.4g}" if p.frames_per_video else "-" for p in primary]),
            (words.samples, ["-" if p.videos is None else f"{p.videos:,}" for p in primary]),
            # With times there are two orders, which have a table of their own.
            (
                "Pareto",
                ["-" if comparison.timed else pareto_text(one, comparison) for one in methods],
            ),
        ],
        ("approach", "Pareto"),
        spare=(words.samples, length, f"{words.samples}/s", "Pareto", costs.short_per_step, "95 %"),
        lower=(costs.short_per_step, costs.short_per_sample, costs.short_ms),
        higher=(metric, f"{words.samples}/s"),
        caption=_caption(comparison, costs),
    )


def _grid(
    title: str,
    cells: Sequence[tuple[str, Sequence[str]]],
    text: Sequence[str],
    *,
    caption: Sequence[str],
    **which: Sequence[str],
) -> Grid:
    """Return a table of headings with their cells, without columns in which there is no value."""
    shown = [(name, own) for name, own in cells if set(own) != {"-"} or name.endswith("%")]
    # An interval goes with what it is of.
    shown = [one for one in shown if one[0] != "95 %" or set(one[1]) != {"-"}]
    return Grid(
        title=title,
        columns=columns([name for name, _ in shown], text, **which),
        rows=tuple(zip(*(own for _, own in shown), strict=True)),
        caption=tuple(caption),
        stay=tuple(line for line in caption if line == CONVENTION or line.startswith("Note: ")),
    )


def _caption(comparison: Comparison, costs: Costs) -> list[str]:
    methods, words = comparison.methods, costs.words
    first = methods[0].run
    rules = dict.fromkeys(one.run.primary.rule for one in methods)
    lines = [f"Prices: {first.prices.counter}, {first.table}; {' and '.join(rules)} rule."]
    if any(one.run.primary.gflops_per_frame is not None for one in methods):
        lines[0] += (
            f" {costs.short_per_step}: all cost over all sampled {words.steps}; "
            f"{costs.short_per_sample}: per {words.sample}."
        )
    over = {a.name: drawn_text(a.run.clusters, words) for a in methods}
    kinds = set(over.values())
    if kinds != {words.samples}:
        one = min(kinds) if len(kinds) == 1 else ", ".join(f"{o} of {n}" for n, o in over.items())
        lines.append(f"Intervals: bootstrap over {one}.")
    if comparison.metric == "mAP" and any(a.accuracy for a in methods):
        lines.append(
            f"mAP intervals: of the mean mAP of splits of this size; at most {MAP_RESAMPLES} "
            "resamples."
        )
    times = [a.time for a in methods if a.time is not None]
    if times:
        lines.append(
            f"Times by {times[0].source}: {times[0].setting}. Runs of each network × its measured "
            "time; gathering, copies and waiting are not in it (flopbench replay measures them)."
        )
    if any(one.interval_ms for one in times):
        lines.append(
            f"Intervals of ms: the spread of the {words.samples}, and where a repeat of the "
            "timings is expected."
        )
    return [CONVENTION, *lines, *(f"Note: {note}." for note in comparison.notes)]


def _percents(methods: Sequence[Method]) -> tuple[list[str], list[str]]:
    """Print accuracies and their intervals, with two digits of the narrowest."""
    ends = [None if one.accuracy is None else one.accuracy.ci95_percent for one in methods]
    decimals = interval_decimals(half_widths(ends), 2)
    cells = []
    for one in methods:
        text = "-" if one.percent is None else f"{one.percent:.{decimals}f}"
        cells.append(text if one.quoted is None else f"{one.quoted:g} (quoted)")
    return cells, [range_text(own, decimals) for own in ends]


def order_grid(comparison: Comparison) -> Grid:
    """Lay out the methods by GFLOPS and by ms side by side, the cheapest first."""
    cells = orders(comparison)
    said = inversion_lines(comparison)
    none = "No method is cheaper in GFLOPS than another, and slower in ms."
    text = tuple(heading for heading, _ in cells)
    grid = _grid("The cheapest first", cells, text, spare=("Pareto",), caption=said or [none])
    return replace(grid, stay=grid.caption)


def differences_grid(comparison: Comparison) -> Grid:
    """Lay out every other method minus the first."""
    found = comparison.differences
    costs = costs_of([one.run for one in comparison.methods])
    words = costs.words
    points = interval_decimals(half_widths(one.ci95_percent for one in found), 2)
    ends = [one.ci95_gflops_per_video for one in found]
    decimals = interval_decimals(map(costs.of, half_widths(ends)), costs.scale.decimals)
    times, time_ranges = ms_column(
        [one.ms_per_video for one in found], [one.ci95_ms_per_video for one in found], "+"
    )
    return _grid(
        f"Difference from {comparison.methods[0].name}",
        [
            ("approach", [one.name for one in found]),
            (
                f"{comparison.metric} points",
                ["-" if one.percent is None else f"{one.percent:+.{points}f}" for one in found],
            ),
            ("95 %", [range_text(one.ci95_percent, points, "+") for one in found]),
            (
                costs.short_per_sample,
                [f"{costs.of(one.gflops_per_video):+.{decimals}f}" for one in found],
            ),
            ("95 %", [costs.range(own, decimals, "+") for own in ends]),
            (costs.short_ms, times),
            ("95 %", time_ranges),
            ("resampled", ["in pairs" if one.paired else "apart" for one in found]),
        ],
        ("approach", "resampled"),
        spare=("resampled", "95 %"),
        caption=(
            f"In pairs: both logs hold the same {words.samples}, drawn together. Apart: each log's "
            f"{words.samples} are drawn separately.",
            *([REPEATS] if any(one.ci95_ms_per_video for one in found) else []),
            *(f"Note: {note}." for note in comparison.notes if note.kind == "rules"),
        ),
    )


def comparison_csv(comparison: Comparison) -> str:
    """Return one line per method, unrounded."""
    rows: list[list[object]] = []
    for method in comparison.methods:
        primary, ci = method.run.primary, method.run.interval
        accuracy = None if method.accuracy is None else method.accuracy.ci95_percent
        rows.append(
            [
                method.name,
                comparison.metric,
                method.percent,
                *(accuracy or (None, None)),
                primary.gflops_per_frame,
                primary.gflops_per_video,
                *((None, None) if ci is None else ci.ends),
                primary.videos,
                method.name in comparison.front,
            ]
        )
        if comparison.timed:
            rows[-1] += _timed_cells(method, comparison)
    return to_csv((*COMPARED, *TIMED) if comparison.timed else COMPARED, rows)


def _timed_cells(method: Method, comparison: Comparison) -> list[object]:
    time = method.time
    if time is None:
        return [None] * len(TIMED)
    ends = time.interval_ms or (None, None)
    per_s = time.videos_per_s if time.ms_per_video else None
    return [time.ms_per_video, *ends, per_s, method.name in comparison.front_ms]
