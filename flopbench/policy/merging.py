"""Merges parts of a log's counts (``policy/counts_file.py``) into those of the whole log.

The rows of the parts become what the kernel would have counted (``Tally``), and ``Gatherer``
checks lengths, views and labels as it does those of a log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError, near_match, shown_value
from flopbench.core.limits import LARGEST_AMOUNT
from flopbench.core.remarks import Remark
from flopbench.policy.blocks import MOST_NAMES, Block
from flopbench.policy.columns import json_value
from flopbench.policy.counts import LogCounts, Source, objects
from flopbench.policy.counts_file import About, Part
from flopbench.policy.engine import Column, Gatherer
from flopbench.policy.kernel import Tally
from flopbench.policy.parts import Rows, about_all
from flopbench.policy.plan import Plan, find_name, plan_of
from flopbench.policy.samples import raise_first

RECORDS_AT_ONCE = 1 << 16


def merge_parts(
    parts: Sequence[Part],
    connection: Any,
    *,
    columns: Mapping[str, Column] | None = None,
    cluster: str | None = None,
    keep_ids: bool = False,
    duplicates: str = "error",
) -> LogCounts:
    """Return the counts of the log that parts are of.

    Args:
        parts: from ``read_parts``.
        connection: an empty one of DuckDB.
        columns: additional numbers to make from each block.
        cluster: the column of ``extra`` that these need.
        keep_ids: keep the records' names.
        duplicates: ``error``, or ``first`` to keep a record of the first part that holds it.

    Raises:
        InputError: a part was reduced without the cluster.
        DataError: a record that two parts hold, or a defect of a part.
    """
    for part in parts:
        if cluster is not None and part.about.cluster != cluster:
            raise InputError(
                f"{part.path} was reduced without --cluster {cluster}",
                f"flopbench log reduce --cluster {cluster} keeps that column",
            )
    plan, about = plan_of(parts[0].header), about_all(parts)
    gatherer = Gatherer(plan, raise_first, columns=columns, keep_ids=keep_ids)
    rows = Rows(connection, parts)
    if not rows.records:
        raise DataError(f"{parts[0].path} has no rows: there is nothing to count")
    left_out = rows.without_repeated(duplicates)
    rows.check()
    for block, counted in _blocks(rows, plan, about, cluster, keep_ids):
        gatherer.add(block, counted)
    counts = gatherer.finish(Source(about.sources[0], len(about.sources) - 1))
    warnings = (*map(Remark, about.warnings), *left_out, *counts.warnings)
    return replace(counts, warnings=warnings, in_order=False)


def _blocks(
    rows: Rows, plan: Plan, about: About, cluster: str | None, keep_ids: bool
) -> Iterator[tuple[Block, Tally]]:
    """Yield the records with what they add up to, some at a time."""
    of = _decoded(rows, plan)
    has_views = rows.has_views
    named = keep_ids or has_views
    names = rows.names(np.arange(rows.records if named else min(rows.records, MOST_NAMES)))
    for low in range(0, rows.records, RECORDS_AT_ONCE):
        part = slice(low, min(low + RECORDS_AT_ONCE, rows.records))
        n = part.stop - low
        own = {name: values[rows.codes[name][rows.starts[part]]] for name, values in of.items()}
        extra = [{cluster: text} for text in own["cluster"]]
        counted = _tally(rows, plan, part, of["action"], about.own_spans)
        if not low:
            first, odd_runs = about.first_odd_run, about.odd_runs
            counted = replace(counted, odd_runs=odd_runs, first_odd_run=first)
        block = Block(
            place=lambda i, low=low: rows.place(low + i),  # type: ignore[misc]
            ids=[name for name, _ in names[part]] if named else range(n),  # type: ignore[arg-type]
            first_ids=[] if low else [name for name, _ in names[:MOST_NAMES]],
            hashes=np.zeros(n, np.int64),  # the rows were compared by their names
            views=[view for _, view in names[part]] if has_views else None,
            codes=np.empty(0, np.int64),
            lengths=np.zeros(n, np.int64),
            exits=own["exit"] if rows.texts["exit"] else None,
            counts=own["counts"] if rows.texts["counts"] else None,
            labels=list(chain.from_iterable(own["labels"])),
            label_lengths=np.fromiter(map(len, own["labels"]), np.int64, n),
            columns={} if cluster is None else {"extra": extra},
        )
        yield block, counted


def _decoded(rows: Rows, plan: Plan) -> dict[str, Any]:
    """Return column -> an array from the number of a text, -1 included, to what it means."""
    actions = {plan.action_label(i): i for i in range(len(plan.actions))}
    exits = {exit.name: i for i, exit in enumerate(plan.exits)}
    components = list(plan.header.components or {})
    labels = [*rows.decoded("labels", _labels), ()]
    runs = rows.decoded("counts", lambda text: _runs(text, components))
    return {
        "action": np.array([*rows.decoded("action", lambda t: find_name(t, actions, "it")), -1]),
        "exit": np.array([*rows.decoded("exit", lambda t: find_name(t, exits, "it", "exit")), -1]),
        "labels": objects(labels),
        "counts": np.array([*runs, [0.0] * len(components)]),
        "cluster": objects([*rows.texts["cluster"], None]),
    }


def _tally(rows: Rows, plan: Plan, records: slice, action_of: Any, own_spans: bool) -> Tally:
    """Return what some records add up to; refuse numbers that no decisions could make."""
    shape = (records.stop - records.start, len(plan.actions))
    begin = int(np.searchsorted(rows.owner, records.start))
    end = int(np.searchsorted(rows.owner, records.stop))
    action = action_of[rows.codes["action"][begin:end]]
    given = action >= 0
    at = rows.owner[begin:end][given] - records.start, action[given]
    frames: Any = np.zeros(shape, np.int64)
    decisions: Any = np.zeros(shape, np.int64)
    frames[at] = rows.numbers["frames"][begin:end][given]
    decisions[at] = rows.numbers["decisions"][begin:end][given]
    steps = rows.numbers["steps"][rows.starts[records]].astype(np.int64)
    spans: Any = np.array([action.span for action in plan.actions], np.int64)
    fewest = frames > 0 if own_spans else -(-frames // spans)
    for i, a in np.argwhere((decisions < fewest) | (decisions > frames))[:1].tolist():
        raise DataError(
            f"{rows.place(records.start + i)}: decisions: is {decisions[i, a]} where "
            f"{int(fewest[i, a])} to {frames[i, a]} was expected, for {frames[i, a]} frames of "
            f"{plan.action_label(a)!r}"
        )
    for stream, base in plan.base.items():
        covered = frames[:, base : base + plan.size(stream)].sum(axis=1)
        for i in np.flatnonzero(covered > steps)[:1].tolist():
            raise DataError(
                f"{rows.place(records.start + i)}: frames: are {covered[i]} in all, but the record "
                f"has {steps[i]} steps"
            )
    return Tally(frames=frames, decisions=decisions, steps=steps, own_spans=own_spans)


def _labels(text: str) -> tuple[int | str, ...]:
    found = json_value(text, "it")
    if isinstance(found, list) and all(type(one) in (int, str) for one in found):
        return tuple(found)
    raise DataError(f"is {shown_value(text)} where a list of indices or names was expected")


def _runs(text: str, components: Sequence[str]) -> list[float]:
    """Return how often each component ran in addition."""
    found = json_value(text, "it")
    if not isinstance(found, dict):
        raise DataError(f"is {shown_value(text)} where an object was expected")
    for name, times in found.items():
        if name not in components:
            hint = near_match(name, components, "components")
            raise DataError(f"there is no component {name!r}", hint)
        if type(times) not in (int, float) or not 0 <= times <= LARGEST_AMOUNT:
            raise DataError(
                f"{name}: is {shown_value(times)} where 0 to {LARGEST_AMOUNT:.0e} was expected"
            )
    return [float(found.get(name, 0.0)) for name in components]
