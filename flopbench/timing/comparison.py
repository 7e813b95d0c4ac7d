"""Two timings compared: faster, slower, same or inconclusive.

A comparison of rows that took turns in the same processes (``flopbench latency A --vs B``) is
paired, sample by sample: what disturbs one disturbs the other, and the spread of the ratio shrinks
tenfold. Rows of two runs are resampled independently, which cannot account for a machine that
changed between the runs.

Fewer than three processes decide nothing: the ratios of two processes fall on the same side of 1
in every second run even where nothing differs.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from flopbench.core.bootstrap import expanded_bootstrap, ratio_bootstrap
from flopbench.core.errors import InputError, NotComparableError
from flopbench.core.statistics import (
    FEWEST_PROCESSES,
    median,
    median_of_medians,
    student_interval,
    wider,
)
from flopbench.timing.devices import differing
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing, at_one_pace
from flopbench.timing.verdicts import too_few

SAME_WITHIN = 0.02
"""Times are the same if the whole interval of their ratio is within ± this share."""

MUST_BE_EQUAL = ("device", "threads", "batch")
"""Fields of a specification that must be equal for a ratio to mean anything. Dtype, memory format,
compilation and graphs may be what is compared; they are named next to the ratio."""

ComparisonVerdict = Literal["faster", "slower", "same", "inconclusive"]


class TimeComparison(Struct, frozen=True, kw_only=True):
    """Row b compared with row a.

    Attributes:
        a: the row that the ratio is relative to.
        a_s: headline of a, seconds per call.
        b_s: headline of b.
        ratio: time of b / time of a; for paired rows the median over processes of the median
            ratio of successive samples. None if either row has no samples.
        interval: 95 %: the wider, at each end, of a bootstrap over processes and samples and of
            Student's t over processes; None for fewer than two processes.
        paired: whether the samples took turns.
        macs_ratio: dense MACs of b / dense MACs of a; None if unknown.
        verdict: ``faster`` means b is faster than a.
        reason: why it is inconclusive, else empty.
        changed: differing fields of the specification, as ``field: a and b``.
    """

    a: Timing
    b: Timing
    a_s: float | None
    b_s: float | None
    ratio: float | None
    interval: tuple[float, float] | None
    paired: bool
    macs_ratio: float | None
    verdict: ComparisonVerdict
    reason: str
    changed: tuple[str, ...]


class ComparedFiles(Struct, frozen=True, kw_only=True):
    """Two files, or the interleaved rows of one.

    Attributes:
        pairs: rows that both have.
        only_a: rows that the second file lacks.
        only_b: rows that the first file lacks.
    """

    pairs: tuple[TimeComparison, ...]
    only_a: tuple[Timing, ...] = ()
    only_b: tuple[Timing, ...] = ()


def compare_interleaved(file: TimingFile) -> ComparedFiles:
    """Compare interleaved rows with the first of them.

    Raises:
        InputError: no rows of the file took turns.
    """
    groups: dict[str, list[Timing]] = {}
    for row in file.rows:
        if row.interleaved:
            groups.setdefault(row.interleaved, []).append(row)
    pairs = [compare_rows(rows[0], other) for rows in groups.values() for other in rows[1:]]
    if not pairs:
        raise InputError(
            "no rows of this file took turns, so there is nothing to compare",
            "name two timing files, or measure with: flopbench latency A --vs B",
        )
    return ComparedFiles(pairs=tuple(pairs))


def compare_files(
    a: TimingFile, b: TimingFile, *, names: tuple[str, str], anyway: bool = False
) -> ComparedFiles:
    """Compare the rows that two files have in common; two single rows need not match.

    Args:
        a: the file that ratios are relative to.
        b: the other one.
        names: what the files are called, for messages.
        anyway: compare even if the machines differ.

    Raises:
        NotComparableError: the machines differ in what matters, or no rows match.
    """
    if not a.rows or not b.rows:
        raise NotComparableError(f"{names[0] if not a.rows else names[1]} holds no rows")
    left = list(b.rows)
    matched: list[tuple[Timing, Timing]] = []
    for row in a.rows:
        match = next((other for other in left if other.what == row.what), None)
        if match is not None:
            left = [other for other in left if other is not match]
            matched.append((row, match))
    if not matched and len(a.rows) == len(b.rows) == 1:
        matched = [(a.rows[0], b.rows[0])]
    if not matched:
        raise NotComparableError(
            f"{names[0]} and {names[1]} have no row in common",
            f"{names[0]} has {a.rows[0].what}; {names[1]} has {b.rows[0].what}",
        )
    pairs = []
    for one, other in matched:
        apart = differing(a.device_of(one), b.device_of(other))
        pairs.append((one, other) if apart else at_one_pace((one, other)))
        if apart and not anyway:
            listed = "; ".join(f"{key}: {x!r} and {y!r}" for key, x, y in apart)
            raise NotComparableError(
                f"{names[0]} and {names[1]} were not measured under the same conditions: {listed}",
                "measure both in one run (flopbench latency A --vs B), or compare with --anyway "
                "and state it",
            )
    taken = {id(row) for pair in matched for row in pair}
    return ComparedFiles(
        pairs=tuple(compare_rows(one, other, paired=False) for one, other in pairs),
        only_a=tuple(row for row in a.rows if id(row) not in taken),
        only_b=tuple(row for row in b.rows if id(row) not in taken),
    )


def compare_rows(a: Timing, b: Timing, *, paired: bool = True) -> TimeComparison:
    """Compare two rows.

    Args:
        a: the row that the ratio is relative to.
        b: the other one.
        paired: False for rows of two files, which were not interleaved; True pairs the samples of
            rows marked as interleaved.

    Raises:
        NotComparableError: they differ in device, threads or batch.
    """
    changed = {
        name: f"{name}: {getattr(a.what, name)} and {getattr(b.what, name)}"
        for name in a.what.__struct_fields__
        if getattr(a.what, name) != getattr(b.what, name)
    }
    apart = [text for name, text in changed.items() if name in MUST_BE_EQUAL]
    if apart:
        raise NotComparableError(f"{a.what} and {b.what} cannot be compared: " + "; ".join(apart))
    macs = None
    if a.work.dense_macs and b.work.dense_macs:
        macs = b.work.dense_macs / a.work.dense_macs
    paired = paired and bool(a.interleaved) and a.interleaved == b.interleaved and _match(a, b)
    ratio, interval = _ratio(a, b, paired)
    verdict, reason = _verdict(a, b, ratio, interval)
    return TimeComparison(
        a=a,
        b=b,
        a_s=None if a.failed else median(a.medians()),
        b_s=None if b.failed else median(b.medians()),
        ratio=ratio,
        interval=interval,
        paired=paired,
        macs_ratio=macs,
        verdict=verdict,
        reason=reason,
        changed=tuple(changed.values()),
    )


def _match(a: Timing, b: Timing) -> bool:
    """Return whether samples can be paired: equal numbers of processes and of samples in each."""
    sizes = [[len(run.samples(row.lead)) for run in row.processes] for row in (a, b)]
    return sizes[0] == sizes[1]


def _ratio(a: Timing, b: Timing, paired: bool) -> tuple[float | None, tuple[float, float] | None]:
    if a.failed or b.failed:
        return None, None
    below, above = ([run.samples(row.lead) for run in row.processes] for row in (a, b))
    if min(map(min, below)) <= 0 or min(map(min, above)) <= 0:
        return None, None
    if paired:
        ratios = [
            [y / x for x, y in zip(xs, ys, strict=True)]
            for xs, ys in zip(below, above, strict=True)
        ]
        drawn = expanded_bootstrap(ratios, median_of_medians)
        student = student_interval([median(ratio) for ratio in ratios])
        return median_of_medians(ratios), wider(drawn, student)
    ratio = median_of_medians(above) / median_of_medians(below)
    drawn = ratio_bootstrap(below, above, median_of_medians)
    return ratio, wider(drawn, student_interval(a.medians(), b.medians()))


def _verdict(
    a: Timing, b: Timing, ratio: float | None, interval: tuple[float, float] | None
) -> tuple[ComparisonVerdict, str]:
    if ratio is None:
        culprit = next((row for row in (a, b) if row.failed), a)
        return "inconclusive", f"{culprit.what}: {culprit.failure or 'a sample took no time'}"
    fewest = min(len(a.processes), len(b.processes))
    if interval is None or fewest < FEWEST_PROCESSES:
        return "inconclusive", too_few(fewest)
    low, high = interval
    if low >= 1 - SAME_WITHIN and high <= 1 + SAME_WITHIN:
        return "same", ""
    if high < 1:
        return "faster", ""
    if low > 1:
        return "slower", ""
    return "inconclusive", f"the interval {low:.3f} to {high:.3f} contains 1 and exceeds ±2 %"
