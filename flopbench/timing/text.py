"""Timings as tables: theoretical cost and time, throughput sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from flopbench.core.grid import Column, Grid, render_grids
from flopbench.core.units import (
    gflops,
    gigabytes,
    millions,
    milliseconds,
    percentage,
    readable_giga,
)
from flopbench.timing.as_json import timings_csv
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.peaks import no_peak_reason, peak_of
from flopbench.timing.records import PRIMARY_COLUMNS, Timing
from flopbench.timing.sweeps import NEAR_BEST, Probe, key_batches
from flopbench.timing.verdicts import Summary, summarise

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


def render_timings(file: TimingFile, format: str, stream: TextIO) -> str | None:
    """Render a timing file.

    Args:
        file: what to render.
        format: ``table``, ``md``, ``csv``, ``json`` or ``latex``.
        stream: where ``table`` is drawn.

    Returns:
        The text, or None for ``table``, which goes to the stream at once.
    """
    if format == "json":
        return file.dumps()
    if format == "csv":
        return timings_csv(file)
    return render_timing_grids(timing_grids(file), format, stream)


def render_timing_grids(grids: Sequence[Grid], format: str, stream: TextIO) -> str | None:
    """Render several grids of timings as ``table``, ``md`` or ``latex``."""
    labels = [f"flopbench-timing-{number}" for number in range(1, len(grids) + 1)]
    return render_grids(grids, labels, format, stream, styles=VERDICT_STYLES)


def timing_grids(file: TimingFile) -> list[Grid]:
    """Return one grid per device, and one per sweep."""
    grids: list[Grid] = []
    for number, device in enumerate(file.devices):
        own = [row for row in file.rows if row.device == number]
        plain = [row for row in own if not row.sweep]
        if plain:
            grids.append(latency_grid(plain, device))
        sweeps = dict.fromkeys(row.sweep for row in own if row.sweep)
        grids += [sweep_grid([row for row in own if row.sweep == name], device) for name in sweeps]
    return grids


@dataclass(slots=True)
class Notes:
    """Footnotes: a text gets its number when it is first used in a cell.

    Attributes:
        numbers: text -> number, in order.
    """

    numbers: dict[str, int]

    def mark(self, text: str, notes: Sequence[str]) -> str:
        """Return a cell: a text followed by the numbers of its notes."""
        marks = [f"[{self.numbers.setdefault(note, len(self.numbers) + 1)}]" for note in notes]
        return " ".join([text, *marks])


def latency_grid(rows: Sequence[Timing], device: DeviceFacts) -> Grid:
    """Lay out latency rows of one device: theory, time, efficiency, verdict."""
    summaries = [summarise(row, device) for row in rows]
    notes = Notes({})
    columns: list[tuple[Column, Callable[[Timing, Summary], str]]] = [
        (Column(title="network", align="left"), lambda row, s: row.what.spec),
        (Column(title="batch"), lambda row, s: str(row.what.batch)),
        (Column(title="dtype", align="left"), lambda row, s: _dtype(row)),
        (Column(title="GMACs"), lambda row, s: maybe(row.work.dense_macs, readable_giga)),
        (Column(title="act. M"), lambda row, s: maybe(row.work.activations, millions)),
        (Column(title="ms"), lambda row, s: maybe(s.headline_s, milliseconds)),
        (Column(title="repeat within"), lambda row, s: _within(s)),
        *_further_times(rows, summaries),
        (Column(title="img/s"), lambda row, s: maybe(s.images_per_s, _rate)),
        *_queued(summaries),
        (Column(title="GFLOP/s"), lambda row, s: maybe(s.achieved_flops_per_s, _gflops)),
        (Column(title="of roof"), lambda row, s: maybe(s.share_of_roof, percentage)),
    ]
    if any(s.share_of_peak is not None for s in summaries):
        columns.append((Column(title="of peak"), lambda row, s: maybe(s.share_of_peak, percentage)))
    if any(s.energy is not None and s.energy.per_image_j is not None for s in summaries):
        columns.append((Column(title="J/img"), lambda row, s: _joules(s)))
    columns += [
        (Column(title="bound", align="left"), lambda row, s: s.bound or NOTHING),
        (
            Column(title="verdict", align="left"),
            lambda row, s: notes.mark(s.verdict, (*s.reasons, *row.notes)),
        ),
    ]
    lines = tuple(
        tuple(cell(row, summary) for _, cell in columns)
        for row, summary in zip(rows, summaries, strict=True)
    )
    return Grid(
        title=f"Latency on {device.name}",
        columns=tuple(column for column, _ in columns),
        rows=lines,
        footnotes=tuple(notes.numbers),
        caption=_caption(rows, summaries, device),
    )


def _queued(
    summaries: Sequence[Summary],
) -> list[tuple[Column, Callable[[Timing, Summary], str]]]:
    if all(s.queued_images_per_s is None for s in summaries):
        return []
    return [(Column(title="queued"), lambda row, s: maybe(s.queued_images_per_s, _rate))]


def _further_times(
    rows: Sequence[Timing], summaries: Sequence[Summary]
) -> list[tuple[Column, Callable[[Timing, Summary], str]]]:
    """Return the columns that follow the headline: the device's other clocks, and percentiles."""
    titles = {
        "wall_s": "wall ms",
        "cpu_s": "CPU ms",
        "enqueue_s": "enqueue ms",
        "gpu_s": "gpu ms",
        "graph_s": "graph ms",
    }
    primary = {row.lead for row in rows}
    found: list[tuple[Column, Callable[[Timing, Summary], str]]] = []
    for name, title in titles.items():
        if any(name in s.columns for s in summaries) and primary != {name}:
            found.append((Column(title=title), _column(name)))
    if any(s.p90_s is not None for s in summaries):
        found.append((Column(title="p90 ms"), lambda row, s: maybe(s.p90_s, milliseconds)))
    if any(s.p99_s is not None for s in summaries):
        found.append((Column(title="p99 ms"), lambda row, s: maybe(s.p99_s, milliseconds)))
    return found


