"""Samples as arrays: what every form of log is passed to the kernel as, some thousand at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
from msgspec import Struct

from flopbench.core.errors import DataError, near_match
from flopbench.core.limits import LARGEST_AMOUNT
from flopbench.policy.plan import Plan
from flopbench.policy.samples import OnDefect, Sample

Place = Callable[[int], str]
"""Index of a sample in its block -> where it stands (``run.jsonl:12``)."""

Say = Callable[..., None]
"""Reports a defect: (which sample, or which of all decisions; the text; a hint if there is one)."""

LARGEST_CODE = 2**31

COLUMNS = ("prediction", "scores", "frames", "latency_ms", "extra")
"""Fields that the kernel does not need; a block carries the requested ones."""

MOST_NAMES = 4096
"""So many names of a log's first samples are always kept: they show what its ids are made of."""

NAMES, DUCKDB = "policy/names.py", "DuckDB"
"""What makes hashes of names."""

IDS = "id"
"""Among the requested columns: put real names into ``Block.ids``, which a decoder may omit."""


class Block(Struct, frozen=True, kw_only=True):
    """Some samples as arrays. n samples, s sequences (one per sample and stream), d decisions.

    Attributes:
        place: where each sample stands.
        ids: (n,) names.
        codes: (d,) index among the plan's actions of every decision, sequence after sequence.
        lengths: (s,) decisions of each sequence.
        owner: (s,) which sample a sequence belongs to; None means one sequence per sample.
        spans: (d,) steps each decision covers, where the log gives them.
        steps: (n,) steps of each sample that gives them, else -1; None where none does.
        exits: (n,) index among the plan's exits, -1 for none; None where the log has none.
        counts: (n, components) additional runs of each component; None where the log has none.
        views: (n,) views, None where no sample names one.
        labels: every label, sample after sample.
        label_lengths: (n,) labels of each sample.
        columns: name -> (n,) values of the requested further fields; scores may be an array
            (n, classes).
        hashes: (n,) of id and view, where the decoder made them; ids may then be stand-ins.
        hashed_by: what made these hashes; only such as one made can be compared.
        first_ids: names of a log's first samples, where ids are stand-ins.
    """

    place: Place
    ids: Sequence[str]
    codes: Any
    lengths: Any
    owner: Any = None
    spans: Any = None
    steps: Any = None
    exits: Any = None
    counts: Any = None
    views: Sequence[Any] | None = None
    labels: Any = ()
    label_lengths: Any = None
    columns: dict[str, Sequence[Any]] = {}
    hashes: Any = None
    hashed_by: str = NAMES
    first_ids: Sequence[str] = ()

    @property
    def size(self) -> int:
        """How many samples there are."""
        return len(self.ids)


def says(place: Place, report: OnDefect) -> Say:
    """Return what reports a defect of a sample: ``say(i, "steps: is -1 …", hint)``."""

    def say(i: int, text: str, hint: str = "") -> None:
        report(DataError(f"{place(i)}: {text}", hint))

    return say


def says_item(say: Say, lengths: Any, name: str) -> Say:
    """Return what reports a defect of one item of a field, by its position among all items.

    ``lengths``: (n,) items of each sample.
    """

    def say_item(position: int, text: str, hint: str = "") -> None:
        i = int(np.searchsorted(np.cumsum(lengths), position, side="right"))
        say(i, f"{name}[{position - int(lengths[:i].sum())}] {text}", hint)

    return say_item


def block_of(
    samples: Sequence[Sample],
    plan: Plan,
    place: Place,
    report: OnDefect,
    columns: Iterable[str] = (),
    rows: Any = None,
) -> Block:
    """Turn samples into a block.

    If ``report`` returns, a defective decision counts as the first action, so that the rest can be
    checked.

    Args:
        samples: decoded samples.
        plan: what their decisions can be.
        place: where each stands, for messages.
        report: called with each defect.
        columns: names from ``COLUMNS`` to carry along.
        rows: (n, steps) the decisions, where the reader has them as an array already.
    """
    n = len(samples)
    say = says(place, report)
    if rows is None:
        codes, lengths, owner = _decisions(samples, plan, say)
        _check_something(samples, say)
    else:
        codes, lengths, owner = rows.reshape(-1), np.full(n, rows.shape[1]), None
    views = [s.view for s in samples]
    labels = [s.labels or () for s in samples]
    return Block(
        place=place,
        ids=[s.id for s in samples],
        codes=codes,
        lengths=lengths,
        owner=owner,
        exits=_exits(samples, plan, say),
        counts=_counts(samples, plan, say),
        steps=_steps(samples, say),
        spans=_spans(samples, plan, lengths, codes, say),
        views=None if views.count(None) == n else views,
        labels=list(chain.from_iterable(labels)),
        label_lengths=np.fromiter(map(len, labels), np.int64, n),
        columns={name: _column(samples, name) for name in columns if name != IDS},
    )


