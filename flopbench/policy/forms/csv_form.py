"""CSV: one decision per line; the header is in ``NAME.header.json``, or comes from a preset.

Columns: ``id`` and ``action`` (or ``exit``, or ``counts``), and any of ``view``, ``stream``,
``step`` (0, 1, 2 … within a sample), ``span``, ``labels``, ``prediction``, ``scores``, ``exit``,
``counts``, ``steps``, ``frames``, ``latency_ms``, ``extra`` and ``extra.NAME``. The lines of a
sample are consecutive. What belongs to the sample is on its first line; further lines repeat it or
leave it empty. A whole number is a number, also with the ``.0`` of a table of floats, anything else
text; lists and objects are JSON. A sample without decisions is one line: ``action`` is empty, or
``[]`` for an empty list.

Strict: RFC 4180, as many fields on every line as on the first; a semicolon or a tab may separate
them. Large files take a faster way through DuckDB, which gives up on anything unusual, so that the
exact reader can report it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import IO, Any

from flopbench.core.errors import DataError
from flopbench.core.limits import MOST_COLUMNS
from flopbench.policy.blocks import Block, Place
from flopbench.policy.columns import EXTRA_PREFIX, json_value, sample_of_row
from flopbench.policy.forms.base import Copy, Reader, header_beside, header_path
from flopbench.policy.forms.raw import (
    columns_in,
    not_text,
    open_bytes,
    packed,
    separator_in,
    unpacking_errors,
)
from flopbench.policy.header import Header, header_json
from flopbench.policy.plan import Plan
from flopbench.policy.samples import FIELDS, OnDefect, Sample, unknown_names

LINES_AT_ONCE = 8192
LARGE_BYTES = 1 << 25
"""DuckDB decodes files of at least this size; below, starting it costs as much as it saves."""

LARGEST_CELL = 2**31 - 1
"""In characters; the csv module's default is less than the scores of some samples."""

OWN_COLUMNS = tuple(name for name in FIELDS if name not in {"actions", "spans"})
"""Columns of the sample."""
LINE_COLUMNS = ("stream", "step", "action", "span")
"""Columns of the single decision."""
COLUMNS = (*OWN_COLUMNS, *LINE_COLUMNS)
JSON_COLUMNS = {"scores", "counts", "frames", "extra"}
EMPTY = "[]"
"""An empty list of decisions or spans; an empty cell means that there is none."""

_INTEGER = re.compile(r"(-?[0-9]{1,4300})(\.0+)?")
_NUMBER = re.compile(r"[-+]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")

Lines = tuple[list[list[str]], list[int]]
"""The cells of some records, and the lines that they start on."""


def csv_lines(path: Path) -> Iterator[tuple[list[str], int]]:
    """Yield the records of a CSV file that are not blank, and the lines that they start on."""
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        line = 1
        try:
            first = text.readline()
            rows = csv.reader(chain([first], text), strict=True, delimiter=separator_in(first))
            for row in _with_long_cells(rows):
                if len(row) > MOST_COLUMNS:
                    raise DataError(f"{path}:{line} has more than {MOST_COLUMNS:,} columns")
                if row:
                    yield row, line
                line = rows.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}:{line} is not CSV: {error}") from None
        except UnicodeDecodeError:
            raise not_text(path) from None
        except unpacking_errors() as error:
            raise DataError(f"{path} is damaged: {error}") from None


