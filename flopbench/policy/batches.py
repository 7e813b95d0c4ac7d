"""Turns one batch of an evaluation loop (tensors, arrays, lists, names) into samples.

Nothing is guessed: two axes are action ids, three are one-hot rows, and anything ambiguous is
refused. Whole arrays are converted at once; only lists are processed row by row.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.policy.blocks import Place, one_hot_codes
from flopbench.policy.columns import coded
from flopbench.policy.plan import Plan
from flopbench.policy.samples import Sample, sample_error

PADDING = -1
"""Pads a row of labels; it is dropped."""

FLOAT32_DIGITS = 9
"""Decimal digits that distinguish any two float32 numbers."""

_ONE_HOT_HINT = "ids have the shape (B, T); one-hot rows have (B, T, A), one column per action"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What the column makers need to know. B samples."""

    plan: Plan
    place: Place
    size: int


def samples_of(plan: Plan, ids: Any, given: Mapping[str, Any]) -> tuple[list[Sample], Place]:
    """Turn one batch into samples, every decision as an id.

    Args:
        plan: what the decisions can be.
        ids: (B,) names or numbers.
        given: argument of ``PolicyLogger.add`` -> its value; None means not given.

    Returns:
        B samples, and where each stands, for messages.

    Raises:
        InputError: an argument of the wrong shape, length or kind.
        DataError: an invalid value; the message names the sample and the field.
    """
    names = _ids(ids)
    batch = _Batch(plan=plan, place=place_of(names), size=len(names))
    columns: dict[str, list[Any]] = {"id": names}
    for argument, value in given.items():
        if value is not None:
            field, make = _FIELDS[argument]
            columns[field] = make(value, argument, batch)
    samples = []
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        try:
            samples.append(msgspec.convert(dict(zip(columns, row, strict=True)), Sample))
        except msgspec.ValidationError as error:
            raise sample_error(error, batch.place(i)) from None
    if any(_holds_names(sample) for sample in samples):
        samples = coded(samples, plan, batch.place)
    return samples, batch.place


def place_of(names: Sequence[str]) -> Place:
    """Return how messages name the samples of a batch."""
    return lambda i: f"batch sample {i} (id {names[i]!r})"


def is_array(value: Any) -> bool:
    """Whether a value is a tensor or an array, or a scalar of one."""
    return hasattr(value, "detach") or hasattr(value, "__array__")


def to_array(value: Any, argument: str) -> Any:
    """Return a tensor of any device and type, or an array, as a numpy array.

    Raises:
        InputError: it has no plain array form.
    """
    try:
        if not hasattr(value, "detach"):
            return np.asarray(value)
        value = value.detach().cpu()
        try:
            return value.numpy()
        except TypeError:  # bfloat16 and the 8-bit floats, which numpy does not have
            return value.float().numpy()
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{argument}: cannot turn {type(value).__name__} into numbers: {error}"
        ) from None


def _load(value: Any, argument: str, size: int) -> Any:
    """Return one argument as an array (B, ...) or a list of B values."""
    if is_array(value):
        value = to_array(value, argument)
        if value.ndim == 0:
            wanted = f"one value for each of {size} ids"
            raise InputError(f"{argument}: a single number where {wanted} was expected")
        if value.dtype.kind in "OUS":
            value = value.tolist()
    elif isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        kind = type(value).__name__
        raise InputError(f"{argument}: {kind} where one value for each of {size} ids was expected")
    else:
        value = list(value)
    if len(value) != size:
        raise InputError(f"{argument}: {len(value)} values for {size} ids")
    return value


def _plain(value: Any, argument: str) -> Any:
    """Return a single number of a tensor or array, or a path, as a plain Python value."""
    if isinstance(value, (str, int, float)) and not isinstance(value, np.generic):
        return value
    if is_array(value):
        return to_array(value, argument).tolist()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _ids(ids: Any) -> list[str]:
    if isinstance(ids, (str, bytes)):
        raise InputError(f"ids: one name, {ids!r}, where a batch was expected", "use add_one()")
    if not is_array(ids) and not isinstance(ids, Iterable):
        raise InputError(f"ids: {type(ids).__name__} where one name for each sample was expected")
    items = to_array(ids, "ids").tolist() if is_array(ids) else [_plain(v, "ids") for v in ids]
    if not isinstance(items, list):
        raise InputError("ids: one number where a batch was expected", "use add_one()")
    for i, item in enumerate(items):
        if item is None or isinstance(item, (bool, float, bytes, list, tuple, dict)):
            raise InputError(f"ids[{i}] is {item!r} where a name or a whole number was expected")
    return list(map(str, items))


