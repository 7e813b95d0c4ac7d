"""A prediction as tables, as JSON and as CSV, beside the estimate that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.statistics import Ends
from flopbench.core.tables import Tables
from flopbench.core.units import milliseconds, percentage
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.runs import Run
from flopbench.estimate.text import estimate_tables
from flopbench.replay.pipeline import DECODE
from flopbench.replay.prediction import Prediction, prediction_data

NOT_SAVED = (
    "Decoding: of every sampled frame of a video, skipped or not; a log does not know the frames "
    "between them (--decoded N)."
)
SPARE = ("what", "repeat within", "runs/video", "share")
"""Columns that go where space is short, the first one first."""


def prediction_tables(run: Run, found: Prediction, source: str) -> Tables:
    """Return an estimate with its times, ready to be shown; ``source`` names the timing file."""
    whole = estimate_tables(run)
    first, *rest = whole.grids.items()
    grids = dict([first, ("time", _time_grid(found, source)), *rest])
    grids["time-component"] = _components_grid(found)
    if found.actions_ms:
        rows = [{"action": name, "ms/video": _shown(ms)} for name, ms in found.actions_ms.items()]
        grids["time-action"] = _grid("Time by action", rows, ["action"])
    if found.groups:
        rows = [
            {
                run.grouped_by: group.name,
                "videos": "-" if group.videos is None else f"{group.videos:,}",
                "ms/video": _shown(group.ms_per_video),
                "95 %": _range(group.interval_ms),
            }
            for group in found.groups
        ]
        title = f"Time by {run.grouped_by}"
        grids[f"time-{run.grouped_by}"] = _grid(title, rows, [run.grouped_by])
    return replace(
        whole,
        grids=grids,
        csv=lambda: _csv(found),
        json=lambda: _json(run, found, source),
        warnings=[*whole.warnings, *found.warnings],
    )


def _time_grid(found: Prediction, source: str) -> Grid:
    row = {
        "ms/video": _shown(found.ms_per_video),
        "95 %": _range(found.interval_ms),
        "ms/frame": "-" if found.ms_per_frame is None else _shown(found.ms_per_frame),
        "videos/s": f"{found.videos_per_s:.4g}" if found.ms_per_video else "-",
    }
    if found.mj_per_video is not None:
        row["mJ/video"] = f"{found.mj_per_video:.4g}"
    title = f"Time by {source}: {found.setting_text}"
    charged = (
        f", and beside them: {', '.join(found.further)}."
        if found.further
        else "; gathering, copies and waiting are not in it (flopbench replay measures them)."
    )
    caption = [f"Runs of each component × its measured time{charged}"]
    if DECODE in found.further:
        caption.append(NOT_SAVED)
    if found.interval_ms is not None:
        caption.append("95 %: the videos' spread, and where a repeat of the timings is expected.")
    else:
        caption.append("No interval: it takes several videos, and two processes for each time.")
    return _grid(title, [row], [], caption=tuple(caption))


def _components_grid(found: Prediction) -> Grid:
    rows = [
        {
            "component": name,
            "what": one.spec,
            "ms a run": _shown(1e3 * one.run_s),
            "repeat within": _repeat(one.run_s, one.repeat_s),
            "verdict": one.verdict or "-",
            "runs/video": f"{one.runs_per_video:.4f}",
            "ms/video": _shown(one.ms_per_video),
            "share": percentage(one.share),
        }
        for name, one in found.components.items()
    ]
    return _grid("Time by component", rows, ["component", "what", "verdict"])


def _grid(
    title: str,
    rows: Sequence[Mapping[str, str]],
    text: Sequence[str],
    *,
    caption: tuple[str, ...] = (),
) -> Grid:
    return Grid(
        title=title,
        columns=columns(list(rows[0]), text, spare=SPARE),
        rows=tuple(tuple(row.values()) for row in rows),
        caption=caption,
    )


def _shown(ms: float) -> str:
    return milliseconds(ms / 1e3)


def _range(ends: Ends | None) -> str:
    return "-" if ends is None else f"{_shown(ends[0])} to {_shown(ends[1])}"


def _repeat(seconds: float, ends: Ends | None) -> str:
    if ends is None:
        return "-"
    low, high = (100 * (end / seconds - 1) for end in ends)
    return f"{low:+.1f} % {high:+.1f} %".replace("-", "−")


def _json(run: Run, found: Prediction, source: str) -> str:
    data = {**estimate_data(run), "time": {"source": source, **prediction_data(found)}}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _csv(found: Prediction) -> str:
    """Return one line per part: what it is, its name and its figures, unrounded."""
    figures = ("ms_per_video", "ci95_low_ms", "ci95_high_ms", "ms_a_run", "runs_per_video")
    header = ("part", "name", *figures, "verdict")
    low, high = found.interval_ms or (None, None)
    rows: list[tuple[object, ...]] = [
        ("run", found.method, found.ms_per_video, low, high, None, None, None)
    ]
    for name, one in found.components.items():
        ends = (None, None)
        own = (1e3 * one.run_s, one.runs_per_video, one.verdict)
        rows.append(("component", name, one.ms_per_video, *ends, *own))
    rows += [("action", name, ms, *[None] * 5) for name, ms in found.actions_ms.items()]
    for group in found.groups:
        ends_ms = group.interval_ms or (None, None)
        rows.append(("group", group.name, group.ms_per_video, *ends_ms, None, None, None))
    return to_csv(header, rows)