def _with_long_cells(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield records; the limit on cells is the whole process's, so it is raised only meanwhile."""
    while True:
        before = csv.field_size_limit(LARGEST_CELL)
        try:
            row = next(rows, None)
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        yield row


class CsvReader(Reader):
    """One CSV file; a sample's place is its first line."""

    @staticmethod
    def recognises(head: bytes, path: Path) -> bool:
        """Whether the first line names the column ``id`` and others, not those of shares."""
        names = columns_in(head)
        return "id" in names and len(names) > 1 and not {"action", "share"} <= set(names)

    def header(self) -> Header | None:
        """Return the header from its own file, None where there is none."""
        return header_beside(self.path)

    def samples(self, plan: Plan, report: OnDefect) -> Iterator[tuple[Sequence[Sample], Place]]:
        """Yield the samples."""
        decoder: _Decoder | None = None
        kept: Lines = [], []
        for rows, numbers in _chunks(csv_lines(self.path)):
            if decoder is None:
                names = self._names(rows.pop(0), numbers.pop(0))
                decoder = _Decoder(self.path, names, plan)
            rows, numbers = self._whole(rows, numbers, len(names), report)
            *done, kept = decoder.cut(kept[0] + rows, kept[1] + numbers) or [([], [])]
            yield self._decode(decoder, done, report)
        if decoder is not None and kept[0]:
            yield self._decode(decoder, [kept], report)

    def blocks(self, plan: Plan, report: OnDefect, columns: Sequence[str] = ()) -> Iterator[Block]:
        """Yield the samples as arrays; a large plain file goes through DuckDB."""
        if not self.options.exact and not columns and self.path.stat().st_size >= LARGE_BYTES:
            from flopbench.policy.forms.csv_fast import fast_blocks

            blocks = fast_blocks(self.path, plan)
            if blocks is not None:
                yield from blocks
                return
        yield from super().blocks(plan, report, columns)

    @staticmethod
    def write(copy: Copy) -> int:
        """Write only columns that hold something, names of actions, and the header beside."""
        shown = {
            stream: [_action_cell(at, name) for at, name in enumerate(names)]
            for stream, names in copy.plan.indices.items()
        }
        used = {COLUMNS.index("id")}
        count = 0
        for samples in copy.samples():
            for sample in samples:
                for cells in _cells_of(sample, shown):
                    used.update(at for at, cell in enumerate(cells) if cell)
                count += 1
        if not used & {COLUMNS.index(name) for name in ("action", "exit", "counts")}:
            used.add(COLUMNS.index("action"))
        columns = sorted(used)
        with packed(copy.target, copy.temporary) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(_LineFeeds(text), lineterminator="\r\n")
            writer.writerow([COLUMNS[at] for at in columns])
            for samples in copy.samples():
                for sample in samples:
                    lines = _cells_of(sample, shown)
                    writer.writerows([cells[at] for at in columns] for cells in lines)
            text.flush()
            text.detach()
        header = json.dumps(json.loads(header_json(copy.header)), indent=1, ensure_ascii=False)
        copy.beside[header_path(copy.target)] = header + "\n"
        return count

    def _names(self, first: list[str], line: int) -> list[str]:
        """Check the columns of the first line."""
        names = [name.strip() for name in first]
        where = f"{self.path}:{line}"
        if "actions" in names:
            raise DataError(
                f"{where}: the column 'actions' holds whole samples; CSV has one decision a line",
                "in pandas: frame.explode('actions').rename(columns={'actions': 'action'})",
            )
        own = (*COLUMNS, *(name for name in names if name.startswith(EXTRA_PREFIX)))
        unknown = [name for name in names if name not in own]
        if unknown:
            raise unknown_names(unknown, COLUMNS, where, "column")
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{where}: the column {name!r} appears twice")
        if "id" not in names:
            raise DataError(f"{where}: the column 'id' is missing")
        if "extra" in names and any(name.startswith(EXTRA_PREFIX) for name in names):
            raise DataError(f"{where}: columns 'extra' and 'extra.NAME' exclude each other")
        if not {"action", "exit", "counts"} & set(names):
            raise DataError(
                f"{where}: the column 'action' is missing",
                "a log needs 'action', 'exit' or 'counts' besides 'id'",
            )
        return names

    def _whole(
        self, rows: list[list[str]], numbers: list[int], width: int, report: OnDefect
    ) -> Lines:
        """Report and drop lines of another width."""
        if set(map(len, rows)) <= {width}:
            return rows, numbers
        lines = list(zip(rows, numbers, strict=True))
        for row, number in lines:
            if len(row) != width:
                problem = f"{len(row)} fields where {width} were expected"
                report(DataError(f"{self.path}:{number}: {problem}"))
        lines = [line for line in lines if len(line[0]) == width]
        return [row for row, _ in lines], [number for _, number in lines]

    def _decode(
        self, decoder: _Decoder, groups: list[Lines], report: OnDefect
    ) -> tuple[list[Sample], Place]:
        samples, places = [], []
        for rows, numbers in groups:
            where = f"{self.path}:{numbers[0]}"
            try:
                samples.append(sample_of_row(decoder.row(rows, numbers), where))
                places.append(where)
            except DataError as error:
                report(error)
        return samples, places.__getitem__


def _chunks(lines: Iterator[tuple[list[str], int]]) -> Iterator[Lines]:
    """Yield some lines at a time; an error comes after the lines before it."""
    while True:
        rows: list[list[str]] = []
        numbers: list[int] = []
        try:
            for row, number in islice(lines, LINES_AT_ONCE):
                rows.append(row)
                numbers.append(number)
        except DataError:
            if rows:
                yield rows, numbers
            raise
        if not rows:
            return
        yield rows, numbers


class _Choices(dict[str, int | str]):
    """Cell -> id or name of an action or exit, each distinct cell parsed once."""

    def __init__(self, plan: Plan) -> None:
        actions = (action.name for action in plan.actions)
        names = (*actions, *(one.name for one in plan.exits))
        super().__init__((name, name) for name in names if "." in name)  # such as a width, 1.0

    def __missing__(self, cell: str) -> int | str:
        value = self[cell] = _scalar(cell)
        return value


class _Decoder:
    """Cuts lines into samples, and turns the lines of one sample into a row."""

    def __init__(self, path: Path, names: list[str], plan: Plan) -> None:
        self._path = path
        self._at = {name: at for at, name in enumerate(names)}
        self._own = [(name, at) for name, at in self._at.items() if name not in LINE_COLUMNS]
        self._decided = [self._at[name] for name in ("action", "span") if name in self._at]
        self._choices = _Choices(plan)

    def cut(self, rows: list[list[str]], numbers: list[int]) -> list[Lines]:
        """Cut lines into samples; each line without a decision is a sample."""
        view = self._at.get("view")
        keys: list[Any] = [row[self._at["id"]] for row in rows]
        if view is not None:
            keys = list(zip(keys, (row[view] for row in rows), strict=True))
        starts = [i for i, (a, b) in enumerate(pairwise(keys), 1) if a != b]
        bare: Iterable[int] = range(len(rows))
        for name in ("action", "stream"):
            at = self._at.get(name)
            bare = bare if at is None else [i for i in bare if not rows[i][at]]
        more = [b for a, b in pairwise(bare) if b == a + 1]
        if more:
            starts = sorted({*starts, *more})
        bounds = pairwise([0, *starts, len(rows)])
        return [(rows[a:b], numbers[a:b]) for a, b in bounds if b > a]

    def row(self, rows: list[list[str]], numbers: list[int]) -> dict[str, Any]:
        """Return the values of a sample, field -> value; an error names line and column."""
        values: dict[str, Any] = {}
        columns = list(zip(*rows, strict=True))
        for name, at in self._own:
            cell = rows[0][at]
            if len(rows) > 1 and set(columns[at]) - {cell, ""}:
                raise self._differs(name, columns[at], numbers)
            if name == "exit" and cell in self._choices:
                values[name] = self._choices[cell]
            elif cell or name == "id":
                values[name] = _value(name, cell, f"{self._path}:{numbers[0]}: {name}:")
        if not any(any(columns[at]) for at in self._decided):
            return values
        stream = self._at.get("stream")
        if stream is None or not any(columns[stream]):
            return values | self._decisions(columns, numbers)
        for name in dict.fromkeys(columns[stream]):
            own = [i for i, row in enumerate(rows) if row[stream] == name]
            columns = list(zip(*(rows[i] for i in own), strict=True))
            decided = self._decisions(columns, [numbers[i] for i in own])
            values |= {f"{field}.{name}": items for field, items in decided.items()}
        return values

    def _differs(self, name: str, cells: tuple[str, ...], numbers: list[int]) -> DataError:
        """Return the error for a line that says something else than the sample's first line."""
        line = next(n for cell, n in zip(cells, numbers, strict=True) if cell not in {cells[0], ""})
        return DataError(
            f"{self._path}:{line}: {name}: differs from the sample's first line "
            f"({numbers[0]}), which has {cells[0]!r}",
            "what belongs to the sample goes on its first line; its lines are consecutive",
        )

    def _decisions(
        self, columns: list[tuple[str, ...]], numbers: list[int]
    ) -> dict[str, list[Any]]:
        """Return the decisions and spans of one sequence, from the cells of each column."""
        found: dict[str, list[Any]] = {}
        actions, steps, spans = (
            columns[self._at[name]] if name in self._at else ()
            for name in ("action", "step", "span")
        )
        if actions == (EMPTY,):
            found["actions"] = []
        elif len(actions) > 1 or any(actions):
            if "" in actions:
                line = numbers[actions.index("")]
                raise DataError(f"{self._path}:{line}: action: is empty")
            found["actions"] = list(map(self._choices.__getitem__, actions))
            self._check_steps(steps, numbers)
        if spans == (EMPTY,):
            found["spans"] = []
        elif any(spans):
            found["spans"] = [
                _whole_number(cell, f"{self._path}:{line}: span:")
                for cell, line in zip(spans, numbers, strict=True)
            ]
        return found

    def _check_steps(self, cells: tuple[str, ...], numbers: list[int]) -> None:
        if cells == tuple(map(str, range(len(cells)))):
            return
        for wanted, (cell, line) in enumerate(zip(cells, numbers, strict=True)):
            where = f"{self._path}:{line}: step:"
            if _whole_number(cell, where) != wanted:
                raise DataError(
                    f"{where} is {cell} where {wanted} was expected",
                    "steps count from 0 within a sample, and no step may be missing",
                )


def _value(name: str, cell: str, where: str) -> Any:
    """Read a cell of the sample."""
    if name == "id":
        return cell
    if name == "steps":
        return _whole_number(cell, where)
    if name in JSON_COLUMNS:
        return json_value(cell, where)
    if name.startswith(EXTRA_PREFIX):
        return _number(cell)
    if name == "latency_ms":
        value = _number(cell)
        if isinstance(value, str):
            raise DataError(f"{where} is {cell!r} where a number was expected")
        return value
    is_json = cell[0] == '"' or (name == "labels" and cell[0] == "[")
    value = json_value(cell, where) if is_json else _scalar(cell)
    return [value] if name == "labels" and not isinstance(value, list) else value


def _whole_number(cell: str, where: str) -> int:
    value = _scalar(cell)
    if isinstance(value, str):
        raise DataError(f"{where} is {cell!r} where a whole number was expected")
    return value


def _scalar(cell: str) -> int | str:
    """Read a cell: a whole number is a number, anything else is text."""
    match = _INTEGER.fullmatch(cell)
    return int(match[1]) if match else cell


def _number(cell: str) -> int | float | str:
    """Read a cell of a user-defined column: a finite number, or text."""
    if "." not in cell and isinstance(value := _scalar(cell), int):
        return value
    return float(cell) if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)) else cell


