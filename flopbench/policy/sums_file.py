"""Parts of sums: written from counts, and added up, in any order, to the last bit.

A part of sums (``policy/sums.py``) has a row for each two amounts whose sum is not 0, and the
metadata of ``policy/counts_file.py``:

========== ============== ======================================================================
column     type           meaning
========== ============== ======================================================================
``label``  VARCHAR        JSON of a label, ``3`` or ``"dog"``: over the videos that carry it; NULL:
                          over all
``amount`` VARCHAR        an amount
``times``  VARCHAR        the same or an earlier one; ``video`` makes the plain sum
``sum``    DECIMAL(38, 0) the sum over the videos of their product
========== ============== ======================================================================

Plain sums only have ``records:NAME`` (records that use an action), and of records ``unlabelled``
and ``several labels``. In the header, ``steps`` is the length that all samples have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError, InputError, Remark, near_match, shown_value
from flopbench.core.limits import MOST_STEPS
from flopbench.core.units import number_of
from flopbench.policy.columns import json_value
from flopbench.policy.counts import LogCounts, Source, objects, sorted_labels
from flopbench.policy.counts_file import SUMS, Part, about_of, naming, write_counts
from flopbench.policy.engine import odd_runs_remark
from flopbench.policy.forms.raw import duckdb_path
from flopbench.policy.header import without_preset_file
from flopbench.policy.parts import sources_of
from flopbench.policy.plan import Plan, plan_of
from flopbench.policy.sums import (
    RECORDS,
    SEVERAL,
    STEPS,
    UNLABELLED,
    VIDEO,
    SumCounts,
    Sums,
    amounts_of,
)

EXACT = 1 << 53
"""Whole numbers below it are exact as float64, in which matrices are multiplied fast."""
AT_ONCE = 1 << 12
MOST_SUMS = 10_000_000
"""Of a part: 13 amounts (5 actions) of 100,000 labels; no more fits the memory while it is made."""
NO_SUMS = "leave --sums out: a part with a row for each record has no such limit"
NO_REPEATS = "sums do not show a video, or views of one, in two parts: it would count twice"
_WHOLE = re.compile(r"[0-9]{1,38}")


def _plain_sums(counts: LogCounts) -> Iterator[tuple[str, Any]]:
    used = (counts.frames > 0) | (counts.decisions > 0)
    for i in range(len(counts.plan.actions)):
        yield f"records:{counts.plan.action_label(i)}", used[:, i]
    yield UNLABELLED, counts.label_lengths == 0
    yield SEVERAL, counts.label_lengths > 1


def write_sums(target: Path, counts: LogCounts, sources: Sequence[str]) -> None:
    """Write the sums of counts as a part.

    Args:
        target: the file.
        counts: of a log, with its decisions.
        sources: the files that were counted.

    Raises:
        InputError: the file cannot be written, or additional runs are no whole numbers.
    """
    columns = {name: values for name, values in amounts_of(counts) if values.any()}
    for name, values in columns.items():
        if values.dtype.kind == "f" and (values != np.floor(values)).any():
            raise InputError(
                f"{counts.source}: {name.partition(':')[2]!r} has runs that are no whole numbers: "
                "sums would not be exact",
                NO_SUMS,
            )
    plain = {name: counts.of_videos(own.astype(np.int64)) for name, own in _plain_sums(counts)}
    groups: dict[str | None, Any] = {None: np.arange(counts.videos)}
    for label, chosen in counts.by_label().items():
        groups[msgspec.json.encode(label).decode()] = counts.whole_videos(chosen)[1]
    pairs = len(groups) * len(columns) * (len(columns) + 1) // 2
    if pairs > MOST_SUMS:
        raise InputError(
            f"{counts.source}: {len(columns):,} amounts and {number_of(len(groups) - 1, 'label')} "
            f"make {pairs:,} sums; a part has at most {MOST_SUMS:,}",
            NO_SUMS,
        )
    rows = [
        (label, *pair, str(total))
        for label, videos in groups.items()
        for pair, total in _sums(columns, plain, videos)
    ]
    header = without_preset_file(counts.plan.header, counts.plan.header)
    if not counts.plan.steps_may_vary and counts.plan.steps is None:
        # All samples have one length: parts of other lengths have other headers.
        header = msgspec.structs.replace(header, steps=int(counts.steps.max()) or None)
    named = zip(SUMS.types, map(objects, zip(*rows, strict=True)), strict=True)
    about = about_of(counts, sources)
    write_counts(target, dict(named), header=header, about=about, layout=SUMS)


def _sums(
    columns: Mapping[str, Any], plain: Mapping[str, Any], videos: Any
) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the sums of some videos that are not 0."""
    names = list(columns)
    products = _products(list(columns.values()), videos)
    for i, j in np.argwhere(np.tril(products != 0)).tolist():
        yield (names[i], names[j]), int(products[i, j])
    for name, values in plain.items():
        if total := int(values[videos].sum()):
            yield (name, VIDEO), total


def _products(columns: Sequence[Any], videos: Any) -> Any:
    """Return (k, k) objects: sums over some videos of the products of k columns, exact."""
    largest = max(int(own.max()) for own in columns)
    at_once = EXACT // largest**2
    kind: Any = np.float64 if at_once >= AT_ONCE else object
    total: Any = np.zeros((len(columns), len(columns)), object)
    for low in range(0, len(videos), AT_ONCE):
        own = videos[low : low + AT_ONCE]
        part = np.stack([column[own].astype(np.int64) for column in columns]).astype(kind)
        product = part @ part.T
        total += product if kind is object else product.astype(np.int64).astype(object)
    return total


