"""Reads CSV: one decision per line; the header is in ``NAME.header.json``, or comes from a preset.

Columns: ``id`` and ``action`` (or ``exit``, or ``counts``), and any of ``view``, ``stream``,
``step`` (0, 1, 2 … within a sample), ``span``, ``labels``, ``prediction``, ``scores``, ``exit``,
``counts``, ``steps``, ``frames``, ``latency_ms``, ``extra`` and ``extra.NAME``. The lines of a
sample are consecutive. What belongs to the sample is on its first line; further lines repeat it or
leave it empty. A whole number is a number, anything else text; lists and objects are JSON. A
sample without decisions is one line: ``action`` is empty, or ``[]`` for an empty list.

Strict: RFC 4180, as many fields on every line as on the first. Large files take a faster way
through DuckDB, which gives up on anything unusual, so that the exact reader can report it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import msgspec

from flopbench.core.errors import DataError, near_match
from flopbench.core.files import read_json
from flopbench.policy.blocks import Block, Place
from flopbench.policy.columns import EXTRA_PREFIX, json_value
from flopbench.policy.header import Header, read_header
from flopbench.policy.plan import Plan
from flopbench.policy.readers.base import Reader
from flopbench.policy.readers.csv_cells import (
    COLUMNS,
    EMPTY,
    INTEGER,
    LINE_COLUMNS,
    number,
    scalar,
)
from flopbench.policy.readers.raw import not_text, open_bytes, unpacking_errors
from flopbench.policy.samples import OnDefect, Sample, sample_error

HEADER_SUFFIX = ".header.json"
LINES_AT_ONCE = 8192
LARGE_BYTES = 1 << 25
"""DuckDB decodes files of at least this size; below, starting it costs as much as it saves."""

LARGEST_CELL = 2**31 - 1
"""In characters; the csv module's default is less than the scores of some samples."""


class Records:
    """CSV records, each with the line that it starts on.

    Attributes:
        line: where the next record starts.
    """

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.line = 1

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        for row in self._rows:
            yield row, self.line
            self.line = self._rows.line_num + 1


@contextmanager
def large_cells() -> Iterator[None]:
    """Let the csv module read cells of any length, then restore its setting."""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Choices(dict[str, int | str]):
    """Cell -> action id or name, each distinct cell parsed once."""

    def __missing__(self, cell: str) -> int | str:
        value = self[cell] = int(cell) if INTEGER.fullmatch(cell) else cell
        return value


