"""Turns one batch of an evaluation loop (tensors, arrays, lists, names) into samples.

Nothing is guessed: two axes are action ids, three are one-hot rows, and anything ambiguous is
refused. Whole arrays are converted at once; only lists are processed row by row.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.policy.blocks import Place, one_hot_codes
from flopbench.policy.columns import coded
from flopbench.policy.plan import Plan
from flopbench.policy.samples import Sample, sample_of

PADDING = -1
"""Pads a row of labels; it is dropped."""

FLOAT32_DIGITS = 9
"""Decimal digits that distinguish any two float32 numbers."""

_ONE_HOT_HINT = "ids have the shape (B, T); one-hot rows have (B, T, A), one column per action"


def samples_of(plan: Plan, ids: Any, given: Mapping[str, Any]) -> tuple[list[Sample], Place]:
    """Turn one batch into samples, every decision as an id; and say where each stands.

    ``given``: argument of ``PolicyLogger.add`` -> its value; None means not given.
    """
    batch = _Batch(plan, _ids(ids))
    columns: dict[str, list[Any]] = {"id": batch.ids}
    for argument, value in given.items():
        if value is not None:
            field, make = _FIELDS[argument]
            columns[field] = make(batch, value, argument)
    rows = enumerate(zip(*columns.values(), strict=True))
    samples = [sample_of(dict(zip(columns, r, strict=True)), batch.place(i)) for i, r in rows]
    if any(map(_holds_names, samples)):
        samples = coded(samples, plan, batch.place)
    return samples, batch.place


def _holds_names(sample: Sample) -> bool:
    """Whether a decision or the exit is still a name or a one-hot row."""
    actions = sample.actions
    rows = actions.values() if isinstance(actions, dict) else (actions or (),)
    return isinstance(sample.exit, str) or any(set(map(type, row)) - {int} for row in rows)


def _is_array(value: Any) -> bool:
    """Whether a value is a tensor or an array, or a scalar of one."""
    return hasattr(value, "detach") or hasattr(value, "__array__")


def _to_array(value: Any, argument: str) -> Any:
    """Return a tensor of any device and type, or an array, as a numpy array."""
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


def _plain(value: Any, argument: str) -> Any:
    """Return a single number of a tensor or array, or a path, as a plain Python value."""
    if isinstance(value, (str, int, float)) and not isinstance(value, np.generic):
        return value
    if _is_array(value):
        return _to_array(value, argument).tolist()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _whole(value: Any) -> Any:
    """Return whole floats, which some tensors hold, as integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ids(ids: Any) -> list[str]:
    if isinstance(ids, (str, bytes)):
        raise InputError(f"ids: one name, {ids!r}, where a batch was expected", "use add_one()")
    if not _is_array(ids) and not isinstance(ids, Iterable):
        raise InputError(f"ids: {type(ids).__name__} where one name for each sample was expected")
    items = _to_array(ids, "ids").tolist() if _is_array(ids) else [_plain(v, "ids") for v in ids]
    if not isinstance(items, list):
        raise InputError("ids: one number where a batch was expected", "use add_one()")
    for i, item in enumerate(items):
        if item is None or isinstance(item, (bool, float, bytes, list, tuple, dict)):
            raise InputError(f"ids[{i}] is {item!r} where a name or a whole number was expected")
    return list(map(str, items))


