"""The cost table: a file that every other verb can read.

File format (JSON): ``{"schema": 1, "kind": "flopbench.cost-table", "convention": ..., "rows":
[...], "environment": {...}}``, one row per model, input and counter, integers as integers. A row
holds the fields of ``CostRow``.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.core.errors import DataError
from flopbench.core.files import check_schema, read_json, write_atomic
from flopbench.core.units import CONVENTION
from flopbench.counting.cost_row import (
    ROW_FIELDS,
    ROW_TYPES,
    CostRow,
    counters_of,
    lines_of,
    read_row,
)

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
KIND = "flopbench.cost-table"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """Rows in order, and the environment they were made in.

    Attributes:
        rows: see ``CostRow``.
        environment: name -> version of everything the figures depend on.
    """

    rows: tuple[CostRow, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[CostRow]:
        return iter(self.rows)

    def counters(self) -> list[str]:
        """List the counters in order of first appearance, constants apart."""
        return counters_of(self.rows)

    def lines(self) -> list[list[CostRow]]:
        """Group the rows of one model, input and head, in order."""
        return lines_of(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return the file's content as plain JSON values."""
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "convention": CONVENTION,
            "rows": [asdict(row) for row in self.rows],
            "environment": dict(self.environment),
        }

    def dumps(self) -> str:
        """Return the file's text. The same table gives the same bytes."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the table file, whole or not at all.

        Raises:
            InputError: the path cannot be written.
        """
        write_atomic(Path(path), self.dumps())

    @classmethod
    def load(cls, path: str | Path) -> CostTable:
        """Read a table file.

        Raises:
            InputError: no such file.
            DataError: damaged, of another kind, or of a newer schema.
        """
        data = read_json(Path(path), "a flopbench cost table")
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: Any, where: str = "data") -> CostTable:
        """Rebuild what ``to_json`` returned; ``where`` names it in messages.

        Raises:
            DataError: damaged, of another kind, or of a newer schema.
        """
        if not isinstance(data, dict) or not isinstance(data.get("rows"), list):
            kind = data.get("kind") if isinstance(data, dict) else type(data).__name__
            raise DataError(f"{where} is not a flopbench cost table (kind: {kind!r})")
        check_schema(
            {"kind": KIND, **data},  # the first tables had no kind
            where,
            kind=KIND,
            schema=SCHEMA,
            what="a flopbench cost table",
            remake="flopbench table -o table.json",
        )
        environment = data.get("environment", {})
        if not isinstance(environment, dict):
            raise DataError(f"{where}: 'environment' is not an object")
        rows = tuple(read_row(row, f"{where}, row {n}") for n, row in enumerate(data["rows"], 1))
        return cls(rows=rows, environment=environment)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one line a row as a pandas DataFrame; missing integers are ``<NA>``."""
        import pandas as pd

        frame = pd.DataFrame([asdict(row) for row in self.rows], columns=ROW_FIELDS)
        integers = [name for name in ROW_FIELDS if ROW_TYPES.get(name) is int]
        return frame.astype(dict.fromkeys(integers, "Int64"))

    def _repr_html_(self) -> str:
        from flopbench.core.grid import to_html
        from flopbench.counting.table_grid import cost_table_grid

        return to_html(cost_table_grid(self.rows, self.environment))
