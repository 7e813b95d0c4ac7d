"""Ways to count a policy log, one function each; ``logs.py`` runs them in processes of their own.

    python -m benchmarks.peers.log_counters PEER TASK FILE

A task is ``usage`` (frames of each action) or ``all`` (frames, decisions from the lengths of runs,
and GFLOPS per video by AR-Net's formula). The answer is printed as JSON. Each is written as a user
of that library would: arrays or columns throughout, and only the columns that the task needs.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

STEPS = 16
"""Frames of a video in these logs."""
SPANS = (1, 1, 1, 1, 1, 2, 4)
"""Frames that a decision covers, by action of the preset ``arnet-resnet``."""
NETWORK_GFLOPS = (4.1103, 2.2490, 0.4683, 0.0, 0.0, 0.0, 0.0)
POLICY_GFLOPS = 0.0529 + 0.0032768
"""MobileNetV2 at 84 px and the LSTM, once a decision."""
ROW_GFLOPS = tuple(g + POLICY_GFLOPS / k for g, k in zip(NETWORK_GFLOPS, SPANS, strict=True))
"""What AR-Net's estimator charges for a row: a skip of k frames bears 1 / k of its decision."""
READ_BYTES, PIECE_BYTES = 1 << 20, 1 << 16

Answer = dict[str, Any]


def answer(frames: Any, decisions: Any = None, videos: int | None = None) -> Answer:
    """Return frames and decisions of each action, and GFLOPS per video by AR-Net's formula.

    Args:
        frames: action -> how many, or one number for each action.
        decisions: the same; None where they were not counted.
        videos: how many; None where that was not counted.
    """

    def listed(numbers: Any) -> list[int]:
        found = numbers if isinstance(numbers, dict) else dict(enumerate(numbers))
        return [int(found.get(action, 0)) for action in range(len(SPANS))]

    made: Answer = {"frames": listed(frames)}
    if decisions is not None:
        made["decisions"] = listed(decisions)
    if videos is not None:
        pairs = zip(made["frames"], ROW_GFLOPS, strict=True)
        made["gflops"] = sum(n * g for n, g in pairs) / videos
    return made


def is_lines(path: str) -> bool:
    """Whether a log is JSONL; else it is Parquet."""
    return path.endswith(".jsonl")


def by_flopbench(path: str, task: str) -> Answer:
    """Everything that ``flopbench estimate`` counts, whatever the task; checked as there."""
    from flopbench.__main__ import RARELY

    gc.set_threshold(*RARELY)  # as there
    from flopbench.policy.log import count_log, open_log

    totals = count_log(open_log([path])).totals()
    assert totals.videos is not None
    return answer(totals.frames, totals.decisions, totals.videos)


def rows_of(path: str) -> Iterator[list[int]]:
    """Yield the decisions of each video as a list."""
    if is_lines(path):
        with open(path, "rb") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)["actions"]
        return
    import duckdb

    cursor = duckdb.execute("SELECT actions FROM read_parquet(?)", [path])
    while rows := cursor.fetchmany(8192):
        yield from (row[0] for row in rows)


