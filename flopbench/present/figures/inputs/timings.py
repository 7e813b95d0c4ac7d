"""Rows of timing files for a figure: read, chosen, grouped by what shares one line or one roof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from flopbench.core.errors import InputError, distinct, near_match
from flopbench.core.remarks import Remark
from flopbench.core.units import CONVENTION, number_of
from flopbench.models.shapes import split_outside
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import MOST_LOOKS, listed, printable
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


ROWS = (
    Option(
        "--device NAME",
        "only rows of cpu, cuda, mps or a machine with NAME in its name; repeatable",
        "devices",
        repeat=True,
    ),
    Option("--dtype DTYPE", "only rows in this number format; repeatable", "dtypes", repeat=True),
    Option(
        "--batch N", "only rows of this batch; repeatable", "batches", positive=True, repeat=True
    ),
)
"""Options that choose rows."""


class TimedRow(Struct, frozen=True, kw_only=True):
    """One row that was measured.

    Attributes:
        machine: what the figure calls the machine; machines whose timings cannot be compared have
            different names.
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

    @property
    def columns(self) -> dict[str, object]:
        """Columns of ``--data`` that describe the row itself."""
        what, work, summary = self.row.what, self.row.work, self.summary
        low, high = summary.interval_s or (None, None)
        return {
            "spec": what.spec,
            "device": what.device,
            "device_name": self.device.name,
            "batch": what.batch,
            "dtype": what.dtype,
            "options": what.options,
            "threads": what.threads,
            "dense_macs_per_image": work.dense_macs,
            "activations_per_image": work.activations,
            "params": work.params,
            "lead": self.row.lead,
            "latency_s": summary.headline_s,
            "repeat_low_s": low,
            "repeat_high_s": high,
            "processes": summary.processes,
            "samples": summary.samples,
            "verdict": summary.verdict,
            "reasons": "; ".join(summary.reasons),
        }


PARTS: Mapping[str, Callable[[TimedRow], str]] = {
    "machine": lambda one: one.machine,
    "threads": lambda one: number_of(one.row.what.threads, "thread"),
    "dtype": lambda one: one.row.what.dtype,
    "batch": lambda one: f"batch {one.row.what.batch}",
    "options": lambda one: one.row.what.options,
}
"""What distinguishes timings of one model."""


class TimingGroup(Struct, frozen=True, kw_only=True):
    """Rows that share one line, or one roof.

    Attributes:
        name: what distinguishes it from the other groups; its full name where it is the only one.
        whole: its full name.
        rows: what a figure calls each, and the row; in the order of the files.
    """

    name: str
    whole: str
    rows: tuple[tuple[str, TimedRow], ...]


class TimedFigure(Struct, frozen=True, kw_only=True):
    """What figures of timings share.

    Attributes:
        drawn: number of rows that are drawn.
        shared: what all names share (``input 224, classes=200``), empty for nothing.
        left_out: (row, why) of what is not drawn.
        flagged: (name, verdict and reasons) of rows that are not stable.
    """

    drawn: int
    shared: str
    left_out: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, str], ...]

    @property
    def hollow(self) -> str:
        """The verdicts that are drawn hollow; empty where that would tell no rows apart."""
        verdicts = dict.fromkeys(why.partition(":")[0] for _, why in self.flagged)
        return listed(list(verdicts), "or") if len(self.flagged) < self.drawn else ""

    @property
    def last_sentences(self) -> list[str]:
        """The end of the caption."""
        sentences = [f"MACs: dense, counter torch. {CONVENTION}"]
        if self.flagged:
            said = "Hollow, verdict other than stable" if self.hollow else "None is stable"
            sentences.append(f"{said}: {first_few(self.flagged)}.")
        if self.left_out:
            sentences.append(f"Left out: {first_few(self.left_out)}.")
        return sentences

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """For stderr."""
        return (Remark(f"left out: {first_few(self.left_out)}"),) if self.left_out else ()


