"""Samples as rows of columns: what CSV, Parquet and NPZ are read from and written as.

A field becomes a typed column where all samples agree on its type, else a column of JSON text with
the suffix ``_json``; a stream's decisions go into ``actions.STREAM``. Decisions are stored as ids.
Nothing is lost: reading gives the samples back, except that names of actions and exits have become
ids, and an empty list of labels has become none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flopbench.core.errors import DataError
from flopbench.policy.blocks import Place, block_of
from flopbench.policy.plan import Plan
from flopbench.policy.samples import (
    FIELDS,
    OnDefect,
    Sample,
    raise_first,
    sample_of,
    unknown_names,
)

SCALARS = ("view", "prediction")
LISTS = ("labels", "frames")
JSON_SUFFIX = "_json"
EXTRA_PREFIX = "extra."
"""A column ``extra.NAME`` is one of the user's own columns."""
_HUGE = object
"""Stands for a whole number beyond 64 bits among the types of a field."""

Kinds = dict[str, set[type]]
"""Each field that some sample has -> the types of its values or of the items of its lists."""


def kinds_of(groups: Iterable[Sequence[Sample]]) -> tuple[Kinds, int]:
    """Return which columns samples need, and how many samples there are."""
    kinds: Kinds = {}
    count = 0
    for samples in groups:
        count += len(samples)
        for sample in samples:
            for name in FIELDS:
                value = getattr(sample, name)
                if value is None:
                    continue
                own = kinds.setdefault(name, set())
                if name in SCALARS:
                    own.add(_kind(value))
                elif name in LISTS:
                    own.update(map(_kind, value))
    return kinds, count


def _kind(value: int | str) -> type:
    huge = isinstance(value, int) and not -(2**63) <= value < 2**63
    return _HUGE if huge else type(value)


def is_json(name: str, kinds: Kinds) -> bool:
    """Whether a field needs a column of JSON text."""
    if name in {"counts", "extra"}:
        return True
    own = kinds.get(name, set())
    return len(own) > 1 or bool(own - {int, str})


def coded(samples: Sequence[Sample], plan: Plan, place: Place) -> list[Sample]:
    """Return samples with every decision and exit as an id, checked."""
    block = block_of(samples, plan, place, raise_first)
    ends = block.lengths.cumsum()
    codes = block.codes.tolist()
    lists = [codes[end - n : end] for end, n in zip(ends, block.lengths, strict=True)]
    result = []
    for i, sample in enumerate(samples):
        changes: dict[str, Any] = {}
        if isinstance(sample.actions, list):
            changes["actions"] = lists[i]
        elif sample.actions is not None:
            changes["actions"] = {
                stream: [code - plan.base[stream] for code in lists[at * len(samples) + i]]
                for at, stream in enumerate(plan.streams)
                if stream in sample.actions
            }
        if isinstance(sample.exit, str):
            changes["exit"] = int(block.exits[i])
        if sample.labels == []:
            changes["labels"] = None
        for name in ("actions", "spans"):
            if getattr(sample, name) == {}:
                changes[name] = None
        result.append(msgspec.structs.replace(sample, **changes) if changes else sample)
    return result


def rows_of(groups: Iterable[Sequence[Sample]], kinds: Kinds) -> Iterator[dict[str, Any]]:
    """Yield each sample as column -> value, without the fields that it does not have."""
    for group in groups:
        for sample in group:
            row: dict[str, Any] = {}
            for name in FIELDS:
                value = getattr(sample, name)
                if value is None:
                    continue
                if isinstance(value, dict) and name in {"actions", "spans"}:
                    row |= {f"{name}.{stream}": items for stream, items in value.items()}
                elif is_json(name, kinds):
                    row[name + JSON_SUFFIX] = json.dumps(value, ensure_ascii=False)
                else:
                    row[name] = value
            yield row


def sample_of_row(row: Mapping[str, Any], where: str) -> Sample:
    """Turn one row back into a sample; an error names the field."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        base, dot, part = name.partition(".")
        if base == "extra" and dot:
            if value == value:  # NaN marks a missing value in tables of floats
                values.setdefault("extra", {})[part] = value
        elif dot and base in {"actions", "spans"}:
            if isinstance(value, str):
                part = part.removesuffix(JSON_SUFFIX)
                value = json_value(value, f"{where}: {name}")
            values.setdefault(base, {})[part] = value
        elif name.endswith(JSON_SUFFIX):
            values[name.removesuffix(JSON_SUFFIX)] = json_value(value, f"{where}: {name}")
        elif name in LISTS and isinstance(value, (int, str)):
            values[name] = [value]
        else:
            values[name] = value
    return sample_of(values, where)


def samples_of(
    rows: Iterable[Mapping[str, Any]], place: Place, report: OnDefect
) -> tuple[list[Sample], Place]:
    """Turn rows back into samples, leaving out the defective ones; and say where each is."""
    samples, kept = [], []
    for i, row in enumerate(rows):
        try:
            samples.append(sample_of_row(row, place(i)))
            kept.append(i)
        except DataError as error:
            report(error)
    return samples, lambda i: place(kept[i])


def check_columns(names: Iterable[str], where: str) -> None:
    """Refuse columns that a policy log cannot have: unknown ones, two for one field, no id."""
    names = list(names)
    fields: dict[str, str] = {}
    unknown = [name for name in names if not _is_dotted(name) and _plain(name) not in FIELDS]
    if unknown:
        raise unknown_names(unknown, FIELDS, where, "column")
    for name in names:
        field, form = (name.partition(".")[0], ".") if _is_dotted(name) else (_plain(name), name)
        if fields.setdefault(field, form) != form:
            raise DataError(f"{where}: there are two columns for {field!r}, one of them {name!r}")
    if "id" not in fields:
        raise DataError(f"{where}: there is no column 'id'", f"columns: {', '.join(names)}")


def _is_dotted(name: str) -> bool:
    base, dot, _ = name.partition(".")
    return bool(dot) and base in {"actions", "spans", "extra"}


def _plain(name: str) -> str:
    return name.removesuffix(JSON_SUFFIX)


def json_value(text: Any, where: str) -> Any:
    """Read JSON strictly: no NaN, no unpaired surrogates, no numbers out of range."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        text = str(error).replace("JSON is malformed: ", "")
        raise DataError(f"{where} is not JSON: {text}") from None
