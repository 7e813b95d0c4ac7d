"""Parts of a log's counts as they are read: their headers, and the rows of all of them, sorted.

DuckDB sorts by video, view and action, so that nothing depends on how the log was cut, or in which
order its parts are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from flopbench.core.errors import DataError, Remark, shown_value
from flopbench.core.limits import MOST_STEPS
from flopbench.policy.counts_file import NUMBERS, ORDER, TEXTS, About, naming, read_about
from flopbench.policy.forms.raw import duckdb_path
from flopbench.policy.header import Header, differing, resolve, with_preset
from flopbench.policy.shards import shard_key

CODED = ("cluster", "labels", "exit", "counts", "action")
"""Columns of few distinct texts: rows hold their numbers, and each text is decoded once."""
_NAMES = f"SELECT DISTINCT video, view FROM rows ORDER BY {ORDER.rpartition(',')[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file: its header, its preset filled in, and what it says about itself."""

    path: Path
    header: Header
    about: About


def read_parts(paths: Sequence[Path], preset: str | None, connection: Any) -> list[Part]:
    """Return the parts, in the order of the files that they were made from.

    Raises:
        DataError: a file is no part, or damaged; parts of different logs.
    """
    found: list[Part] = []
    for path in paths:
        known = read_about(path, connection)
        if known is None:
            raise DataError(
                f"{path} is no part of a log's counts",
                "flopbench log reduce writes one; ready-made counts are given alone",
            )
        header = msgspec.structs.replace(with_preset(known[0], preset, str(path)), shard=None)
        found.append(Part(path=path, header=resolve(header, str(path)), about=known[1]))
        names = differing(found[-1].header, found[0].header)
        if names:
            raise DataError(
                f"{path}: its header differs from that of {paths[0]} in {', '.join(names)}",
                "all parts of a log have the same header: reduce the shards of one run",
            )
    return sorted(found, key=lambda one: (min(map(shard_key, one.about.sources)), str(one.path)))


def sources_of(parts: Sequence[Part]) -> list[str]:
    names = chain.from_iterable(part.about.sources for part in parts)
    return sorted(set(names), key=shard_key)


