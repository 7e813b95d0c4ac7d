"""Do the counters agree? One verdict per counter for one model at one input.

The dense MACs of a model are one integer. It is **verified** when two counters built on different
libraries give it and neither met anything that another one prices, or that nobody does. A counter
that gives less is **partial** if it reports its own gaps, and every module in which it falls short
is among them; otherwise it is **disputed**, and the verdict names the operators that differ. There
is no tolerance: the counts are integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from flopbench.core.records import Record
from flopbench.counting.profile import (
    DENSE_FAMILIES,
    FOR_ONE_DRAW,
    FOR_THESE_VALUES,
    CostProfile,
    Gap,
)
from flopbench.counting.registry import library_of

Status = Literal["verified", "partial", "disputed", "unverified", "failed", "quoted"]

REFERENCE = "torch"
"""The counter that sees every dispatched operator; the others are compared with it."""

_HIGHER = ": the true cost may be higher"

DOUBTED: tuple[Status, ...] = ("partial", "disputed")
"""Verdicts on figures that are not the cost of the whole model."""

SELF_REPORTED = ("operator", "module")
"""Kinds of gaps that a counter reports itself; the others were found by observing it."""


class CounterVerdict(Record, frozen=True, kw_only=True):
    """What one counter's dense MACs are worth.

    Attributes:
        status: see the module's docstring; ``unverified`` where no second counter agrees.
        reason: one sentence, empty for a plainly verified count. A count that holds for the
            values or the draw of this run alone is verified for these.
    """

    status: Status
    reason: str = ""

    @property
    def plain(self) -> bool:
        """Whether the count is verified, whatever the values of the input are."""
        return self.status == "verified" and not self.reason

    @property
    def text(self) -> str:
        """Status and reason in one line; the note on a restricted count has the whole reason."""
        if self.status == "verified":
            return f"verified {self.reason.partition(':')[0]}".rstrip()
        return f"{self.status} - {self.reason}" if self.reason else self.status


def restriction(notes: Iterable[str]) -> str:
    """Return the note that says what alone a count holds for, such as the values of this run."""
    starts = (FOR_THESE_VALUES, FOR_ONE_DRAW)
    return next((note for start in starts for note in notes if note.startswith(start)), "")


def judge_counters(profiles: Sequence[CostProfile]) -> dict[str, CounterVerdict]:
    """Compare the counters of one model at one input: counter -> verdict."""
    if not profiles:
        return {}
    agreed = _agreed_profile(profiles)
    reference = agreed or max(
        profiles, key=lambda p: (not _open_gaps(p), p.counter == REFERENCE, p.dense_macs)
    )
    same = [p for p in profiles if p.dense_macs == reference.dense_macs]
    common = _common_verdict(same, profiles, agreed is not None)
    return {p.counter: common if p in same else _differing(p, reference) for p in profiles}


def doubt_text(counter: str, status: str, reason: str) -> str:
    """Say that a figure is doubted, and why; empty where it is not.

    Such as ``partial under thop, so at least this: lists what it leaves out (...)``.
    """
    if status not in DOUBTED:
        return ""
    bound = ", so at least this" if status == "partial" else ""
    reason = reason.removesuffix(_HIGHER)
    return f"{status} under {counter}{bound}" + (f": {reason}" if reason else "")


def _open_gaps(profile: CostProfile) -> list[Gap]:
    """Return the gaps in what ran.

    A layer that was never called is unused, or operators use its weights: those are gaps of their
    own where the counter does not see them.
    """
    return [gap for gap in profile.gaps_that_may_multiply() if gap.kind != "uncalled"]


def _is_complete(profile: CostProfile | None) -> bool:
    return profile is not None and not _open_gaps(profile)


def _by_module(profile: CostProfile, family: str = "") -> dict[str, int]:
    """Sum the dense MACs of each module, of one family or all."""
    sums: dict[str, int] = defaultdict(int)
    for op in profile.operators:
        if family in ("", op.family):
            sums[op.module] += op.dense_macs
    return sums


def _has_more(gaps: Sequence[Gap], profile: CostProfile, other: CostProfile) -> bool:
    """Whether another counter, without gaps, has more for the model and for one of these gaps."""
    if not gaps or other.dense_macs <= profile.dense_macs or not _is_complete(other):
        return False
    ours, theirs = _by_module(profile), _by_module(other)
    return any(theirs.get(gap.module, 0) > ours.get(gap.module, 0) for gap in gaps)


def _agreed_profile(profiles: Sequence[CostProfile]) -> CostProfile | None:
    """Return a profile whose dense MACs two different libraries give, the reference's first.

    A counter with an open gap is no witness, unless the gap is an operator that the reference,
    which sees every operator, met too and knows to be free. A sum has no witness at all where one
    of those who give it has a gap that another counter prices.
    """
    groups: dict[int, list[CostProfile]] = defaultdict(list)
    for profile in profiles:
        groups[profile.dense_macs].append(profile)
    agreed: list[tuple[int, CostProfile]] = []
    for group in groups.values():
        known = _is_complete(_find(group, REFERENCE))
        gaps = {
            p.counter: [g for g in _open_gaps(p) if not (known and g.kind == "operator")]
            for p in group
        }
        if any(_has_more(gaps[p.counter], p, other) for p in group for other in profiles):
            continue
        witnesses = [p for p in group if not gaps[p.counter]]
        libraries = {library_of(p.counter) for p in witnesses}
        agreed += [(len(libraries), p) for p in witnesses if len(libraries) > 1]
    if not agreed:
        return None
    return (
        _find([p for _, p in agreed], REFERENCE)
        or max(agreed, key=lambda found: (found[0], found[1].dense_macs))[1]
    )


def _find(profiles: Sequence[CostProfile], counter: str) -> CostProfile | None:
    return next((p for p in profiles if p.counter == counter), None)


def _common_verdict(
    same: Sequence[CostProfile], profiles: Sequence[CostProfile], agreed: bool
) -> CounterVerdict:
    """Judge the counters that give what the reference gives."""
    one = same[0]
    nothing = f"0 dense MACs of a model with {one.params:,} parameters"
    nothing = nothing if one.params and not one.dense_macs else ""
    if agreed:
        status: Status = "unverified" if nothing else "verified"
        return CounterVerdict(status=status, reason=nothing or restriction(one.notes))
    reference = _find(same, REFERENCE)
    if _is_complete(reference):
        reason = "no second library gives these dense MACs without a gap"
        return CounterVerdict(status="unverified", reason=nothing or reason)
    # What the reference does not list is free: it sees every operator.
    listing = same if reference is None else [reference]
    unpriced = {gap.name for p in listing for gap in _open_gaps(p)}
    if unpriced:
        nobody = "no counter prices" if len(profiles) > 1 else f"{same[0].counter} does not price"
        reason = f"{nobody} {', '.join(sorted(unpriced))}{_HIGHER}"
        return CounterVerdict(status="partial", reason=reason)
    reason = "no second library gives these dense MACs"
    return CounterVerdict(status="unverified", reason=nothing or reason)


def _differing(profile: CostProfile, reference: CostProfile) -> CounterVerdict:
    ours, theirs = _by_module(profile), _by_module(reference)
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
    ours, theirs = _by_module(profile, family), _by_module(reference, family)
    return {
        op.op
        for op in source.operators
        if op.family == family and ours.get(op.module, 0) != theirs.get(op.module, 0)
    }