def _column(samples: Sequence[Sample], name: str) -> Any:
    """Return the values of a field; scores as (n, classes) float64 where all rows are alike."""
    values = [getattr(s, name) for s in samples]
    if name != "scores" or None in values:
        return values
    alike = len(widths := set(map(len, values))) == 1 and widths != {0}
    return np.array(values, np.float64) if alike else values


def _decisions(samples: Sequence[Sample], plan: Plan, say: Say) -> tuple[Any, Any, Any]:
    """Return indices of all decisions, the sequences' lengths, and whose sequences they are."""
    actions: list[Any] = [s.actions for s in samples]
    kinds = set(map(type, actions))
    has_streams = plan.streams != ("",)
    wrong = list if has_streams else dict
    if wrong in kinds:
        wanted = f"an object with {', '.join(plan.streams)}" if has_streams else "a list"
        why = "" if has_streams else ": the header declares no 'streams'"
        for i, value in enumerate(actions):
            if isinstance(value, wrong):
                say(i, f"actions: expected {wanted}{why}")
                actions[i] = None
    if not has_streams:
        if kinds != {list}:
            actions = [a or () for a in actions]
        return (*_sequences(actions, plan, "", say), None)
    for i, value in enumerate(actions):
        for name in value or ():
            if name not in plan.streams:
                hint = near_match(name, plan.streams, "streams")
                say(i, f"actions: there is no stream {name!r}", hint)
    parts = []
    for stream in plan.streams:
        own = [(a or {}).get(stream) or () for a in actions]
        parts.append(_sequences(own, plan, stream, say))
    codes = np.concatenate([p[0] for p in parts])
    lengths = np.concatenate([p[1] for p in parts])
    return codes, lengths, np.tile(np.arange(len(samples)), len(parts))


def _sequences(sequences: list[Any], plan: Plan, stream: str, say: Say) -> tuple[Any, Any]:
    """Turn the decisions of one stream into indices among the plan's actions."""
    if not plan.size(stream):
        of = f" of the stream {stream!r}" if stream else ""
        for i in [i for i, sequence in enumerate(sequences) if sequence]:
            say(i, f"actions: this log declares no actions{of}")
        sequences = [()] * len(sequences)
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    flat = list(chain.from_iterable(sequences))
    say_item = says_item(say, lengths, f"actions.{stream}" if stream else "actions")
    if len(set(map(type, flat))) > 1:  # names mixed with ids: rare, and still exact
        parts = [_codes([choice], plan, stream, say_item, at) for at, choice in enumerate(flat)]
        return np.concatenate(parts), lengths
    return _codes(flat, plan, stream, say_item, 0), lengths


def _codes(flat: list[Any], plan: Plan, stream: str, say: Say, first: int) -> Any:
    """Turn choices of one kind into indices; ``first`` is the position of the first one."""
    size, base = plan.size(stream), plan.base[stream]
    if not flat:
        return np.empty(0, np.int64)
    if isinstance(flat[0], str):
        known = plan.indices[stream]
        codes = np.fromiter(map(known.get, flat, repeat(-1)), np.int64, len(flat))
        for at in np.flatnonzero(codes < 0):
            hint = near_match(flat[at], known, "actions")
            say(first + int(at), f"is {flat[at]!r}, which is not an action of this log", hint)
        return np.maximum(codes, base)
    if isinstance(flat[0], list):
        return one_hot_codes(flat, size, say, first) + base
    try:
        codes = np.fromiter(flat, np.int64, len(flat))
    except OverflowError:
        codes = np.array([c if abs(c) < LARGEST_CODE else LARGEST_CODE for c in flat], np.int64)
    return checked_ids(codes, size, say, first, flat) + base


def checked_ids(codes: Any, size: int, say: Say, first: int = 0, shown: Any = None) -> Any:
    """Check action ids, (d,) integers, against the number of actions; return them."""
    if len(codes) and (codes.min() < 0 or codes.max() >= size):
        wrong = (codes < 0) | (codes >= size)
        ids = f"ids 0 to {size - 1}" if size else "no actions"
        for at in np.flatnonzero(wrong):
            value = codes[at] if shown is None else shown[at]
            say(first + int(at), f"is {value}, but this log has {ids}")
        return np.where(wrong, 0, codes)
    return codes


