"""Overheads as a table and as CSV."""

from __future__ import annotations

from flopbench.core.grid import Grid, columns, to_csv
from flopbench.core.statistics import FEWEST_PROCESSES, Ends
from flopbench.core.tables import Tables
from flopbench.core.units import milliseconds, number_of
from flopbench.replay.overheads import Overhead, Overheads, overheads_of

MEANING = (
    "Beyond the times of the networks when each is called again and again: per fragment, a call of "
    "an action's network; per decision, all the rest, of policy and LSTM, gathering and waiting."
)


def overheads_tables(file: Overheads) -> Tables:
    """Return overheads, ready to be shown."""
    found = {mode: overheads_of(file, mode) for mode in file.modes}
    rows = [
        (mode, *_cells(own.per_decision), *_cells(own.per_fragment)) for mode, own in found.items()
    ]
    own, done = file.settings, len(file.runs)
    said = f"{own.text(file.device.name)}; {file.clocks[0]}; {number_of(done, 'process')}."
    titles = [
        f"{title}{part}"
        for part in (" per decision", " per fragment")
        for title in ("ms", "device ms", "repeat", "times")
    ]
    keep = [
        n
        for n, title in enumerate(["mode", *titles])
        if own.device == "cuda" or "device" not in title
    ]
    grid = Grid(
        title=f"Overheads of {file.method}: {number_of(file.videos, 'video')}",
        columns=columns([["mode", *titles][n] for n in keep], ["mode"]),
        rows=tuple(tuple(row[n] for n in keep) for row in rows),
        caption=(MEANING, said, *(f"Note: {note}." for note in file.notes)),
    )
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
    lines = []
    for mode in file.modes:
        own = overheads_of(file, mode)
        for per, one in (("decision", own.per_decision), ("fragment", own.per_fragment)):
            ends = one.repeat_s or (None, None)
            lines.append((mode, per, one.host_s, one.device_s, *ends, one.times))
    return to_csv(header, lines)


def _cells(one: Overhead) -> tuple[str, str, str, str]:
    device = "-" if one.device_s is None else _ms(one.device_s)
    return _ms(one.host_s), device, _range(one.repeat_s), f"{one.times:,}"


def _range(ends: Ends | None) -> str:
    return "-" if ends is None else f"{_ms(ends[0])} to {_ms(ends[1])}"


def _ms(seconds: float) -> str:
    return f"−{milliseconds(-seconds)}" if seconds < 0 else milliseconds(seconds)
