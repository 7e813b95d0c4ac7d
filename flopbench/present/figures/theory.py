"""Theory against time: dense MACs against measured milliseconds, and how well MACs explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flopbench.core.errors import InputError
from flopbench.core.units import number_of
from flopbench.policy.file_kinds import TIMINGS
from flopbench.present.figures.caption import Caption, FigureTable, listed
from flopbench.present.figures.fits import (
    FEWEST_FOR_FIT,
    FITS,
    FitKind,
    FittedLine,
    fitted_line,
    rank_correlation,
)
from flopbench.present.figures.inputs.timings import (
    ROWS,
    TimedFigure,
    TimedRow,
    TimingGroup,
    Timings,
    grouped_timings,
    how_timed,
)
from flopbench.present.kind import Axes, Option, kind

BY = ("machine", "threads", "dtype", "batch", "options")
"""What one line applies to: everything but the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryPoint:
    """One timed model; ``fitted`` says whether the line was fitted to it.

    Attributes:
        factor: measured / line; None without a line, or where the line is not positive.
    """

    name: str
    one: TimedRow
    factor: float | None
    fitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryGroup:
    """Models timed on one device in one way.

    Attributes:
        name: what distinguishes it from the other groups.
        line: None with too few points, or where time falls as MACs grow.
        ranks: rank correlation of time with (MACs, activations); None where undefined.
    """

    name: str
    whole: str
    points: tuple[TheoryPoint, ...]
    line: FittedLine | None
    ranks: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theory(TimedFigure):
    """Groups in the order of the files, each with its line of kind ``fit``."""

    groups: tuple[TheoryGroup, ...]
    fit: FitKind

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        rows = [point.one for group in self.groups for point in group.points]
        sentences = [
            "Dense MACs of one call (of one image times the batch) against measured time.",
            self._line,
            *(text for group in self.groups for text in _lines(group, self.fit)),
            how_timed(rows),
            self._bars(rows),
        ]
        if any(not p.fitted for g in self.groups if g.line is not None for p in g.points):
            sentences.append("Rows with the verdict invalid are drawn and not fitted.")
        if self.shared:
            sentences.append(f"All with {self.shared}.")
        many = number_of(len(rows), "timed model")
        return Caption(
            title=f"MACs against time on {listed([group.whole for group in self.groups])}",
            sentences=(*sentences, *self.last_sentences),
            short=(self._line, self._bars(rows)),
            alt=" ".join([f"{many}.", *(text for g in self.groups for text in _alt(g))]),
            warnings=self.warnings,
        )

    @property
    def _line(self) -> str:
        if all(group.line is None for group in self.groups):
            return "No line is fitted."
        if self.fit == "proportional":
            how = "time = c · MACs, least squares on the logarithms"
        else:
            how = "time = a + c · MACs, least squares of (line − measured) / measured"
        apart = ", each group by itself" if len(self.groups) > 1 else ""
        return (
            f"Line: {how}{apart}. Next to each name: measured time / line, also drawn as the "
            "thin line from the point."
        )

    @staticmethod
    def _bars(rows: Sequence[TimedRow]) -> str:
        if all(one.summary.interval_s is None for one in rows):
            return "No error bars: one process a row does not show where a repeat would land."
        some = "" if all(one.summary.interval_s for one in rows) else ", where there is one"
        return (
            "Error bars: where the same command run again is expected to land (95 %, from the "
            f"spread of the processes){some}."
        )

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        return FigureTable.of(
            {
                **point.one.columns,
                "group": group.whole,
                "dense_macs_per_call": point.one.dense_macs,
                "line_s": None if group.line is None else group.line.at(point.one.dense_macs),
                "measured_over_line": point.factor,
                "fitted": point.fitted,
                "line_base_s": None if group.line is None else group.line.base_s,
                "line_s_per_mac": None if group.line is None else group.line.s_per_mac,
            }
            for group in self.groups
            for point in group.points
        )


