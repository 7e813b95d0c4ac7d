"""Rows of timing files for a figure: read and chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from flopbench.core.errors import InputError, distinct, near_match
from flopbench.core.units import CONVENTION, plural
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import listed
from flopbench.present.figures.inputs.files import CallerError, read_all
from flopbench.present.kind import Option
from flopbench.timing.devices import DTYPES, DeviceFacts, differing
from flopbench.timing.file import TimingFile, merge
from flopbench.timing.records import PRIMARY_COLUMNS, Timing
from flopbench.timing.verdicts import Summary, summarise

Timings: TypeAlias = "str | Path | TimingFile"
"""One timing file, or what was read from it."""

MOST_NAMED = 6
"""A caption names at most this many rows and counts the rest; the CSV has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRow:
    """One row that was measured.

    Attributes:
        row: as in its file.
        device: the machine.
        machine: what the figure calls the machine; machines whose timings cannot be compared have
            different names.
        summary: headline, interval, verdict.
    """

    row: Timing
    device: DeviceFacts
    machine: str
    summary: Summary

    @property
    def seconds(self) -> float:
        """The headline, seconds a call."""
        return self.summary.headline_s or 0.0

    @property
    def dense_macs(self) -> int:
        """Of one call: those of an image times the batch; 0 where unknown."""
        return (self.row.work.dense_macs or 0) * self.row.what.batch

    @property
    def stable(self) -> bool:
        """Whether the verdict is ``stable``."""
        return self.summary.verdict == "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTimings:
    """What was read.

    Attributes:
        rows: those that were measured.
        left_out: (row, why) of those that were not.
    """

    rows: tuple[TimedRow, ...]
    left_out: tuple[tuple[str, str], ...]


ROWS = (
    Option(
        "--device",
        "only rows of cpu, cuda, mps or a machine with NAME in its name; repeatable",
        "devices",
        metavar="NAME",
        repeat=True,
    ),
    Option(
        "--dtype",
        "only rows in this number format; repeatable",
        "dtypes",
        metavar="DTYPE",
        repeat=True,
    ),
    Option(
        "--batch",
        "only rows of this batch; repeatable",
        "batches",
        positive=True,
        metavar="N",
        repeat=True,
    ),
)
"""Options that choose rows."""

COLUMNS: tuple[tuple[str, Callable[[TimedRow], object]], ...] = (
    ("spec", lambda one: one.row.what.spec),
    ("device", lambda one: one.row.what.device),
    ("device_name", lambda one: one.device.name),
    ("batch", lambda one: one.row.what.batch),
    ("dtype", lambda one: one.row.what.dtype),
    ("options", lambda one: one.row.what.options),
    ("threads", lambda one: one.row.what.threads),
    ("dense_macs_per_image", lambda one: one.row.work.dense_macs),
    ("activations_per_image", lambda one: one.row.work.activations),
    ("params", lambda one: one.row.work.params),
    ("lead", lambda one: one.row.lead),
    ("latency_s", lambda one: one.summary.headline_s),
    ("repeat_low_s", lambda one: one.summary.interval_s[0] if one.summary.interval_s else None),
    ("repeat_high_s", lambda one: one.summary.interval_s[1] if one.summary.interval_s else None),
    ("processes", lambda one: one.summary.processes),
    ("samples", lambda one: one.summary.samples),
    ("verdict", lambda one: one.summary.verdict),
    ("reasons", lambda one: "; ".join(one.summary.reasons)),
)
"""Columns of ``--data`` that describe the row itself."""


def chosen_timings(
    timings: Timings | Sequence[Timings],
    devices: Sequence[str],
    dtypes: Sequence[str],
    batches: Sequence[int],
) -> ChosenTimings:
    """Read timing files and choose rows; rows of several files are kept apart, never pooled.

    Raises:
        InputError: a file of another kind, no file, a selection without a row, or only failures.
        DataError: a damaged file.
    """
    file = merge(read_all(timings, TIMINGS, TimingFile, TimingFile.load))
    rows = _chosen(file, devices, dtypes, batches)
    machines = _machine_names(file.devices)
    measured = tuple(
        TimedRow(row=r, device=d, machine=machines[r.device], summary=summarise(r, d))
        for r, d in ((row, file.device_of(row)) for row in rows)
    )
    failed = tuple((str(o.row.what), o.summary.reasons[0]) for o in measured if not o.seconds)
    good = tuple(one for one in measured if one.seconds)
    if not good:
        raise CallerError(f": no row was measured: {first_few(failed)}")
    return ChosenTimings(rows=good, left_out=failed)


