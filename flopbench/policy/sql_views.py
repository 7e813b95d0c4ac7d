"""The views that ``counts.sql`` reads, of a log in JSON lines or Parquet, for each engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from flopbench.policy.forms.raw import sql_text
from flopbench.policy.plan import Plan

LINE_FIELDS = ("format", "id", "view", "labels", "actions", "spans", "steps", "exit", "counts")
"""What decides about counts in a line: of a sample, or (``format``) of the header."""
UNCOUNTED = "are not counted by SQL"
_HEADER = "(id IS NULL AND format IS NOT NULL)"


class Dialect:
    """The words of the views that differ between engines; these are DuckDB's."""

    name = "duckdb"
    size = "len"
    quote = '"'
    list_type = "{}[]"

    def text(self, value: str) -> str:
        """Return a literal."""
        return sql_text(value)

    def column(self, name: str) -> str:
        """Return the name of a column."""
        return self.quote + name.replace(self.quote, 2 * self.quote) + self.quote

    def list_of(self, column: str, kind: str) -> str:
        """Return a column of lists as one of lists of STRING or BIGINT."""
        return f"CAST({column} AS {self.list_type.format(kind)})"

    def texts(self, json: str, *, names: bool) -> str:
        """Return the list in a JSON text as texts: names, or any values as JSON has them."""
        return self.list_of(json if names else f"CAST({json} AS JSON[])", "STRING")

    def numbers(self, json: str) -> str:
        """Return the list of whole numbers in a JSON text; -1 stands for what is none."""
        return f"list_transform(CAST({json} AS JSON[]), lambda x: {self.number('x')})"

    def number(self, json: str) -> str:
        """Return the whole number in a JSON text; -1 stands for what is none."""
        # A plain cast would round 3.5, and take "3" for a number.
        digits = f"regexp_extract(CAST({json} AS STRING), '^[0-9]+$')"
        return f"CASE WHEN {json} IS NOT NULL THEN coalesce(TRY_CAST({digits} AS BIGINT), -1) END"

    def member(self, json: str, key: str) -> str:
        """Return one member of the object in a JSON text."""
        return f"json_extract({json}, {self.text('$.' + msgspec.json.encode(key).decode())})"

    def keys(self, json: str) -> str:
        """Return how many members the object in a JSON text has."""
        return f"len(json_keys({json}))"

    def exploded(self, samples: str) -> str:
        """Return the query for the rows of decisions in the lists of samples."""
        places = "CASE WHEN len(actions) > 0 THEN range(len(actions)) ELSE [NULL] END"
        return (
            f"SELECT * EXCLUDE (actions, spans), unnest({places}) AS position, "
            f"unnest(actions) AS action, unnest(spans) AS span FROM ({samples})"
        )


class Shape(Struct, frozen=True, kw_only=True):
    """How the samples of a log are written.

    Attributes:
        columns: of Parquet, name -> DuckDB's type; None of JSON lines.
        names: whether decisions are names; else they are ids.
    """

    columns: Mapping[str, str] | None = None
    names: bool = False


def _actions(plan: Plan, shape: Shape, dialect: Dialect) -> str:
    """Return the query for ``log_actions``."""
    rows = []
    for i, action in enumerate(plan.actions):
        stream = action.stream or ""
        key = action.name if shape.names else str(i - plan.base[stream])
        texts = ", ".join(map(dialect.text, (stream, key, plan.action_label(i))))
        covered, rows_each = (1, action.span) if plan.per_step else (action.span, 1)
        rows.append(f"({texts}, {action.span}, {covered}, {rows_each})")
    names = "stream, action, name, span, covered, rows_each"
    return f"SELECT * FROM (VALUES {', '.join(rows)}) AS actions({names})"


def views(plan: Plan, shape: Shape, dialect: Dialect) -> dict[str, str]:
    """Return both views by their names; they read ``raw``, the files' columns and ``source``."""
    samples = " UNION ALL ".join(_Samples(plan, shape, dialect).queries())
    return {"log_rows": dialect.exploded(samples), "log_actions": _actions(plan, shape, dialect)}


