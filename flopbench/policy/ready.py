"""Ready-made counts, from any engine: ``video, label, action, n``.

CSV or Parquet; one line per video and action, which a column ``stream`` may qualify. ``n`` counts
what the log's encoding counts: rows of steps, or decisions. If rows are counted and actions span
several steps, a column ``decisions`` gives the number of decisions; without it only the published
rule applies. Repeated pairs add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flopbench.core.errors import DataError, near_match
from flopbench.core.limits import MOST_STEPS
from flopbench.core.remarks import Remark
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.forms.base import header_beside
from flopbench.policy.forms.csv_form import csv_lines
from flopbench.policy.forms.parquet_form import check_unpacked, require_duckdb
from flopbench.policy.forms.raw import duckdb_path, open_bytes, quiet_connection, read_some
from flopbench.policy.plan import Plan, plan_of_sums, stream_named
from flopbench.policy.samples import SYNONYMS

COLUMNS = ("video", "label", "stream", "action", "n", "decisions")
REQUIRED = ("video", "action", "n")
ALIKE = {name: {"id": "video", "labels": "label"}.get(own, own) for name, own in SYNONYMS.items()}
ALIKE |= dict.fromkeys(("count", "counts", "frames", "rows"), "n")
"""What others call a column -> its name here."""
_WHOLE = re.compile(r"([0-9]{1,18})(\.0+)?")


def read_counts(path: Path, *, preset: str | None) -> LogCounts:
    """Read ready-made counts; an error names the line and the column."""
    plan = plan_of_sums(path, header_beside(path), preset, "counts")
    with open_bytes(path) as stream:
        magic = read_some(stream, path, 4)
    lines = _parquet(path) if magic == b"PAR1" else _csv(path)
    names, first = next(lines)
    for name in names:
        if name not in COLUMNS:
            hint = near_match(ALIKE.get(name.lower(), name), COLUMNS, "columns")
            raise DataError(f"{first}: unknown column {name!r}", hint)
        if list(names).count(name) > 1:
            raise DataError(f"{first}: the column {name!r} appears twice")
    for name in REQUIRED:
        if name not in names:
            raise DataError(f"{first}: the column {name!r} is missing")
    return _gather(path, names, lines, plan)


def _csv(path: Path) -> Iterator[tuple[Sequence[Any], str]]:
    width = 0
    for row, line in csv_lines(path):
        where = f"{path}:{line}"
        width = width or len(row)
        if len(row) != width:
            raise DataError(f"{where}: {len(row)} fields where {width} were expected")
        yield [cell.strip() for cell in row], where
    if not width:
        raise DataError(f"{path} is empty")


def _parquet(path: Path) -> Iterator[tuple[Sequence[Any], str]]:
    duckdb = require_duckdb(path)
    try:
        with quiet_connection(duckdb) as connection:
            check_unpacked(connection, path)
            cursor = connection.execute("SELECT * FROM read_parquet(?)", [duckdb_path(path)])
            yield [column[0] for column in cursor.description], str(path)
            first = 1
            while rows := cursor.fetchmany(8192):
                yield from ((row, f"{path}, row {n}") for n, row in enumerate(rows, first))
                first += len(rows)
    except duckdb.Error as error:
        raise DataError(f"{path} is damaged: {str(error).splitlines()[0]}") from None


def _gather(
    path: Path, names: Sequence[str], lines: Iterator[tuple[Sequence[Any], str]], plan: Plan
) -> LogCounts:
    videos: dict[str, int] = {}
    labels: dict[Any, int] = {}
    own_labels: list[int] = []
    cells: list[tuple[int, int, int, int]] = []
    for row, where in lines:
        values = dict(zip(names, row, strict=True))
        video = str(values["video"])
        label = values.get("label")
        code = -1 if label in (None, "") else labels.setdefault(_scalar(label), len(labels))
        at = videos.setdefault(video, len(videos))
        if at == len(own_labels):
            own_labels.append(code)
        elif own_labels[at] != code:
            raise DataError(f"{where}: label: {label!r} differs from the video's earlier lines")
        stream = stream_named(plan, str(values.get("stream") or ""), where)
        action = _action(values["action"], plan, stream, f"{where}: action")
        n = _count(values["n"], f"{where}: n")
        decided = _count(values["decisions"], f"{where}: decisions") if "decisions" in names else n
        cells.append((at, action, n, decided))
    if not cells:
        raise DataError(f"{path} has no counts below its header")
    return _counted(path, plan, np.array(cells, np.int64), own_labels, tuple(labels), names)


def _counted(
    path: Path,
    plan: Plan,
    cells: Any,
    own_labels: list[int],
    labels: tuple[Any, ...],
    names: Sequence[str],
) -> LogCounts:
    shape = (len(own_labels), len(plan.actions))
    frames: Any = np.zeros(shape, np.int64)
    np.add.at(frames, (cells[:, 0], cells[:, 1]), cells[:, 2])
    decisions: Any = np.zeros(shape, np.int64)
    np.add.at(decisions, (cells[:, 0], cells[:, 1]), cells[:, 3])
    spans = np.array([action.span for action in plan.actions])
    warnings = ["ready-made counts: run lengths and repeated records cannot be checked"]
    if not plan.per_step:
        decisions, frames = frames, frames * spans
    elif "decisions" not in names and (spans > 1).any():
        decisions = None
        warnings.append(
            f"{path}: counted rows do not show the decisions of actions that span several steps; "
            "without a column 'decisions' only the published rule applies"
        )
    own = [slice(first, first + plan.size(stream)) for stream, first in plan.base.items()]
    steps = [frames[:, one].sum(axis=1) for one in own]
    if any((steps[0] != other).any() for other in steps):
        raise DataError(f"{path}: the streams of a video have different numbers of steps")
    codes = np.array(own_labels, np.int32)
    return LogCounts(
        plan=plan,
        frames=frames,
        decisions=decisions,
        steps=steps[0],
        label_codes=codes[codes >= 0],
        label_lengths=(codes >= 0).astype(np.int64),
        label_values=labels,
        warnings=tuple(map(Remark, warnings)),
        source=Source(str(path)),
    )


def _scalar(value: Any) -> int | str:
    """Return a whole number as one, also with the ``.0`` of a table of floats; else the text."""
    text = str(value)
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else text


def _action(value: Any, plan: Plan, stream: str, where: str) -> int:
    text, known = str(value), plan.indices[stream]
    if text in known:
        return known[text]
    index = _scalar(value)
    if isinstance(index, str):
        return plan.find_action(index, stream, where)
    if index < len(known):
        return plan.base[stream] + index
    raise DataError(f"{where}: is {index}, but this log has ids 0 to {len(known) - 1}")


def _count(value: Any, where: str) -> int:
    count = _scalar(value)
    if isinstance(count, str) or count > MOST_STEPS:
        raise DataError(f"{where}: is {value!r} where a count of 0 or more was expected")
    return count
