"""Theory against time: dense MACs against measured milliseconds, and how well MACs explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flopbench.core.errors import InputError, Remark
from flopbench.core.units import plural
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
from flopbench.present.figures.inputs.files import CallerError
from flopbench.present.figures.inputs.timing_groups import brief_names, flagged_rows, grouped
from flopbench.present.figures.inputs.timings import (
    COLUMNS,
    MACS_NOTE,
    ROWS,
    TimedRow,
    Timings,
    chosen_timings,
    first_few,
    how_timed,
    timed_models,
)
from flopbench.present.kind import Option, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BY = ("machine", "threads", "dtype", "batch", "options")
"""What one line applies to: everything but the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryPoint:
    """One timed model.

    Attributes:
        name: what distinguishes it from the others.
        one: the row.
        factor: measured / line; None without a line, or where the line is not positive.
        fitted: whether the line was fitted to it.
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
        whole: its full name.
        points: at least one.
        line: None with too few points, or where time falls as MACs grow.
        ranks: rank correlation of time with (MACs, activations); None where undefined.
    """

    name: str
    whole: str
    points: tuple[TheoryPoint, ...]
    line: FittedLine | None
    ranks: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theory:
    """Groups, each with its line.

    Attributes:
        groups: in the order of the files.
        fit: which line.
        shared: what all names share, empty for nothing.
        left_out: (row, why) of what is not drawn.
        flagged: (name, verdict and reasons) of what is drawn hollow.
    """

    groups: tuple[TheoryGroup, ...]
    fit: FitKind
    shared: str
    left_out: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, str], ...]

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
        sentences.append(MACS_NOTE)
        if self.flagged:
            sentences.append(f"Hollow, verdict other than stable: {first_few(self.flagged)}.")
        warnings = []
        if self.left_out:
            sentences.append(f"Left out: {first_few(self.left_out)}.")
            warnings.append(f"left out: {first_few(self.left_out)}")
        return Caption(
            title=f"MACs against time on {listed([group.whole for group in self.groups])}",
            sentences=tuple(sentences),
            alt=" ".join(
                [f"{timed_models(len(rows))}.", *(text for g in self.groups for text in _alt(g))]
            ),
            warnings=tuple(map(Remark, warnings)),
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
        header = (
            *(name for name, _ in COLUMNS),
            "group",
            "dense_macs_per_call",
            "line_s",
            "measured_over_line",
            "fitted",
            "line_base_s",
            "line_s_per_mac",
        )
        rows = []
        for group in self.groups:
            line = group.line
            for point in group.points:
                fit = (None,) * 2 if line is None else (line.base_s, line.s_per_mac)
                rows.append(
                    (
                        *(value(point.one) for _, value in COLUMNS),
                        group.whole,
                        point.one.dense_macs,
                        None if line is None else line.at(point.one.dense_macs),
                        point.factor,
                        point.fitted,
                        *fit,
                    )
                )
        return FigureTable(header=header, rows=tuple(rows))


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
    found = chosen_timings(timings, devices, dtypes, batches)
    good = [one for one in found.rows if one.dense_macs]
    unknown = [one for one in found.rows if not one.dense_macs]
    reasons = [
        (
            str(one.row.what),
            "no dense MACs" if one.row.work.dense_macs == 0 else "its MACs are not known",
        )
        for one in unknown
    ]
    left_out = (*found.left_out, *reasons)
    if not good:
        raise CallerError(
            f": no row has both a time and MACs: {first_few(left_out)}",
            "'flopbench explain MODEL' says why a model could not be counted",
        )
    groups = grouped(good, BY)
    names, shared = brief_names(groups, BY)
    return Theory(
        groups=tuple(
            _group(group.name, group.whole, group.rows, own, fit)
            for group, own in zip(groups, names, strict=True)
        ),
        fit=fit,
        shared=shared,
        left_out=left_out,
        flagged=tuple(flagged_rows(groups, names)),
    )


def _group(
    name: str, whole: str, rows: Sequence[TimedRow], names: Sequence[str], fit: FitKind
) -> TheoryGroup:
    sound = [one for one in rows if one.summary.verdict != "invalid"]
    line = fitted_line([(one.dense_macs, one.seconds) for one in sound], fit)
    points = []
    for one, own in zip(rows, names, strict=True):
        there = line.at(one.dense_macs) if line is not None else 0.0
        points.append(
            TheoryPoint(
                name=own,
                one=one,
                factor=one.seconds / there if there > 0 else None,
                fitted=line is not None and one.summary.verdict != "invalid",
            )
        )
    times = [one.seconds for one in sound]
    ranks = (
        rank_correlation([one.dense_macs for one in sound], times),
        rank_correlation(
            [(one.row.work.activations or 0) * one.row.what.batch for one in sound], times
        )
        if all(one.row.work.activations for one in sound)
        else None,
    )
    return TheoryGroup(name=name, whole=whole, points=tuple(points), line=line, ranks=ranks)


def _lines(group: TheoryGroup, fit: FitKind) -> list[str]:
    if group.line is None:
        sound = sum(point.one.summary.verdict != "invalid" for point in group.points)
        fewest = FEWEST_FOR_FIT[fit]
        if sound < fewest:
            many = f"{sound} {plural(sound, 'point')}, and a line of this kind needs {fewest}"
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
