"""Predictions and overheads as tables and CSV; a prediction is beside its estimate."""

from __future__ import annotations

import json
from collections.abc import Callable

from msgspec.structs import replace

from flopbench.core.grid import Grid, to_csv
from flopbench.core.statistics import FEWEST_PROCESSES, Ends
from flopbench.core.tables import Tables, grid_of
from flopbench.core.units import milliseconds, number_of, percentage
from flopbench.estimate.as_json import estimate_data
from flopbench.estimate.runs import Run
from flopbench.estimate.text import estimate_tables
from flopbench.replay.overheads import Overhead, Overheads, overheads_of
from flopbench.replay.pipeline import DECODE
from flopbench.replay.prediction import Prediction, prediction_data
from flopbench.timing.text import maybe

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
        grids["time-action"] = grid_of("Time by action", rows, ["action"])
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
        grids[f"time-{run.grouped_by}"] = grid_of(title, rows, [run.grouped_by])
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
        "ms/frame": maybe(found.ms_per_frame, _shown),
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
    return grid_of(title, [row], [], caption=tuple(caption))


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
    return grid_of("Time by component", rows, ["component", "what", "verdict"], spare=SPARE)


def _shown(ms: float) -> str:
    return milliseconds(ms / 1e3)


def _range(ends: Ends | None, show: Callable[[float], str] = _shown) -> str:
    return "-" if ends is None else " to ".join(map(show, ends))


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


MEANING = (
    "Beyond the times of the networks when each is called again and again: per fragment, a call of "
    "an action's network; per decision, all the rest, of policy and LSTM, gathering and waiting."
)


def overheads_tables(file: Overheads) -> Tables:
    """Return overheads, ready to be shown."""
    own, done, rows = file.settings, len(file.runs), []
    for mode in file.modes:
        rows.append({"mode": mode})
        for per, one in _kinds(file, mode).items():
            rows[-1][f"ms per {per}"] = _ms(one.host_s)
            if own.device == "cuda":
                rows[-1][f"device ms per {per}"] = maybe(one.device_s, _ms)
            rows[-1][f"repeat per {per}"] = _range(one.repeat_s, _ms)
            rows[-1][f"times per {per}"] = f"{one.times:,}"
    said = f"{own.text(file.device.name)}; {file.clocks[0]}; {number_of(done, 'process')}."
    title = f"Overheads of {file.method}: {number_of(file.videos, 'video')}"
    notes = (f"Note: {note}." for note in file.notes)
    grid = grid_of(title, rows, ["mode"], caption=(MEANING, said, *notes))
    return Tables(
        grids={"overheads": grid},
        csv=lambda: overheads_csv(file),
        json=file.dumps,
        warnings=warnings_of(file),
    )


def warnings_of(file: Overheads) -> list[str]:
    """Return what makes overheads unreliable."""
    done, texts = len(file.runs), []
    if done < file.settings.processes:
        why = f"process {done + 1} failed" if file.failure else "interrupted"
        texts.append(f"{why}: {done} of {file.settings.processes} processes finished")
    if done < FEWEST_PROCESSES:
        texts.append(f"fewer than {FEWEST_PROCESSES} processes show no spread: --processes")
    return texts


def overheads_csv(file: Overheads) -> str:
    """Return one line per mode and kind, times in seconds."""
    header = ("mode", "per", "host_s", "device_s", "repeat_low_s", "repeat_high_s", "times")
    lines = [
        (mode, per, one.host_s, one.device_s, *(one.repeat_s or (None, None)), one.times)
        for mode in file.modes
        for per, one in _kinds(file, mode).items()
    ]
    return to_csv(header, lines)


def _kinds(file: Overheads, mode: str) -> dict[str, Overhead]:
    own = overheads_of(file, mode)
    return {"decision": own.per_decision, "fragment": own.per_fragment}


def _ms(seconds: float) -> str:
    return f"−{milliseconds(-seconds)}" if seconds < 0 else milliseconds(seconds)
