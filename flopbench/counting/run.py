"""Counts models: specifications times counters -> profiles, cost table, explanation.

The only place that decides between the cache and measuring, and the only entry to ``measure``.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.core.workers import Progress, pool_of
from flopbench.counting import cache
from flopbench.counting.agreement import REFERENCE, CounterVerdict, judge_counters
from flopbench.counting.cost_row import CostRow
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import DEFAULT_COUNTERS, WITNESS, CounterInfo, find_counters
from flopbench.counting.rows import Measurement, constant_row, measured_rows, table_environment
from flopbench.counting.table import CostTable
from flopbench.models.presets import Preset, PublishedRow, explain_published, find_published
from flopbench.models.spec import ModelSpec

_Todo = tuple[ModelSpec, list[CounterInfo]]
_Results = dict[str, CostProfile | str] | FlopbenchError
"""What each counter gives, or why no counter could run."""

NOT_CACHED = "not in the cache, and measuring was not requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
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
    jobs: int = 1,
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
        jobs: worker processes to measure in; 1 measures in this process.
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
    wanted = list(dict.fromkeys(specs))
    results: dict[tuple[ModelSpec, str], CostProfile | str] = {}
    entries = cache.entries(wanted, infos)
    for key, where in entries.items():
        if where is not None and not (refresh or (fresh_code and key[0].is_user_code)):
            profile = cache.load(where)
            if profile is not None:
                results[key] = profile
    todo = [
        (spec, missing)
        for spec in wanted
        if (missing := [info for info in infos if (spec, info.name) not in results])
    ]
    if cached_only:
        results |= {(spec, info.name): NOT_CACHED for spec, missing in todo for info in missing}
        todo = []
    broken: dict[ModelSpec, str] = {}
    for (spec, missing), measured in _measure_missing(todo, jobs, progress):
        if isinstance(measured, FlopbenchError):
            if not keep_going:
                raise measured
            broken[spec] = measured.line
            measured = {info.name: measured.line for info in missing}
        for name, result in measured.items():
            results[spec, name] = result
            where = entries[spec, name]
            if where is not None and not isinstance(result, str):
                cache.store(where, result)
    done = [
        Measurement.of(
            spec, {info.name: results[spec, info.name] for info in infos}, broken.get(spec, "")
        )
        for spec in specs
    ]
    if not witness or not set(DEFAULT_COUNTERS) <= set(counters) or WITNESS in counters:
        return done
    alone = [m.spec for m in done if _lacks_witness(m)]
    found = measure(alone, [WITNESS], refresh=refresh, jobs=jobs, cached_only=cached_only)
    witnesses = {m.spec: m.profiles for m in found}
    return [replace(m, profiles=(*m.profiles, *witnesses.get(m.spec, ()))) for m in done]


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
    models = [spec for spec in specs if spec.source != "value"]
    found = measure(
        models,
        counters,
        refresh=refresh,
        jobs=jobs,
        progress=progress,
        witness=True,
        keep_going=keep_going and len(set(specs)) > 1,
    )
    measured = {m.spec: m for m in found}
    quoted = {row.spec: row for row in published}
    rows: list[CostRow] = []
    for spec in specs:
        if spec.source == "value":
            rows.append(constant_row(spec))
        else:
            one = measured[spec]
            witnesses = [p.counter for p in one.profiles if p.counter == WITNESS]
            names = list(dict.fromkeys([*counters, *witnesses]))
            rows += measured_rows(one, names, quoted.get(spec))
    # A default size may equal the size that another row names: keep one row.
    rows = list({(*row.key, row.counter): row for row in rows}.values())
    return CostTable(rows=tuple(rows), environment=table_environment(specs, counters))


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


def _measure_missing(
    todo: list[_Todo], jobs: int, progress: Progress | None
) -> Iterator[tuple[_Todo, _Results]]:
    if jobs > 1 and len(todo) > 1:
        measured = _in_workers(todo, jobs)
    else:
        measured = ((one, _measure_one(one)) for one in todo)
    tell = progress or (lambda _done, _total, _coming: None)
    coming = [str(spec) for spec, _ in todo] + [""]
    if todo:
        tell(0, len(todo), coming[0])
    for done, found in enumerate(measured, 1):
        yield found
        tell(done, len(todo), coming[done])


def _in_workers(todo: list[_Todo], jobs: int) -> Iterator[tuple[_Todo, _Results]]:
    """Measure in worker processes; what a dying one takes down is measured again, one by one."""
    lost: list[_Todo] = []
    with pool_of(min(jobs, len(todo))) as pool:
        futures = {pool.submit(_measure_one, one): one for one in todo}
        workers = pool.processes()
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
    for one in lost:
        if len(todo) > 1:
            yield from _in_workers([one], 1)
        else:
            workers[0].join()
            yield one, MeasureError(f"its worker process {_end_of(workers[0].exitcode or 0)}")


def _end_of(status: int) -> str:
    """Say how a process ended that gave no answer."""
    if status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name
    killed = "was killed, probably for lack of memory" if name == "SIGKILL" else "crashed"
    return f"{killed} ({name})"


def _measure_one(todo: _Todo) -> _Results:
    try:
        return _profile_spec(*todo)
    except FlopbenchError as error:
        return error


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