class _Samples:
    """Queries for the samples of each stream, with decisions and spans in lists."""

    def __init__(self, plan: Plan, shape: Shape, dialect: Dialect) -> None:
        self.plan, self.shape, self.dialect = plan, shape, dialect
        self.lines = shape.columns is None

    def queries(self) -> Iterator[str]:
        """Yield the query for each stream."""
        streams = self.plan.streams
        decisions = [f"coalesce({self.size('actions', stream)}, 0)" for stream in streams]
        for stream, size in zip(streams, decisions, strict=True):
            first = stream == streams[0]
            chosen = f"{size} > 0"
            if first:  # what has no decisions is one row, and so is the header
                chosen += f" OR {' + '.join(decisions)} = 0"
            if self.lines:
                chosen = f"CASE WHEN {_HEADER} THEN {str(first).upper()} ELSE {chosen} END"
            yield self.query(stream) + ("" if len(streams) == 1 else f" WHERE {chosen}")

    def query(self, stream: str) -> str:
        """Return the query for the samples of one stream."""
        columns = {
            "video": "id",
            "view": self.plain("view", "STRING"),
            "labels": self.labels(),
            "stream": self.dialect.text(stream),
            "actions": self.list_of("actions", stream),
            "spans": self.list_of("spans", stream),
            "steps": self.steps(),
            "source": "source",
            "defect": f"CASE {' '.join(self.defects(stream))} END",
        }
        if self.lines:
            kept = {"view": "source", "source": "source"}
            columns = {
                name: f"CASE WHEN {_HEADER} THEN {kept.get(name, 'NULL')} ELSE {text} END"
                for name, text in columns.items()
            }
        return f"SELECT {', '.join(f'{text} AS {name}' for name, text in columns.items())} FROM raw"

    def column(self, field: str, stream: str = "") -> str:
        """Return a field, or that of a stream, as it is in ``raw``; '' where there is none."""
        known = self.shape.columns
        if known is None:
            return self.dialect.member(field, stream) if stream else field
        name = f"{field}.{stream}" if stream else field
        return self.dialect.column(name) if name in known else ""

    def plain(self, field: str, kind: str) -> str:
        """Return a field as it is, NULL if there is none."""
        return f"CAST({self.column(field) or 'NULL'} AS {kind})"

    def size(self, field: str, stream: str) -> str:
        """Return how long a list is."""
        column = self.column(field, stream)
        function = "json_array_length" if self.lines else self.dialect.size
        return f"{function}({column})" if column else "0"

    def list_of(self, field: str, stream: str) -> str:
        """Return the decisions of a stream (texts), or their spans (numbers)."""
        kind = "STRING" if field == "actions" else "BIGINT"
        column = self.column(field, stream)
        if not column or (field == "spans" and self.plan.per_step):
            return self.dialect.list_of("NULL", kind)
        if not self.lines:
            return self.dialect.list_of(column, kind)
        if field == "spans":
            return self.dialect.numbers(column)
        return self.dialect.texts(column, names=self.shape.names)

    def labels(self) -> str:
        """Return the labels as JSON text."""
        if self.lines or not self.column("labels"):
            return self.plain("labels", "STRING")
        return "CAST(to_json(labels) AS STRING)"

    def steps(self) -> str:
        """Return the steps that a sample or, per decision, the header says it has."""
        own = self.dialect.number("steps") if self.lines else self.plain("steps", "BIGINT")
        fixed = None if self.plan.per_step else self.plan.steps
        return own if fixed is None else f"coalesce({own}, {fixed})"

    def defects(self, stream: str) -> Iterator[str]:
        """Yield what is wrong with a sample, as the cases of a CASE."""

        def case(condition: str, text: str) -> str:
            return f"WHEN {condition} THEN {self.dialect.text(text)}"

        yield case("id IS NULL", "'id' is missing")
        if self.lines:
            yield case("exit IS NOT NULL", f"exits {UNCOUNTED}")
            yield case("counts IS NOT NULL", f"'counts' {UNCOUNTED}")
            yield case("labels NOT LIKE '[%'", "labels: expected a list")
        actions = [self.column("actions", one) for one in self.plan.streams]
        missing = " AND ".join(f"{column} IS NULL" for column in actions if column)
        yield case(missing, "no 'actions': there is nothing to count")
        if self.lines and stream:
            known = " + ".join(
                f"CASE WHEN {column} IS NULL THEN 0 ELSE 1 END" for column in actions
            )
            listed = ", ".join(self.plan.streams)
            yield case(
                f"{self.dialect.keys('actions')} > {known}", f"actions: the streams are {listed}"
            )
        given = self.column("spans", stream)
        if given and self.plan.per_step:
            yield case(f"{given} IS NOT NULL", "spans: only with 'encoding': 'per_decision'")
        elif given:
            sizes = [f"coalesce({self.size(f, stream)}, 0)" for f in ("spans", "actions")]
            of_all = self.column("spans") if self.lines else given
            yield case(
                f"{of_all} IS NOT NULL AND {' <> '.join(sizes)}", "spans: not as many as 'actions'"
            )
