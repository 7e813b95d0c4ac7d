"""A trade-off as data: its points, what they mean, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from flopbench.core.remarks import Remark
from flopbench.core.units import GIGA, VIDEOS, Scale, Words, number_of
from flopbench.estimate.methods import Metric
from flopbench.present.figures.caption import Caption, FigureTable, by_key, listed
from flopbench.present.figures.inputs.logs import COLUMN
from flopbench.present.figures.tradeoff_costs import COLUMNS, MEASURED, PREDICTED, Cost, unit_of
from flopbench.present.figures.tradeoff_points import TradeoffPoint, cost_scale, signed


class Tradeoff(Struct, frozen=True, kw_only=True):
    """Points, logs first, and how they are drawn.

    Attributes:
        reference: the point that own points are set against; empty for none.
        own_named: whether own points were named; else they are the logs.
        terms: sentences on where costs come from: counter, rule, machine.
        differences: sentences on how far logs are from the reference.
        notes: sentences on individual points.
        inverted: log's name -> those that cost more GFLOPS, but take less time by prediction.
    """

    points: tuple[TradeoffPoint, ...]
    metric: Metric
    cost: Cost
    log_scale: bool
    reference: str = ""
    own_named: bool = False
    show_front: bool = True
    terms: tuple[str, ...]
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...]
    warnings: tuple[Remark, ...]
    words: Words = VIDEOS
    inverted: Mapping[str, tuple[str, ...]] = {}

    @property
    def unit(self) -> str:
        """Of the costs: ``GFLOPS/video``."""
        return unit_of(self.cost, self.words, self.scale)

    @property
    def scale(self) -> Scale:
        """Of counts on the axis: 0.3 GFLOPS, but 50 MFLOPS."""
        return cost_scale(self.points, self.cost)

    @property
    def front(self) -> tuple[TradeoffPoint, ...]:
        """The points on the Pareto front, the cheapest first."""
        found = [point for point in self.points if point.on_front]
        return tuple(sorted(found, key=lambda point: (point.cost, point.name)))

    @property
    def mixed(self) -> bool:
        """Whether there are own points and others: the others are hollow."""
        return len({point.own for point in self.points}) > 1

    @property
    def clocks(self) -> str:
        """How the ms of logs are known: ``measured``, ``predicted``, or either."""
        kinds = {point.time for point in self.points} - {""}
        return " or ".join(sorted(kinds)) or MEASURED

    def label(self, point: TradeoffPoint) -> str:
        """Return what is written beside a point: how its ms are known, where few differ in that."""
        known = [one.time for one in self.points if one.time]
        few = min((PREDICTED, MEASURED), key=known.count)
        return f"{point.name} ({few})" if point.time == few else point.name

    @property
    def series(self) -> dict[str, list[TradeoffPoint]]:
        """Name -> points of a series, the cheapest first; those that stand alone are in none."""
        names = dict.fromkeys(point.series for point in self.points if point.series)
        by_cost = sorted(self.points, key=lambda point: (point.cost, point.percent))
        return {name: [p for p in by_cost if p.series == name] for name in names}

    def against(self, point: TradeoffPoint) -> str:
        """Return how an own point differs from the reference: ``−28 % at +15.6 mAP``."""
        base = next((p for p in self.points if p.name == self.reference), point)
        if base is point or (self.mixed and not point.own):
            return ""
        change = 100 * (point.cost / base.cost - 1)
        digits = 0 if abs(change) >= 9.95 else 1
        more = point.percent - base.percent
        return f"{signed(change, digits)} % at {signed(more, 1)} {self.metric}"

    @property
    def caption(self) -> Caption:
        """Title, sentences and alternative text of the figure."""
        unit = self.unit
        name = "mAP" if self.metric == "mAP" else "Top-1 accuracy"
        many = number_of(len(self.points), "point")
        factor = GIGA / self.scale.divisor
        costs = [(one, f"{factor * one.cost:.4g}") for one in self.front]
        best = "; ".join(f"{one.name}: {one.percent:.2f} % at {cost}" for one, cost in costs)
        sentences = [
            f"{name} (%) against {unit} of {many}; upper left is better.",
            *self.terms,
            *self._kinds(),
            *self._joined(),
            self._intervals(),
            *self._best(),
            *self.notes,
        ]
        return Caption(
            title=f"{name} against {unit}",
            sentences=tuple(sentences),
            short=(
                *(term for term in self.terms if term.startswith("Predicted")),
                *self._kinds(),
                *self._joined(),
                *(["Bars: 95 % intervals."] if any(map(_has_interval, self.points)) else []),
                *(["Step line: Pareto front."] if self.show_front and self.front[1:] else []),
            ),
            alt=f"{many}, {self.metric} against {unit}. On the Pareto front: {best}.",
            warnings=self.warnings,
        )

    def _kinds(self) -> list[str]:
        """Say whose points are filled, and name the papers behind those of tables."""
        said = []
        if self.mixed and self.own_named:
            said.append(f"Filled: ours, {listed([p.name for p in self.points if p.own])}.")
        rows = [
            point for point in self.points if point.published and (point.source or not point.own)
        ]
        if rows:
            by_source = by_key((p.source or "source not stated", p.name) for p in rows)
            papers = "; ".join(f"{listed(names)}: {source}" for source, names in by_source.items())
            how = "Hollow: as" if self.mixed and not self.own_named else "As"
            said.append(f"{how} reported, counted or timed as their papers did. {papers}.")
        return said

    def _joined(self) -> list[str]:
        """Say what lines and differences mean."""
        said = []
        if any(points[1:] for points in self.series.values()):
            said.append("Lines join the points of one method, the cheapest first.")
        if self.reference:
            unit = self.unit.partition("/")[0]
            said.append(f"Below a name: {unit} and {self.metric} relative to {self.reference}.")
            said += self.differences
        return said

    def _best(self) -> list[str]:
        if not self.show_front:
            return []
        whose = "Pareto front of the centres of all points drawn (no other is at least as accurate "
        whose += f"and at most as costly): {listed([s.name for s in self.front])}."
        drawn = f"Step line: {whose}" if len(self.front) > 1 else whose
        return [f"{drawn} Intervals may overlap across it."]

    def _intervals(self) -> str:
        bare = [point.name for point in self.points if not _has_interval(point)]
        if len(bare) == len(self.points):
            return "No point has an interval."
        return "Bars: 95 % intervals." + (f" Without any: {listed(bare)}." if bare else "")

    @property
    def table(self) -> FigureTable:
        """One row a point."""
        return FigureTable.of(map(self._row, self.points))

    def _row(self, point: TradeoffPoint) -> dict[str, object]:
        low, high = point.percent_ends or (None, None)
        least, most = point.cost_ends or (None, None)
        row: dict[str, object] = {
            "approach": point.name,
            "metric": self.metric,
            "percent": point.percent,
            "percent_low": low,
            "percent_high": high,
            COLUMNS[self.cost]: point.cost,
            f"{self.cost}_low": least,
            f"{self.cost}_high": most,
            "pareto_front": point.on_front,
            "kind": "published" if point.published else "log",
            "percent_is_quoted": point.quoted,
            "source": point.source,
            "file": point.file,
            COLUMN: point.charged or None,
            "series": point.series or None,
            "own": point.own,
        }
        if any(point.time == PREDICTED for point in self.points):
            row["time"] = point.time or None
            row["slower_but_cheaper_than"] = "; ".join(self.inverted.get(point.name, ())) or None
        return row


def _has_interval(point: TradeoffPoint) -> bool:
    return (point.percent_ends or point.cost_ends) is not None