class Rows:
    """The rows of all parts as arrays, sorted by video, view and action.

    Attributes:
        parts: the parts.
        texts: column of ``CODED`` -> its distinct texts.
        codes: column of ``CODED`` -> (rows,) number of the row's text, -1 for none.
        numbers: column of ``NUMBERS`` -> (rows,).
        part: (rows,) number of the part that holds it.
        owner: (rows,) number of the record that it is of.
        starts: (records,) number of its first row.
    """

    def __init__(self, connection: Any, parts: Sequence[Part]) -> None:
        self._sql = connection
        self.parts = parts
        typed = [f"{name} VARCHAR" for name in TEXTS] + [f"{name} INTEGER" for name in NUMBERS]
        connection.execute(f"CREATE TABLE rows (part INTEGER, {', '.join(typed)})")
        for number, part in enumerate(parts):
            self._take(number, part.path)
        self.texts = {name: self._numbered(name) for name in CODED}
        joins = " ".join(f"LEFT JOIN {n}_texts ON rows.{n} = {n}_texts.text" for n in CODED)
        codes = [f"coalesce({name}_texts.code, -1)::INTEGER AS {name}" for name in CODED]
        found = connection.execute(
            f"SELECT part, {', '.join((*NUMBERS, *codes))}, "
            "(video IS DISTINCT FROM lag(video) OVER w "
            "OR view IS DISTINCT FROM lag(view) OVER w)::TINYINT AS first "
            f"FROM rows {joins} WINDOW w AS (ORDER BY {ORDER}, part) ORDER BY {ORDER}, part"
        ).fetchnumpy()
        self.part = found["part"]
        self.numbers = {name: found[name] for name in NUMBERS}
        self.codes = {name: found[name] for name in CODED}
        self.owner = np.cumsum(found["first"], dtype=np.int64) - 1
        self.starts = np.flatnonzero(found["first"])

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.starts)

    def _take(self, number: int, path: Path) -> None:
        """Add the rows of one part; refuse records without a name, and numbers that are none."""
        as_double = [f"TRY_CAST({name} AS DOUBLE)" for name in NUMBERS]
        whole = [f"{one} BETWEEN 0 AND {MOST_STEPS} AND {one} = floor({one})" for one in as_double]
        numbers_ok = f"coalesce({' AND '.join(whole)}, false)"
        typed = [f"{n}::VARCHAR" for n in TEXTS] + [f"{n}::INTEGER" for n in NUMBERS]
        with naming(path):
            wrong = self._sql.execute(
                f"SELECT video, action, {', '.join(NUMBERS)} FROM read_parquet(?) "
                f"WHERE video IS NULL OR NOT {numbers_ok} LIMIT 1",
                [duckdb_path(path)],
            ).fetchone()
            if wrong is None:
                rows = f"SELECT {number}, {', '.join(typed)} FROM read_parquet(?)"
                self._sql.execute(f"INSERT INTO rows {rows}", [duckdb_path(path)])
                return
        if wrong[0] is None:
            raise DataError(f"{path}: video: is missing")
        for name, value in zip(NUMBERS, wrong[2:], strict=True):
            if not (isinstance(value, (int, float)) and value in range(MOST_STEPS + 1)):
                raise DataError(
                    f"{path}, {wrong[0]!r}: {name}: is {shown_value(value)} where 0 to "
                    f"{MOST_STEPS} was expected"
                )

    def _numbered(self, name: str) -> list[str]:
        """Number the distinct texts of a column in a table of their own; return them."""
        self._sql.execute(
            f"CREATE TABLE {name}_texts AS SELECT text, row_number() OVER (ORDER BY text) - 1 "
            f"AS code FROM (SELECT DISTINCT {name} AS text FROM rows) WHERE text IS NOT NULL"
        )
        rows = self._sql.execute(f"SELECT text FROM {name}_texts ORDER BY code").fetchall()
        return [text for (text,) in rows]

    def names(self, most: int | None = None) -> list[tuple[str, str | None]]:
        """Return video and view of all records, or of the first."""
        found: list[tuple[str, str | None]] = self._sql.execute(
            _NAMES + ("" if most is None else f" LIMIT {most}")
        ).fetchall()
        return found

    @property
    def has_views(self) -> bool:
        """Whether some record names its view."""
        return bool(self._sql.execute("SELECT count(view) FROM rows").fetchone()[0])

    def name(self, record: int) -> str:
        """Return what messages call a record."""
        video, view = self._sql.execute(f"{_NAMES} LIMIT 1 OFFSET {record}").fetchone()
        return repr(video) if view is None else f"{video!r}, view {view!r}"

    def place(self, record: int) -> str:
        """Return the part that holds a record, and its name."""
        return f"{self.parts[self.part[self.starts[record]]].path}, {self.name(record)}"

    def decoded(self, column: str, decode: Callable[[str], Any]) -> list[Any]:
        """Decode each text of a column; an error names a record that has it."""
        found = []
        for code, text in enumerate(self.texts[column]):
            try:
                found.append(decode(text))
            except DataError as error:
                at = int(np.argmax(self.codes[column] == code))
                where = self.place(int(self.owner[at]))
                raise DataError(f"{where}: {column}: {error.message}", error.hint) from None
        return found

    def without_repeated(self, duplicates: str) -> list[Remark]:
        """Leave out what an earlier part holds, or refuse it."""
        least = np.minimum.reduceat(self.part, self.starts)[self.owner]
        again = self.part != least
        if not again.any():
            return []
        at = int(np.argmax(again))
        paths = [self.parts[number].path for number in (least[at], self.part[at])]
        if duplicates != "first":
            raise DataError(
                f"{paths[0]} and {paths[1]} both hold {self.name(int(self.owner[at]))}",
                "each record belongs into one part, so give each part once; where shards repeat "
                "samples, as under DDP, --duplicates first keeps the first of each",
            )
        pairs = np.unique(np.stack([self.owner[again], self.part[again]]), axis=1)
        left_out = np.bincount(pairs[1], minlength=len(self.parts))
        kept = ~again
        self.part, self.owner = self.part[kept], self.owner[kept]
        self.numbers = {name: values[kept] for name, values in self.numbers.items()}
        self.codes = {name: values[kept] for name, values in self.codes.items()}
        self.starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
        return [
            Remark(f"{part.path}: {n} repeated samples were left out", kind="left out")
            for part, n in zip(self.parts, left_out.tolist(), strict=True)
            if n
        ]

    def check(self) -> None:
        """Refuse rows of one record that contradict each other."""
        again = (np.diff(self.owner, prepend=-1) == 0) & (
            np.diff(self.codes["action"], prepend=-2) == 0
        )
        for row in np.flatnonzero(again)[:1].tolist():
            raise DataError(f"{self.place(int(self.owner[row]))}: two rows have the same action")
        unnamed = (self.codes["action"] < 0) & (
            (self.numbers["frames"] > 0) | (self.numbers["decisions"] > 0)
        )
        for row in np.flatnonzero(unnamed)[:1].tolist():
            raise DataError(
                f"{self.place(int(self.owner[row]))}: has frames or decisions without an action"
            )
        same = {name: self.codes[name] for name in CODED[:-1]}
        for name, values in {**same, "steps": self.numbers["steps"]}.items():
            for row in np.flatnonzero(values != values[self.starts][self.owner])[:1].tolist():
                raise DataError(f"{self.place(int(self.owner[row]))}: its rows differ in {name!r}")