class _Batch:
    """A batch of B samples; each method turns the value of an argument into B plain values."""

    def __init__(self, plan: Plan, ids: list[str]) -> None:
        self.plan = plan
        self.ids = ids
        self.size = len(ids)

    def place(self, i: int) -> str:
        """Name a sample in messages."""
        return f"batch sample {i} (id {self.ids[i]!r})"

    def refuse(self, i: int, text: str, hint: str = "") -> NoReturn:
        """Raise the error for a value of a sample."""
        raise DataError(f"{self.place(i)}: {text}", hint)

    def loaded(self, value: Any, argument: str) -> Any:
        """Return an array (B, ...) or a list of B values."""
        expected = f"one value for each of {self.size} ids"
        if _is_array(value):
            value = _to_array(value, argument)
            if value.ndim == 0:
                raise InputError(f"{argument}: a single number where {expected} was expected")
            if value.dtype.kind in "OUS":
                value = value.tolist()
        elif isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise InputError(f"{argument}: {type(value).__name__} where {expected} was expected")
        else:
            value = list(value)
        if len(value) != self.size:
            raise InputError(f"{argument}: {len(value)} values for {self.size} ids")
        return value

    def scalars(self, value: Any, argument: str) -> list[Any]:
        """(B,) values of any kind."""
        items = self.loaded(value, argument)
        if isinstance(items, np.ndarray):
            if items.ndim != 1:
                hint = "per-class numbers go into scores=" if argument == "predictions" else ""
                problem = f"shape {items.shape} where ({self.size},) was expected"
                raise InputError(f"{argument}: {problem}", hint)
            items = items.tolist()
        plain: list[Any] = [_plain(item, argument) for item in items]
        for i, item in enumerate(plain):
            if isinstance(item, float) and not math.isfinite(item):
                problem = f"{argument} is {item}, not a finite number"
                self.refuse(i, problem, "None stands for a missing value")
        return plain

    def whole_scalars(self, value: Any, argument: str) -> list[Any]:
        """(B,) whole numbers or names."""
        return list(map(_whole, self.scalars(value, argument)))

    def one_or_each(self, value: Any, argument: str) -> list[Any]:
        """(B,) whole numbers or names, or one for all."""
        one = isinstance(value, (int, str)) and not isinstance(value, bool)
        return self.whole_scalars([value] * self.size if one else value, argument)

    def table(self, value: Any, argument: str) -> list[Any]:
        """A dict name -> (B,) values."""
        if not isinstance(value, Mapping):
            raise InputError(
                f"{argument}: expected a dict of names, each with one value per sample"
            )
        columns = [self.scalars(values, f"{argument}.{name}") for name, values in value.items()]
        if not columns:
            return [None] * self.size
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]

    def labels(self, value: Any, argument: str) -> list[Any]:
        """(B,), (B, L) padded with -1, names, or B lists."""
        items = self.loaded(value, argument)
        if isinstance(items, np.ndarray):
            items = items[:, None] if items.ndim == 1 else items
            if items.ndim != 2:
                raise InputError(f"labels: shape {items.shape} where (B,) or (B, L) was expected")
            rows = self._integers(items, argument).tolist()
        else:
            items = [_plain(item, argument) for item in items]
            lists = [item if isinstance(item, (list, tuple)) else [item] for item in items]
            rows = [[_whole(_plain(v, argument)) for v in own if v is not None] for own in lists]
        for i, row in enumerate(rows):
            if len(row) > 2 and all(v in (0, 1) for v in row):
                problem = f"labels: {len(row)} values, all 0 or 1: a multi-hot row?"
                self.refuse(i, problem, "give class indices, one row per sample, padded with -1")
        return [[v for v in row if v != PADDING] or None for row in rows]

    def scores(self, value: Any, argument: str) -> list[Any]:
        """(B, C) numbers."""
        items = self.loaded(value, argument)
        if not isinstance(items, np.ndarray):
            rows = [_to_array(item, argument) for item in items]
            if len({row.shape for row in rows}) > 1:
                raise InputError(f"scores: {rows[0].shape} and other shapes in one batch")
            items = np.stack(rows) if rows else np.empty((0, 0))
        if items.ndim != 2 or items.dtype.kind not in "fiu":
            raise InputError(
                f"scores: {items.dtype} of shape {items.shape} where numbers (B, C) were expected"
            )
        wrong = np.argwhere(~np.isfinite(items)).tolist()
        if wrong:
            i, c = wrong[0]
            self.refuse(i, f"scores[{c}] is {items[i, c]}, not a finite number")
        found: list[Any] = short_floats(items).tolist()
        return found

    def actions(self, value: Any, argument: str) -> list[Any]:
        """(B, T) ids, (B, T, A) one-hot rows, or B rows of either kind or of names."""

        def decided(value: Any, argument: str, stream: str) -> list[Any]:
            items = self.loaded(value, argument)
            if isinstance(items, np.ndarray):
                return self._decisions(items, argument, stream)
            return [self._decision_row(v, argument, stream, i) for i, v in enumerate(items)]

        return self._by_stream(decided, value, argument)

    def spans(self, value: Any, argument: str) -> list[Any]:
        """(B, T) numbers, or B lists of them."""
        return self._by_stream(lambda own, name, _: self.rows(own, name), value, argument)

    def rows(self, value: Any, argument: str) -> list[Any]:
        """(B, T), or B lists of numbers or paths; None stays None."""
        rows = []
        for i, item in enumerate(self.loaded(value, argument)):
            item = _plain(item, argument)
            if item is not None and not isinstance(item, (list, tuple)):
                self.refuse(i, f"{argument} is {item!r} where a list was expected")
            rows.append(item and [_plain(v, argument) for v in item])
        return rows

    def _by_stream(
        self, make: Callable[[Any, str, str], list[Any]], value: Any, argument: str
    ) -> list[Any]:
        """Take a dict stream -> value where the log has streams, and only there."""
        streams = self.plan.streams
        if streams == ("",):
            if isinstance(value, Mapping):
                raise InputError(f"{argument}: a dict, but the header declares no 'streams'")
            return make(value, argument, "")
        if not isinstance(value, Mapping):
            listed = ", ".join(streams)
            raise InputError(f"{argument}: expected a dict with the streams {listed}")
        for name in value:
            if name not in streams:
                hint = near_match(str(name), streams, "streams")
                raise InputError(f"{argument}: there is no stream {name!r}", hint)
        columns = [make(rows, f"{argument}.{name}", name) for name, rows in value.items()]
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]

    def _integers(self, array: Any, argument: str, first: int = 0) -> Any:
        """(n, T) numbers, of which the first belongs to the sample ``first``, as integers."""
        if array.dtype.kind in "iu":
            return array
        if array.dtype.kind != "f":
            raise InputError(
                f"{argument}: {array.dtype} where whole numbers were expected",
                "a mask does not say which action True stands for: give ids",
            )
        wrong = np.argwhere(~(np.isfinite(array) & (array == np.rint(array)))).tolist()
        if wrong:
            i, t = wrong[0]
            problem = f"{argument}[{t}] is {array[i, t]:g} where a whole number was expected"
            hint = _ONE_HOT_HINT if argument.startswith("actions") else ""
            self.refuse(first + i, problem, hint)
        return array.astype(np.int64)

    def _decisions(self, array: Any, argument: str, stream: str, first: int = 0) -> list[Any]:
        if array.ndim == 2:
            rows: list[Any] = self._integers(array, argument, first).tolist()
            return rows
        if array.ndim != 3:
            problem = f"shape {array.shape} is neither ids nor one-hot rows"
            raise InputError(f"{argument}: {problem}", _ONE_HOT_HINT)
        n, steps, width = array.shape
        size = self.plan.size(stream)
        if width != size or array.dtype.kind not in "fiub":
            problem = f"one-hot rows of {width} {array.dtype} where this log has {size} actions"
            raise InputError(f"{argument}: {problem}", _ONE_HOT_HINT)
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)

        def say(position: int, text: str, hint: str = "") -> None:
            i, t = divmod(position, steps)
            self.refuse(first + i, f"{argument}[{t}] {text}", hint)

        codes = one_hot_codes(array.reshape(n * steps, width), size, say)
        one_hot: list[Any] = codes.reshape(n, steps).tolist()
        return one_hot

    def _decision_row(self, item: Any, argument: str, stream: str, i: int) -> Any:
        if _is_array(item):
            array = _to_array(item, argument)
            if array.dtype.kind not in "OUS" and array.ndim in (1, 2):
                return self._decisions(array[None], argument, stream, i)[0]
            item = array.tolist()
        if not isinstance(item, (list, tuple)):
            problem = f"{argument} is {item!r} where a list of decisions was expected"
            self.refuse(i, problem, _ONE_HOT_HINT)
        if set(map(type, item)) <= {int, str}:
            return item
        choices = [_plain(choice, argument) for choice in item]
        return [
            [float(v) if not isinstance(v, str) else v for v in choice]
            if isinstance(choice, (list, tuple))
            else _whole(choice)
            for choice in choices
        ]


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


_FIELDS: dict[str, tuple[str, Callable[[_Batch, Any, str], list[Any]]]] = {
    "actions": ("actions", _Batch.actions),
    "labels": ("labels", _Batch.labels),
    "predictions": ("prediction", _Batch.whole_scalars),
    "scores": ("scores", _Batch.scores),
    "views": ("view", _Batch.one_or_each),
    "spans": ("spans", _Batch.spans),
    "exits": ("exit", _Batch.whole_scalars),
    "counts": ("counts", _Batch.table),
    "steps": ("steps", _Batch.one_or_each),
    "frames": ("frames", _Batch.rows),
    "latency_ms": ("latency_ms", _Batch.scalars),
    "extra": ("extra", _Batch.table),
}
