"""The least time of a network, from its operators one after another on measured roofs.

No call of an operator is faster than its multiply-accumulates, or its bytes, at the highest rate
that operators of its family reached, nor than the memory lets its bytes come and go, nor than a
call of its family that has nothing to do.

A bound must not charge traffic that a cache avoids: of what an operator reads, the first 64 KiB are
charged at the rate of 16 KiB, which a first-level cache holds, the next 192 KiB at that of 64 KiB,
and only what no cache holds at the rate of the memory; so for what it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from flopbench.core.units import FLOPS_PER_MAC
from flopbench.timing.records import Operator
from flopbench.timing.roofs import FamilyRoof

_AS = {"attention": "matmul", "recurrent": "matmul"}
"""Families of matrix products that have no roof of their own."""

Stream = Sequence[tuple[int, float]]
"""Bytes read or written, and the highest rate measured from so many on; ascending bytes."""


def charged(operators: Iterable[Operator], roofs: Sequence[FamilyRoof]) -> tuple[Operator, ...]:
    """Return operators with the least time of a call of each.

    ``roofs`` are of the families, in the number format of the call; a family without one gets the
    highest of all.
    """
    own = {roof.family: roof for roof in roofs}
    fastest = max((roof.flops_per_s or 0.0 for roof in roofs), default=0.0)
    rates = stream(roofs)

    def charge(one: Operator) -> Operator:
        roof = own.get(_AS.get(one.family, one.family))
        flops_per_s = (roof.flops_per_s if roof else None) or fastest
        compute_s = FLOPS_PER_MAC * one.macs / flops_per_s if one.macs and flops_per_s else 0.0
        memory_s = stream_s(one.read_bytes, rates) + stream_s(one.written_bytes, rates)
        if roof is not None and roof.streams:
            most = max(rate for _, rate in roof.streams)
            memory_s = max(memory_s, (one.read_bytes + one.written_bytes) / most)
        call_s = roof.call_s if roof is not None else 0.0
        limits = {"compute": compute_s, "memory": memory_s, "launch": call_s}
        limit = max(limits, key=limits.__getitem__)
        return replace(one, least_s=limits[limit], limit=limit)

    return tuple(map(charge, operators))


def stream(roofs: Iterable[FamilyRoof]) -> Stream:
    """Return the highest rates of all families: from each size on, never rising with the size."""
    best: dict[int, float] = {}
    for roof in roofs:
        for size, rate in roof.streams:
            best[size] = max(rate, best.get(size, 0.0))
    rates: list[tuple[int, float]] = []
    highest = 0.0
    for size in sorted(best, reverse=True):  # small sizes are slowed by the call itself
        highest = max(highest, best[size])
        rates.append((size, highest))
    return rates[::-1]


def stream_s(count: int, rates: Stream) -> float:
    """Return the least seconds for so many bytes in one direction.

    What lies between two sizes is charged at the rate of the smaller one, what lies below the
    smallest at its rate.
    """
    starts = [0, *(size for size, _ in rates[1:]), max(count, rates[-1][0])] if rates else []
    return sum(
        max(0, min(count, end) - start) / rate
        for (start, end), (_, rate) in zip(pairwise(starts), rates, strict=True)
    )