class _LineFeeds:
    """Ends lines in a line feed; csv itself, set to do so, would not quote carriage returns."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text

    def write(self, line: str) -> None:
        self._text.write(line.removesuffix("\r\n") + "\n")


def _cells_of(sample: Sample, shown: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Yield the lines of a sample whose decisions are ids, cells in the order of ``COLUMNS``.

    ``shown``: stream -> the cell of each action.
    """
    own = [_cell(name, getattr(sample, name)) for name in OWN_COLUMNS]
    parts: Any = (sample.actions, sample.spans)
    if not any(isinstance(part, dict) for part in parts):
        parts = [None if part is None else {"": part} for part in parts]
    actions_of, spans_of = (part or {} for part in parts)
    for stream in dict.fromkeys([*actions_of, *spans_of]) or [""]:
        actions, spans = actions_of.get(stream), spans_of.get(stream)
        none = ("", *("" if part is None else EMPTY for part in (actions, spans)))
        cells: list[tuple[str, ...]] = [
            (str(step), shown[stream][action], "" if spans is None else str(spans[step]))
            for step, action in enumerate(actions or ())
        ]
        for line in cells or [none]:
            yield [*own, stream, *line]
            own = [sample.id, own[1], *[""] * (len(own) - 2)]


def _action_cell(action: int, name: str) -> str:
    # A name of digits would be read as an id.
    return str(action) if name in {"", EMPTY} or name.lstrip("-").isdigit() else name


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "id":
        return str(value)
    if name == "labels" and len(value) == 1:
        value = value[0]
    elif name in JSON_COLUMNS or name == "labels":
        return json.dumps(value, ensure_ascii=False)
    # Text that would be read as a number, a list or JSON is quoted JSON.
    if isinstance(value, str) and (value == "" or value[0] in '["' or _INTEGER.fullmatch(value)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)
