"""The cost table: a file that every other verb can read.

File format (JSON): ``{"schema": 1, "kind": "flopbench.cost-table", "convention": ..., "rows":
[...], "environment": {...}}``, one row per model, input and counter, integers as integers. A row
holds the fields of ``CostRow``.

Schema history: 1, the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec
from msgspec import field

from flopbench.core.files import check_schema, read_json, write_atomic
from flopbench.core.records import Record, decode
from flopbench.core.tables import Shown
from flopbench.core.units import CONVENTION
from flopbench.counting.cost_row import CostRow, counters_of, lines_of

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
KIND = "flopbench.cost-table"


class CostTable(Shown, Record, frozen=True, kw_only=True):
    """Rows in order, and the environment they were made in.

    Attributes:
        rows: see ``CostRow``.
        environment: name -> version of everything the figures depend on.
    """

    _layout = "flopbench.counting.table_text:table_grids"
    rows: tuple[CostRow, ...]
    environment: dict[str, str] = field(default_factory=dict)

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
        head = {"schema": SCHEMA, "kind": KIND, "convention": CONVENTION}
        return {**head, **msgspec.to_builtins(self)}

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
        if isinstance(data, dict):
            data = {"kind": KIND, **data}  # the first tables had no kind
        check_schema(
            data,
            where,
            kind=KIND,
            schema=SCHEMA,
            what="a flopbench cost table",
            remake="flopbench table -o table.json",
        )
        own = {name: data[name] for name in cls.__struct_fields__ if name in data}
        return decode(own, cls, where)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one line a row as a pandas DataFrame; missing integers are ``<NA>``."""
        import pandas as pd

        rows = [msgspec.structs.asdict(row) for row in self.rows]
        frame = pd.DataFrame(rows, columns=CostRow.__struct_fields__)
        types = get_type_hints(CostRow)
        integers = [name for name, kind in types.items() if int in get_args(kind)]
        return frame.astype(dict.fromkeys(integers, "Int64"))