def one_hot_codes(rows: Any, size: int, say: Say, first: int = 0) -> Any:
    """Turn one-hot rows, (d, actions) numbers or d lists of such, into ids."""
    if not isinstance(rows, np.ndarray):
        for at, row in enumerate(rows):
            if len(row) != size:
                say(first + at, f"is a row of {len(row)} numbers where {size} were expected")
        rows = np.array([row if len(row) == size else [1.0] + [0.0] * (size - 1) for row in rows])
    ones = (rows == 1).sum(axis=1)
    zeros = (rows == 0).sum(axis=1)
    for at in np.flatnonzero((ones != 1) | (zeros != size - 1)).tolist():
        shown = ", ".join(f"{value:g}" for value in rows[at])
        nan = " (NaN)" if np.isnan(rows[at]).any() else ""
        say(first + at, f"is [{shown}], not one-hot{nan}: expected a single 1 and zeros")
    return rows.argmax(axis=1)


def _spans(samples: Sequence[Sample], plan: Plan, lengths: Any, codes: Any, say: Say) -> Any:
    """Return the span of every decision: the sample's, or that of its action."""
    given = [s.spans for s in samples]
    n = len(samples)
    if given.count(None) == n:
        return None
    spans: Any = np.array([action.span for action in plan.actions], np.int64)[codes]
    ends = np.cumsum(lengths)
    for i, value in enumerate(given):
        if value is None:
            continue
        if plan.per_step:
            say(i, "spans: allowed only with 'encoding': 'per_decision'")
        if isinstance(value, dict) == (plan.streams == ("",)):
            say(i, "spans: must have the same form as 'actions'")
            continue
        for at, stream in enumerate(plan.streams):
            own = value.get(stream) if isinstance(value, dict) else value
            wanted, end = int(lengths[at * n + i]), int(ends[at * n + i])
            defect = _span_defect(own, wanted)
            if defect:
                say(i, f"spans.{stream}{defect}" if stream else f"spans{defect}")
            else:
                spans[end - wanted : end] = own or []
    return spans


def _span_defect(own: list[int] | None, wanted: int) -> str:
    """Say what is wrong with the spans of one sequence."""
    if len(own or ()) != wanted:
        got = "missing" if own is None else f"{len(own)} numbers"
        return f": {got}, but there are {wanted} actions"
    for k, span in enumerate(own or ()):
        if not 1 <= span <= LARGEST_CODE:
            return f"[{k}]: is {span} where 1 to {LARGEST_CODE} was expected"
    return ""


def _steps(samples: Sequence[Sample], say: Say) -> Any:
    given = [s.steps for s in samples]
    if given.count(None) == len(given):
        return None
    found = []
    for i, steps in enumerate(given):
        if steps is not None and not 0 <= steps <= LARGEST_CODE:
            say(i, f"steps: is {steps} where 0 to {LARGEST_CODE} was expected")
            steps = None
        found.append(-1 if steps is None else steps)
    return np.array(found, np.int64)


def _exits(samples: Sequence[Sample], plan: Plan, say: Say) -> Any:
    given = [s.exit for s in samples]
    if given.count(None) == len(given):
        return None
    names = {exit.name: index for index, exit in enumerate(plan.exits)}
    found = []
    for i, value in enumerate(given):
        index = -1 if value is None else value
        if isinstance(index, str):
            if index not in names:
                hint = near_match(index, names, "exits")
                say(i, f"exit: is {index!r}, which is not an exit of this log", hint)
            index = names.get(index, -1)
        elif value is not None and not 0 <= index < len(names):
            say(i, f"exit: is {index}, but this log has {len(names)} exits")
            index = -1
        found.append(index)
    return np.array(found, np.int64)


def _counts(samples: Sequence[Sample], plan: Plan, say: Say) -> Any:
    given = [s.counts for s in samples]
    if given.count(None) == len(given):
        return None
    names = {name: at for at, name in enumerate(plan.header.components or {})}
    array = np.zeros((len(samples), len(names)))
    for i, counts in enumerate(given):
        for name, times in (counts or {}).items():
            if name not in names:
                hint = near_match(name, names, "components")
                say(i, f"counts: there is no component {name!r}", hint)
            elif not 0 <= times <= LARGEST_AMOUNT:
                say(i, f"counts.{name}: is {times} where 0 to {LARGEST_AMOUNT:.0e} was expected")
            else:
                array[i, names[name]] = times
    return array


def _check_something(samples: Sequence[Sample], say: Say) -> None:
    actions = [s.actions for s in samples]
    if None not in actions and {} not in actions:
        return
    for i, s in enumerate(samples):
        if s.actions in (None, {}) and s.exit is None and s.counts is None:
            say(i, "no 'actions', 'exit' or 'counts': there is nothing to count")
