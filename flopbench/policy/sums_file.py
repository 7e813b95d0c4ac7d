"""Parts of sums: written from counts, and added up, in any order, to the last bit.

A video has amounts, whole numbers: ``video`` (1), ``records``, ``steps``, of each action
``frames:NAME`` and ``decisions:NAME``, ``exit:NAME``, ``runs:COMPONENT`` (additional ones). A cost
is a sum of amounts × prices, so its mean and its variance follow from the sums over the videos of
the product of each two amounts: however many videos, the same few numbers. A part has one row for
each that is not 0, and the metadata of ``policy/counts_file.py``:

========== ============== ======================================================================
column     type           meaning
========== ============== ======================================================================
``label``  VARCHAR        JSON of a label, ``3`` or ``"dog"``: over the videos that carry it; NULL:
                          over all
``amount`` VARCHAR        an amount
``times``  VARCHAR        the same or another one; ``video`` makes the plain sum
``sum``    DECIMAL(38, 0) the sum over the videos of their product
========== ============== ======================================================================

Plain sums only have ``records:NAME`` (records that use an action), and of records ``unlabelled``
and ``several labels``. In the header, ``steps`` is the length that all samples have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError, near_match, shown_value
from flopbench.core.limits import MOST_STEPS
from flopbench.core.remarks import Remark
from flopbench.core.units import EXACT_FLOATS, number_of
from flopbench.policy.columns import json_value
from flopbench.policy.counts import LogCounts, Source, SumCounts, objects, sorted_labels
from flopbench.policy.counts_file import SUMS, Part, about_of, naming, write_counts
from flopbench.policy.engine import odd_runs_remark
from flopbench.policy.forms.raw import duckdb_path
from flopbench.policy.header import without_preset_file
from flopbench.policy.parts import about_all
from flopbench.policy.plan import Plan, plan_of

VIDEO, RECORDS, STEPS = "video", "records", "steps"
AT_ONCE = 1 << 12
"""Videos whose products are exact as float64, in which matrices are multiplied fast."""
MOST_SUMS = 10_000_000
"""Of a part: 13 amounts (5 actions) of 100,000 labels; no more fits the memory while it is made."""
NO_SUMS = "leave --sums out: a part with a row for each record has no such limit"
NO_REPEATS = "sums do not show a video, or views of one, in two parts: it would count twice"


def _names(plan: Plan) -> tuple[list[str], list[str]]:
    """Return the amounts of a video, and those that have plain sums only."""
    actions = [plan.action_label(i) for i in range(len(plan.actions))]
    names = [VIDEO, RECORDS, STEPS]
    names += [f"{kind}:{name}" for kind in ("frames", "decisions") for name in actions]
    names += [f"exit:{exit.name}" for exit in plan.exits]
    names += [f"runs:{name}" for name in plan.header.components or {}]
    return names, [*(f"records:{name}" for name in actions), "unlabelled", "several labels"]


def write_sums(target: Path, counts: LogCounts, sources: Sequence[str]) -> None:
    """Write the sums of counts as a part.

    Args:
        target: the file.
        counts: of a log, with its decisions.
        sources: the files that were counted.

    Raises:
        InputError: the file cannot be written, additional runs are no whole numbers, or there are
            too many sums.
    """
    about, (columns, plain) = about_of(counts, sources), _amounts(counts)
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
    named = dict(zip(SUMS.types, map(objects, zip(*rows, strict=True)), strict=True))
    write_counts(target, {"rows": named}, header=header, about=about, layout=SUMS)


def _amounts(counts: LogCounts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the amounts that are not 0 everywhere, (videos,) each, and those of plain sums."""
    own, n = counts.of_videos, counts.records
    exits: Any = np.full(n, -1) if counts.exits is None else counts.exits
    runs: Any = np.zeros((0, n)) if counts.counts is None else counts.counts.T
    if (runs % 1).any():
        raise InputError(
            f"{counts.source}: additional runs are no whole numbers: sums would not be exact",
            NO_SUMS,
        )
    names, plain = _names(counts.plan)
    columns = [np.ones(counts.videos), own(np.ones(n)), own(counts.steps)]
    columns += map(own, (*counts.frames.T, *counts.decisions.T))
    columns += [own((exits == i).astype(np.int64)) for i in range(len(counts.plan.exits))]
    columns += map(own, runs)
    used = (counts.frames > 0) | (counts.decisions > 0)
    of_records = (*used.T, counts.label_lengths == 0, counts.label_lengths > 1)
    named = zip(names, columns, strict=False)  # the last names are of runs
    plainly = zip(plain, (own(mask.astype(np.int64)) for mask in of_records), strict=True)
    return {name: column for name, column in named if column.any()}, dict(plainly)