def grouped_timings(
    timings: Timings | Sequence[Timings],
    chosen: tuple[Sequence[str], Sequence[str], Sequence[int]],
    *,
    by: Sequence[str],
    lacks: Callable[[TimedRow], str],
    nothing: tuple[str, str],
) -> tuple[dict[str, Any], list[TimingGroup]]:
    """Read timing files, choose rows and group them by names of ``PARTS``; rows are never pooled.

    ``chosen`` are devices, number formats and batches, each empty for all; ``lacks`` says what a
    row lacks to be drawn; ``nothing`` is said, with a hint, where no row can be drawn. The fields
    of a ``TimedFigure`` come with the groups.
    """
    whole = merge(read_all(timings, TIMINGS, TimingFile, TimingFile.load))
    file = whole.networks
    if whole.rows and not file.rows:
        raise CallerError(": the rows are stages of a pipeline, which have no MACs")
    machines = _machine_names(file.devices)
    rows = []
    for row in _chosen(file, *chosen):
        device = file.device_of(row)
        summary = summarise(row, device)
        rows.append(TimedRow(row=row, device=device, machine=machines[row.device], summary=summary))
    left_out = [(str(o.row.what), o.summary.reasons[0]) for o in rows if not o.seconds]
    timed = [(one, lacks(one)) for one in rows if one.seconds]
    if not timed:
        raise CallerError(f": no row was measured: {first_few(left_out)}")
    left_out += [(str(one.row.what), why) for one, why in timed if why]
    good = [one for one, why in timed if not why]
    if not good:
        raise CallerError(f": {nothing[0]}: {first_few(left_out)}", nothing[1])
    groups = _grouped(good, by)
    names, shared = _brief_names(list(groups.values()), by)
    varying = [n for n in range(len(by)) if len({key[n] for key in groups}) > 1]
    made = [
        TimingGroup(
            name=_joined(key[n] for n in varying or range(len(by))) or "no options",
            whole=_joined(key),
            rows=tuple(zip(own, members, strict=True)),
        )
        for (key, members), own in zip(groups.items(), names, strict=True)
    ]
    flagged = [
        (name, ": ".join(filter(None, (one.summary.verdict, "; ".join(one.summary.reasons)))))
        for group in made
        for name, one in group.rows
        if not one.stable
    ]
    common = {"drawn": len(good), "shared": shared}
    return {**common, "left_out": tuple(left_out), "flagged": tuple(flagged)}, made


def _grouped(rows: Sequence[TimedRow], by: Sequence[str]) -> dict[tuple[str, ...], list[TimedRow]]:
    found: dict[tuple[str, ...], list[TimedRow]] = {}
    for one in rows:
        found.setdefault(tuple(PARTS[part](one) for part in by), []).append(one)
    if len(found) > MOST_LOOKS:
        raise CallerError(
            f": the rows fall into {len(found)} groups by {listed(list(by))}; "
            f"at most {MOST_LOOKS} can be distinguished",
            "choose with --device, --dtype or --batch",
        )
    return found


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _brief_names(
    groups: Sequence[Sequence[TimedRow]], by: Sequence[str]
) -> tuple[list[list[str]], str]:
    """Name rows by what differs within their groups; return the names, and what all share."""
    rows = [one for group in groups for one in group]
    specs = [split_outside(one.row.what.spec, ",", strict=False) for one in rows]
    common = [text for text in specs[0][1:] if all(text in spec[1:] for spec in specs)]
    others = [part for part in PARTS if part not in by and len({PARTS[part](o) for o in rows}) > 1]
    one_model = len({",".join(spec) for spec in specs}) == 1 and bool(others)
    sizes = {spec[0].rpartition("@")[2] if "@" in spec[0] else "" for spec in specs}
    size = "" if one_model or len(rows) == 1 or len(sizes) > 1 else sizes.pop()
    shared = ",".join(specs[0]) if one_model else _joined([size and f"input {size}", *common])
    names = []
    for group in groups:
        own: list[str] = []
        for one in group:
            head, *options = split_outside(one.row.what.spec, ",", strict=False)
            short = head.removesuffix(f"@{size}") if size else head
            spec = ",".join([short, *(text for text in options if text not in common)])
            more = [PARTS[part](one) for part in others]
            own.append(_joined([*([] if one_model else [spec]), *more]) or spec)
        names.append(distinct([printable(name) for name in own]))
    return names, printable(shared)


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
    unlike = []
    for kind in kinds:
        others = (other for other in kinds if other.name == kind.name and other is not kind)
        facts = differing(kind, next(others, kind))
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