def _scalars(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """(B,) values of any kind -> B values."""
    items = _load(value, argument, batch.size)
    if isinstance(items, np.ndarray):
        if items.ndim != 1:
            hint = "per-class numbers go into scores=" if argument == "predictions" else ""
            problem = f"shape {items.shape} where ({batch.size},) was expected"
            raise InputError(f"{argument}: {problem}", hint)
        items = items.tolist()
    plain: list[Any] = [_plain(item, argument) for item in items]
    for i, item in enumerate(plain):
        if isinstance(item, float) and not math.isfinite(item):
            hint = "None stands for a missing value"
            raise DataError(f"{batch.place(i)}: {argument} is {item}, not a finite number", hint)
    return plain


def _whole_scalars(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """(B,) whole numbers or names; whole floats, which some tensors hold, are accepted."""
    items = _scalars(value, argument, batch)
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in items]


def _steps(value: Any, argument: str, batch: _Batch) -> list[Any]:
    one = isinstance(value, int) and not isinstance(value, bool)
    return _whole_scalars([value] * batch.size if one else value, argument, batch)


def _whole(array: Any, argument: str, batch: _Batch, first: int = 0) -> Any:
    """(n, T) numbers -> the same as integers.

    Raises:
        InputError: booleans, or not real numbers.
        DataError: one of them is not whole.
    """
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind != "f":
        raise InputError(
            f"{argument}: {array.dtype} where whole numbers were expected",
            "a mask does not say which action True stands for: give ids",
        )
    wrong = np.argwhere(~(np.isfinite(array) & (array == np.rint(array))))
    if len(wrong):
        i, t = wrong[0]
        problem = f"{argument}[{t}] is {array[i, t]:g} where a whole number was expected"
        hint = _ONE_HOT_HINT if argument.startswith("actions") else ""
        raise DataError(f"{batch.place(first + int(i))}: {problem}", hint)
    return array.astype(np.int64)


def _labels(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """(B,), (B, L) padded with -1, names, or B lists -> B lists."""
    items = _load(value, argument, batch.size)
    if isinstance(items, np.ndarray):
        items = items[:, None] if items.ndim == 1 else items
        if items.ndim != 2:
            raise InputError(f"labels: shape {items.shape} where (B,) or (B, L) was expected")
        rows = _whole(items, argument, batch).tolist()
    else:
        rows = [_label_row(item) for item in items]
    for i, row in enumerate(rows):
        if len(row) > 2 and all(v in (0, 1) for v in row):
            raise DataError(
                f"{batch.place(i)}: labels: {len(row)} values, all 0 or 1: a multi-hot row?",
                "give class indices, one row per sample, padded with -1",
            )
    return [[v for v in row if v != PADDING] or None for row in rows]


def _label_row(item: Any) -> list[Any]:
    item = _plain(item, "labels")
    row = [_plain(v, "labels") for v in item] if isinstance(item, (list, tuple)) else [item]
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in row if v is not None]


def _scores(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """(B, C) numbers -> B lists of C floats."""
    items = _load(value, argument, batch.size)
    if not isinstance(items, np.ndarray):
        rows = [to_array(item, argument) for item in items]
        if len({row.shape for row in rows}) > 1:
            raise InputError(f"scores: {rows[0].shape} and other shapes in one batch")
        items = np.stack(rows) if rows else np.empty((0, 0))
    if items.ndim != 2 or items.dtype.kind not in "fiu":
        raise InputError(
            f"scores: {items.dtype} of shape {items.shape} where numbers (B, C) were expected"
        )
    wrong = np.argwhere(~np.isfinite(items))
    if len(wrong):
        i, c = wrong[0]
        raise DataError(f"{batch.place(int(i))}: scores[{c}] is {items[i, c]}, not a finite number")
    rows_of_floats: list[Any] = short_floats(items).tolist()
    return rows_of_floats


def short_floats(array: Any) -> Any:
    """Return numbers as float64 that print in few digits and still equal the given ones.

    A float32 (and anything narrower) becomes the nearest decimal of 9 digits, which rounds back to
    it bit for bit: 0.1 prints as 0.100000001, not as 0.10000000149011612. Wider numbers stay as
    they are.
    """
    exact = array.astype(np.float64)
    if array.dtype.itemsize > 4 or array.dtype.kind != "f":
        return exact
    size = np.abs(exact)
    size[size == 0] = 1
    places = FLOAT32_DIGITS - 1 - np.floor(np.log10(size)).astype(np.int64)
    up = 10.0 ** np.clip(places, 0, 22)  # powers of ten up to 22 are exact, so one rounding is left
    down = 10.0 ** np.clip(-places, 0, 22)
    short = np.rint(exact * up / down) / up * down
    return np.where(short.astype(array.dtype) == array, short, exact)


def _decisions(value: Any, argument: str, stream: str, batch: _Batch) -> list[Any]:
    """(B, T) ids, (B, T, A) one-hot rows, or B rows of either kind or of names -> B lists."""
    items = _load(value, argument, batch.size)
    if isinstance(items, np.ndarray):
        return _decisions_of_array(items, argument, stream, batch)
    return [_decision_row(item, argument, stream, batch, i) for i, item in enumerate(items)]


def _decisions_of_array(
    array: Any, argument: str, stream: str, batch: _Batch, first: int = 0
) -> list[Any]:
    if array.ndim == 2:
        rows: list[Any] = _whole(array, argument, batch, first).tolist()
        return rows
    if array.ndim != 3:
        problem = f"shape {array.shape} is neither ids nor one-hot rows"
        raise InputError(f"{argument}: {problem}", _ONE_HOT_HINT)
    n, steps, width = array.shape
    size = batch.plan.size(stream)
    if width != size or array.dtype.kind not in "fiub":
        problem = f"one-hot rows of {width} {array.dtype} where this log has {size} actions"
        raise InputError(f"{argument}: {problem}", _ONE_HOT_HINT)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)

    def say(position: int, text: str, hint: str = "") -> None:
        i, t = divmod(position, steps)
        raise DataError(f"{batch.place(first + i)}: {argument}[{t}] {text}", hint)

    codes = one_hot_codes(array.reshape(n * steps, width), size, say)
    one_hot: list[Any] = codes.reshape(n, steps).tolist()
    return one_hot


def _decision_row(item: Any, argument: str, stream: str, batch: _Batch, i: int) -> Any:
    if is_array(item):
        array = to_array(item, argument)
        if array.dtype.kind not in "OUS" and array.ndim in (1, 2):
            return _decisions_of_array(array[None], argument, stream, batch, i)[0]
        item = array.tolist()
    if not isinstance(item, (list, tuple)):
        problem = f"{argument} is {item!r} where a list of decisions was expected"
        raise DataError(f"{batch.place(i)}: {problem}", _ONE_HOT_HINT)
    return item if set(map(type, item)) <= {int, str} else [_choice(v, argument) for v in item]


def _choice(value: Any, argument: str) -> Any:
    """One decision of a list -> id, name or one-hot row."""
    value = _plain(value, argument)
    if isinstance(value, (list, tuple)):
        return [float(v) if not isinstance(v, str) else v for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rows(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """(B, T), or B lists of numbers or paths -> B lists; None stays None."""
    rows = []
    for i, item in enumerate(_load(value, argument, batch.size)):
        item = _plain(item, argument)
        if item is not None and not isinstance(item, (list, tuple)):
            raise DataError(f"{batch.place(i)}: {argument} is {item!r} where a list was expected")
        rows.append(item and [_plain(v, argument) for v in item])
    return rows


def _by_stream(make: Callable[..., list[Any]]) -> Callable[[Any, str, _Batch], list[Any]]:
    """Let a maker of rows take a dict stream -> value where the log has streams."""

    def made(value: Any, argument: str, batch: _Batch) -> list[Any]:
        streams = batch.plan.streams
        if streams == ("",):
            if isinstance(value, Mapping):
                raise InputError(f"{argument}: a dict, but the header declares no 'streams'")
            return make(value, argument, "", batch)
        if not isinstance(value, Mapping):
            listed = ", ".join(streams)
            raise InputError(f"{argument}: expected a dict with the streams {listed}")
        for name in value:
            if name not in streams:
                hint = near_match(str(name), streams, "streams")
                raise InputError(f"{argument}: there is no stream {name!r}", hint)
        columns = [make(rows, f"{argument}.{name}", name, batch) for name, rows in value.items()]
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]

    return made


def _table(value: Any, argument: str, batch: _Batch) -> list[Any]:
    """A dict name -> (B,) values -> B dicts."""
    if not isinstance(value, Mapping):
        raise InputError(f"{argument}: expected a dict of names, each with one value per sample")
    columns = [_scalars(values, f"{argument}.{name}", batch) for name, values in value.items()]
    if not columns:
        return [None] * batch.size
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _holds_names(sample: Sample) -> bool:
    """Whether a decision or the exit is still a name or a one-hot row."""
    actions = sample.actions
    rows = actions.values() if isinstance(actions, dict) else (actions or (),)
    return isinstance(sample.exit, str) or any(set(map(type, row)) - {int} for row in rows)


_FIELDS: dict[str, tuple[str, Callable[[Any, str, _Batch], list[Any]]]] = {
    "actions": ("actions", _by_stream(_decisions)),
    "labels": ("labels", _labels),
    "predictions": ("prediction", _whole_scalars),
    "scores": ("scores", _scores),
    "views": ("view", _whole_scalars),
    "spans": ("spans", _by_stream(lambda v, argument, _, batch: _rows(v, argument, batch))),
    "exits": ("exit", _whole_scalars),
    "counts": ("counts", _table),
    "steps": ("steps", _steps),
    "frames": ("frames", _rows),
    "latency_ms": ("latency_ms", _scalars),
    "extra": ("extra", _table),
}
