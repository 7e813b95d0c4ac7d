"""Do the counters agree? One verdict per counter for one model at one input.

The dense MACs of a model are one integer. It is **verified** when two counters built on different
libraries give it. A counter that gives less is **partial** if it reports its own gaps, and every
module in which it falls short is among them; otherwise it is **disputed**, and the verdict names
the operators that differ. There is no tolerance: the counts are integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from flopbench.core.records import Record
from flopbench.counting.profile import DENSE_FAMILIES, CostProfile
from flopbench.counting.registry import library_of

Status = Literal["verified", "partial", "disputed", "unverified", "failed", "quoted"]

REFERENCE = "torch"
"""The counter that sees every dispatched operator; the others are compared with it."""

SELF_REPORTED = ("operator", "module")
"""Kinds of gaps that a counter reports itself; the others were found by observing it."""


class CounterVerdict(Record, frozen=True, kw_only=True):
    """What one counter's dense MACs are worth.

    Attributes:
        status: see the module's docstring; ``unverified`` where no second counter agrees.
        reason: one sentence, empty for a plainly verified count.
    """

    status: Status
    reason: str = ""


def judge_counters(profiles: Sequence[CostProfile]) -> dict[str, CounterVerdict]:
    """Compare the counters of one model at one input: counter -> verdict."""
    agreed = _agreed_profile(profiles)
    reference = agreed or _find(profiles, REFERENCE) or (profiles[0] if profiles else None)
    verdicts: dict[str, CounterVerdict] = {}
    for profile in profiles:
        assert reference is not None
        if profile.dense_macs == reference.dense_macs:
            verdicts[profile.counter] = _agreeing(profile, reference, agreed is not None)
        else:
            verdicts[profile.counter] = _differing(profile, reference)
    return verdicts


def _agreed_profile(profiles: Sequence[CostProfile]) -> CostProfile | None:
    """Return a profile whose dense MACs two different libraries give, the reference's first."""
    witnesses: dict[int, set[str]] = defaultdict(set)
    for profile in profiles:
        witnesses[profile.dense_macs].add(library_of(profile.counter))
    agreed = [p for p in profiles if len(witnesses[p.dense_macs]) >= 2]
    if not agreed:
        return None
    return _find(agreed, REFERENCE) or max(
        agreed, key=lambda p: (len(witnesses[p.dense_macs]), p.dense_macs)
    )


def _find(profiles: Sequence[CostProfile], counter: str) -> CostProfile | None:
    return next((p for p in profiles if p.counter == counter), None)


def _agreeing(profile: CostProfile, reference: CostProfile, agreed: bool) -> CounterVerdict:
    unseen = sorted({gap.name for gap in reference.gaps_that_may_multiply()})
    if unseen:
        return CounterVerdict(
            status="partial",
            reason=f"no counter prices {', '.join(unseen)}: the true cost is higher",
        )
    if not agreed:
        return CounterVerdict(
            status="unverified", reason="no second library gives these dense MACs"
        )
    return CounterVerdict(status="verified")


def _differing(profile: CostProfile, reference: CostProfile) -> CounterVerdict:
    ours = {path: op.dense_macs for path, op in profile.by_module().items()}
    theirs = {path: op.dense_macs for path, op in reference.by_module().items()}
    gaps = [g for g in profile.gaps_that_may_multiply() if g.kind in SELF_REPORTED]
    listed = {gap.module for gap in gaps}
    differing = {p for p in ours.keys() | theirs.keys() if ours.get(p, 0) != theirs.get(p, 0)}
    explained = bool(differing) and all(
        path in listed and ours.get(path, 0) < theirs.get(path, 0) for path in differing
    )
    described = describe_difference(profile, reference)
    if explained:
        names = sorted({gap.name for gap in gaps if gap.module in differing})
        return CounterVerdict(
            status="partial", reason=f"lists what it leaves out ({', '.join(names)}): {described}"
        )
    return CounterVerdict(status="disputed", reason=described)


def describe_difference(profile: CostProfile, reference: CostProfile) -> str:
    """Say which operators make two counters' dense MACs differ, and by how much.

    Such as ``against torch: attention 0 of 715 MACs (aten.scaled_dot_product_attention)``.
    """
    ours, theirs = profile.by_family(), reference.by_family()
    parts = []
    for family in DENSE_FAMILIES:
        mine = ours[family].dense_macs if family in ours else 0
        other = theirs[family].dense_macs if family in theirs else 0
        if mine != other:
            source = reference if other > mine else profile
            names = sorted(_differing_operators(source, profile, reference, family))
            parts.append(f"{family} {mine:,} of {other:,} MACs ({', '.join(names)})")
    if not parts:
        parts.append(f"{profile.dense_macs:,} of {reference.dense_macs:,} MACs")
    return f"against {reference.counter}: {'; '.join(parts)}"


def _differing_operators(
    source: CostProfile, profile: CostProfile, reference: CostProfile, family: str
) -> set[str]:
    def by_module(p: CostProfile) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for op in p.operators:
            if op.family == family:
                sums[op.module] += op.dense_macs
        return sums

    ours, theirs = by_module(profile), by_module(reference)
    return {
        op.op
        for op in source.operators
        if op.family == family and ours.get(op.module, 0) != theirs.get(op.module, 0)
    }
