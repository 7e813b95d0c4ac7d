"""Timings as CSV: one line per row, times in seconds."""

from __future__ import annotations

from collections.abc import Callable

from flopbench.core.grid import to_csv
from flopbench.timing.devices import DeviceFacts
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing
from flopbench.timing.verdicts import Summary, summarise

CSV_COLUMNS: tuple[tuple[str, Callable[[Timing, Summary, DeviceFacts], object]], ...] = (
    ("spec", lambda row, s, d: row.what.spec),
    ("device", lambda row, s, d: row.what.device),
    ("device_name", lambda row, s, d: d.name),
    ("batch", lambda row, s, d: row.what.batch),
    ("dtype", lambda row, s, d: row.what.dtype),
    ("channels_last", lambda row, s, d: row.what.channels_last),
    ("compiled", lambda row, s, d: row.what.compiled),
    ("cuda_graph", lambda row, s, d: row.what.cuda_graph),
    ("threads", lambda row, s, d: row.what.threads),
    ("dense_macs", lambda row, s, d: row.work.dense_macs),
    ("activations", lambda row, s, d: row.work.activations),
    ("params", lambda row, s, d: row.work.params),
    ("lead", lambda row, s, d: row.lead),
    ("latency_s", lambda row, s, d: s.headline_s),
    ("repeat_low_s", lambda row, s, d: s.interval_s[0] if s.interval_s else None),
    ("repeat_high_s", lambda row, s, d: s.interval_s[1] if s.interval_s else None),
    ("p50_s", lambda row, s, d: s.p50_s),
    ("p90_s", lambda row, s, d: s.p90_s),
    ("p99_s", lambda row, s, d: s.p99_s),
    ("first_call_s", lambda row, s, d: s.first_s),
    ("wall_s", lambda row, s, d: s.columns.get("wall_s")),
    ("cpu_s", lambda row, s, d: s.columns.get("cpu_s")),
    ("wait_s", lambda row, s, d: s.columns.get("wait_s")),
    ("enqueue_s", lambda row, s, d: s.columns.get("enqueue_s")),
    ("gpu_s", lambda row, s, d: s.columns.get("gpu_s")),
    ("end_to_end_s", lambda row, s, d: s.columns.get("end_to_end_s")),
    ("graph_s", lambda row, s, d: s.columns.get("graph_s")),
    ("images_per_s", lambda row, s, d: s.images_per_s),
    ("queued_images_per_s", lambda row, s, d: s.queued_images_per_s),
    ("achieved_flops_per_s", lambda row, s, d: s.achieved_flops_per_s),
    ("share_of_measured_roof", lambda row, s, d: s.share_of_roof),
    ("share_of_data_sheet_peak", lambda row, s, d: s.share_of_peak),
    ("intensity_low_flops_per_byte", lambda row, s, d: s.intensity[0] if s.intensity else None),
    ("intensity_high_flops_per_byte", lambda row, s, d: s.intensity[1] if s.intensity else None),
    ("bound", lambda row, s, d: s.bound or None),
    ("launch_bound", lambda row, s, d: s.launch_bound),
    ("least_s", lambda row, s, d: s.least_s),
    (
        "least_by_family",
        lambda row, s, d: "; ".join(f"{name} {share:.4f}" for name, share in s.binding),
    ),
    ("peak_bytes", lambda row, s, d: s.peak_bytes),
    ("energy_per_image_j", lambda row, s, d: s.joules),
    ("processes", lambda row, s, d: s.processes),
    ("samples", lambda row, s, d: s.samples),
    ("verdict", lambda row, s, d: s.verdict),
    ("reasons", lambda row, s, d: "; ".join(s.reasons)),
)


def timings_csv(file: TimingFile) -> str:
    """Return one line per row, times in seconds."""
    lines = []
    for row in file.rows:
        device = file.device_of(row)
        summary = summarise(row, device)
        lines.append([value(row, summary, device) for _, value in CSV_COLUMNS])
    return to_csv([name for name, _ in CSV_COLUMNS], lines)
