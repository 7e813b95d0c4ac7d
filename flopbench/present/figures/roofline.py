"""The roofline: what timed models achieved under what the device was measured to do.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52 (2009). A multiply-accumulate counts as two FLOPs here.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from flopbench.core.units import FLOPS_PER_MAC, gflops, number_of, percentage
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.inputs.timings import (
    ROWS,
    TimedFigure,
    TimedRow,
    TimingGroup,
    Timings,
    grouped_timings,
    how_timed,
)
from flopbench.present.kind import Axes, kind
from flopbench.timing.peaks import no_peak_reason, peak_of

BY = ("machine", "threads", "dtype")
"""What one pair of roofs applies to."""


class RoofPoint(Struct, frozen=True, kw_only=True):
    """One timed model.

    Attributes:
        low: FLOPs a byte with every activation of dense operators going through memory.
        high: FLOPs a byte with only the weights moved.
        flops_per_s: achieved.
        ceiling_flops_per_s: what its operators, one after another, could reach on the roofs of
            their families; None where they are not known.
    """

    name: str
    one: TimedRow
    low: float
    high: float
    flops_per_s: float
    ceiling_flops_per_s: float | None = None


class RoofGroup(Struct, frozen=True, kw_only=True):
    """The roofs of one device, thread count and number format, and the models under them.

    Attributes:
        name: what distinguishes it from the other groups.
        flops_per_s: fastest matrix product that was measured.
        bytes_per_s: fastest copy that was measured, reads and writes together.
        peak_flops_per_s: dense, from the data sheet; None where unknown, as for bytes.
        peak_source: the vendor's document, or why there is none.
        spread: whether the rows were timed under different roofs; the highest are drawn.
    """

    name: str
    whole: str
    flops_per_s: float
    bytes_per_s: float
    peak_flops_per_s: float | None
    peak_bytes_per_s: float | None
    peak_source: str
    points: tuple[RoofPoint, ...]
    spread: bool

    @property
    def ridge(self) -> float:
        """FLOPs a byte above which the matrix product is the limit, not the memory."""
        return self.flops_per_s / self.bytes_per_s


class Roofline(TimedFigure, frozen=True, kw_only=True):
    """Groups under their roofs, in the order of the files."""

    groups: tuple[RoofGroup, ...]

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        rows = [point.one for group in self.groups for point in group.points]
        roofs = "; ".join(_roofs(group) for group in self.groups)
        sentences = [
            "Achieved GFLOP/s (2 FLOPs a multiply-accumulate of dense operators) against "
            "arithmetic intensity. Each line runs from the intensity with every activation of "
            "dense operators written to memory and read once more (marker) to that with nothing "
            "but the weights moved (end): a fused network lies between, one whose other operators "
            "go through memory too lies further left.",
            f"Solid: measured roofs, the best matrix product and the best copy ({roofs}).",
            *dict.fromkeys(_sheet(group) for group in self.groups),
        ]
        if self.ceilings:
            sentences.append(
                "The stem above a marker ends where the model's operators, one after another, each "
                "at the highest rate measured for its family, would put it."
            )
        if any(group.spread for group in self.groups):
            sentences.append("Files hold several measurements of one roof: the highest is drawn.")
        if self.shared:
            sentences.append(f"All with {self.shared}.")
        return Caption(
            title=f"Roofline of {listed([group.whole for group in self.groups])}",
            sentences=(*sentences, how_timed(rows), *self.last_sentences),
            short=(
                "Solid: measured roofs. Each line: from every activation moved through memory "
                "(marker) to weights alone (end); 1 MAC = 2 FLOPs.",
            ),
            alt=f"{number_of(len(rows), 'timed model')} under measured roofs. {self._finding}",
            warnings=self.warnings,
        )

    @property
    def ceilings(self) -> bool:
        """Whether the operators of a model are known, older timing files have none."""
        return any(p.ceiling_flops_per_s for group in self.groups for p in group.points)

    @property
    def _finding(self) -> str:
        points = [(group, point) for group in self.groups for point in group.points]
        several = len(self.groups) > 1
        shares = [
            (p.flops_per_s / g.flops_per_s, f"{p.name} ({g.name})" if several else p.name)
            for g, p in points
        ]
        (most, best), (least, worst) = max(shares), min(shares)
        if len(points) == 1:
            return f"{best} reaches {percentage(most)} of its compute roof."
        return (
            f"{best} reaches most of its compute roof, {percentage(most)}; {worst} least, "
            f"{percentage(least)}."
        )

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        return FigureTable.of(
            {
                **point.one.columns,
                "achieved_flops_per_s": point.flops_per_s,
                "intensity_low_flops_per_byte": point.low,
                "intensity_high_flops_per_byte": point.high,
                "bound": point.one.summary.bound or None,
                "measured_flops_per_s": group.flops_per_s,
                "measured_bytes_per_s": group.bytes_per_s,
                "ridge_flops_per_byte": group.ridge,
                "data_sheet_flops_per_s": group.peak_flops_per_s,
                "data_sheet_bytes_per_s": group.peak_bytes_per_s,
                **({"operators_flops_per_s": point.ceiling_flops_per_s} if self.ceilings else {}),
            }
            for group in self.groups
            for point in group.points
        )


@kind(takes={TIMINGS: "timings"}, options=ROWS)
def roofline(
    timings: Timings | Sequence[Timings],
    ax: Axes | None = None,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    batches: Sequence[int] = (),
) -> Roofline:
    """Draw what timed models achieved against their arithmetic intensity, under roofs.

    The roofs are those that 'flopbench latency' measured, and the data sheet's peaks, where they
    are known.

    Args:
        timings: a file of ``flopbench latency``, a ``TimingFile``, or several.
        ax: where to draw; None makes a new figure.
        devices: ``cpu``, ``cuda``, ``mps`` or part of a machine's name; empty takes all.
        dtypes: number formats; empty takes all.
        batches: samples a call; empty takes all.

    Returns:
        The axes, both logarithmic: FLOP/byte, GFLOP/s (two FLOPs a multiply-accumulate).

    Raises:
        InputError: a file of another kind, a choice that no row meets, no row with roofs and MACs.
        DataError: a damaged file.
    """
    common, groups = grouped_timings(
        timings,
        (devices, dtypes, batches),
        by=BY,
        lacks=_lacks,
        nothing=(
            "no row can be drawn",
            "'flopbench latency MODEL -o timings.json' measures the roofs and counts the model; "
            "with --refresh it measures and counts again",
        ),
    )
    return Roofline(groups=tuple(map(_under_roofs, groups)), **common)


def _lacks(one: TimedRow) -> str:
    if one.summary.intensity is None or not one.summary.achieved_flops_per_s:
        return "its MACs, parameters or activations are not known"
    roofs = one.row.roofs
    if not roofs.get("flops_per_s") or not roofs.get("bytes_per_s"):
        return "no measured roofs"
    return ""


def _under_roofs(group: TimingGroup) -> RoofGroup:
    flops = [float(one.row.roofs["flops_per_s"] or 0) for _, one in group.rows]
    copied = [float(one.row.roofs["bytes_per_s"] or 0) for _, one in group.rows]
    first = group.rows[0][1]
    peak = peak_of(first.device.name)
    points = [
        RoofPoint(
            name=name,
            one=one,
            low=low,
            high=high,
            flops_per_s=one.summary.achieved_flops_per_s or 0.0,
            ceiling_flops_per_s=_ceiling(one),
        )
        for name, one in group.rows
        for low, high in [one.summary.intensity or (0.0, 0.0)]
    ]
    sheet = None if peak is None else peak.flops_per_s(first.row.what.dtype)
    return RoofGroup(
        name=group.name,
        whole=group.whole,
        flops_per_s=max(flops),
        bytes_per_s=max(copied),
        peak_flops_per_s=sheet,
        peak_bytes_per_s=None if peak is None else peak.bytes_per_s,
        peak_source=no_peak_reason(first.device.device, first.device.name)
        if peak is None
        else peak.source,
        points=tuple(points),
        spread=len(set(flops)) > 1 or len(set(copied)) > 1,
    )


def _ceiling(one: TimedRow) -> float | None:
    """Return the FLOP/s of a call that took no longer than its operators must."""
    macs, least_s = one.row.work.dense_macs, one.summary.least_s
    return FLOPS_PER_MAC * macs * one.row.what.batch / least_s if macs and least_s else None


def _roofs(group: RoofGroup) -> str:
    return (
        f"{group.whole}: {gflops(group.flops_per_s):,.1f} GFLOP/s, "
        f"{gflops(group.bytes_per_s):,.1f} GB/s, ridge at {group.ridge:.1f} FLOP/byte"
    )


def _sheet(group: RoofGroup) -> str:
    if group.peak_bytes_per_s is None:
        return f"No data-sheet peak: {group.peak_source}."
    if group.peak_flops_per_s is None:
        return (
            f"Dashed: data-sheet bandwidth, {gflops(group.peak_bytes_per_s):,.0f} GB/s "
            f"({group.peak_source}, which prints no peak for this number format)."
        )
    return (
        f"Dashed: data-sheet peaks of {group.whole}, dense, "
        f"{gflops(group.peak_flops_per_s):,.0f} GFLOP/s and "
        f"{gflops(group.peak_bytes_per_s):,.0f} GB/s ({group.peak_source})."
    )
