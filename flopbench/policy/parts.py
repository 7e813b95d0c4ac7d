"""Parts of a log's counts as they are read: their headers, and the rows of all of them.

Parts come in the order of the files that they were made from, so that nothing depends on the order
in which they are named. Texts become numbers in DuckDB, and no Python object is made per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from flopbench.core.errors import DataError, shown_value
from flopbench.core.limits import MOST_STEPS
from flopbench.core.remarks import Remark
from flopbench.policy.counts_file import RECORDS, About, Part, naming, read_part
from flopbench.policy.forms.raw import duckdb_path, sql_text
from flopbench.policy.header import differing, resolve, with_preset
from flopbench.policy.shards import shard_key

CODED = ("cluster", "labels", "exit", "counts", "action")
"""Columns of few distinct texts: rows hold their numbers, and each text is decoded once."""
NUMBERS = tuple(name for name, kind in RECORDS.types.items() if kind == "BIGINT")


def read_parts(paths: Sequence[Path], preset: str | None, connection: Any) -> list[Part]:
    """Return the parts, in the order of the files that they were made from.

    A file alone may be something else: then there are none.

    Raises:
        DataError: a file is no part, or damaged; parts of different logs.
    """
    found: list[Part] = []
    for path in paths:
        part = read_part(path, connection)
        if part is None and len(paths) == 1:
            return []
        if part is None:
            raise DataError(
                f"{path} is no part of a log's counts",
                "flopbench log reduce writes one; ready-made counts are given alone",
            )
        if found and part.layout is not found[0].layout:
            raise DataError(
                f"{path} and {paths[0]}: one holds sums, the other a row for each record",
                "parts of one kind add up: reduce all shards with --sums, or none",
            )
        header = msgspec.structs.replace(with_preset(part.header, preset, str(path)), shard=None)
        found.append(replace(part, header=resolve(header, str(path))))
        names = differing(found[-1].header, found[0].header)
        if names:
            raise DataError(
                f"{path}: its header differs from that of {paths[0]} in {', '.join(names)}",
                "all parts of a log have the same header: reduce the shards of one run",
            )
    return sorted(found, key=lambda one: (min(map(shard_key, one.about.sources)), str(one.path)))


def about_all(parts: Sequence[Part]) -> About:
    """Return what parts say about the log that they are of; each file once, shards in order."""
    found = [part.about for part in parts]
    return About(
        sources=sorted(set(chain.from_iterable(one.sources for one in found)), key=shard_key),
        own_spans=any(one.own_spans for one in found),
        odd_runs=sum(one.odd_runs for one in found),
        first_odd_run=next((one.first_odd_run for one in found if one.odd_runs), ""),
        warnings=[text for one in found for text in one.warnings],
    )


class Rows:
    """The rows of all parts as arrays, part after part, those of a record together.

    Attributes:
        parts: the parts.
        texts: column of ``CODED`` -> its distinct texts.
        codes: column of ``CODED`` -> (rows,) number of the row's text, -1 for none.
        numbers: column of ``NUMBERS`` -> (rows,).
        part: (rows,) number of the part that holds it.
        line: (rows,) its number in that part.
        owner: (rows,) number of the record that it is of.
        starts: (records,) number of its first row.
        has_views: whether some record names its view.
    """

    def __init__(self, connection: Any, parts: Sequence[Part]) -> None:
        self._sql = connection
        self.parts = parts
        for number, part in enumerate(parts):
            with naming(part.path):
                self._check_numbers(part.path)
                self._view(number)
        self._sql.execute("SET pandas_analyze_sample = 0")  # every object is text
        distinct = zip(*map(self._distinct, range(len(parts))), strict=True)
        views, *texts = (sorted(set(chain.from_iterable(own))) for own in distinct)
        self.has_views = bool(views)
        self.texts = dict(zip(CODED, texts, strict=True))
        for name, own in self.texts.items():
            table = {"text": np.array(own, object), "code": np.arange(len(own), dtype=np.int32)}
            self._sql.register(f"{name}_texts", table)
        found = [self._read(number) for number in range(len(parts))]
        columns = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        self.part: Any = np.repeat(np.arange(len(parts)), [len(one["line"]) for one in found])
        self.line = columns["line"]
        self.numbers = {name: columns[name] for name in NUMBERS}
        self.codes = {name: columns[f"{name}_code"] for name in CODED}
        self.starts = np.flatnonzero(columns["first"])
        self.owner = np.cumsum(columns["first"], dtype=np.int64) - 1
        self._keys = columns["key"][self.starts]

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.starts)

    def _check_numbers(self, path: Path) -> None:
        """Refuse records without a name, and numbers that are none."""
        cases = " ".join(
            f"WHEN NOT coalesce({one} BETWEEN 0 AND {MOST_STEPS} AND {one} = floor({one}), false) "
            f"THEN '{name}'"
            for name, one in ((name, f"TRY_CAST({name} AS DOUBLE)") for name in NUMBERS)
        )
        wrong = self._sql.execute(
            f"SELECT CASE WHEN video IS NULL THEN 'video' {cases} END AS wrong, "
            f"video, {', '.join(NUMBERS)} FROM read_parquet(?) WHERE wrong IS NOT NULL LIMIT 1",
            [duckdb_path(path)],
        ).fetchone()
        if wrong is not None:
            name, *values = wrong
            found = dict(zip(("video", *NUMBERS), values, strict=True))
            if name == "video":
                raise DataError(f"{path}: video: is missing")
            raise DataError(
                f"{path}, {found['video']!r}: {name}: is {shown_value(found[name])} where 0 to "
                f"{MOST_STEPS} was expected"
            )

    def _view(self, number: int, order: str = "") -> None:
        """Name the rows of a part ``partN``, with their numbers and where a record begins."""
        types = {**RECORDS.types, **dict.fromkeys(NUMBERS, "INTEGER")}
        typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in types.items())
        line = f"row_number() OVER ({order}) - 1" if order else "file_row_number"
        file = sql_text(duckdb_path(self.parts[number].path))
        self._sql.execute(
            f"CREATE OR REPLACE VIEW part{number} AS SELECT *, hash(video, view) AS key, "
            "(video IS DISTINCT FROM lag(video) OVER w OR view IS DISTINCT FROM lag(view) OVER w) "
            f"AS first FROM (SELECT {line} AS line, {typed} "
            f"FROM read_parquet({file}, file_row_number = true)) "
            f"WINDOW w AS ({'ORDER BY line' if order else ''})"
        )

    def _distinct(self, number: int) -> list[list[str]]:
        """Return the distinct texts of a part's views, and of each column of ``CODED``."""
        lists = ", ".join(f"list(DISTINCT {name})" for name in ("view", *CODED))
        with naming(self.parts[number].path):
            (found,) = self._sql.execute(f"SELECT {lists} FROM part{number}").fetchall()
        return [[text for text in texts or () if text is not None] for texts in found]

    def _read(self, number: int) -> dict[str, Any]:
        """Return the rows of a part as columns; sort it where records are not together."""
        coded = [name for name in CODED if self.texts[name]]
        joins = " ".join(f"LEFT JOIN {n}_texts ON {n} = {n}_texts.text" for n in coded)
        codes = [f"coalesce({n}_texts.code, -1) AS {n}_code" for n in coded]
        codes += [f"-1::INTEGER AS {n}_code" for n in CODED if n not in coded]
        columns = ", ".join(("line", "first", "key", *NUMBERS, *codes))
        query = f"SELECT {columns} FROM part{number} {joins}"
        with naming(self.parts[number].path):
            found: dict[str, Any] = self._sql.execute(query).fetchnumpy()
            keys = found["key"][found["first"]]
            if len(np.unique(keys)) == len(keys) and (np.diff(found["line"]) == 1).all():
                return found
            self._view(number, f"ORDER BY {RECORDS.order}")
            return dict(self._sql.execute(f"{query} ORDER BY line").fetchnumpy())

    def names(self, records: Any) -> list[tuple[str, str | None]]:
        """Return video and view of some records, which are in order."""
        rows = self.starts[records]
        found: list[tuple[str, str | None]] = []
        for number in np.unique(self.part[rows]).tolist():
            own = self.line[rows[self.part[rows] == number]]
            self._sql.register("wanted", {"line": own})
            query = f"SELECT video, view FROM part{number} JOIN wanted USING (line) ORDER BY line"
            found += self._sql.execute(query).fetchall()
        return found

    def name(self, record: int) -> str:
        """Return what messages call a record."""
        ((video, view),) = self.names(np.array([record]))
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
        """Leave out what an earlier part holds, or refuse it; hashes only show what to look at."""
        order = np.argsort(self._keys, kind="stable")
        same = np.flatnonzero(np.diff(self._keys[order]) == 0)
        among = np.union1d(order[same], order[same + 1])
        earliest: dict[tuple[str, str | None], int] = {}
        again = []
        for record, name in zip(among.tolist(), self.names(among), strict=True):
            if earliest.setdefault(name, record) == record:
                continue
            again.append(record)
            if duplicates != "first":
                holders = self.part[self.starts[[earliest[name], record]]].tolist()
                one, other = (self.parts[number].path for number in holders)
                raise DataError(
                    f"{one} and {other} both hold {self.name(record)}",
                    "a record belongs into one part, so give each part once; where shards repeat "
                    "samples, as under DDP, --duplicates first keeps the first of each",
                )
        left_out = np.bincount(self.part[self.starts[again]], minlength=len(self.parts))
        self._keep(~np.isin(self.owner, again))
        return [
            Remark(f"{part.path}: {n} repeated samples were left out", kind="left out")
            for part, n in zip(self.parts, left_out.tolist(), strict=True)
            if n
        ]

    def _keep(self, rows: Any) -> None:
        """Leave out all other rows, whole records."""
        if rows.all():
            return
        self.part, self.line = self.part[rows], self.line[rows]
        self.numbers = {name: values[rows] for name, values in self.numbers.items()}
        self.codes = {name: values[rows] for name, values in self.codes.items()}
        self.owner = np.unique(self.owner[rows], return_inverse=True)[1]
        self.starts = np.flatnonzero(np.diff(self.owner, prepend=-1))

    def check(self) -> None:
        """Refuse rows of one record that contradict each other."""
        again = np.lexsort((self.codes["action"], self.owner))
        same = (np.diff(self.owner[again]) == 0) & (np.diff(self.codes["action"][again]) == 0)
        wrong = {"two rows have the same action": again[1:][same]}
        amounts = np.maximum(self.numbers["frames"], self.numbers["decisions"])
        wrong["has frames or decisions without an action"] = np.flatnonzero(
            (self.codes["action"] < 0) & (amounts > 0)
        )
        of_record = {name: self.codes[name] for name in CODED[:-1]}
        for name, values in {**of_record, "steps": self.numbers["steps"]}.items():
            differs = values != values[self.starts][self.owner]
            wrong[f"its rows differ in {name!r}"] = np.flatnonzero(differs)
        for what, rows in wrong.items():
            if len(rows):
                raise DataError(f"{self.place(int(self.owner[rows[0]]))}: {what}")
