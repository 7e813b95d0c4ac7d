"""Parts of a log's counts (``policy/counts_file.py``): made from its shards, and merged again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flopbench.core.errors import DataError, InputError
from flopbench.core.files import check_writable, temporary
from flopbench.estimate.clusters import COLUMN, ID_PREFIX, NO_CLUSTERS, Gathered
from flopbench.policy.counts import LogCounts, objects

if TYPE_CHECKING:
    from flopbench.policy.blocks import Block
    from flopbench.policy.log import Log

ENGINES = ("exact", "duckdb", "spark")


def reduce_log(
    patterns: str | Path | Sequence[str | Path],
    target: str | Path,
    *,
    preset: str | None = None,
    cluster: str | None = None,
    duplicates: str = "error",
    allow_truncated: bool = False,
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
    from flopbench.policy.counts_file import VIEW, write_part
    from flopbench.policy.forms.base import Options
    from flopbench.policy.log import count_log, open_log

    if cluster is not None and cluster.startswith(ID_PREFIX):
        raise InputError(
            f"--cluster {cluster} needs nothing but the ids, which every part has",
            "leave it out here, and give it to flopbench estimate --counts",
        )
    options = Options(allow_truncated=allow_truncated)
    log = open_log(patterns, preset=preset, options=options, complete=False)
    if engine != "exact":
        plain = cluster is None and duplicates == "error" and not allow_truncated
        return _reduce_by_sql(log, Path(target), engine, master, plain)
    columns: dict[str, Any] = {VIEW: _views}
    gathered = None if cluster is None else Gathered(cluster)
    if gathered is not None:
        columns |= gathered.columns
    counts = count_log(
        log,
        columns=columns,
        fields=[] if gathered is None else gathered.fields,
        keep_ids=True,
        duplicates=duplicates,
    )
    clusters = None
    if gathered is not None:
        gathered.check(counts)
        clusters = objects(gathered.texts())[counts.columns[COLUMN]]
    sources = [str(reader.path) for reader in log.readers]
    write_part(Path(target), counts, sources, cluster=cluster, clusters=clusters)
    return counts


def _views(block: Block) -> Any:
    return objects([None] * block.size if block.views is None else block.views)


def _reduce_by_sql(log: Log, target: Path, engine: str, master: str, plain: bool) -> LogCounts:
    """Write the part that an engine counts, once it has been read without a defect."""
    from flopbench.policy.by_spark import runner
    from flopbench.policy.by_sql import run_duckdb, write_part_by_sql

    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}", f"engines: {', '.join(ENGINES)}")
    if not plain:
        raise InputError(
            f"--engine {engine} has no --cluster, --duplicates or --allow-truncated",
            "leave --engine out: the exact reader has them",
        )
    run = run_duckdb if engine == "duckdb" else runner(master)
    check_writable(target)
    with temporary(target.resolve().parent, f".{target.name}.") as part:
        write_part_by_sql(log, part, run)
        try:
            counts = merged_counts(part)
        except DataError as error:
            source = str(log.source)
            raise DataError(error.message.replace(str(part), source), error.hint) from None
        os.replace(part, target.resolve())
    return replace(counts, source=log.source)


def merged_counts(
    patterns: str | Path | Sequence[str | Path],
    *,
    preset: str | None = None,
    cluster: str | None = None,
    duplicates: str = "error",
) -> LogCounts:
    """Return the counts of the log that parts are of, or of one file of ready-made counts.

    Arguments and errors as ``run_of_counts`` and its ``Choices``.
    """
    from flopbench.policy.counts_file import is_part, spilling
    from flopbench.policy.merging import merge_parts
    from flopbench.policy.parts import read_parts
    from flopbench.policy.ready import read_counts
    from flopbench.policy.shards import find_files

    paths = find_files(patterns, complete=False)  # parts name their shards, which are checked
    if len(paths) == 1 and not is_part(paths[0]):
        if cluster is not None:
            raise InputError(
                f"{paths[0]} holds ready-made counts: --cluster needs the log", NO_CLUSTERS
            )
        return read_counts(paths[0], preset=preset)
    gathered = None if cluster is None else Gathered(cluster)
    with spilling(paths[0]) as connection:
        counts = merge_parts(
            read_parts(paths, preset, connection),
            connection,
            columns=None if gathered is None else gathered.columns,
            cluster=None if gathered is None else gathered.kept,
            keep_ids=gathered is not None,
            duplicates=duplicates,
        )
    if gathered is not None:
        gathered.check(counts)
    return counts