@kind(
    takes={TIMINGS: "timings"},
    options=(
        Option("--fit", "the line: time = c · MACs, or time = a + c · MACs", choices=FITS),
        *ROWS,
    ),
)
def theory(
    timings: Timings | Sequence[Timings],
    ax: Axes | None = None,
    *,
    fit: FitKind = "proportional",
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    batches: Sequence[int] = (),
) -> Theory:
    """Draw dense MACs against measured time, the fitted line, each model's residual.

    The line is the one that would hold if time followed MACs. Timings of different devices, formats
    or batches get separate lines.

    Args:
        timings: a file of ``flopbench latency``, a ``TimingFile``, or several.
        ax: where to draw; None makes a new figure.
        fit: ``proportional`` (time = c · MACs) or ``affine`` (time = a + c · MACs); devices,
            threads, formats, batches and options are fitted separately.
        devices: ``cpu``, ``cuda``, ``mps`` or part of a machine's name; empty takes all.
        dtypes: number formats; empty takes all.
        batches: samples a call; empty takes all.

    Returns:
        The axes, both logarithmic: GMACs, milliseconds a call.

    Raises:
        InputError: a file of another kind, an unknown fit, a choice that no row meets, no row with
            a time and MACs, or more groups than can be distinguished.
        DataError: a damaged file.
    """
    if fit not in FITS:
        raise InputError(f"unknown fit {fit!r}", f"fits: {', '.join(FITS)}")
    common, groups = grouped_timings(
        timings,
        (devices, dtypes, batches),
        by=BY,
        lacks=_lacks,
        nothing=(
            "no row has both a time and MACs",
            "'flopbench explain MODEL' says why a model could not be counted",
        ),
    )
    return Theory(groups=tuple(_fitted(group, fit) for group in groups), fit=fit, **common)


def _lacks(one: TimedRow) -> str:
    if one.dense_macs:
        return ""
    return "no dense MACs" if one.row.work.dense_macs == 0 else "its MACs are not known"


def _fitted(group: TimingGroup, fit: FitKind) -> TheoryGroup:
    sound = [one for _, one in group.rows if one.summary.verdict != "invalid"]
    line = fitted_line([(one.dense_macs, one.seconds) for one in sound], fit)
    points = []
    for name, one in group.rows:
        there = line.at(one.dense_macs) if line is not None else 0.0
        points.append(
            TheoryPoint(
                name=name,
                one=one,
                factor=one.seconds / there if there > 0 else None,
                fitted=line is not None and one.summary.verdict != "invalid",
            )
        )
    times = [one.seconds for one in sound]
    macs = [one.dense_macs for one in sound]
    activations = [(one.row.work.activations or 0) * one.row.what.batch for one in sound]
    ranks = (
        rank_correlation(macs, times),
        rank_correlation(activations, times) if all(activations) else None,
    )
    return TheoryGroup(
        name=group.name, whole=group.whole, points=tuple(points), line=line, ranks=ranks
    )


def _lines(group: TheoryGroup, fit: FitKind) -> list[str]:
    if group.line is None:
        sound = sum(point.one.summary.verdict != "invalid" for point in group.points)
        fewest = FEWEST_FOR_FIT[fit]
        if sound < fewest:
            many = f"{number_of(sound, 'point')}, and a line of this kind needs {fewest}"
        else:
            many = "no line of this kind with a slope above 0 fits"
        return [f"{group.whole}: {many}."]
    texts = [f"{group.whole}: {group.line.text}, n = {group.line.points}"]
    if group.line.base_s < 0:
        texts.append("the line is below 0 for small models, where a proportional one is not")
    of_macs, of_activations = group.ranks
    if of_macs is not None:
        extra = "" if of_activations is None else f", with activations {of_activations:.2f}"
        texts.append(f"rank correlation of time with MACs {of_macs:.2f}{extra}")
    return ["; ".join(texts) + "."]


def _alt(group: TheoryGroup) -> list[str]:
    factors = [(point.factor, point.name) for point in group.points if point.factor is not None]
    if group.line is None or not factors:
        return []
    (most, slow), (least, fast) = max(factors), min(factors)
    return [
        f"{group.whole}: {group.line.text}; from {fast} at {least:.2f} times the line to {slow} "
        f"at {most:.2f} times."
    ]
