"""Writes a log in any format, and converts one format into another without loss."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_writable, write_atomic
from flopbench.policy.checks import check_samples
from flopbench.policy.columns import JSON_SUFFIX, LISTS, SCALARS, Layout, coded, row_of
from flopbench.policy.header import FORMAT, Header
from flopbench.policy.log import Log, open_log
from flopbench.policy.plan import Plan
from flopbench.policy.readers.raw import SUFFIX_FORMS, duckdb_path, sql_text
from flopbench.policy.samples import Sample, raise_first

_TEXT_FORMS = ("json", "jsonl", "csv")
ZSTD_LEVEL = 10
FRUGAL = {"threads": 1, "memory_limit": "512MB"}
"""DuckDB's settings for writing: bounded memory for a log of any size, rows in order."""
LEAST_OBJECT_BYTES = 1 << 24
"""DuckDB reserves twice the longest line."""

Samples = Callable[[], Iterator[Sequence[Sample]]]
"""Starts over: some formats need to see all samples before the first one is written."""


def form_of(path: Path) -> str:
    """Return the format that a file name asks for.

    Raises:
        InputError: its suffix is unknown.
    """
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in {".gz", ".zst"}
    if packed:
        suffixes.pop()
    form = SUFFIX_FORMS.get(suffixes[-1] if suffixes else "", "")
    if not form:
        raise InputError(
            f"cannot tell from {path.name!r} which format to write",
            f"suffixes: {', '.join(SUFFIX_FORMS)}; text formats also with .gz or .zst",
        )
    if packed and form not in _TEXT_FORMS:
        raise InputError(f"{path.name!r}: {form} is already compressed; leave out {path.suffix}")
    return form


def convert(log: Log, target: Path) -> int:
    """Write a log in the format that a file name asks for, whole or not at all.

    Args:
        log: an opened log.
        target: the file to write.

    Returns:
        How many samples were written.

    Raises:
        InputError: the format or the file cannot be written.
        DataError: a defect in the log.
    """
    form = form_of(target)
    check_writable(target)

    def samples() -> Iterator[Sequence[Sample]]:
        for group, place in log.samples():
            check_samples(group, log.plan, place, raise_first)
            yield coded(group, log.plan, place)

    with _replacing(target) as temporary:
        if form in _TEXT_FORMS:
            return _write_text(form, log, samples, target, temporary)
        writer = _write_parquet if form == "parquet" else _write_npz
        return writer(log.header, log.plan, samples, temporary)


def convert_file(source: Path, target: Path) -> int:
    """Turn one log file into another; see ``convert``."""
    return convert(open_log([source], complete=False), target)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces the target."""
    target = target.resolve()
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def header_json(header: Header) -> bytes:
    """Return a header as JSON, always with format and version."""
    data = {"format": header.format, "version": header.version, **msgspec.to_builtins(header)}
    return msgspec.json.encode(data)


def _write_text(form: str, log: Log, samples: Samples, target: Path, temporary: Path) -> int:
    if form == "csv":
        return _write_csv(log, samples, target, temporary)
    count = 0
    with _packed(target, temporary) as stream:
        if form == "json":
            stream.write(b'{"header": ' + header_json(log.header) + b',\n"samples": [')
        else:
            stream.write(header_json(log.header) + b"\n")
        for group in samples():
            lines = [msgspec.json.encode(sample) for sample in group]
            if form == "jsonl":
                stream.write(b"\n".join(lines) + b"\n" if lines else b"")
            elif lines:
                stream.write((b",\n" if count else b"\n") + b",\n".join(lines))
            count += len(lines)
        if form == "json":
            stream.write(b"\n]}\n")
    return count


@contextmanager
def _packed(target: Path, temporary: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, compressed where the target's name says so."""
    suffix = target.suffix.lower()
    if suffix == ".gz":
        # Without a date and a name, the same log gives the same bytes.
        with open(temporary, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]
    elif suffix == ".zst":
        try:
            import zstandard
        except ModuleNotFoundError:
            raise InputError(
                f"writing {target.name} needs zstandard, which is not installed",
                "python -m pip install 'flopbench[logs]'",
            ) from None
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        with open(temporary, "wb") as raw, compressor.stream_writer(raw) as writer:
            yield writer
    else:
        with open(temporary, "wb") as raw:
            yield raw


