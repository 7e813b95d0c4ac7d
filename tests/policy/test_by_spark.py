"""Counts by Spark, on a standalone cluster of this machine: the rows of DuckDB and exact reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("nanoarrow")

from conftest import RunCli  # noqa: E402
from spark_cluster import Cluster, cluster, why_not  # noqa: E402
from sql_logs import ACTIONS, BAD, KINDS, write  # noqa: E402

import flopbench  # noqa: E402
from flopbench.core.errors import FlopbenchError, InputError  # noqa: E402
from flopbench.policy.by_spark import runner, session  # noqa: E402
from flopbench.policy.writers import convert_file  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

SHARDS, VIDEOS = 16, 60


def rows(part: Path) -> list[Any]:
    """Return the rows of a part, in their order."""
    return duckdb.connect().execute("FROM read_parquet(?)", [str(part)]).fetchall()


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Any]]:
    """Return a cluster of two workers, and a session that all runs of this process share."""
    with cluster(tmp_path_factory.mktemp("spark")) as made, session(made.master) as own:
        yield made, own


@pytest.mark.parametrize("kind", KINDS)
def test_three_engines_write_the_same_rows(
    spark: tuple[Cluster, Any], kind: str, tmp_path: Path
) -> None:
    """Spark, DuckDB and the exact reader write the same rows, of lines and of Parquet."""
    log = write(tmp_path / "log [1].jsonl", *KINDS[kind])
    if kind in ("views", "spans of streams"):
        convert_file(log, tmp_path / "log.parquet")
        log = tmp_path / "log.parquet"
    found = []
    for engine, master in (("exact", ""), ("duckdb", ""), ("spark", spark[0].master)):
        part = tmp_path / f"{engine}.counts"
        counts = flopbench.reduce_log(log, part, engine=engine, master=master)
        found.append((rows(part), counts.own_spans, counts.odd_runs))
    assert found[2] == found[1] == found[0]


@pytest.mark.parametrize("wrong", ["an unknown id", "one-hot rows", "an id twice", "a cut line"])
def test_a_bad_row_ends_the_run(spark: tuple[Cluster, Any], wrong: str, tmp_path: Path) -> None:
    """Spark drops nothing silently: the file is named, and nothing is written."""
    said, fields, samples = BAD.get(wrong, ("MALFORMED_RECORD", {}, []))
    good = {"id": "v1", "actions": [0, 0]}
    log = write(tmp_path / "log.jsonl", {"actions": ACTIONS, **fields}, [good, *samples])
    if wrong == "a cut line":
        log.write_text(log.read_text("utf-8") + '{"id": "v9", "act', encoding="utf-8")
    with pytest.raises(FlopbenchError) as found:
        flopbench.reduce_log(log, tmp_path / "p.counts", engine="spark", master=spark[0].master)
    assert str(log) in found.value.message
    assert said in found.value.message
    assert "validate" in found.value.hint
    assert not (tmp_path / "p.counts").exists()


def test_a_killed_worker_costs_time_not_rows(
    spark: tuple[Cluster, Any], run_cli: RunCli, tmp_path: Path
) -> None:
    """A worker is killed while the query runs: what it had done is done again."""
    made, own = spark
    samples = [
        {"id": f"v{n}", "labels": [n % 7], "actions": [(n * step) % 3 for step in range(16)]}
        for n in range(SHARDS * VIDEOS)
    ]
    for n in range(SHARDS):
        part = samples[n * VIDEOS : (n + 1) * VIDEOS]
        write(tmp_path / f"log.rank{n}-of-{SHARDS}.jsonl", {"actions": ACTIONS}, part)
    flopbench.reduce_log(tmp_path / "log.jsonl", tmp_path / "exact.counts")
    workers = own.sparkContext._jsc.sc().getExecutorMemoryStatus
    assert workers().size() == 3  # the driver is one
    tracker, at = own.sparkContext.statusTracker(), []

    def kill() -> None:
        until = time.monotonic() + 60
        while not at and time.monotonic() < until:
            for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
                if stage is not None and 2 <= stage.numCompletedTasks < SHARDS:
                    made.kill_one()
                    at.append(stage.numCompletedTasks)
                    break

    killer = threading.Thread(target=kill)
    killer.start()
    words = ["log", "reduce", "log.jsonl", "--engine", "spark", "--master", made.master]
    done = run_cli(*words, "-o", "spark.counts", cwd=tmp_path)
    killer.join()
    assert (done.returncode, done.stdout) == (0, f"spark.counts: {SHARDS * VIDEOS} samples\n")
    assert at, "the query had ended"
    until = time.monotonic() + 60  # the driver hears of it a little later
    while workers().size() > 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert workers().size() == 2
    assert rows(tmp_path / "spark.counts") == rows(tmp_path / "exact.counts")


def test_what_is_missing_is_said_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Java, and where no master answers, one message says what to do."""
    with pytest.raises(InputError, match="nobody answers") as found:
        runner("spark://127.0.0.1:9")
    assert "local[N]" in found.value.hint
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match="Java") as found:
        runner("local[1]")
    assert "openjdk" in found.value.hint
