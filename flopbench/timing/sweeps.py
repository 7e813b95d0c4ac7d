"""A throughput sweep: which batch comes next, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from flopbench.timing.records import Timing
from flopbench.timing.verdicts import call_s

SATURATED_WITHIN = 0.05
"""A doubling that gains no more than this share over the best so far counts as no gain: one process
on a shared machine can be off by as much."""

DOUBLINGS_WITHOUT_GAIN = 2
"""Successive doublings without gain that end a sweep: a single one may be a disturbance."""

LARGEST_BATCH = 4096

NEAR_BEST = 0.90
"""B90 is the smallest batch whose throughput is within this share of the best."""

MEMORY_SHARE = 0.8
"""On the CPU a batch expected to fill more than this share of the memory is not tried: the system
would start to kill processes, not only this one."""


class Probe(Struct, frozen=True, kw_only=True):
    """One batch of a sweep; ``failure`` says why there is no throughput."""

    batch: int
    images_per_s: float | None = None
    peak_bytes: int | None = None
    failure: str = ""

    @classmethod
    def of(cls, row: Timing) -> Probe:
        """Return the probe that a row is."""
        batch = row.what.batch
        if row.failed:
            return cls(batch=batch, failure=row.failure or "not measured")
        rate = batch / call_s(row)
        return cls(batch=batch, images_per_s=rate, peak_bytes=row.peak_bytes())


def sweep(
    probe: Callable[[int], Probe],
    *,
    reference: int,
    most: int = LARGEST_BATCH,
    memory_bytes: int | None = None,
) -> list[Probe]:
    """Double the batch until memory is full, throughput stops rising, or ``most`` is reached.

    A failed probe ends it; ``reference`` is measured in any case. ``memory_bytes`` are the
    machine's, if a batch that does not fit would harm it.
    """
    probes: list[Probe] = []
    best, flat, batch = 0.0, 0, 1
    while batch <= most and _fits(probes, batch, memory_bytes):
        one = probe(batch)
        probes.append(one)
        if one.images_per_s is None:
            break
        flat = 0 if one.images_per_s > best * (1 + SATURATED_WITHIN) else flat + 1
        best = max(best, one.images_per_s)
        if flat >= DOUBLINGS_WITHOUT_GAIN:
            break
        batch *= 2
    failed = min((one.batch for one in probes if one.images_per_s is None), default=most + 1)
    skipped = reference < failed and reference not in {one.batch for one in probes}
    if skipped and _fits(probes, reference, memory_bytes):
        probes.append(probe(reference))
    return sorted(probes, key=lambda one: one.batch)


def key_batches(probes: Sequence[Probe], reference: int) -> dict[str, int | None]:
    """Return the key batches of a sweep: batch 1, the reference, the best, and B90.

    Returns:
        ``one``, ``reference``, ``best``, ``b90`` -> batch; None if it was not measured.
    """
    done = {one.batch: one.images_per_s for one in probes if one.images_per_s is not None}
    best = max(done, key=lambda batch: (done[batch], -batch), default=None)
    near = [batch for batch, rate in done.items() if best and rate >= NEAR_BEST * done[best]]
    return {
        "one": 1 if 1 in done else None,
        "reference": reference if reference in done else None,
        "best": best,
        "b90": min(near, default=None),
    }


def _fits(probes: Sequence[Probe], batch: int, memory_bytes: int | None) -> bool:
    """Return whether a batch is expected to fit, extrapolating from the last two probes."""
    if memory_bytes is None:
        return True
    known = sorted((p.batch, p.peak_bytes) for p in probes if p.peak_bytes is not None)
    if len(known) < 2:
        return True
    (batch_a, peak_a), (batch_b, peak_b) = known[-2:]
    grown = max(0.0, (peak_b - peak_a) / (batch_b - batch_a))
    return peak_b + grown * (batch - batch_b) <= MEMORY_SHARE * memory_bytes