def by_loop(path: str, task: str) -> Answer:
    """A plain loop: ``json.loads``, ``Counter`` and ``groupby``."""
    frames: Counter[int] = Counter()
    decisions: Counter[int] = Counter()
    videos = 0
    for actions in rows_of(path):
        videos += 1
        frames.update(actions)
        if task == "all":
            for action, run in groupby(actions):
                decisions[action] += -(-sum(1 for _ in run) // SPANS[action])
    return answer(frames, decisions, videos) if task == "all" else answer(frames)


def by_formula(path: str, task: str) -> Answer:
    """AR-Net's formula: a one-hot array (N, T, A) in memory, weighted by cost; no exact decisions.

    https://github.com/mengyuest/AR-Net keeps the validation run as such an array.
    """
    import numpy as np

    one_hot = np.eye(len(SPANS), dtype=np.float32)[np.array(list(rows_of(path)))]
    gflops = (one_hot.sum(axis=1, dtype=np.float64) @ np.array(ROW_GFLOPS)).mean()
    return answer(one_hot.sum(axis=(0, 1), dtype=np.float64)) | {"gflops": float(gflops)}


def by_pandas(path: str, task: str) -> Answer:
    """pandas: ``explode``, ``value_counts``; runs by comparing with the row before."""
    import pandas

    if is_lines(path):
        with open(path, "rb") as lines:
            next(lines)
            column = pandas.read_json(lines, lines=True)["actions"]
    else:
        column = pandas.read_parquet(path, columns=["actions"])["actions"]
    rows = column.explode().astype("int64")
    frames = rows.value_counts().to_dict()
    if task == "usage":
        return answer(frames)
    table = pandas.DataFrame({"video": rows.index, "action": rows.to_numpy()})
    starts = (table != table.shift()).any(axis=1)
    runs = table.groupby(starts.cumsum())["action"].agg(["first", "size"])
    held = -(-runs["size"] // runs["first"].map(dict(enumerate(SPANS))))
    return answer(frames, held.groupby(runs["first"]).sum().to_dict(), len(column))


def by_polars(path: str, task: str) -> Answer:
    """polars: a lazy scan, ``explode`` and ``group_by``; runs by ``rle``."""
    import polars as pl

    if is_lines(path):
        schema = {"actions": pl.List(pl.Int64)}
        log = pl.scan_ndjson(path, schema=schema).filter(pl.col("actions").is_not_null())
    else:
        log = pl.scan_parquet(path).select("actions")
    if task == "usage":
        rows = log.select(pl.col("actions").explode()).group_by("actions").len().collect()
        return answer(dict(rows.iter_rows()))
    cell = (pl.col("video") * len(SPANS) + pl.col("actions")).rle()
    runs = log.with_row_index("video").explode("actions").select(run=cell).unnest("run")
    action = (pl.col("value") % len(SPANS)).alias("action")
    span = action.replace_strict(list(range(len(SPANS))), SPANS, return_dtype=pl.Int64)
    held = (pl.col("len").cast(pl.Int64) + span - 1) // span
    last = (pl.col("value") // len(SPANS)).max()
    sums = runs.group_by(action).agg(pl.col("len").sum(), held.sum().alias("held"), last)
    columns = sums.collect().to_dict(as_series=False)
    frames, decisions = (
        dict(zip(columns["action"], columns[name], strict=True)) for name in ("len", "held")
    )
    return answer(frames, decisions, max(columns["value"]) + 1)


DUCKDB_RUNS = """
WITH log AS ({log}),
rows AS (SELECT video, unnest(actions) AS action, generate_subscripts(actions, 1) AS step FROM log),
marked AS (
    SELECT video, action, step,
        step - row_number() OVER (PARTITION BY video, action ORDER BY step) AS island
    FROM rows
),
runs AS (
    SELECT action, count(*) AS n FROM marked GROUP BY video, action, island
)
SELECT action, sum(n), sum(ceil(n / list_extract({spans}, action + 1))), (SELECT count(*) FROM log)
FROM runs GROUP BY action
"""


def by_duckdb(path: str, task: str) -> Answer:
    """DuckDB SQL: ``unnest`` and ``GROUP BY``; runs as islands of equal rows."""
    import duckdb

    scan = "SELECT row_number() OVER () AS video, actions FROM read_parquet(?)"
    if is_lines(path):
        scan = (
            "SELECT row_number() OVER () AS video, actions FROM read_json(?, "
            "format = 'newline_delimited', columns = {'actions': 'BIGINT[]'}) "
            "WHERE actions IS NOT NULL"
        )
    if task == "usage":
        plain = scan.replace("row_number() OVER () AS video, ", "")
        query = f"SELECT a, count(*) FROM (SELECT unnest(actions) AS a FROM ({plain})) GROUP BY a"
        return answer(dict(duckdb.execute(query, [path]).fetchall()))
    rows = duckdb.execute(DUCKDB_RUNS.format(log=scan, spans=list(SPANS)), [path]).fetchall()
    return answer({row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}, rows[0][3])


def read_floor(path: str, task: str) -> Answer:
    """Read the bytes, nothing else."""
    size = 0
    with open(path, "rb", buffering=0) as stream:
        while piece := stream.read(READ_BYTES):
            size += len(piece)
    return {"bytes": size}


def decode_floor(path: str, task: str) -> Answer:
    """Decode the decisions, nothing else: msgspec to lists, or DuckDB to numpy."""
    if is_lines(path):
        import msgspec

        class Row(msgspec.Struct, gc=False):
            actions: list[int] = []

        decoder, decoded = msgspec.json.Decoder(Row), 0
        with open(path, "rb") as stream:
            while piece := stream.read(PIECE_BYTES) + stream.readline():
                decoded += sum(len(row.actions) for row in decoder.decode_lines(piece))
        return {"decisions": decoded}
    import duckdb
    import nanoarrow
    import numpy as np

    connection, decoded = duckdb.connect(config={"threads": 1}), 0
    for batch in nanoarrow.ArrayStream(
        connection.sql("SELECT actions FROM read_parquet(?)", params=[path])
    ):
        lists = next(iter(batch.iter_children()))
        decoded += len(np.asarray(lists.child(0).buffer(1)))
    return {"decisions": decoded}


OURS = "flopbench"
COUNTERS: dict[str, Callable[[str, str], Answer]] = {
    OURS: by_flopbench,
    "AR-Net's formula": by_formula,
    "pandas": by_pandas,
    "polars": by_polars,
    "DuckDB SQL": by_duckdb,
    "plain loop": by_loop,
    "read floor": read_floor,
    "decode floor": decode_floor,
}


READ, DECODE = FLOORS = ("read floor", "decode floor")


def command(peer: str, task: str, path: Path) -> list[str]:
    """Return the command that counts a log in a process of its own."""
    return [sys.executable, "-m", "benchmarks.peers.log_counters", peer, task, str(path)]


def main(argv: Sequence[str]) -> None:
    """Count one log and print the answer."""
    peer, task, path = argv
    json.dump(COUNTERS[peer](path, task), sys.stdout)
    if peer == OURS:
        from flopbench.core import stopping

        stopping.leave(0)  # as its command does, which takes nothing apart at the end


if __name__ == "__main__":
    main(sys.argv[1:])