def _column(name: str) -> Callable[[Timing, Summary], str]:
    return lambda row, summary: maybe(summary.columns.get(name), milliseconds)


def sweep_grid(rows: Sequence[Timing], device: DeviceFacts) -> Grid:
    """Lay out one throughput sweep, its key batches marked."""
    rows = sorted(rows, key=lambda row: row.what.batch)
    summaries = [summarise(row, device) for row in rows]
    probes = [Probe.of(row.what.batch, row) for row in rows]
    rates = [probe.images_per_s for probe in probes if probe.images_per_s is not None]
    keys = key_batches(probes, 0)
    names = {"best": "best", "b90": f"B{NEAR_BEST * 100:.0f}"}
    queued = any(summary.queued_images_per_s is not None for summary in summaries)
    notes = Notes({})
    lines = []
    for row, summary in zip(rows, summaries, strict=True):
        marks = [text for key, text in names.items() if keys[key] == row.what.batch]
        rate = summary.images_per_s
        lines.append(
            (
                str(row.what.batch),
                maybe(summary.headline_s, milliseconds),
                _within(summary),
                maybe(rate, _rate),
                *([maybe(summary.queued_images_per_s, _rate)] if queued else []),
                percentage(rate / max(rates)) if rate is not None else NOTHING,
                maybe(summary.share_of_roof, percentage),
                maybe(summary.peak_bytes, gigabytes),
                ", ".join(marks),
                notes.mark(summary.verdict, summary.reasons),
            )
        )
    titles = ["batch", "ms", "repeat within", "img/s", *(["queued"] if queued else [])]
    titles += ["of best", "of roof", "peak GB", "mark", "verdict"]
    left = {"mark", "verdict"}
    spec = rows[0].what
    return Grid(
        title=f"Throughput of {spec.spec}, {_dtype(rows[0])}, on {device.name}",
        columns=tuple(Column(title=t, align="left" if t in left else "right") for t in titles),
        rows=tuple(lines),
        footnotes=tuple(notes.numbers),
        caption=(
            f"B{NEAR_BEST * 100:.0f}: the smallest measured batch within {NEAR_BEST:.0%} of the "
            "best throughput. Each batch in its own process.",
            *_caption(rows, summaries, device),
        ),
    )


def _caption(
    rows: Sequence[Timing], summaries: Sequence[Summary], device: DeviceFacts
) -> tuple[str, ...]:
    primary = " / ".join(dict.fromkeys(PRIMARY_COLUMNS.get(row.lead, row.lead) for row in rows))
    counts = sorted({s.processes for s in summaries if s.processes})
    processes = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    threads = ", ".join(map(str, dict.fromkeys(row.what.threads for row in rows)))
    facts = device.facts
    lines = [
        f"ms: {primary} of one call, median of the medians of {processes} fresh processes; repeat "
        "within: where the same command run again is expected to land (95 %).",
        f"{device.name}, {threads} CPU thread{'' if threads == '1' else 's'}, torch "
        f"{facts.get('torch.version')}, random weights and inputs, evaluation mode. GMACs: dense "
        "multiply-accumulates of one image, counter torch; 1 MAC = 2 FLOPs.",
        _tensor_float(rows),
        "bound: by the roofline of dense operators alone; memory traffic of others is not included."
        if any(s.bound for s in summaries)
        else "",
        "queued: img/s with calls queued back to back; img/s: each call from an idle device."
        if any(s.queued_images_per_s is not None for s in summaries)
        else "",
        _roofs(rows),
    ]
    peak = peak_of(device.name)
    if peak is not None:
        lines.append(f"Peak: dense, {peak.source}.")
    else:
        lines.append(f"No data-sheet peak: {no_peak_reason(device.device, device.name)}.")
    return tuple(line for line in lines if line)


def _tensor_float(rows: Sequence[Timing]) -> str:
    """State what "fp32" means on a GPU: torch's defaults differ for convolutions and matmuls."""
    if all(row.what.device != "cuda" for row in rows):
        return ""
    return (
        "fp32: TF32 off for convolutions and matrix products alike; tf32: on for both. torch's "
        "defaults (convolutions with TF32, matrix products without) are not used."
    )


def _roofs(rows: Sequence[Timing]) -> str:
    roofs = {}
    for row in rows:
        flops, copied = row.roofs.get("flops_per_s"), row.roofs.get("bytes_per_s")
        if flops and copied:
            roofs[row.what.dtype] = (
                f"{row.what.dtype} matmul {_gflops(flops)} GFLOP/s, copy {_gflops(copied)} GB/s"
            )
    return f"Measured roofs of this device: {'; '.join(roofs.values())}." if roofs else ""


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


def _joules(summary: Summary) -> str:
    energy = summary.energy
    return NOTHING if energy is None or energy.per_image_j is None else f"{energy.per_image_j:.3g}"
