"""Comparisons of timings as text, CSV and JSON."""

from __future__ import annotations

import json

from msgspec import to_builtins

from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.tables import Tables
from flopbench.core.units import milliseconds
from flopbench.timing.comparison import ComparedFiles
from flopbench.timing.text import NOTHING, VERDICT_STYLES, Notes, maybe

COMPARISON_SCHEMA = 1
COMPARISON_KIND = "flopbench.time-comparison"


def time_comparison_tables(result: ComparedFiles, names: tuple[str, str]) -> Tables:
    """Return a comparison of timings, ready to be shown.

    File format (JSON): ``{"schema": 1, "kind": "flopbench.time-comparison", "pairs": [...],
    "only_a": [...], "only_b": [...]}``.
    """
    return Tables(
        grids={"timing-1": time_comparison_grid(result, names)},
        csv=lambda: time_comparison_csv(result),
        json=lambda: time_comparison_json(result, names),
        styles=VERDICT_STYLES,
    )


def time_comparison_grid(result: ComparedFiles, names: tuple[str, str]) -> Grid:
    """Lay out compared rows: a ratio of times below 1 means that the second is faster."""
    notes = Notes()
    lines: list[tuple[str, ...]] = []
    for pair in result.pairs:
        ends = pair.interval
        remarks = [*([pair.reason] if pair.reason else []), *pair.changed]
        lines.append(
            (
                pair.a.what.spec,
                pair.b.what.spec,
                "paired" if pair.paired else "apart",
                maybe(pair.macs_ratio, "{:.4f}".format),
                maybe(pair.a_s, milliseconds),
                maybe(pair.b_s, milliseconds),
                maybe(pair.ratio, "{:.4f}".format),
                NOTHING if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}",
                notes.mark(pair.verdict, remarks),
            )
        )
    for rows, name in ((result.only_a, names[0]), (result.only_b, names[1])):
        for row in rows:
            ab = (row.what.spec, NOTHING) if name == names[0] else (NOTHING, row.what.spec)
            verdict = notes.mark("inconclusive", [f"{row.what}: only in {name}"])
            lines.append((*ab, *[NOTHING] * 6, verdict))
    titles = ["A", "B", "samples", "MACs B/A", "A ms", "B ms", "time B/A", "95 %", "B is"]
    if all(line[0] == line[1] for line in lines):  # one network at two times: named once
        titles[:2] = ["network"]
        lines = [line[1:] for line in lines]
    left = ("A", "B", "network", "samples", "B is")
    caption: tuple[str, ...] = (
        "time B/A below 1: B is faster. 95 %: the wider of bootstrap and Student's t over "
        "processes; 'same' is within ±2 %.",
    )
    if names[0] != names[1]:
        caption += (f"A: {names[0]}. B: {names[1]}.",)
    return Grid(
        title="Comparison of times",
        columns=columns(titles, left, spare=("samples", "MACs B/A", "B ms", "A ms", "95 %")),
        rows=tuple(lines),
        footnotes=tuple(notes.numbers),
        caption=caption,
        stay=notes.besides("the interval ") | {caption[0]},
    )


def time_comparison_csv(result: ComparedFiles) -> str:
    """Return one line per pair."""
    header = (
        *("a", "b", "paired", "macs_ratio", "a_s", "b_s", "ratio", "low", "high", "verdict"),
        "reason",
    )
    nothing = [None] * 7
    lines: list[list[object]] = [
        [
            *(str(pair.a.what), str(pair.b.what), pair.paired),
            *(pair.macs_ratio, pair.a_s, pair.b_s, pair.ratio),
            *(pair.interval or (None, None)),
            *(pair.verdict, pair.reason),
        ]
        for pair in result.pairs
    ]
    lines += [[str(row.what), None, *nothing, "inconclusive", "only in a"] for row in result.only_a]
    lines += [[None, str(row.what), *nothing, "inconclusive", "only in b"] for row in result.only_b]
    return to_csv(header, lines)


def time_comparison_json(result: ComparedFiles, names: tuple[str, str]) -> str:
    """Return the comparison as JSON, with full specifications, without samples."""
    data = {
        "schema": COMPARISON_SCHEMA,
        "kind": COMPARISON_KIND,
        "a": names[0],
        "b": names[1],
        "pairs": [
            {
                "a": to_builtins(pair.a.what),
                "b": to_builtins(pair.b.what),
                "paired": pair.paired,
                "dense_macs_ratio": pair.macs_ratio,
                "a_s": pair.a_s,
                "b_s": pair.b_s,
                "ratio": pair.ratio,
                "ci95": pair.interval,
                "verdict": pair.verdict,
                "reason": pair.reason,
                "changed": pair.changed,
            }
            for pair in result.pairs
        ],
        "only_a": [to_builtins(row.what) for row in result.only_a],
        "only_b": [to_builtins(row.what) for row in result.only_b],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
