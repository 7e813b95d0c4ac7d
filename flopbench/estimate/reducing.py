"""Parts of a log's counts (``policy/counts_file.py``): made from its shards, and merged again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_writable, temporary
from flopbench.estimate.clusters import COLUMN, ID_PREFIX, NO_CLUSTERS, Gathered
from flopbench.policy import ENGINES
from flopbench.policy.counts import LogCounts, SumCounts, objects

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block
    from flopbench.policy.counts_file import Part
    from flopbench.policy.log import Log

NO_SUMS = "parts without --sums have a row for each record, which this needs"


def reduce_log(
    patterns: str | Path | Sequence[str | Path],
    target: str | Path,
    *,
    preset: str | None = None,
    cluster: str | None = None,
    duplicates: str = "error",
    allow_truncated: bool = False,
    sums: bool = False,
    engine: str = "exact",
    master: str = "",
) -> LogCounts:
    """Write what a log, or some of its shards, adds up to; ``run_of_counts`` merges such parts.

    Args:
        patterns: a file or glob of one log, of any form, or several; shards may be missing.
        target: the part to write, such as ``part0.counts``; the extra ``logs`` is needed.
        preset: what the decisions mean, where the log does not say.
        cluster: a column of ``extra`` to keep, for ``Choices(cluster=...)``.
        duplicates: ``error``, or ``first`` to keep the first record of each id and view.
        allow_truncated: leave out a last line that is cut off.
        sums: keep sums over the videos only, in a file of one size for any number of them.
        engine: ``exact``; or what counts JSON lines and Parquet by SQL: ``duckdb``, ``spark``.
        master: of Spark, such as ``spark://host:7077``, or ``local[4]``.

    Returns:
        The counts.

    Raises:
        InputError: no such file, a file that cannot be written, or a log without samples.
        DataError: a defect in the log; the message names file, record and field.

    Example:
        >>> reduce_log("run.rank0-of-4.jsonl", "part0.counts")
    """
    from flopbench.policy.forms.base import Options
    from flopbench.policy.log import open_log

    target = Path(target)
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}", f"engines: {', '.join(ENGINES)}")
    if cluster is not None and sums:
        raise InputError("sums have no single videos, so no clusters", NO_SUMS)
    if cluster is not None and cluster.startswith(ID_PREFIX):
        raise InputError(
            f"--cluster {cluster} needs nothing but the ids, which every part has",
            "leave it out here, and give it to flopbench estimate --counts",
        )
    options = Options(allow_truncated=allow_truncated)
    log = open_log(patterns, preset=preset, options=options, complete=False)
    if engine == "exact":
        return _reduce(log, target, cluster, duplicates, sums)
    if cluster is not None or duplicates != "error" or allow_truncated:
        raise InputError(
            f"--engine {engine} has no --cluster, --duplicates or --allow-truncated",
            "leave --engine out: the exact reader has them",
        )
    return _reduce_by_sql(log, target, engine, master, sums)


def _reduce(log: Log, target: Path, cluster: str | None, duplicates: str, sums: bool) -> LogCounts:
    from flopbench.policy.counts_file import VIEW, write_part
    from flopbench.policy.log import count_log
    from flopbench.policy.sums_file import write_sums

    gathered = None if cluster is None else Gathered(cluster)
    counts = count_log(
        log,
        columns={VIEW: _views, **({} if gathered is None else gathered.columns)},
        fields=[] if gathered is None else gathered.fields,
        keep_ids=not sums,
        duplicates=duplicates,
    )
    sources = _sources(log)
    if sums:
        write_sums(target, counts, sources)
        return counts
    clusters = None
    if gathered is not None:
        gathered.check(counts)
        clusters = objects(gathered.texts())[counts.columns[COLUMN]]
    write_part(target, counts, sources, cluster=cluster, clusters=clusters)
    return counts


def _sources(log: Log) -> list[str]:
    return [str(reader.path) for reader in log.readers]


def _views(block: Block) -> Any:
    return objects([None] * block.size if block.views is None else block.views)


def _reduce_by_sql(log: Log, target: Path, engine: str, master: str, sums: bool) -> LogCounts:
    """Write the part that an engine counts, once it has been read without a defect."""
    from flopbench.policy.by_spark import runner
    from flopbench.policy.by_sql import run_duckdb, write_part_by_sql
    from flopbench.policy.sums_file import write_sums

    run = run_duckdb if engine == "duckdb" else runner(master)
    check_writable(target)
    with temporary(target.resolve().parent, f".{target.name}.") as part:
        write_part_by_sql(log, part, run)
        try:
            counts = merged_counts(part, complete=False)
        except DataError as error:
            source = str(log.source)
            raise DataError(error.message.replace(str(part), source), error.hint) from None
        assert isinstance(counts, LogCounts)
        if sums:
            write_sums(target, counts, _sources(log))
        else:
            os.replace(part, target.resolve())
    return replace(counts, source=log.source)


def merged_counts(
    patterns: str | Path | Sequence[str | Path],
    *,
    preset: str | None = None,
    cluster: str | None = None,
    duplicates: str = "error",
    complete: bool = True,
) -> LogCounts | SumCounts:
    """Return the counts of the log that parts are of, or of one file of ready-made counts.

    Arguments and errors as ``run_of_counts`` and its ``Choices``; ``complete``: no shard may be
    missing.
    """
    from flopbench.policy.counts_file import is_parquet, spilling
    from flopbench.policy.parts import about_all, read_parts
    from flopbench.policy.ready import read_counts
    from flopbench.policy.shards import check_complete, find_files

    paths = find_files(patterns, complete=False)  # parts name their shards, which are checked
    if len(paths) > 1 or is_parquet(paths[0]):
        with spilling(paths[0]) as connection:
            if parts := read_parts(paths, preset, connection):
                counts = _merged(parts, connection, cluster, duplicates)
                if complete:
                    check_complete(list(map(Path, about_all(parts).sources)))
                return counts
    if cluster is not None:
        raise InputError(
            f"{paths[0]} holds ready-made counts: --cluster needs the log", NO_CLUSTERS
        )
    return read_counts(paths[0], preset=preset)


def _merged(
    parts: Sequence[Part], connection: Any, cluster: str | None, duplicates: str
) -> LogCounts | SumCounts:
    from flopbench.policy.counts_file import SUMS
    from flopbench.policy.merging import merge_parts
    from flopbench.policy.sums_file import merge_sums

    gathered = None if cluster is None else Gathered(cluster)
    if parts[0].layout is SUMS:
        if cluster is not None or duplicates == "first":
            option = "--duplicates first" if cluster is None else "--cluster"
            raise InputError(f"{parts[0].path} holds sums: no {option}", NO_SUMS)
        return merge_sums(parts, connection)
    counts = merge_parts(
        parts,
        connection,
        columns=None if gathered is None else gathered.columns,
        cluster=None if gathered is None else gathered.kept,
        keep_ids=gathered is not None,
        duplicates=duplicates,
    )
    if gathered is not None:
        gathered.check(counts)
    return counts