def _write_csv(log: Log, samples: Samples, target: Path, temporary: Path) -> int:
    from flopbench.policy.readers.csv_cells import COLUMNS, EMPTY, lines_of, used_columns
    from flopbench.policy.readers.csv_form import header_path

    plan = log.plan
    names = {stream: list(plan.indices[stream]) for stream in plan.streams}

    def cell(action: int, stream: str) -> str:
        name = names[stream][action]
        # A name of digits would be read as an id.
        return str(action) if name in {"", EMPTY} or name.lstrip("-").isdigit() else name

    used: set[int] = set()
    count = 0
    for group in samples():
        for sample in group:
            used.update(used_columns(lines_of(sample, cell)))
            count += 1
    if not used & {COLUMNS.index(name) for name in ("action", "exit", "counts")}:
        used.add(COLUMNS.index("action"))
    columns = sorted(used)
    with _packed(target, temporary) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(_Lines(text), lineterminator="\r\n")
        writer.writerow([COLUMNS[at] for at in columns])
        for group in samples():
            for sample in group:
                writer.writerows([row[at] for at in columns] for row in lines_of(sample, cell))
        text.flush()
        text.detach()
    data = json.loads(header_json(log.header))
    write_atomic(header_path(target), json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return count


class _Lines:
    """Ends lines in a line feed; csv itself, set to do so, would not quote carriage returns."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text

    def write(self, line: str) -> None:
        self._text.write(line.removesuffix("\r\n") + "\n")


def _layout(samples: Samples) -> tuple[Layout, int]:
    layout, count = Layout(), 0
    for group in samples():
        layout.update(group)
        count += len(group)
    return layout, count


def _write_parquet(header: Header, plan: Plan, samples: Samples, temporary: Path) -> int:
    from flopbench.policy.readers.parquet_form import require_duckdb

    duckdb = require_duckdb(temporary)
    layout, count = _layout(samples)
    with tempfile.NamedTemporaryFile(
        "wb", dir=temporary.parent, prefix=".", suffix=".jsonl", delete=False
    ) as rows:
        try:
            longest = LEAST_OBJECT_BYTES
            for group in samples():
                for sample in group:
                    line = msgspec.json.encode(row_of(sample, layout)) + b"\n"
                    longest = max(longest, len(line))
                    rows.write(line)
            rows.close()
            columns = ", ".join(
                f"{sql_text(n)}: {sql_text(t)}" for n, t in _sql_types(layout, plan)
            )
            source = sql_text(duckdb_path(Path(rows.name)))
            query = (
                f"COPY (SELECT * FROM read_json({source}, columns = {{{columns}}}, "
                f"format = 'newline_delimited', maximum_object_size = {longest})) "
                f"TO {sql_text(str(temporary))} (FORMAT parquet, COMPRESSION zstd, "
                f"KV_METADATA {{{sql_text(FORMAT)}: {sql_text(header_json(header).decode())}}})"
            )
            with duckdb.connect(config=FRUGAL) as connection:
                connection.execute(query)
        except duckdb.Error as error:
            raise DataError(f"cannot write Parquet: {str(error).splitlines()[0]}") from None
        finally:
            os.unlink(rows.name)
    return count


def _sql_types(layout: Layout, plan: Plan) -> Iterable[tuple[str, str]]:
    """Yield column and SQL type; ids take the smallest type that holds them all."""
    size = max((plan.size(stream) for stream in plan.streams), default=0)
    id_type = "UTINYINT" if size <= 1 << 8 else "USMALLINT" if size <= 1 << 16 else "UINTEGER"
    yield "id", "VARCHAR"
    for name in (*SCALARS, *LISTS):
        if name not in layout.present:
            continue
        if layout.is_json(name):
            yield name + JSON_SUFFIX, "VARCHAR"
        else:
            scalar = "VARCHAR" if layout.holds_text(name) else "BIGINT"
            yield name, scalar + ("[]" if name in LISTS else "")
    for name, kind in (("actions", f"{id_type}[]"), ("spans", "UINTEGER[]")):
        if name in layout.present:
            for stream in plan.streams:
                yield (f"{name}.{stream}" if stream else name), kind
    simple = {"scores": "DOUBLE[]", "exit": "INTEGER", "steps": "BIGINT", "latency_ms": "DOUBLE"}
    for name, kind in simple.items():
        if name in layout.present:
            yield name, kind
    for name in ("counts", "extra"):
        if name in layout.present:
            yield name + JSON_SUFFIX, "VARCHAR"


def _write_npz(header: Header, plan: Plan, samples: Samples, temporary: Path) -> int:
    import numpy as np

    layout, count = _layout(samples)
    rows = [row_of(sample, layout) for group in samples() for sample in group]
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays: dict[str, Any] = {"header": np.array(header_json(header).decode())}
    for name in names:
        arrays |= _arrays(name, [row.get(name) for row in rows])
    with open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    return count


def _arrays(name: str, values: list[Any]) -> dict[str, Any]:
    """Return the arrays of one column: typed where they can be, else JSON text."""
    import numpy as np

    kinds = {type(v) for v in values}
    if ("." not in name and name.endswith(JSON_SUFFIX)) or kinds == {str}:
        # numpy's texts end at trailing NULs.
        if not any(v is not None and v.endswith("\0") for v in values):
            return {name: np.array(["" if v is None else v for v in values])}
    elif kinds <= {int, float} and (float in kinds or _fits(values)):
        return {name: np.array(values, np.float64 if float in kinds else np.int64)}
    elif kinds == {list} and _is_plain(name):
        found = _list_arrays(name, values)
        if found:
            return found
    texts = ["" if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return {name + JSON_SUFFIX: np.array(texts)}


def _is_plain(name: str) -> bool:
    """Whether a column of lists may become arrays; a stream may be named like one."""
    arrays = name.partition(".")[0] in {"actions", "scores", "labels", "spans"}
    return arrays and not name.endswith(("_offsets", JSON_SUFFIX))


def _list_arrays(name: str, values: list[list[Any]]) -> dict[str, Any]:
    import numpy as np

    items = [item for value in values for item in value]
    lengths = {len(value) for value in values}
    whole = all(isinstance(item, int) for item in items) and _fits(items)
    if name == "scores":
        return {name: np.array(values, np.float64)} if len(lengths) == 1 else {}
    if not whole or not items:
        return {}
    if name == "labels":
        if min(items) < 0:
            return {}
        width = max(lengths)
        return {name: np.array([v + [-1] * (width - len(v)) for v in values], np.int64)}
    kind = np.min_scalar_type(max(items)) if min(items) >= 0 else np.int64
    if len(lengths) == 1:
        return {name: np.array(values, kind)}
    offsets = np.cumsum([0, *map(len, values)])
    return {name: np.array(items, kind), f"{name}_offsets": offsets}


def _fits(values: Iterable[int]) -> bool:
    return all(-(2**63) <= value < 2**63 for value in values)
