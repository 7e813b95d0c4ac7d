"""Reading the marks of a test: ``cost_budget("4.2 GMACs", max_increase="2%")`` -> budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from flopbench.check.limits import parse_amount, parse_limit, parse_share
from flopbench.check.records import MODEL_METRICS, Budget, Metric
from flopbench.core.errors import InputError, near_match
from flopbench.counting.registry import find_counter, own_counters

_KEYWORDS = ("input", "max_increase", "min_delta", "counter", "note")
_NOUNS: Mapping[Metric, tuple[str, ...]] = {
    "params": ("param",),
    "activations": ("activation", "element"),
}
"""Words in units of metrics other than MACs."""
_OTHERS = "'25.6 M params' or '11.1 M activations'"
_LIMITS = f"limits are texts such as '4.2 GMACs', {_OTHERS}"


class Mark(Protocol):
    """A mark as pytest keeps it."""

    @property
    def args(self) -> tuple[Any, ...]:
        """The limits."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """All other arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the marks of one test ask for.

    Attributes:
        name: node id of the test.
        file: its file, relative to pytest's root folder.
        line: its line, from 1.
        budgets: one for each metric of a model.
        guarded: whether growth over the baseline is limited.
        input: the input of a module returned without one; None for none.
        counter: the counter whose MACs are guarded.
    """

    name: str
    file: str
    line: int
    budgets: tuple[Budget, ...]
    guarded: bool
    input: Any
    counter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """The content of one mark."""

    limits: Mapping[Metric, tuple[Fraction, str]]
    max_increase: Fraction | None
    min_delta: Mapping[Metric, Fraction]
    note: str


def read_marks(marks: Sequence[Mark], *, name: str, file: str, line: int) -> Asked:
    """Read the marks of one test; several add up.

    Each metric is limited at most once. For other keywords the mark nearest to the test applies;
    for a metric that a mark limits, the keywords of that mark come first.

    Args:
        marks: the nearest to the test first.
        name: node id of the test.
        file: its file.
        line: its line.

    Raises:
        InputError: an unknown keyword, an invalid limit, or no budget at all.
    """
    terms = [_terms(mark) for mark in marks]
    for metric in MODEL_METRICS:
        texts = [one.limits[metric][1] for one in terms if metric in one.limits]
        if len(texts) > 1:
            raise InputError(f"cost_budget limits {metric} twice: {' and '.join(map(repr, texts))}")
    guarded = any(one.max_increase is not None for one in terms)
    if not guarded and any(one.min_delta for one in terms):
        raise InputError("cost_budget has min_delta, which needs max_increase, such as '0%'")
    if not guarded and not any(one.limits for one in terms):
        raise InputError(
            "cost_budget has no budget", f"{_LIMITS}; max_increase='0%' limits the growth"
        )
    counter = _nearest(marks, "counter", "torch")
    if not isinstance(counter, str):
        raise InputError(f"cost_budget: counter is {counter!r}: expected a name such as 'torch'")
    if counter not in {
        own.name for own in own_counters()
    }:  # counting checks whether it is installed
        find_counter(counter)
    return Asked(
        name=name,
        file=file,
        line=line,
        budgets=tuple(_budget(metric, terms, line) for metric in MODEL_METRICS),
        guarded=guarded,
        input=_nearest(marks, "input", None),
        counter=counter,
    )


def _terms(mark: Mark) -> _Terms:
    for key in mark.kwargs:
        if key not in _KEYWORDS:
            raise InputError(
                f"cost_budget has no keyword {key!r}", near_match(key, _KEYWORDS, "keywords")
            )
    limits: dict[Metric, tuple[Fraction, str]] = {}
    for text in mark.args:
        if not isinstance(text, str):
            raise InputError(f"cost_budget got {text!r} as a limit", _LIMITS)
        metric = _metric(text)
        if metric in limits:
            raise InputError(
                f"cost_budget limits {metric} twice: {limits[metric][1]!r} and {text!r}"
            )
        limits[metric] = (_read(parse_limit, text, metric), text)
    note = mark.kwargs.get("note", "")
    if not isinstance(note, str):
        raise InputError(f"cost_budget: note is {note!r} where a text was expected")
    return _Terms(
        limits=limits,
        max_increase=_share(mark.kwargs.get("max_increase")),
        min_delta=_min_delta(mark.kwargs.get("min_delta")),
        note=" ".join(note.split()),
    )


def _share(value: Any) -> Fraction | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(
            f"cost_budget: max_increase is {value!r}", "write a percentage as text, such as '2%'"
        )
    try:
        return parse_share(value)
    except InputError as error:
        raise InputError(f"cost_budget: max_increase: {error.message}", error.hint) from None


def _min_delta(value: Any) -> dict[Metric, Fraction]:
    if value is None:
        return {}
    if not isinstance(value, str):
        raise InputError(
            f"cost_budget: min_delta is {value!r}", "write it with its unit, such as '1 MMACs'"
        )
    metric = _metric(value)
    return {metric: _read(parse_amount, value, metric)}


def _metric(text: str) -> Metric:
    """Return the metric that a unit belongs to; any other unit is refused as not one of MACs."""
    words = text.lower()
    named = (metric for metric, nouns in _NOUNS.items() if any(noun in words for noun in nouns))
    return next(named, "dense_macs")


def _read(parse: Callable[[str, Metric], Fraction], text: str, metric: Metric) -> Fraction:
    try:
        return parse(text, metric)
    except InputError as error:
        others = f", {_OTHERS}" if error.hint.startswith("expected such") else ""
        raise InputError(f"cost_budget: {error.message}", f"{error.hint}{others}") from None


def _budget(metric: Metric, terms: Sequence[_Terms], line: int) -> Budget:
    """Return the budget of one metric from all marks."""
    limit, text = next((one.limits[metric] for one in terms if metric in one.limits), (None, ""))
    # First the mark that limits this metric, then the nearest one.
    ordered = sorted(terms, key=lambda one: metric not in one.limits)
    increase = next((one.max_increase for one in ordered if one.max_increase is not None), None)
    return Budget(
        metric=metric,
        limit=limit,
        limit_text=text,
        max_increase=increase or Fraction(0),
        min_delta=next(
            (one.min_delta[metric] for one in terms if metric in one.min_delta), Fraction(0)
        ),
        note=next((one.note for one in ordered if one.note), ""),
        line=line,
    )


def _nearest(marks: Sequence[Mark], key: str, default: Any) -> Any:
    return next((mark.kwargs[key] for mark in marks if key in mark.kwargs), default)
