"""Measurements -> rows of the cost table: verdicts, notes, published figures, failures."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flopbench.counting.agreement import REFERENCE, CounterVerdict, judge_counters
from flopbench.counting.cost_row import CostRow, summarise_gaps
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import find_counter, find_counters, installed_versions
from flopbench.models.presets import PublishedRow, explain_published
from flopbench.models.spec import ModelSpec


class Measurement(Struct, frozen=True, kw_only=True):
    """One specification under the counters asked for.

    Attributes:
        spec: what was counted.
        profiles: in the order of the counters.
        failures: counter -> why it could not count this model.
        broken: why no counter could, because the model cannot be built or does not run.
    """

    spec: ModelSpec
    profiles: tuple[CostProfile, ...]
    failures: dict[str, str]
    broken: str = ""

    @classmethod
    def of(
        cls, spec: ModelSpec, results: Mapping[str, CostProfile | str], broken: str = ""
    ) -> Measurement:
        """Divide the results by counter into profiles and failures."""
        failures = {name: r for name, r in results.items() if isinstance(r, str)}
        same = len(failures) == len(results) > 1 and len(set(failures.values())) == 1
        return cls(
            spec=spec,
            profiles=tuple(r for r in results.values() if not isinstance(r, str)),
            failures=failures,
            broken=broken or (next(iter(failures.values())) if same else ""),
        )

    def under(self, counter: str) -> CostProfile | None:
        """Return the profile of one counter, None where there is none."""
        return next((p for p in self.profiles if p.counter == counter), None)


def measured_rows(
    measurement: Measurement, counters: list[str], quoted: PublishedRow | None
) -> list[CostRow]:
    """Return one row a counter, beside the published figure where there is one."""
    verdicts = judge_counters(measurement.profiles)
    notes: list[str] = []
    if quoted is not None:
        counted = measurement.under(quoted.counted_by)
        agreed = [p for p in measurement.profiles if verdicts[p.counter].status == "verified"]
        exact = agreed[0] if agreed else measurement.under(REFERENCE)
        notes.append(
            explain_published(
                quoted, counted.total if counted else None, exact.dense_macs if exact else None
            )
        )
    rows = []
    for counter in counters:
        profile = measurement.under(counter)
        row = (
            _row(profile, verdicts[counter], notes)
            if profile is not None
            else _failed_row(measurement, counter)
        )
        rows.append(replace(row, published_gflops=float(quoted.gflops)) if quoted else row)
    return rows


def _row(profile: CostProfile, verdict: CounterVerdict, notes: list[str]) -> CostRow:
    reasons = [reason for reason in (verdict.reason,) if reason and reason not in profile.notes]
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
        counter_version=find_counter(counter).version or "",
        params=known.params if known else None,
        feature_dim=known.feature_dim if known else None,
        status="failed",
        notes=(
            measurement.broken or f"{counter} could not count it: {measurement.failures[counter]}",
        ),
        classes=spec.classes,
        spec=str(spec),
    )


def constant_row(spec: ModelSpec) -> CostRow:
    """Return the row of a ``value:`` constant."""
    return CostRow(
        model=str(spec),
        counter="constant",
        total_macs=int(spec.name),
        status="quoted",
        notes=(f"quoted: {spec.quote}" if spec.quote else "a constant without a source",),
        spec=str(spec),
        convention="MACs as quoted",
    )


def table_environment(specs: Sequence[ModelSpec], counters: Sequence[str]) -> dict[str, str]:
    """Name the installed versions that a table depends on, read without importing anything."""
    sources = [spec.source for spec in specs if spec.source not in {"value", "python"}]
    return {
        **installed_versions(["flopbench", "torch"]),
        **{info.library: info.version or "" for info in find_counters(counters)},
        **installed_versions(sources),
        "python": platform.python_version(),
        "platform": platform.system().lower(),
        "machine": platform.machine(),
    }