def merge_sums(parts: Sequence[Part], connection: Any) -> SumCounts:
    """Add up parts of sums.

    Args:
        parts: from ``read_parts``.
        connection: of DuckDB.

    Raises:
        DataError: a file that two parts are made from, or a defect of a part.
    """
    plan, sources = plan_of(parts[0].header), sources_of(parts)
    holder: dict[str, Part] = {}
    found: dict[Any, dict[tuple[str, str], int]] = {None: {}}
    for part in parts:
        for source in part.about.sources:
            if (one := holder.setdefault(source, part)) is not part:
                raise DataError(
                    f"{one.path} and {part.path} both hold {source}",
                    "each file of a log belongs into one part of sums, and each part is given once",
                )
        for label, sums in _read(part, plan, connection).items():
            own = found.setdefault(label, {})
            for pair, total in sums.items():
                own[pair] = own.get(pair, 0) + total
    odd = [part.about for part in parts if part.about.odd_runs]
    remarks = [Remark(NO_REPEATS)] * (len(parts) > 1)
    remarks += [Remark(text) for part in parts for text in part.about.warnings]
    if odd:
        remarks += odd_runs_remark(sum(one.odd_runs for one in odd), odd[0].first_odd_run)
    own_spans = any(part.about.own_spans for part in parts)
    exits = any(name.startswith("exit:") for name, _ in found[None])

    def made(label: Any, inner: Iterable[Any] = ()) -> SumCounts:
        return SumCounts(
            plan=plan,
            sums=found[label],
            exits=exits,
            own_spans=own_spans,
            labels={one: made(one) for one in inner},
            warnings=tuple(remarks),
            source=Source(sources[0], len(sources) - 1),
        )

    return made(None, sorted_labels(label for label in found if label is not None))


def _names(plan: Plan) -> tuple[list[str], list[str]]:
    """Return the amounts of a video, and those that have plain sums only."""
    actions = [plan.action_label(i) for i in range(len(plan.actions))]
    names = [VIDEO, RECORDS, STEPS]
    names += [f"{kind}:{name}" for name in actions for kind in ("frames", "decisions")]
    names += [f"exit:{exit.name}" for exit in plan.exits]
    names += [f"runs:{name}" for name in plan.header.components or {}]
    return names, [*(f"records:{name}" for name in actions), UNLABELLED, SEVERAL]


def _read(part: Part, plan: Plan, connection: Any) -> dict[Any, dict[tuple[str, str], int]]:
    """Return label -> sums of one part; refuse what no videos could add up to."""
    names, plain = _names(plan)
    place = {name: i for i, name in enumerate(names)}
    last = place | dict.fromkeys(plain, 0)
    columns = ", ".join(f"{name}::VARCHAR" for name in SUMS.types)
    query = f"SELECT {columns} FROM read_parquet(?)"
    with naming(part.path):
        rows = connection.execute(query, [duckdb_path(part.path)]).fetchall()
    known: dict[str | None, Any] = {None: None}
    found: dict[Any, dict[tuple[str, str], int]] = {None: {}}
    for text, amount, times, total in rows:
        if text not in known:
            known[text] = _label(text, plan, part.path)
        sums = found.setdefault(known[text], {})
        where = f"{part.path}: {amount} × {times}"
        if amount not in last:
            near = near_match(str(amount), last, "amounts")
            raise DataError(f"{part.path}: there is no amount {amount!r}", near)
        if place.get(times, len(names)) > last[amount]:
            raise DataError(f"{where}: an amount is times itself, or an earlier one")
        if (amount, times) in sums:
            raise DataError(f"{where} is there twice")
        if total is None or not _WHOLE.fullmatch(total):
            wanted = "a whole number of 0 or more was expected"
            raise DataError(f"{where}: sum: is {shown_value(total)} where {wanted}")
        sums[amount, times] = int(total)
    for label, sums in found.items():
        wrong = _contradiction(sums, plan, set(plain), part.about.own_spans)
        if wrong:
            over = "all videos" if label is None else f"label {label!r}"
            raise DataError(f"{part.path}, {over}: no videos add up to {wrong}")
    return found


def _label(text: str, plan: Plan, path: Path) -> int | str:
    names, value = plan.header.class_names, json_value(text, f"{path}, label")
    most = MOST_STEPS if names is None else len(names) - 1
    if (type(value) is int and 0 <= value <= most) or (type(value) is str and names is None):
        return value
    raise DataError(f"{path}: label: {shown_value(value)} is no class of this log")


def _contradiction(sums: Sums, plan: Plan, plain: set[str], own_spans: bool) -> str:
    """Return what no whole numbers of videos have as sums; empty if there is nothing."""

    def of(name: str, other: str = VIDEO) -> int:
        return sums.get((name, other), 0)

    if not 0 < of(VIDEO) <= of(RECORDS):
        return f"{of(VIDEO)} videos of {of(RECORDS)} records"
    for (one, other), total in sums.items():
        # Cauchy-Schwarz.
        most = of(RECORDS) ** 2 if one in plain else of(one, one) * of(other, other)
        if total**2 > most:
            return f"{total} of {one} × {other}"
    for i, action in enumerate(plan.actions):
        name = plan.action_label(i)
        frames, decisions = of(f"frames:{name}"), of(f"decisions:{name}")
        least = frames > 0 if own_spans else -(-frames // action.span)
        if not least <= decisions <= frames:
            return f"{decisions} decisions for {frames} frames of {name!r}"
    for stream, base in plan.base.items():
        own = range(base, base + plan.size(stream))
        frames = sum(of(f"frames:{plan.action_label(i)}") for i in own)
        if frames > of(STEPS):
            return f"{frames} frames in {of(STEPS)} steps"
    return ""
