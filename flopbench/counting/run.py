"""Counts models: specifications times counters -> profiles, cost table, explanation.

The only place that decides between the cache and measuring, and the only entry to ``measure``.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.counting import DEFAULT_COUNTERS, cache
from flopbench.counting.agreement import REFERENCE, CounterVerdict, judge_counters
from flopbench.counting.cost_row import CostRow
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import WITNESS, CounterInfo, find_counters
from flopbench.counting.rows import Measurement, constant_row, measured_rows, table_environment
from flopbench.counting.table import CostTable
from flopbench.models.presets import Preset, PublishedRow, explain_published, find_published
from flopbench.models.spec import ModelSpec

if TYPE_CHECKING:
    from flopbench.core.workers import Answer, Progress

NOT_CACHED = "not in the cache, and measuring was not requested"


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything that is known of one model at one input.

    Attributes:
        profiles: one per counter, in the requested order; at least one.
        verdicts: counter -> verdict.
        failures: counter -> why it could not count this model.
        published: sentences on a published figure of this model, empty if none is known.
    """

    profiles: tuple[CostProfile, ...]
    verdicts: Mapping[str, CounterVerdict]
    failures: Mapping[str, str]
    published: tuple[str, ...] = ()

    @property
    def reference(self) -> CostProfile:
        """The profile whose breakdown is shown: the reference counter's, or the first."""
        return next((p for p in self.profiles if p.counter == REFERENCE), self.profiles[0])


def measure(
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    refresh: bool = False,
    progress: Progress | None = None,
    cached_only: bool = False,
    witness: bool = False,
    keep_going: bool = False,
    fresh_code: bool = False,
) -> list[Measurement]:
    """Profile every specification under every counter, from the cache if possible.

    Args:
        specs: models; no ``value:`` constants.
        counters: their names.
        refresh: measure again even if the cache has an answer, and store the new one.
        progress: called before each measurement.
        cached_only: measure nothing; what is not in the cache is a failure.
        witness: where the default counters were asked for, and no other confirms the reference,
            ask the witness too. It does not fail: it joins a model for which it has a formula.
        keep_going: a model that cannot be built or does not run is a failure of every counter; the
            others are measured.
        fresh_code: take no profile of the user's own code from the cache.

    Raises:
        InputError: an unknown counter; without ``keep_going`` also an unknown model, a missing
            library, an input that does not fit.
    """
    infos = find_counters(counters)
    entries = cache.entries(dict.fromkeys(specs), infos)
    results: dict[tuple[ModelSpec, str], CostProfile | str] = {
        (spec, name): profile
        for (spec, name), where in entries.items()
        if where is not None and not (refresh or (fresh_code and spec.is_user_code))
        if (profile := cache.load(where)) is not None
    }
    if cached_only:
        results = {**dict.fromkeys(entries, NOT_CACHED), **results}
    lacking = {
        spec: missing
        for spec in dict.fromkeys(specs)
        if (missing := [info for info in infos if (spec, info.name) not in results])
    }
    broken: dict[ModelSpec, str] = {}
    for spec, measured, broken[spec] in _measured(lacking, keep_going, progress):
        for name, result in measured.items():
            results[spec, name] = result
            if (where := entries[spec, name]) is not None and not isinstance(result, str):
                cache.store(where, result)
    done = [
        Measurement.of(spec, {i.name: results[spec, i.name] for i in infos}, broken.get(spec, ""))
        for spec in specs
    ]
    asked = witness and set(DEFAULT_COUNTERS) <= set(counters) and WITNESS not in counters
    alone = [m.spec for m in done if asked and _lacks_witness(m)]
    if not alone:
        return done
    found = measure(alone, [WITNESS], refresh=refresh, cached_only=cached_only)
    witnesses = {m.spec: m.profiles for m in found}
    return [replace(m, profiles=(*m.profiles, *witnesses.get(m.spec, ()))) for m in done]


def _measured(
    lacking: Mapping[ModelSpec, list[CounterInfo]], keep_going: bool, progress: Progress | None
) -> Iterator[tuple[ModelSpec, dict[str, CostProfile | str], str]]:
    """Yield models with profiles, or reasons for none, by counter; and why one does not run."""
    for number, (spec, infos) in enumerate(lacking.items()):
        if progress is not None:
            progress(number, len(lacking), str(spec))
        try:
            yield spec, _profile_spec(spec, infos), ""
        except FlopbenchError as error:
            if not keep_going:
                raise
            yield spec, dict.fromkeys((info.name for info in infos), error.line), error.line


def _lacks_witness(measured: Measurement) -> bool:
    """Whether no second library gives the reference's count, and a formula may."""
    reference = measured.under(REFERENCE)
    if reference is None or not reference.modules:
        return False
    if judge_counters(measured.profiles)[REFERENCE].status != "unverified":
        return False
    from flopbench.counting.measure.counters.formula_families import covers

    return covers(f"{measured.spec.source}.{reference.modules[0].type}")


