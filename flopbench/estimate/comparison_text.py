"""A comparison of runs as text, Markdown, CSV, LaTeX and JSON.

File format (JSON): ``{"schema": 1, "kind": "flopbench.comparison", ...}``, see ``comparison_json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import Remark
from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.tables import Tables
from flopbench.core.units import CONVENTION
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.clusters import VIDEOS, drawn_text
from flopbench.estimate.compare import COMPARED, Comparison
from flopbench.estimate.methods import Method

SCHEMA = 1
KIND = "flopbench.comparison"
MOST_NAMED = 3
"""At most so many better methods are named in a cell; the JSON has all."""


def comparison_json(comparison: Comparison) -> str:
    """Return the comparison file; the same runs give the same bytes."""
    data = {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "metric": comparison.metric,
        "approaches": [_method_data(a) for a in comparison.methods],
        "differences": [asdict(d) for d in comparison.differences],
        "dominance": [asdict(d) for d in comparison.dominance],
        "pareto_front": list(comparison.front),
        "notes": list(map(str, comparison.notes)),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def comparison_warnings(comparison: Comparison) -> list[Remark]:
    """List the warnings of every run, each with the run's name."""
    return [remark.of(a.name) for a in comparison.methods for remark in a.run.warnings]


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
        grids={
            "comparison": methods_grid(comparison),
            "differences": differences_grid(comparison),
        },
        csv=lambda: comparison_csv(comparison),
        json=lambda: comparison_json(comparison),
        warnings=comparison_warnings(comparison),
    )


def methods_grid(comparison: Comparison) -> Grid:
    """Lay out one line per method, in the form of AR-Net's Table 3."""
    first = comparison.methods[0].run
    rules = dict.fromkeys(a.run.primary.rule for a in comparison.methods)
    metric = f"{comparison.metric} %"
    titles = ("approach", metric, "95 %", "GFLOPS/f", "GFLOPS/v", "95 %", "videos", "Pareto")
    caption = [
        CONVENTION,
        f"Prices: {first.prices.counter}, {first.table}; {' and '.join(rules)} rule. GFLOPS/f: all "
        "cost over all sampled frames; GFLOPS/v: per video.",
    ]
    over = {a.name: drawn_text(a.run.clusters) for a in comparison.methods}
    kinds = set(over.values())
    if kinds != {VIDEOS}:
        one = min(kinds) if len(kinds) == 1 else ", ".join(f"{o} of {n}" for n, o in over.items())
        caption.append(f"Intervals: bootstrap over {one}.")
    if comparison.metric == "mAP" and any(a.accuracy for a in comparison.methods):
        caption.append(
            f"mAP intervals: of the mean mAP of splits of this size; at most {MAP_RESAMPLES} "
            "resamples."
        )
    caption += [f"Note: {note}." for note in comparison.notes]
    return Grid(
        title="Method against method",
        columns=columns(
            titles,
            ("approach", "Pareto"),
            spare=("videos", "Pareto", "GFLOPS/f", "95 %"),
            lower=("GFLOPS/f", "GFLOPS/v"),
            higher=(metric,),
        ),
        rows=tuple(_row(a, comparison) for a in comparison.methods),
        caption=tuple(caption),
    )


def _row(method: Method, comparison: Comparison) -> tuple[str, ...]:
    primary, ci = method.run.primary, method.run.interval
    percent = "-" if method.percent is None else f"{method.percent:.2f}"
    if method.quoted is not None:
        percent = f"{method.quoted:g} (quoted)"
    accuracy_ci = None if method.accuracy is None else method.accuracy.ci95_percent
    sure = {True: "", False: " (an interval includes 0)", None: " (no interval)"}
    beaten_by = [d.winner + sure[d.clear] for d in comparison.dominance if d.loser == method.name]
    place = "front" if method.name in comparison.front else ""
    if beaten_by:
        more = len(beaten_by) - (MOST_NAMED - 1)
        if more > 1:
            beaten_by = [*beaten_by[: MOST_NAMED - 1], f"{more} more"]
        place = f"dominated by {', '.join(beaten_by)}"
    return (
        method.name,
        percent,
        _range(accuracy_ci, 2),
        "-" if primary.gflops_per_frame is None else f"{primary.gflops_per_frame:.4f}",
        f"{primary.gflops_per_video:.4f}",
        "-" if ci is None else _range(ci.ends, 4),
        "-" if primary.videos is None else f"{primary.videos:,}",
        place or "-",
    )


def differences_grid(comparison: Comparison) -> Grid:
    """Lay out every other method minus the first."""
    first = comparison.methods[0].name
    rows = [
        (
            one.name,
            "-" if one.percent is None else f"{one.percent:+.2f}",
            _range(one.ci95_percent, 2, sign="+"),
            f"{one.gflops_per_video:+.4f}",
            _range(one.ci95_gflops_per_video, 4, sign="+"),
            "in pairs" if one.paired else "apart",
        )
        for one in comparison.differences
    ]
    return Grid(
        title=f"Difference from {first}",
        columns=columns(
            ("approach", f"{comparison.metric} points", "95 %", "GFLOPS/v", "95 %", "resampled"),
            ("approach", "resampled"),
            spare=("resampled", "95 %"),
        ),
        rows=tuple(rows),
        caption=(
            "In pairs: both logs hold the same videos, drawn together. Apart: each log's videos "
            "are drawn separately.",
            *(f"Note: {note}." for note in comparison.notes if note.kind == "rules"),
        ),
    )


def _range(ends: tuple[float, float] | None, digits: int, sign: str = "") -> str:
    if ends is None:
        return "-"
    return f"{ends[0]:{sign}.{digits}f} to {ends[1]:{sign}.{digits}f}"


def comparison_csv(comparison: Comparison) -> str:
    """Return one line per method, unrounded."""
    rows = []
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
    return to_csv(COMPARED, rows)
