"""Reading the marks of a test: ``cost_budget("4.2 GMACs", max_increase="2%")`` -> budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flopbench.check.limits import parse_amount, parse_limit, parse_share
from flopbench.check.records import MODEL_METRICS, Budget, Metric
from flopbench.core.errors import InputError, near_match
from flopbench.counting.registry import find_counter, own_counters

if TYPE_CHECKING:
    import pytest

_KEYWORDS = ("input", "max_increase", "min_delta", "counter", "note")
_NOUNS: Mapping[Metric, tuple[str, ...]] = {
    "params": ("param",),
    "activations": ("activation", "element"),
}
"""Words in units of metrics other than MACs."""
_OTHERS = "'25.6 M params' or '11.1 M activations'"
_LIMITS = f"limits are texts such as '4.2 GMACs', {_OTHERS}"


class Asked(Struct, frozen=True, kw_only=True):
    """What the marks of one test ask for.

    Attributes:
        file: its file, relative to pytest's root folder.
        line: its line, from 1.
        budgets: one for each metric of a model.
        guarded: whether growth over the baseline is limited.
        input: the input of a module returned without one.
    """

    name: str
    file: str
    line: int
    budgets: tuple[Budget, ...]
    guarded: bool
    input: Any
    counter: str


class _Terms(Struct, frozen=True, kw_only=True):
    """The content of one mark."""

    limits: Mapping[Metric, tuple[Fraction, str]]
    max_increase: Fraction | None
    min_delta: Mapping[Metric, Fraction]
    note: str


def read_marks(marks: Sequence[pytest.Mark], *, name: str, file: str, line: int) -> Asked:
    """Read the marks of the test at a file and line, the nearest first; several add up.

    Each metric is limited at most once. For other keywords the mark nearest to the test applies;
    for a metric that a mark limits, the keywords of that mark come first.
    """
    terms = [_terms(mark) for mark in marks]
    for metric in MODEL_METRICS:
        texts = [one.limits[metric][1] for one in terms if metric in one.limits]
        if len(texts) > 1:
            raise _twice(metric, texts)
    guarded = any(one.max_increase is not None for one in terms)
    if not guarded and any(one.min_delta for one in terms):
        raise InputError("cost_budget has min_delta, which needs max_increase, such as '0%'")
    if not guarded and not any(one.limits for one in terms):
        raise InputError(
            "cost_budget has no budget", f"{_LIMITS}; max_increase='0%' limits the growth"
        )
    naming = (mark for mark in marks if "counter" in mark.kwargs)
    hint = "expected a name, such as 'torch'"
    counter = next((_text(mark, "counter", "torch", hint) for mark in naming), "torch")
    if counter not in {own.name for own in own_counters()}:  # counting checks what is installed
        find_counter(counter)
    return Asked(
        name=name,
        file=file,
        line=line,
        budgets=tuple(_budget(metric, terms, line) for metric in MODEL_METRICS),
        guarded=guarded,
        input=next((mark.kwargs["input"] for mark in marks if "input" in mark.kwargs), None),
        counter=counter,
    )


def _terms(mark: pytest.Mark) -> _Terms:
    for key in mark.kwargs:
        if key not in _KEYWORDS:
            hint = near_match(key, _KEYWORDS, "keywords")
            raise InputError(f"cost_budget has no keyword {key!r}", hint)
    limits: dict[Metric, tuple[Fraction, str]] = {}
    for text in mark.args:
        if not isinstance(text, str):
            raise InputError(f"cost_budget got {text!r} as a limit", _LIMITS)
        metric = _metric(text)
        if metric in limits:
            raise _twice(metric, [limits[metric][1], text])
        limits[metric] = (_read(parse_limit, text, metric), text)
    increase = _text(mark, "max_increase", None, "write a percentage as text, such as '2%'")
    delta = _text(mark, "min_delta", None, "write it with its unit, such as '1 MMACs'")
    least = {}
    if delta is not None:
        metric = _metric(delta)
        least[metric] = _read(parse_amount, delta, metric)
    return _Terms(
        limits=limits,
        max_increase=None if increase is None else _read_share(increase),
        min_delta=least,
        note=" ".join(_text(mark, "note", "", "write it as text").split()),
    )


def _text(mark: pytest.Mark, key: str, default: Any, hint: str) -> Any:
    """Return the text of a keyword, or its default."""
    value = mark.kwargs.get(key, default)
    if value is not default and not isinstance(value, str):
        raise InputError(f"cost_budget: {key} is {value!r}", hint)
    return value


def _twice(metric: Metric, texts: Sequence[str]) -> InputError:
    return InputError(f"cost_budget limits {metric} twice: {' and '.join(map(repr, texts))}")


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


def _read_share(text: str) -> Fraction:
    try:
        return parse_share(text)
    except InputError as error:
        raise InputError(f"cost_budget: max_increase: {error.message}", error.hint) from None


def _budget(metric: Metric, terms: Sequence[_Terms], line: int) -> Budget:
    """Return the budget of one metric from all marks."""
    limit, text = next((one.limits[metric] for one in terms if metric in one.limits), (None, ""))
    # First the mark that limits this metric, then the nearest one.
    ordered = sorted(terms, key=lambda one: metric not in one.limits)
    increase = next((one.max_increase for one in ordered if one.max_increase is not None), None)
    deltas = (one.min_delta[metric] for one in terms if metric in one.min_delta)
    return Budget(
        metric=metric,
        limit=limit,
        limit_text=text,
        max_increase=increase or Fraction(0),
        min_delta=next(deltas, Fraction(0)),
        note=next((one.note for one in ordered if one.note), ""),
        line=line,
    )
