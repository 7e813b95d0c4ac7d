"""Theory against time: dense MACs against measured milliseconds, and how well MACs explain it.

The line is ``time = c · MACs``, fitted by least squares on the logarithms: c is the geometric mean
of time / MACs, so that a point's residual is a factor (1.8: takes 1.8 times as long as its MACs
predict) and no large model outweighs a small one. The affine line ``time = a + c · MACs`` minimises
the squares of (line − measured) / measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from flopbench.core.errors import InputError
from flopbench.core.units import FLOPS_PER_MAC, GIGA, ms, number_of, plain_number, rate
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
from flopbench.present.kind import Axes, Option, kind

FitKind = Literal["proportional", "affine"]
FITS: tuple[FitKind, ...] = ("proportional", "affine")

FEWEST_FOR_FIT = {"proportional": 2, "affine": 3}
"""With fewer points a line passes through all of them and carries no information."""

FEWEST_FOR_RANKS = 5
"""Four points are in perfect order by chance once in 4! = 24 times, too often to be a finding."""


class FittedLine(Struct, frozen=True, kw_only=True):
    """A fitted line: seconds at no MACs (0 for a proportional one), and its slope."""

    kind: FitKind
    base_s: float
    s_per_mac: float
    points: int

    def at(self, macs: float) -> float:
        """Return the line's seconds at this many MACs."""
        return self.base_s + self.s_per_mac * macs

    @property
    def text(self) -> str:
        """The line as a formula, with what its slope means."""
        slope = f"{plain_number(ms(self.s_per_mac * GIGA))} ms/GMAC"
        base = ""
        if self.kind == "affine":
            base = f"{plain_number(ms(self.base_s))} ms + "
        return f"{base}{slope} ({rate(FLOPS_PER_MAC / self.s_per_mac, 'FLOP')})"


def fitted_line(points: Sequence[tuple[int, float]], fit: FitKind) -> FittedLine | None:
    """Fit a line to (MACs, seconds), both positive.

    Returns:
        None for too few points, for points that all have the same MACs where the line has two
        parameters, and where the slope is not above 0.
    """
    count = len(points)
    if count < FEWEST_FOR_FIT[fit]:
        return None
    if fit == "proportional":
        slope = statistics.geometric_mean(seconds / macs for macs, seconds in points)
        return FittedLine(kind=fit, base_s=0.0, s_per_mac=slope, points=count)
    import numpy as np

    # Minimise the sum of ((a + c·m) / t − 1)²; MACs in units of their mean, so that both columns
    # have the same magnitude.
    macs, seconds = np.array(points, float).T
    unit = macs.mean()
    columns = np.stack([1 / seconds, macs / unit / seconds], axis=1)
    (base, slope), _, rank, _ = np.linalg.lstsq(columns, np.ones(count), rcond=1e-6)
    if rank < 2 or slope <= 0:
        return None
    return FittedLine(kind=fit, base_s=float(base), s_per_mac=float(slope / unit), points=count)


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, equal values sharing the mean of their ranks.

    Returns:
        None for fewer than ``FEWEST_FOR_RANKS`` pairs, and where all values of a side are equal.
    """
    if len(a) < FEWEST_FOR_RANKS:
        return None
    x, y = _ranks(a), _ranks(b)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return statistics.correlation(x, y)


def _ranks(values: Sequence[float]) -> list[float]:
    import numpy as np

    _, place, many = np.unique(np.array(values), return_inverse=True, return_counts=True)
    return [float(rank) for rank in (np.cumsum(many) - (many - 1) / 2)[place]]


BY = ("machine", "threads", "dtype", "batch", "options")
"""What one line applies to: everything but the model."""


class TheoryPoint(Struct, frozen=True, kw_only=True):
    """One timed model; ``fitted`` says whether the line was fitted to it.

    Attributes:
        factor: measured / line; None without a line, or where the line is not positive.
    """

    name: str
    one: TimedRow
    factor: float | None
    fitted: bool


class TheoryGroup(Struct, frozen=True, kw_only=True):
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


class Theory(TimedFigure, frozen=True, kw_only=True):
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
