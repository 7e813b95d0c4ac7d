"""Timings as tables: theoretical cost and time, throughput sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from flopbench.core.grid import Column, Grid, columns
from flopbench.core.tables import Tables
from flopbench.core.units import (
    gflops,
    gigabytes,
    millions,
    milliseconds,
    percentage,
    readable_giga,
)
from flopbench.timing.as_csv import timings_csv
from flopbench.timing.captions import how_timed, of_stages, where_timed
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.peaks import no_peak_reason, peak_of
from flopbench.timing.records import Timing
from flopbench.timing.sweeps import NEAR_BEST, Probe, key_batches
from flopbench.timing.verdicts import PROCESSES_DIFFER, WAITING, Summary, summarise

VERDICT_STYLES = {
    "stable": "green",
    "same": "green",
    "faster": "green",
    "noisy": "yellow",
    "inconclusive": "yellow",
    "unstable": "red",
    "invalid": "red",
    "failed": "red",
    "slower": "red",
}

NOTHING = "-"


def timing_tables(file: TimingFile, more: Sequence[Grid] = ()) -> Tables:
    """Return a timing file, ready to be shown, with more tables below its own."""
    grids = [*timing_grids(file), *more]
    return Tables(
        grids={f"timing-{number}": grid for number, grid in enumerate(grids, 1)},
        csv=lambda: timings_csv(file),
        json=file.dumps,
        styles=VERDICT_STYLES,
    )


def timing_grids(file: TimingFile) -> list[Grid]:
    """Return one grid per device, one for the stages of a pipeline, and one per sweep."""
    grids: list[Grid] = []
    for number, device in enumerate(file.devices):
        own = [row for row in file.rows if row.device == number]
        plain = [row for row in own if not row.sweep]
        for staged in (False, True):
            alike = [row for row in plain if bool(row.what.stage) is staged]
            grids += [latency_grid(alike, device)] if alike else []
        sweeps = dict.fromkeys(row.sweep for row in own if row.sweep)
        grids += [sweep_grid([row for row in own if row.sweep == name], device) for name in sweeps]
    return grids


class Notes:
    """Footnotes: a text gets its number when it is first used in a cell."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, text: str, notes: Sequence[str]) -> str:
        """Return a cell: a text followed by the numbers of its notes."""
        marks = [f"[{self.numbers.setdefault(note, len(self.numbers) + 1)}]" for note in notes]
        return " ".join([text, *marks])

    def besides(self, *shown: str) -> set[str]:
        """Return the notes but those that begin with what a column shows anyway."""
        return {note for note in self.numbers if not note.startswith(shown)}


_TENSOR_FLOAT = (
    "fp32: TF32 off for convolutions and matrix products alike; tf32: on for both. torch's "
    "defaults (convolutions with TF32, matrix products without) are not used."
)
_BOUND = (
    "bound: by the roofline of dense operators alone; memory traffic of others is not included."
)
_LEAST = (
    "least ms: the least time of the operators of a call, one after another, each at the highest "
    "rate of its family measured here; of least: the families that take most of it."
)
_QUEUED = "queued: img/s with calls queued back to back; img/s: each call from an idle device."

_LATENCY: tuple[tuple[str, Callable[[Timing, Summary], str]], ...] = (
    ("network", lambda row, s: row.what.spec),
    ("batch", lambda row, s: str(row.what.batch)),
    ("dtype", lambda row, s: _dtype(row)),
    ("GMACs", lambda row, s: maybe(row.work.dense_macs, readable_giga)),
    ("act. M", lambda row, s: maybe(row.work.activations, millions)),
    ("ms", lambda row, s: maybe(s.headline_s, milliseconds)),
    ("repeat within", lambda row, s: _within(s)),
    ("wall ms", lambda row, s: maybe(s.columns.get("wall_s"), milliseconds)),
    ("CPU ms", lambda row, s: maybe(s.columns.get("cpu_s"), milliseconds)),
    ("enqueue ms", lambda row, s: maybe(s.columns.get("enqueue_s"), milliseconds)),
    ("gpu ms", lambda row, s: maybe(s.columns.get("gpu_s"), milliseconds)),
    ("graph ms", lambda row, s: maybe(s.columns.get("graph_s"), milliseconds)),
    ("p90 ms", lambda row, s: maybe(s.p90_s, milliseconds)),
    ("p99 ms", lambda row, s: maybe(s.p99_s, milliseconds)),
    ("img/s", lambda row, s: maybe(s.images_per_s, _rate)),
    ("queued", lambda row, s: maybe(s.queued_images_per_s, _rate)),
    ("GFLOP/s", lambda row, s: maybe(s.achieved_flops_per_s, _gflops)),
    ("of roof", lambda row, s: maybe(s.share_of_roof, percentage)),
    ("of peak", lambda row, s: maybe(s.share_of_peak, percentage)),
    ("J/img", lambda row, s: maybe(s.joules, "{:.3g}".format)),
    ("bound", lambda row, s: s.bound or NOTHING),
    ("least ms", lambda row, s: maybe(s.least_s, milliseconds)),
    ("of least", lambda row, s: _shares(s.binding)),
)
_WHERE_KNOWN = {
    *("wall ms", "CPU ms", "enqueue ms", "gpu ms", "graph ms", "p90 ms", "p99 ms"),
    *("queued", "of peak", "J/img", "least ms", "of least"),
}
"""Columns that are left out where no row has a value."""

