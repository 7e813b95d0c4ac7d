"""Published points: accuracies and costs of other papers, from a CSV file.

The columns are those that ``flopbench compare -o points.csv`` writes, plus other costs, ``series``,
the method that a row is one setting of, and ``source``, the paper that a figure was printed in. A
row needs ``approach``, ``percent`` and a cost; every other column is optional.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.statistics import Ends
from flopbench.estimate.compare import COMPARED, TIMED
from flopbench.estimate.methods import Metric, metric_named
from flopbench.present.figures.caption import listed

COSTS = ("gflops_per_video", "ms_per_video", "frames_per_video", "params_millions")
COLUMNS = (*dict.fromkeys((*COMPARED, *TIMED, *COSTS)), "series", "source")
ENDS = {"gflops_per_video": ("gflops_low", "gflops_high"), "ms_per_video": ("ms_low", "ms_high")}
"""Cost -> the columns of its interval."""
NEEDED = ("approach", "percent")

LEAST, MOST = 1e-12, 1e15
"""Costs, times and shares other than 0 are within these; axes cannot show numbers outside."""


class Point(Struct, frozen=True, kw_only=True):
    """One row; intervals are of 95 %.

    Attributes:
        metric: which accuracy; None where the file does not say.
        costs: column of ``COSTS`` -> what the row gives there.
        ends: column of ``ENDS`` -> the interval that the row gives.
        series: the method that it is one setting of; empty where the row names none.
        source: the paper; empty where the row has none.
    """

    approach: str
    file: str
    line: int
    metric: Metric | None
    percent: float
    percent_ends: Ends | None
    costs: Mapping[str, float]
    ends: Mapping[str, Ends]
    series: str
    source: str


def read_points(path: str | Path) -> tuple[Point, ...]:
    """Read a table of points: a CSV file, UTF-8, with a header line."""
    where = Path(path)
    try:
        text = where.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    points = []
    try:
        columns = _columns([name.strip() for name in next(reader, [])], where)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{path}, line {reader.line_num}"
            if len(cells) != len(columns):
                raise DataError(
                    f"{place}: {len(cells)} fields where the header has {len(columns)}",
                    "a name with a comma in it needs quotes",
                )
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
            points.append(_point(row, where, reader.line_num))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    if not points:
        raise DataError(f"{path}: a header but no rows", "each row is one point")
    return tuple(points)


def _columns(names: list[str], path: Path) -> list[str]:
    place = f"{path}, line 1"
    for name in names:
        if name not in COLUMNS:
            raise DataError(
                f"{place}: unknown column {name!r}", near_match(name, COLUMNS, "columns")
            )
        if names.count(name) > 1:
            raise DataError(f"{place}: the column {name!r} appears twice")
    for name in NEEDED:
        if name not in names:
            raise DataError(f"{place}: there is no column {name!r}", f"it has: {', '.join(names)}")
    if not set(COSTS) & set(names):
        expected = listed(list(map(repr, COSTS)), "or")
        raise DataError(f"{place}: there is no cost", f"expected a column {expected}")
    return names


def _point(row: Mapping[str, str], path: Path, line: int) -> Point:
    reading = _Row(row=row, place=f"{path}, line {line}")
    percent = reading.number("percent", most=100)
    if percent is None:
        raise reading.wrong("percent", "an accuracy in percent", "leave the row out")
    if not row["approach"]:
        raise reading.wrong("approach", "a name")
    costs = {name: n for name in COSTS if (n := reading.number(name)) is not None}
    if not costs:
        given = [name for name in COSTS if name in row]
        raise reading.wrong(given[0], f"a cost in {listed(given, 'or')}")
    for name in ("gflops_per_frame", "videos", "videos_per_s"):
        reading.number(name)
    for name in ("pareto_front", "pareto_front_ms"):
        if row.get(name, "").lower() not in {"", "true", "false"}:
            raise reading.wrong(name, "True or False")
    ends = {name: own for name, columns in ENDS.items() if (own := reading.ends(*columns))}
    return Point(
        approach=row["approach"],
        file=str(path),
        line=line,
        metric=reading.metric(),
        percent=percent,
        percent_ends=reading.ends("percent_low", "percent_high", most=100),
        costs=costs,
        ends=ends,
        series=row.get("series", ""),
        source=row.get("source", ""),
    )


class _Row(Struct, frozen=True, kw_only=True):
    """One row while it is read: column -> text, and its place for messages."""

    row: Mapping[str, str]
    place: str

    def wrong(self, column: str, expected: str, hint: str = "") -> DataError:
        """Return the error to raise about a field."""
        text = self.row.get(column, "")
        has = repr(text) if text else "empty"
        return DataError(f"{self.place}, column {column!r}: {has}, expected {expected}", hint)

    def number(self, column: str, most: float = MOST) -> float | None:
        """Return a number of 0 or more; None for an empty field."""
        text = self.row.get(column, "")
        if not text:
            return None
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= most or 0 < value < LEAST:
            raise self.wrong(column, f"0, or a number from {LEAST:g} to {most:g}")
        return value

    def ends(self, low: str, high: str, most: float = MOST) -> Ends | None:
        """Return an interval; None where both ends are empty."""
        ends = self.number(low, most), self.number(high, most)
        if ends == (None, None):
            return None
        if ends[0] is None or ends[1] is None:
            raise self.wrong(low if ends[0] is None else high, "both ends of the interval, or none")
        if ends[0] > ends[1]:
            raise self.wrong(low, f"at most {ends[1]:g}, where the interval ends")
        return ends[0], ends[1]

    def metric(self) -> Metric | None:
        """Return which accuracy; None for an empty field."""
        if not self.row.get("metric"):
            return None
        try:
            return metric_named(self.row["metric"])
        except InputError as error:
            raise self.wrong("metric", "a metric that is known", error.hint) from None