def _sums(
    columns: Mapping[str, Any], plain: Mapping[str, Any], videos: Any
) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the sums over some videos that are not 0."""
    names, largest = list(columns), max(int(own.max()) for own in columns.values())
    kind: Any = np.float64 if largest**2 * AT_ONCE < EXACT_FLOATS else object
    products: Any = np.zeros((len(names), len(names)), object)
    for low in range(0, len(videos), AT_ONCE):
        some = videos[low : low + AT_ONCE]
        own = np.stack([column[some].astype(np.int64) for column in columns.values()]).astype(kind)
        product = own @ own.T
        products += product if kind is object else product.astype(np.int64).astype(object)
    for i, j in np.argwhere(np.tril(products != 0)).tolist():
        yield (names[i], names[j]), int(products[i, j])
    for name, values in plain.items():
        if total := int(values[videos].sum()):
            yield (name, VIDEO), total


def merge_sums(parts: Sequence[Part], connection: Any) -> SumCounts:
    """Add up parts of sums.

    Args:
        parts: from ``read_parts``.
        connection: of DuckDB.

    Raises:
        DataError: a file that two parts are made from, or a defect of a part.
    """
    holder: dict[str, Part] = {}
    for part in parts:
        for source in part.about.sources:
            if (one := holder.setdefault(source, part)) is not part:
                raise DataError(
                    f"{one.path} and {part.path} both hold {source}",
                    "each file of a log belongs into one part of sums, and each part is given once",
                )
    plan, about = plan_of(parts[0].header), about_all(parts)
    found: dict[Any, dict[tuple[str, str], int]] = {}
    for part in parts:
        for label, sums in _read(part, plan, connection).items():
            own = found.setdefault(label, {})
            for pair, total in sums.items():
                own[pair] = own.get(pair, 0) + total
    warnings = [NO_REPEATS, *about.warnings] if len(parts) > 1 else about.warnings
    odd = odd_runs_remark(about.odd_runs, about.first_odd_run)

    sums = found.pop(None)
    whole = SumCounts(
        plan=plan,
        sums=sums,
        exits=any(name.startswith("exit:") for name, _ in sums),
        own_spans=about.own_spans,
        warnings=(*map(Remark, warnings), *odd),
        source=Source(about.sources[0], len(about.sources) - 1),
    )
    labels = {label: replace(whole, sums=found[label]) for label in sorted_labels(found)}
    return replace(whole, labels=labels)


def _read(part: Part, plan: Plan, connection: Any) -> dict[Any, dict[tuple[str, str], int]]:
    """Return label -> sums of one part; refuse what no videos could add up to."""
    names, plain = map(set, _names(plan))
    columns = ", ".join(f"{name}::VARCHAR" for name in SUMS.types)
    query = f"SELECT {columns} FROM read_parquet(?)"
    with naming(part.path):
        rows = connection.execute(query, [duckdb_path(part.path)]).fetchall()
    labels: dict[str | None, Any] = {None: None}
    found: dict[Any, dict[tuple[str, str], int]] = {None: {}}
    for text, amount, times, total in rows:
        if text not in labels:
            labels[text] = _label(text, plan, part.path)
        sums = found.setdefault(labels[text], {})
        where = f"{part.path}: {amount} × {times}"
        for name in (amount, times):
            if name not in names and (name not in plain or times != VIDEO):
                near = near_match(str(name), names, "amounts")
                raise DataError(f"{where}: there is no amount {name!r}", near)
        if (amount, times) in sums:
            raise DataError(f"{where} is there twice")
        if total is None or not (total.isascii() and total.isdigit()):
            wanted = "a whole number of 0 or more was expected"
            raise DataError(f"{where}: sum: is {shown_value(total)} where {wanted}")
        sums[amount, times] = sums[times, amount] = int(total)
    for label, sums in found.items():
        if wrong := _contradiction(sums, plan, plain, part.about.own_spans):
            over = "all videos" if label is None else f"label {label!r}"
            raise DataError(f"{part.path}, {over}: no videos add up to {wrong}")
    return found


def _label(text: str, plan: Plan, path: Path) -> int | str:
    names, value = plan.header.class_names, json_value(text, f"{path}, label")
    most = MOST_STEPS if names is None else len(names) - 1
    if (type(value) is int and 0 <= value <= most) or (type(value) is str and names is None):
        return value
    raise DataError(f"{path}: label: {shown_value(value)} is no class of this log")


def _contradiction(
    sums: Mapping[tuple[str, str], int], plan: Plan, plain: Collection[str], own_spans: bool
) -> str:
    """Return what no whole numbers of videos have as sums; empty if there is nothing."""

    def of(name: str, other: str = VIDEO) -> int:
        return sums.get((name, other), 0)

    if not 0 < of(VIDEO) <= of(RECORDS):
        return f"{of(VIDEO)} videos of {of(RECORDS)} records"
    for (one, other), total in sums.items():
        # Cauchy-Schwarz.
        alone = one in plain or other in plain
        most = of(RECORDS) ** 2 if alone else of(one, one) * of(other, other)
        if total**2 > most:
            return f"{total} of {one} × {other}"
    frames = {}
    for i, action in enumerate(plan.actions):
        name = plan.action_label(i)
        frames[i], decisions = of(f"frames:{name}"), of(f"decisions:{name}")
        least = frames[i] > 0 if own_spans else -(-frames[i] // action.span)
        if not least <= decisions <= frames[i]:
            return f"{decisions} decisions for {frames[i]} frames of {name!r}"
    for stream, base in plan.base.items():
        covered = sum(frames[i] for i in range(base, base + plan.size(stream)))
        if covered > of(STEPS):
            return f"{covered} frames in {of(STEPS)} steps"
    return ""
