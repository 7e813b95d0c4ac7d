"""A run as a line of a comparison: its name, cost, time, and accuracy computed or quoted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from flopbench.core.bootstrap import MAP_RESAMPLES
from flopbench.core.errors import InputError, distinct, near_match
from flopbench.core.remarks import Remark
from flopbench.core.statistics import Ends
from flopbench.core.units import number_of
from flopbench.estimate.accuracy import Accuracy, mean_average_precision, top1
from flopbench.estimate.prices import PriceList
from flopbench.estimate.runs import Choices, Run, method_name
from flopbench.estimate.scores import NoAccuracy, Predictions, predictions_of
from flopbench.policy.counts import LogCounts, WithoutRecords

Metric = Literal["mAP", "top-1"]
METRICS: tuple[Metric, ...] = ("mAP", "top-1")
AGREES = 0.051
"""Percentage points by which rounding alone may move a quoted figure of one decimal."""

_ALIASES: Mapping[str, Metric] = {
    "map": "mAP",
    "top1": "top-1",
    "top-1": "top-1",
    "accuracy": "top-1",
    "acc": "top-1",
}


class RunTime(Struct, frozen=True, kw_only=True):
    """What a run takes, by measured times of its networks; ``replay.run_times`` makes it.

    Attributes:
        ms_per_video: the mean.
        interval_ms: 95 %, of the mean; None where it is not known.
        prices: component -> picoseconds of one run, so that sums in GFLOPS are milliseconds.
        ms_by_network: what was timed -> the part of ``ms_per_video`` that it takes.
        repeats: what was timed -> where a repeat of the timing is expected (95 %), as factors of
            it; None from a single process.
        setting: where and how everything was timed, in words.
        source: the timing files.
        data: all of it as plain JSON values.
        warnings: on doubtful times and on what stands in for a constant.
    """

    ms_per_video: float
    interval_ms: Ends | None
    prices: PriceList
    ms_by_network: Mapping[str, float]
    repeats: Mapping[str, Ends | None]
    setting: str
    source: str
    data: Mapping[str, Any] = {}
    warnings: tuple[Remark, ...] = ()

    @property
    def videos_per_s(self) -> float:
        """Videos a second, one after the other."""
        return 1e3 / self.ms_per_video if self.ms_per_video else math.inf


class Method(Struct, frozen=True, kw_only=True):
    """One line of the comparison.

    Attributes:
        name: the run's method, made unique among the runs compared.
        run: its estimate.
        accuracy: from the log's scores or predictions; None where it has none.
        quoted: the figure that the header quotes instead, in percent.
        why_none: why there is no accuracy.
        quotes_other: the figure that the header quotes where the scores give another, in percent.
        predictions: what the accuracy was computed from.
        time: what the run takes; None where that is not known.
    """

    name: str
    run: Run
    accuracy: Accuracy | None
    quoted: float | None
    why_none: str = ""
    quotes_other: float | None = None
    predictions: Predictions | None = None
    time: RunTime | None = None

    @property
    def percent(self) -> float | None:
        """The accuracy, computed or else quoted, in percent."""
        return self.quoted if self.accuracy is None else self.accuracy.percent


def methods_of(
    runs: Sequence[Run], names: Sequence[str], metric: str | None, choices: Choices
) -> tuple[Metric, tuple[Method, ...]]:
    """Return the metric, and a line of the comparison for each run, made with scores kept.

    ``metric`` is as the user typed it; None takes the first that every run has or quotes, of those
    that have or quote any: top-1 before mAP where each sample has one label.

    Raises:
        InputError: there is no such metric.
    """
    found: list[Predictions | NoAccuracy] = []
    for run in runs:
        try:
            found.append(predictions_of(run.counts))
        except NoAccuracy as none:
            found.append(none)
    known = list(zip(runs, found, strict=True))

    def has(one: Metric, run: Run, own: Predictions | NoAccuracy) -> bool:
        return _quoted(run, one) is not None or _can(own, one)

    telling = [pair for pair in known if any(has(one, *pair) for one in METRICS)]

    if metric is not None:
        chosen = metric_named(metric)
    else:
        labelled = [own.offsets for own in found if isinstance(own, Predictions)]
        single = bool(labelled) and all(len(o) == o[-1] + 1 for o in labelled)
        order = METRICS[::-1] if single else METRICS
        chosen = next((one for one in order if all(has(one, *pair) for pair in telling)), order[0])
    return chosen, tuple(
        _method(name, run, own, chosen, choices)
        for name, (run, own) in zip(names, known, strict=True)
    )


def names_of(
    methods: Sequence[str],
    datasets: Sequence[str],
    sources: Sequence[object],
    given: Sequence[str] = (),
) -> list[str]:
    """Name runs by method; add the dataset where that differs, and the file where both agree.

    Args:
        methods: names of the runs' methods.
        datasets: with their splits; empty where they are not known.
        sources: the runs' files.
        given: names to use instead; empty for none.

    Raises:
        InputError: the number of names is not that of the runs, or a name is given twice.
    """
    if given:
        if len(given) != len(methods):
            both = number_of(len(given), "name"), number_of(len(methods), "run")
            raise InputError(f"{' for '.join(both)}: give one per run")
        if len(set(given)) < len(given):
            raise InputError(f"the names {', '.join(map(repr, given))} are not all different")
        return list(given)
    names = list(methods)
    if len(set(datasets)) > 1:
        one_method = len(set(methods)) == 1
        names = [
            d if one_method and d else f"{m}, {d}" if d else m
            for m, d in zip(methods, datasets, strict=True)
        ]
    return distinct(
        [
            name if names.count(name) == 1 else f"{name} ({source})"
            for name, source in zip(names, sources, strict=True)
        ]
    )


def names_of_logs(
    logs: Sequence[LogCounts | WithoutRecords], given: Sequence[str] = ()
) -> list[str]:
    """Name logs, as ``names_of``."""
    datasets = [counts.plan.header.data for counts in logs]
    return names_of(list(map(method_name, logs)), datasets, [c.source for c in logs], given)


def metric_named(text: str) -> Metric:
    """Return the metric that a user named; raise InputError where there is none."""
    found = _ALIASES.get(text.lower())
    if found is None:
        raise InputError(f"there is no metric {text!r}", near_match(text, METRICS, "metrics"))
    return found


def _can(found: Predictions | NoAccuracy, metric: Metric) -> bool:
    return isinstance(found, Predictions) and (metric == "top-1" or found.scores is not None)


def _quoted(run: Run, metric: Metric) -> float | None:
    for name, value in (run.header.metrics or {}).items():
        if _ALIASES.get(name.lower()) == metric and isinstance(value, (int, float)):
            return float(value)
    return None


def _method(
    name: str, run: Run, found: Predictions | NoAccuracy, metric: Metric, choices: Choices
) -> Method:
    """Return one line of the comparison."""
    quoted = _quoted(run, metric)
    accuracy, other, why = None, None, ""
    if isinstance(found, Predictions) and _can(found, metric):
        accuracy = _accuracy(found, run, metric, choices)
        if quoted is not None and abs(accuracy.percent - quoted) > AGREES:
            other = quoted
    elif quoted is None:
        why = f"{metric} needs scores" if isinstance(found, Predictions) else str(found)
    return Method(
        name=name,
        run=run,
        accuracy=accuracy,
        quoted=None if accuracy is not None else quoted,
        why_none=why,
        quotes_other=other,
        predictions=found if isinstance(found, Predictions) else None,
    )


def _accuracy(found: Predictions, run: Run, metric: Metric, choices: Choices) -> Accuracy:
    resamples, seed = choices.resamples, choices.seed
    drawn = None if run.clusters is None else run.clusters.drawn
    if metric == "top-1":
        return top1(found.predicted, found.first, clusters=drawn, resamples=resamples, seed=seed)
    return mean_average_precision(
        found.scores,
        found.codes,
        found.offsets,
        clusters=drawn,
        resamples=min(resamples, MAP_RESAMPLES),
        seed=seed,
    )