class CsvReader(Reader):
    """One CSV file."""

    form = "csv"

    def header_path(self) -> Path:
        """Return the path of the header file."""
        return header_path(self.path)

    def header(self) -> Header | None:
        """Return the header from its own file, None where there is none."""
        path = self.header_path()
        if not path.exists():
            return None
        return read_header(read_json(path, "the header of a policy log"), str(path))

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples; a sample's place is the line of its first decision."""
        with open_bytes(self.path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            rows = Records(csv.reader(text, strict=True))
            names: list[str] = []
            ends: _Ends | None = None
            kept: tuple[list[list[str]], list[int]] = ([], [])
            for chunk, lines in self._chunks(rows):
                if ends is None:
                    names = self._names(chunk.pop(0))
                    del lines[0]
                    ends = _Ends(names)
                chunk, lines = self._whole(chunk, lines, len(names), report)
                groups = ends.split(kept[0] + chunk, kept[1] + lines)
                *done, kept = groups or [([], [])]
                yield self._decode(done, names, report)
            if kept[0]:
                yield self._decode([kept], names, report)

    def _chunks(self, rows: Records) -> Iterator[tuple[list[list[str]], list[int]]]:
        """Yield records and the lines they start on; those before a defect come first."""
        records = iter(rows)
        chunk: list[list[str]] = [[]]
        failed: DataError | None = None
        while chunk and failed is None:
            chunk, lines = [], []
            try:
                with large_cells():
                    for row, line in islice(records, LINES_AT_ONCE):
                        chunk.append(row)
                        lines.append(line)
            except csv.Error as error:
                failed = DataError(f"{self.path}:{rows.line} is not CSV: {error}")
            except UnicodeDecodeError:
                failed = not_text(self.path)
            except unpacking_errors() as error:
                failed = DataError(f"{self.path} is damaged: {error}")
            if chunk:
                yield chunk, lines
        if failed is not None:
            raise failed

    def _names(self, first: list[str]) -> list[str]:
        names = [name.strip() for name in first]
        names[:1] = [name.removeprefix("\ufeff").strip() for name in names[:1]]
        for name in names:
            if name not in COLUMNS and not name.startswith(EXTRA_PREFIX):
                raise DataError(
                    f"{self.path}:1: unknown column {name!r}",
                    f"{near_match(name, COLUMNS, 'columns')}; name columns of your own extra.NAME",
                )
            if names.count(name) > 1:
                raise DataError(f"{self.path}:1: the column {name!r} appears twice")
        if "id" not in names:
            raise DataError(f"{self.path}:1: the column 'id' is missing")
        if "extra" in names and any(name.startswith(EXTRA_PREFIX) for name in names):
            raise DataError(f"{self.path}:1: columns 'extra' and 'extra.NAME' exclude each other")
        if not {"action", "exit", "counts"} & set(names):
            raise DataError(
                f"{self.path}:1: the column 'action' is missing",
                "a log needs 'action', 'exit' or 'counts' besides 'id'",
            )
        return names

    def _whole(
        self, chunk: list[list[str]], lines: list[int], width: int, report: OnDefect
    ) -> tuple[list[list[str]], list[int]]:
        """Drop blank lines; report and drop lines of another width."""
        if set(map(len, chunk)) <= {width}:
            return chunk, lines
        kept = []
        for row, line in zip(chunk, lines, strict=True):
            if row and len(row) != width:
                report(
                    DataError(f"{self.path}:{line}: {len(row)} fields where {width} were expected")
                )
            elif row:
                kept.append((row, line))
        return [row for row, _ in kept], [line for _, line in kept]

    def _decode(
        self, groups: list[tuple[list[list[str]], list[int]]], names: list[str], report: OnDefect
    ) -> tuple[list[Sample], Place]:
        decoder = _Decoder(self.path, names)
        samples, places = [], []
        for rows, lines in groups:
            try:
                samples.append(decoder.sample(rows, lines))
                places.append(lines[0])
            except DataError as error:
                report(error)
        return samples, lambda i: f"{self.path}:{places[i]}"

    def blocks(self, plan: Plan, report: OnDefect, columns: Iterable[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays; a large plain file goes through DuckDB."""
        wanted = tuple(columns)
        if not self.options.exact and not wanted and self.path.stat().st_size >= LARGE_BYTES:
            from flopbench.policy.readers.csv_fast import fast_blocks

            blocks = fast_blocks(self.path, plan)
            if blocks is not None:
                yield from blocks
                return
        yield from super().blocks(plan, report, wanted)


def header_path(path: Path) -> Path:
    """Return the path of a CSV log's header: ``run.csv`` -> ``run.header.json``."""
    stem = path.name.split(".csv")[0] if ".csv" in path.name else path.stem
    return path.with_name(stem + HEADER_SUFFIX)


class _Ends:
    """Finds where one sample ends and the next begins."""

    def __init__(self, names: list[str]) -> None:
        self._id = names.index("id")
        self._view = names.index("view") if "view" in names else None
        self._action = names.index("action") if "action" in names else None
        self._stream = names.index("stream") if "stream" in names else None

    def split(
        self, rows: list[list[str]], lines: list[int]
    ) -> list[tuple[list[list[str]], list[int]]]:
        """Cut lines into samples; each line without a decision is a sample."""
        keys: list[Any] = [row[self._id] for row in rows]
        if self._view is not None:
            keys = list(zip(keys, (row[self._view] for row in rows), strict=True))
        changes = [i for i, (a, b) in enumerate(pairwise(keys), 1) if a != b]
        bare: Iterable[int] = range(len(rows))
        for at in (self._action, self._stream):
            bare = bare if at is None else [i for i in bare if not rows[i][at]]
        more = [b for a, b in pairwise(bare) if b == a + 1]
        if more:
            changes = sorted({*changes, *more})
        bounds = [0, *changes, len(rows)]
        return [(rows[a:b], lines[a:b]) for a, b in pairwise(bounds) if b > a]


class _Decoder:
    """Turns the lines of one sample into a sample."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._path = path
        self._at = {name: at for at, name in enumerate(names)}
        self._choices = _Choices()

    def sample(self, rows: list[list[str]], lines: list[int]) -> Sample:
        """Return the sample.

        Raises:
            DataError: a cell that does not fit; the message names its line and column.
        """
        values: dict[str, Any] = {}
        for name, at in self._at.items():
            if name in LINE_COLUMNS:
                continue
            cell = self._one_cell(name, at, rows, lines)
            if cell == "" and name != "id":
                continue
            value = self._value(name, cell, lines[0])
            if name.startswith(EXTRA_PREFIX):
                values.setdefault("extra", {})[name.removeprefix(EXTRA_PREFIX)] = value
            else:
                values[name] = value
        cells = [self._at[name] for name in ("action", "span") if name in self._at]
        if any(row[at] for row in rows for at in cells):
            values |= self._decisions(rows, lines)
        where = f"{self._path}:{lines[0]}"
        try:
            return msgspec.convert(values, Sample)
        except msgspec.ValidationError as error:
            raise sample_error(error, where) from None

    def _one_cell(self, name: str, at: int, rows: list[list[str]], lines: list[int]) -> str:
        cell = rows[0][at]
        distinct = {row[at] for row in rows}
        if len(distinct) > 1 and not distinct <= {cell, ""}:
            line = next(n for row, n in zip(rows, lines, strict=True) if row[at] not in {cell, ""})
            raise DataError(
                f"{self._path}:{line}: {name}: differs from the sample's first line "
                f"({lines[0]}), which has {cell!r}",
                "what belongs to the sample goes on its first line; its lines are consecutive",
            )
        return cell

    def _decisions(self, rows: list[list[str]], lines: list[int]) -> dict[str, Any]:
        parts: dict[str, tuple[list[list[str]], list[int]]] = {}
        if "stream" in self._at:
            at = self._at["stream"]
            for row, line in zip(rows, lines, strict=True):
                own = parts.setdefault(row[at], ([], []))
                own[0].append(row)
                own[1].append(line)
        else:
            parts[""] = (rows, lines)
        actions: dict[str, Any] = {}
        spans: dict[str, Any] = {}
        for stream, (own_rows, own_lines) in parts.items():
            cells = self._cells("action", own_rows)
            if cells == [EMPTY]:
                actions[stream] = []
            elif len(cells) > 1 or any(cells):
                if "" in cells:
                    line = own_lines[cells.index("")]
                    raise DataError(f"{self._path}:{line}: action: is empty")
                actions[stream] = list(map(self._choices.__getitem__, cells))
                self._check_steps(own_rows, own_lines)
            cells = self._cells("span", own_rows)
            if cells == [EMPTY]:
                spans[stream] = []
            elif any(cells):
                spans[stream] = [
                    self._integer("span", cell, line)
                    for cell, line in zip(cells, own_lines, strict=True)
                ]
        one = list(parts) == [""]
        found = {"actions": actions, "spans": spans}
        return {name: value[""] if one else value for name, value in found.items() if value}

    def _cells(self, name: str, rows: list[list[str]]) -> list[str]:
        at = self._at.get(name)
        return [] if at is None else [row[at] for row in rows]

    def _check_steps(self, rows: list[list[str]], lines: list[int]) -> None:
        if "step" not in self._at:
            return
        at = self._at["step"]
        cells = [row[at] for row in rows]
        if cells == list(map(str, range(len(cells)))):
            return
        for wanted, (cell, line) in enumerate(zip(cells, lines, strict=True)):
            if self._integer("step", cell, line) != wanted:
                raise DataError(
                    f"{self._path}:{line}: step: is {cell} where {wanted} was expected",
                    "steps count from 0 within a sample, and no step may be missing",
                )

    def _integer(self, name: str, cell: str, line: int) -> int:
        if not INTEGER.fullmatch(cell):
            raise DataError(
                f"{self._path}:{line}: {name}: is {cell!r} where a whole number was expected"
            )
        return int(cell)

    def _value(self, name: str, cell: str, line: int) -> Any:
        if name == "id":
            return cell
        if name == "steps":
            return self._integer(name, cell, line)
        if name in {"scores", "counts", "frames", "extra"}:
            return self._json(name, cell, line)
        if name == "latency_ms":
            value = number(cell)
            if isinstance(value, str):
                raise DataError(
                    f"{self._path}:{line}: {name}: is {cell!r} where a number was expected"
                )
            return value
        if name == "labels":
            value = self._json(name, cell, line) if cell[0] in '["' else scalar(cell)
            return value if isinstance(value, list) else [value]
        if name.startswith(EXTRA_PREFIX):
            return number(cell)
        return self._json(name, cell, line) if cell[0] == '"' else scalar(cell)

    def _json(self, name: str, cell: str, line: int) -> Any:
        return json_value(cell, f"{self._path}:{line}: {name}:")