SPARE = (
    *("of least", "least ms"),
    *("queued", "enqueue ms", "graph ms", "p99 ms", "p90 ms", "gpu ms", "CPU ms", "wall ms"),
    *("GFLOP/s", "bound", "act. M", "of peak", "of roof", "J/img", "dtype", "batch", "mark"),
    *("img/s", "frames/s", "repeat within", "GMACs"),
)
"""Columns that go where space is short, the first one first."""

_OF_STAGES = {"network": "stage", "img/s": "frames/s"}
"""What columns are called for the stages of a pipeline."""
_OF_CALLS = {"batch", "dtype"}
"""Columns that stages of a pipeline do not have."""

_OF_LEAD = {"wall_s": "wall ms", "cpu_s": "CPU ms"}
"""Primary column -> the column that would repeat the headline."""


def latency_grid(rows: Sequence[Timing], device: DeviceFacts) -> Grid:
    """Lay out latency rows of one device: theory, time, efficiency, verdict.

    Rows are all of networks, or all of stages of a pipeline, which have no theory.
    """
    staged = bool(rows[0].what.stage)
    summaries = [summarise(row, device) for row in rows]
    pairs = list(zip(rows, summaries, strict=True))
    leads = {row.lead for row in rows}
    left_out = {_OF_LEAD.get(next(iter(leads)))} if len(leads) == 1 else set()
    titles, filled = [], []
    for title, cell in _LATENCY:
        cells = [cell(row, summary) for row, summary in pairs]
        empty = (staged or title in _WHERE_KNOWN) and set(cells) == {NOTHING}
        if not (empty or title in left_out or (staged and title in _OF_CALLS)):
            titles.append(_OF_STAGES.get(title, title) if staged else title)
            filled.append(cells)
    notes = Notes()
    filled.append([notes.mark(s.verdict, (*s.reasons, *row.notes)) for row, s in pairs])
    caption = (of_stages if staged else _caption)(rows, summaries, device)
    return Grid(
        title=f"{'Pipeline, each frame,' if staged else 'Latency'} on {device.name}",
        columns=_columns(*titles, "verdict"),
        rows=tuple(zip(*filled, strict=True)),
        footnotes=tuple(notes.numbers),
        caption=caption,
        stay=notes.besides(PROCESSES_DIFFER) | {caption[0], *_busy_roofs(rows)},
    )


def _columns(*titles: str) -> tuple[Column, ...]:
    text = ("network", "stage", "dtype", "bound", "of least", "verdict", "mark")
    return columns(titles, text, spare=SPARE, lower=("ms", "J/img"), higher=("img/s", "frames/s"))


def sweep_grid(rows: Sequence[Timing], device: DeviceFacts) -> Grid:
    """Lay out one throughput sweep, its key batches marked."""
    rows = sorted(rows, key=lambda row: row.what.batch)
    summaries = [summarise(row, device) for row in rows]
    best = max((s.images_per_s for s in summaries if s.images_per_s is not None), default=1.0)
    keys = key_batches([Probe.of(row) for row in rows], 0)
    near = f"B{NEAR_BEST * 100:.0f}"
    names = {"best": "best", "b90": near}
    notes = Notes()
    lines = []
    for row, summary in zip(rows, summaries, strict=True):
        marks = [text for key, text in names.items() if keys[key] == row.what.batch]
        rate = summary.images_per_s
        queued = {"queued": maybe(summary.queued_images_per_s, _rate)}
        lines.append(
            {
                "batch": str(row.what.batch),
                "ms": maybe(summary.headline_s, milliseconds),
                "repeat within": _within(summary),
                "img/s": maybe(rate, _rate),
                **(queued if any(s.queued_images_per_s is not None for s in summaries) else {}),
                "of best": maybe(None if rate is None else rate / best, percentage),
                "of roof": maybe(summary.share_of_roof, percentage),
                "peak GB": maybe(summary.peak_bytes, gigabytes),
                "mark": ", ".join(marks),
                "verdict": notes.mark(summary.verdict, summary.reasons),
            }
        )
    general = (
        f"{near}: the smallest measured batch within {NEAR_BEST:.0%} of the best throughput. Each "
        "batch in its own process."
    )
    return Grid(
        title=f"Throughput of {rows[0].what.spec}, {_dtype(rows[0])}, on {device.name}",
        columns=_columns(*lines[0]),
        rows=tuple(tuple(line.values()) for line in lines),
        footnotes=tuple(notes.numbers),
        caption=(general, *_caption(rows, summaries, device)),
        stay=notes.besides(PROCESSES_DIFFER) | {general, *_busy_roofs(rows)},
    )


