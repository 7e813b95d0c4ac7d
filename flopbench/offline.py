"""Specifications times counters -> profiles and the cost table.

The one place that decides between the cache and measuring, and the only door through which
anything outside ``measure`` reaches it.

Lives here: that decision, worker processes, and the assembly of rows. Does not live here: keys
and files of the cache, running models, printing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace

from flopbench import cache
from flopbench.agreement import REFERENCE, Verdict, judge
from flopbench.costs import CostProfile
from flopbench.counters import CounterInfo, find_counters, installed_version
from flopbench.errors import InputError, MeasureError
from flopbench.presets import Preset, PublishedRow, find_published
from flopbench.published import explain_published
from flopbench.specs import ModelSpec, parse_spec
from flopbench.table import CostRow, CostTable, summarise_gaps

Progress = Callable[[int, int, str], None]
"""Called with (done, all, what comes next)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that is known of one model at one input.

    Attributes:
        profiles: one a counter, in the order asked; at least one.
        verdicts: counter -> verdict.
        failures: counter -> why it could not count this model.
        published: sentences on a published figure of this model, empty where none is known.
    """

    profiles: tuple[CostProfile, ...]
    verdicts: Mapping[str, Verdict]
    failures: Mapping[str, str]
    published: tuple[str, ...] = ()

    @property
    def reference(self) -> CostProfile:
        """The profile whose breakdown is shown: the reference counter's, or the first."""
        return next((p for p in self.profiles if p.counter == REFERENCE), self.profiles[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One specification under the counters that were asked for.

    Attributes:
        spec: what was counted.
        profiles: one a counter that could count it, in the order asked.
        failures: counter name -> why it could not.
    """

    spec: ModelSpec
    profiles: tuple[CostProfile, ...]
    failures: dict[str, str]

    def under(self, counter: str) -> CostProfile | None:
        """Return the profile of one counter, None where there is none."""
        return next((p for p in self.profiles if p.counter == counter), None)


def measure(
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    refresh: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Profile every specification under every counter, from the cache where it is there.

    Args:
        specs: models; no ``value:`` constants.
        counters: names of counters.
        refresh: measure again even where the cache has an answer, and keep the new one.
        jobs: worker processes to measure in; 1 measures in this process.
        progress: told before each measurement.

    Raises:
        InputError: an unknown counter or model, a missing library, an input that does not fit.
    """
    infos = find_counters(counters)
    wanted = list(dict.fromkeys(specs))
    known: dict[tuple[ModelSpec, str], CostProfile] = {}
    failures: dict[tuple[ModelSpec, str], str] = {}
    if not refresh:
        for spec in wanted:
            for info in infos:
                where = cache.entry(spec, info)
                profile = cache.load(where) if where is not None else None
                if profile is not None:
                    known[spec, info.name] = profile
    todo = [
        (spec, missing)
        for spec in wanted
        if (missing := [info for info in infos if (spec, info.name) not in known])
    ]
    for spec, results in _measure_missing(todo, jobs, progress):
        for name, result in results.items():
            if isinstance(result, str):
                failures[spec, name] = result
                continue
            known[spec, name] = result
            where = cache.entry(spec, next(info for info in infos if info.name == name))
            if where is not None:
                cache.store(where, result)
    return [
        Measurement(
            spec=spec,
            profiles=tuple(known[spec, i.name] for i in infos if (spec, i.name) in known),
            failures={i.name: failures[spec, i.name] for i in infos if (spec, i.name) in failures},
        )
        for spec in specs
    ]


def build_table(
    specs: Sequence[ModelSpec],
    counters: Sequence[str],
    *,
    published: Sequence[PublishedRow] = (),
    refresh: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> CostTable:
    """Build the offline cost table.

    Args:
        specs: models and ``value:`` constants, in the table's order.
        counters: names of counters, in the table's order.
        published: rows of publications to set beside the measured ones, matched by specification.
        refresh: see ``measure``.
        jobs: see ``measure``.
        progress: see ``measure``.

    Raises:
        InputError: as ``measure``.
    """
    models = [spec for spec in specs if spec.source != "value"]
    measured = {
        m.spec: m for m in measure(models, counters, refresh=refresh, jobs=jobs, progress=progress)
    }
    quoted = {row.spec: row for row in published}
    rows: list[CostRow] = []
    for spec in specs:
        if spec.source == "value":
            rows.append(_constant_row(spec))
        else:
            rows += _rows(measured[spec], list(dict.fromkeys(counters)), quoted.get(spec))
    return CostTable(rows=tuple(rows), environment=table_environment(specs, counters))


def explain(
    spec: ModelSpec,
    counters: Sequence[str],
    *,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Explanation:
    """Gather everything known of one model: profiles, verdicts, and its published figure.

    A published figure is explained with the publication's own head, also where ``spec`` names
    none.

    Raises:
        InputError: as ``measure``.
        MeasureError: no counter could count the model.
    """
    measured = measure([spec], counters, refresh=refresh, progress=progress)[0]
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
        verdicts=judge(measured.profiles),
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


def table_environment(specs: Sequence[ModelSpec], counters: Sequence[str]) -> dict[str, str]:
    """Name the installed versions that a table depends on, read without importing anything."""
    import platform

    names = ["flopbench", "torch", *(i.distribution for i in find_counters(counters))]
    names += [spec.source for spec in specs if spec.source not in {"value", "python"}]
    versions = {name: installed_version(name) for name in dict.fromkeys(names)}
    return {
        **{name: version for name, version in versions.items() if version},
        "python": platform.python_version(),
        "platform": platform.system().lower(),
        "machine": platform.machine(),
    }


def _measure_missing(
    todo: list[tuple[ModelSpec, list[CounterInfo]]], jobs: int, progress: Progress | None
) -> Iterator[tuple[ModelSpec, dict[str, CostProfile | str]]]:
    if jobs <= 1 or len(todo) <= 1:
        for done, (spec, infos) in enumerate(todo):
            if progress is not None:
                progress(done, len(todo), str(spec))
            yield spec, _measure_one(str(spec), infos)
        if progress is not None and todo:
            progress(len(todo), len(todo), "")
        return
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn"))
    try:
        futures = {pool.submit(_measure_one, str(spec), infos): spec for spec, infos in todo}
        for done, future in enumerate(as_completed(futures)):
            if progress is not None:
                progress(done, len(todo), str(futures[future]))
            yield futures[future], future.result()
        if progress is not None:
            progress(len(todo), len(todo), "")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _measure_one(spec: str, infos: list[CounterInfo]) -> dict[str, CostProfile | str]:
    try:
        from flopbench.measure.profiler import profile_spec
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "torchvision"}:
            raise
        raise InputError(
            f"measuring needs {error.name}, which is not installed",
            "python -m pip install 'flopbench[measure]'",
        ) from None
    results = profile_spec(parse_spec(spec), infos)
    return {r.counter: r if isinstance(r, CostProfile) else r.message for r in results}


def _rows(
    measurement: Measurement, counters: list[str], quoted: PublishedRow | None
) -> list[CostRow]:
    verdicts = judge(measurement.profiles)
    notes: list[str] = []
    if quoted is not None:
        counted = measurement.under(quoted.counted_by)
        exact = _agreed_dense(measurement, verdicts)
        notes = [explain_published(quoted, counted.total if counted else None, exact)]
    rows = []
    for counter in counters:
        profile = measurement.under(counter)
        if profile is None:
            rows.append(_failed_row(measurement, counter))
        else:
            rows.append(_row(profile, verdicts[counter], notes))
    if quoted is not None:
        rows = [replace(row, published_gflops=float(quoted.gflops)) for row in rows]
    return rows


def _agreed_dense(measurement: Measurement, verdicts: dict[str, Verdict]) -> int | None:
    agreed = [p for p in measurement.profiles if verdicts[p.counter].status == "verified"]
    chosen = agreed[0] if agreed else measurement.under(REFERENCE)
    return chosen.dense_macs if chosen is not None else None


def _row(profile: CostProfile, verdict: Verdict, notes: list[str]) -> CostRow:
    reasons = [verdict.reason] if verdict.reason else []
    return CostRow(
        model=profile.model,
        input=profile.input,
        counter=profile.counter,
        counter_version=profile.counter_version,
        total_macs=profile.total,
        dense_macs=profile.dense_macs,
        params=profile.params,
        activations=profile.activations,
        feature_dim=profile.feature_dim,
        published_gflops=None,
        status=verdict.status,
        notes=(*notes, *reasons, *profile.notes),
        not_counted=summarise_gaps(profile.not_counted),
        classes=profile.classes,
        spec=profile.spec,
        convention=profile.convention,
        device=profile.device,
    )


def _failed_row(measurement: Measurement, counter: str) -> CostRow:
    spec = measurement.spec
    known = measurement.profiles[0] if measurement.profiles else None
    return CostRow(
        model=spec.model,
        input=known.input if known else spec.input,
        counter=counter,
        counter_version=find_counters([counter])[0].version or "",
        total_macs=None,
        dense_macs=None,
        params=known.params if known else None,
        activations=None,
        feature_dim=known.feature_dim if known else None,
        published_gflops=None,
        status="failed",
        notes=(f"{counter} could not count it: {measurement.failures[counter]}",),
        classes=spec.classes,
        spec=str(spec),
    )


def _constant_row(spec: ModelSpec) -> CostRow:
    return CostRow(
        model=str(spec),
        input="",
        counter="constant",
        counter_version="",
        total_macs=int(spec.name),
        dense_macs=None,
        params=None,
        activations=None,
        feature_dim=None,
        published_gflops=None,
        status="quoted",
        notes=(f"quoted: {spec.quote}" if spec.quote else "a constant without a source",),
        spec=str(spec),
        convention="MACs as quoted",
    )