def build_table(
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    published: Sequence[PublishedRow] = (),
    refresh: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
    keep_going: bool = True,
) -> CostTable:
    """Build a cost table of models and ``value:`` constants; for the rest see ``measure``.

    Published rows are shown with the measured ones of the same specification. Among several lines,
    one of a model that cannot be built or does not run has failed, with the reason as its note;
    without ``keep_going``, and where it is the only line, that is an InputError.
    """
    distinct = list(dict.fromkeys(specs))
    found = counted_rows(
        distinct,
        counters,
        published=published,
        refresh=refresh,
        processes=jobs if min(jobs, len(distinct)) > 1 else 0,
        progress=progress,
        keep_going=keep_going and len(set(specs)) > 1,
    )
    with closing(found):
        counted = {spec: rows for spec, rows, _ in found}
    rows = [row for spec in specs for row in counted[spec]]
    # A default size may equal the size that another row names: keep one row.
    rows = list({(*row.key, row.counter): row for row in rows}.values())
    return CostTable(rows=tuple(rows), environment=table_environment(specs, counters))


class _Task(NamedTuple):
    """What one process counts at a time."""

    spec: ModelSpec
    counters: tuple[str, ...]
    quoted: PublishedRow | None
    refresh: bool
    keep_going: bool


def counted_rows(
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    published: Sequence[PublishedRow] = (),
    refresh: bool = False,
    processes: int = 0,
    progress: Progress | None = None,
    keep_going: bool = True,
    limit_s: float = math.inf,
) -> Generator[tuple[ModelSpec, list[CostRow], Answer]]:
    """Yield each specification with its rows, and what counting it took, as they are done.

    For the arguments see ``build_table``. Rows are made where the model is counted, so that this
    process holds no profiles.

    Args:
        specs: distinct ones.
        processes: that count, at once; 0 counts here.
        limit_s: seconds that one model may take in such a process.
    """
    from flopbench.core.workers import Answer, answers

    find_counters(counters)
    quoted = {row.spec: row for row in published}
    tasks = [_Task(s, tuple(counters), quoted.get(s), refresh, keep_going) for s in specs]
    found: Iterator[tuple[_Task, Answer]] = (
        answers(_rows_of, tasks, min(processes, len(tasks)), limit_s=limit_s)
        if processes
        else ((task, Answer(_rows_of(task))) for task in tasks)
    )
    coming = [*map(str, specs), ""]
    if progress is not None:
        progress(0, len(tasks), coming[0])
    for done, (task, answer) in enumerate(found, 1):
        rows = answer.value
        if isinstance(rows, FlopbenchError):
            if not keep_going:
                raise rows
            failed = dict.fromkeys(counters, rows.line)
            rows = measured_rows(Measurement.of(task.spec, failed, rows.line), [*counters], None)
        yield task.spec, rows, answer
        if progress is not None:
            progress(done, len(tasks), coming[done])


def _rows_of(task: _Task) -> list[CostRow]:
    spec = task.spec
    if spec.source == "value":
        return [constant_row(spec)]
    one = measure(
        [spec], task.counters, refresh=task.refresh, witness=True, keep_going=task.keep_going
    )[0]
    witnesses = [p.counter for p in one.profiles if p.counter == WITNESS]
    return measured_rows(one, list(dict.fromkeys([*task.counters, *witnesses])), task.quoted)


def explain(
    spec: ModelSpec,
    counters: Sequence[str],
    *,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Explanation:
    """Gather everything known of one model: profiles, verdicts, and its published figure.

    A published figure is explained with the publication's head, even if ``spec`` names none.

    Raises:
        InputError: as ``measure``.
        MeasureError: no counter could count the model.
    """
    measured = measure([spec], counters, refresh=refresh, progress=progress, witness=True)[0]
    if not measured.profiles:
        name, why = next(iter(measured.failures.items()))
        raise MeasureError(f"no counter could count {spec}; {name}: {why}")
    sentences: list[str] = []
    quoted = find_published(spec)
    if quoted is not None:
        names = [quoted.counted_by, REFERENCE]
        there = measure([quoted.spec], names, refresh=refresh, progress=progress)[0]
        counted, exact = there.under(quoted.counted_by), there.under(REFERENCE)
        sentences = [
            f"{quoted.source}; heads of {quoted.spec.classes} classes there",
            explain_published(
                quoted,
                counted.total if counted else None,
                exact.dense_macs if exact else None,
            ),
        ]
    return Explanation(
        profiles=measured.profiles,
        verdicts=judge_counters(measured.profiles),
        failures=measured.failures,
        published=tuple(sentences),
    )


def preset_specs(preset: Preset) -> list[ModelSpec]:
    """List the specifications of a preset's rows.

    Raises:
        InputError: the preset has no table.
    """
    if not preset.rows:
        raise InputError(f"the preset {preset.name!r} has no table rows")
    return [row.spec for row in preset.rows]


def _profile_spec(spec: ModelSpec, infos: list[CounterInfo]) -> dict[str, CostProfile | str]:
    try:
        from flopbench.counting.measure.profiler import profile_spec
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "torchvision"}:
            raise
        raise InputError(
            f"measuring needs {error.name}, which is not installed",
            "python -m pip install 'flopbench[measure]'",
        ) from None
    return profile_spec(spec, infos)
