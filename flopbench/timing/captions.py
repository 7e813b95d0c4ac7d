"""What stands below a table of timings, and all that stands below one of a pipeline."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flopbench.core.units import milliseconds
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.records import PRIMARY_COLUMNS, Timing
from flopbench.timing.verdicts import Summary


def how_timed(rows: Sequence[Timing], summaries: Sequence[Summary], of: str) -> str:
    """Say what milliseconds are; ``of`` is what takes them."""
    primary = " / ".join(dict.fromkeys(PRIMARY_COLUMNS.get(row.lead, row.lead) for row in rows))
    counts = sorted({s.processes for s in summaries if s.processes})
    processes = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"
    return (
        f"ms: {primary} of one {of}, median of the medians of {processes} fresh processes; repeat "
        "within: where the same command run again is expected to land (95 %)."
    )


def where_timed(rows: Sequence[Timing], device: DeviceFacts) -> str:
    """Name the machine and the threads."""
    threads = ", ".join(map(str, dict.fromkeys(row.what.threads for row in rows)))
    return f"{device.name}, {threads} CPU thread{'' if threads == '1' else 's'}"


def of_stages(
    rows: Sequence[Timing], summaries: Sequence[Summary], device: DeviceFacts
) -> tuple[str, ...]:
    """Return the caption of the stages of a pipeline."""
    libraries = (("PyAV", "av.version"), ("Pillow", "pillow.version"), ("torch", "torch.version"))
    versions = [f"{name} {device.facts[key]}" for name, key in libraries if device.facts.get(key)]
    return (
        how_timed(rows, summaries, "frame"),
        f"{_sum(rows, summaries)}A decoder decodes frames that are skipped, too.",
        f"{where_timed(rows, device)}, {', '.join(versions)}. Whole frames, resized bilinearly "
        "with antialiasing; normalised: to a tensor of floats.",
    )


def _sum(rows: Sequence[Timing], summaries: Sequence[Summary]) -> str:
    """Say what a frame takes; empty for several clips, and where a stage failed."""
    found: dict[str, list[float]] = {}
    for row, summary in zip(rows, summaries, strict=True):
        found.setdefault(row.what.stage, []).append(summary.headline_s or math.nan)
    whole = sum(map(sum, found.values()))
    if math.isnan(whole) or len(found.get("decode", ())) != 1:
        return ""
    parts = [
        f"{stage} {milliseconds(sum(times))}{f' ({len(times)} sizes)' if len(times) > 1 else ''}"
        for stage, times in found.items()
    ]
    return f"A frame through all of them: {milliseconds(whole)} ms ({', '.join(parts)}). "