def _caption(
    rows: Sequence[Timing], summaries: Sequence[Summary], device: DeviceFacts
) -> tuple[str, ...]:
    lines = [
        how_timed(rows, summaries, "call"),
        f"{where_timed(rows, device)}, torch {device.facts.get('torch.version')}, random weights "
        "and inputs, evaluation mode. GMACs: dense multiply-accumulates of one image, counter "
        "torch; 1 MAC = 2 FLOPs.",
    ]
    if any(row.what.device == "cuda" for row in rows):
        lines.append(_TENSOR_FLOAT)
    if any(s.bound for s in summaries):
        lines.append(_BOUND)
    if any(s.least_s is not None for s in summaries):
        lines.append(_LEAST)
    if any(s.queued_images_per_s is not None for s in summaries):
        lines.append(_QUEUED)
    roofs = {
        row.what.dtype: f"{row.what.dtype} matmul {_gflops(flops)} GFLOP/s, "
        f"copy {_gflops(copied)} GB/s"
        for row in rows
        if (flops := row.roofs.get("flops_per_s")) and (copied := row.roofs.get("bytes_per_s"))
    }
    if roofs:
        how = _conditions(rows)
        lines.append(f"Measured roofs of this device: {'; '.join(roofs.values())}{how}.")
        lines += _busy_roofs(rows)
    peak = peak_of(device.name)
    if peak is not None:
        lines.append(f"Peak: dense, {peak.source}.")
    else:
        lines.append(f"No data-sheet peak: {no_peak_reason(device.device, device.name)}.")
    return tuple(lines)


def _busy_roofs(rows: Sequence[Timing]) -> list[str]:
    """Warn where a roof was measured on a busy machine, so that a share of it says little."""
    others = max((row.roofs.get("others") or 0.0 for row in rows), default=0.0)
    if others <= WAITING:
        return []
    return [
        f"The roofs were measured while others used {percentage(others)} of the time, so they may "
        "be too low; the next run measures them again."
    ]


def _conditions(rows: Sequence[Timing]) -> str:
    """Say when roofs were measured, at which load, and how the calls spread; empty if unknown."""
    when, load, spread = (
        max((value for row in rows if (value := row.roofs.get(name)) is not None), default=None)
        for name in ("measured_unix_s", "load", "spread")
    )
    said = [
        "" if when is None else f"measured {datetime.fromtimestamp(when, timezone.utc):%Y-%m-%d}",
        "" if load is None else f"load {load:.1f}",
        "" if spread is None else f"the median call {percentage(spread)} slower than the best",
    ]
    return f" ({', '.join(filter(None, said))})" if any(said) else ""


def _shares(binding: Sequence[tuple[str, float]]) -> str:
    """Name the families that take the largest shares of the least time."""
    named = [f"{family} {percentage(share)}" for family, share in binding[:2]]
    return ", ".join(named) or NOTHING


def _dtype(row: Timing) -> str:
    return ", ".join(text for text in (row.what.dtype, row.what.options) if text)


def maybe(value: float | None, show: Callable[..., str]) -> str:
    """Return a value as text, or a dash if there is none."""
    return NOTHING if value is None else show(value)


def _within(summary: Summary) -> str:
    if summary.interval_s is None or not summary.headline_s:
        return NOTHING
    low, high = (end / summary.headline_s - 1 for end in summary.interval_s)
    return f"{low:+.1%} {high:+.1%}".replace("%", " %").replace("-", "−")


def _rate(images_per_s: float) -> str:
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.1f}"


def _gflops(per_second: float) -> str:
    return f"{gflops(per_second):.1f}"