def _chosen(
    file: TimingFile, devices: Sequence[str], dtypes: Sequence[str], batches: Sequence[int]
) -> list[Timing]:
    rows = list(file.rows)
    if not rows:
        raise InputError("the timing file holds no rows")
    names = list(dict.fromkeys((*(r.what.device for r in rows), *(d.name for d in file.devices))))
    for wanted in devices:
        if not any(_is(wanted, row, file) for row in rows):
            raise InputError(
                f"no row was timed on {wanted!r}", near_match(wanted, names, "devices of the file")
            )
    there = list(dict.fromkeys(row.what.dtype for row in rows))
    for dtype in dtypes:
        if dtype not in there:
            kind = "no row was timed in" if dtype in DTYPES else "unknown dtype"
            raise InputError(f"{kind} {dtype!r}", near_match(dtype, there, "dtypes of the file"))
    sizes = sorted({row.what.batch for row in rows})
    for batch in batches:
        if batch not in sizes:
            raise InputError(
                f"no row has the batch {batch}",
                f"batches of the file: {', '.join(map(str, sizes))}",
            )
    left = [
        row
        for row in rows
        if (not devices or any(_is(wanted, row, file) for wanted in devices))
        and (not dtypes or row.what.dtype in dtypes)
        and (not batches or row.what.batch in batches)
    ]
    if not left:
        raise InputError("no row matches all of the chosen devices, dtypes and batches")
    return left


def _is(wanted: str, row: Timing, file: TimingFile) -> bool:
    return wanted == row.what.device or (
        bool(wanted) and wanted.lower() in file.device_of(row).name.lower()
    )


def _machine_names(devices: Sequence[DeviceFacts]) -> list[str]:
    """Name machines; those whose timings can be compared share a name."""
    kinds: list[DeviceFacts] = []
    places = []
    for device in devices:
        own = [n for n, kind in enumerate(kinds) if not differing(kind, device)]
        places.append(own[0] if own else len(kinds))
        if not own:
            kinds.append(device)
    names = [kind.name for kind in kinds]
    unlike = []
    for n, kind in enumerate(kinds):
        first = kinds[names.index(kind.name)]
        against = (
            first
            if first is not kind
            else next((other for other in kinds[n + 1 :] if other.name == kind.name), kind)
        )
        facts = differing(kind, against)
        unlike.append(f"{kind.name} ({facts[0][0]} {facts[0][1]})" if facts else kind.name)
    named = distinct(unlike)
    return [named[place] for place in places]


def first_few(rows: Sequence[tuple[str, str]]) -> str:
    """Return ``name (why); name (why)``, the first few, and how many more."""
    parts = [f"{name} ({why})" if why else name for name, why in rows[:MOST_NAMED]]
    if len(rows) > MOST_NAMED:
        parts.append(f"and {len(rows) - MOST_NAMED} more")
    return "; ".join(parts)


def how_timed(rows: Sequence[TimedRow]) -> str:
    """Describe how the times were measured, for a caption."""
    leads = listed(
        list(dict.fromkeys(PRIMARY_COLUMNS.get(o.row.lead, o.row.lead) for o in rows)), "or"
    )
    counts = sorted({one.summary.processes for one in rows})
    many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    fresh = "fresh process" if counts == [1] else "fresh processes"
    versions = dict.fromkeys(str(one.device.facts.get("torch.version")) for one in rows)
    return (
        f"Time: {leads} of one call, median of the medians of {many} {fresh}, torch "
        f"{listed(list(versions))}, random weights and inputs, evaluation mode."
    )


def timed_models(count: int) -> str:
    """Return ``1 timed model``, ``7 timed models``."""
    return f"{count} timed {plural(count, 'model')}"


MACS_NOTE = f"MACs: dense, counter torch. {CONVENTION}"
