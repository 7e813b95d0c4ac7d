"""Counts by Spark: its words and its session, for ``by_sql``. Only counts come back."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flopbench.core.errors import DataError, InputError
from flopbench.policy.by_sql import ALL_DEFECTS, Run, counts_text
from flopbench.policy.forms.raw import Remote, sql_text
from flopbench.policy.log import Log
from flopbench.policy.sql_views import LINE_FIELDS, Dialect, Shape, views

ADDRESS = re.compile(r"spark://([^:/,]+):(\d+)")
ANSWERS_S = 5.0
"""How long the master's port may take to answer."""
WORKERS_S = 60.0
"""How long workers may take to start; free ones take seconds."""
_CONDITION = re.compile(r"\[[A-Z][A-Z0-9_.]+\] .*")
"""An error of Spark, such as ``[FAILED_READ_FILE.NO_HINT] Encountered ...``."""
_REASON = re.compile(r"\w(Error|Exception)\b.*:")


class SparkWords(Dialect):
    """Spark's words."""

    size = "size"
    quote = "`"
    list_type = "ARRAY<{}>"

    def text(self, value: str) -> str:
        """Return a literal."""
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def texts(self, json: str, *, names: bool) -> str:
        """Return the list in a JSON text as texts: names, or ids."""
        return self.list_of(_parsed(json, f"ARRAY<{'STRING' if names else 'BIGINT'}>"), "STRING")

    def numbers(self, json: str) -> str:
        """Return the list of whole numbers in a JSON text."""
        return _parsed(json, "ARRAY<BIGINT>")

    def number(self, json: str) -> str:
        """Return the whole number in a JSON text."""
        return f"CAST({json} AS BIGINT)"

    def member(self, json: str, key: str) -> str:
        """Return one member of the object in a JSON text."""
        return f"{_parsed(json, 'MAP<STRING, STRING>')}[{self.text(key)}]"

    def keys(self, json: str) -> str:
        """Return how many members the object in a JSON text has."""
        return f"size({_parsed(json, 'MAP<STRING, STRING>')})"

    def exploded(self, samples: str) -> str:
        """Return the query for the rows of decisions in the lists of samples."""
        # Samples are spread before they become rows: lists are all that crosses the network, once.
        return (
            "SELECT video, view, labels, stream, steps, source, defect, "
            "CAST(position AS BIGINT) AS position, action, get(spans, position) AS span "
            f"FROM (SELECT * FROM ({samples}) DISTRIBUTE BY video, view) "
            "LATERAL VIEW OUTER posexplode(actions) AS position, action"
        )


def _parsed(json: str, kind: str) -> str:
    return f"from_json({json}, '{kind}', map('mode', 'FAILFAST'))"


def runner(master: str) -> Run:
    """Return what counts a log on a cluster; ``local[N]`` needs none.

    Args:
        master: ``spark://host:port``, ``local[N]``, or another master that Spark knows.

    Raises:
        InputError: pyspark or Java is missing; nobody answers at the address of the master.
    """
    if not master:
        raise InputError("--engine spark needs --master", "spark://host:port, or local[N]")
    try:
        import pyspark  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "--engine spark needs pyspark, which is not installed",
            "python -m pip install 'flopbench[spark]'",
        ) from None
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise InputError(
            "--engine spark needs Java 17, and there is no program 'java'",
            "install it (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME",
        )
    address = ADDRESS.fullmatch(master)
    if address is not None:
        try:
            socket.create_connection((address[1], int(address[2])), ANSWERS_S).close()
        except OSError as error:
            raise InputError(
                f"--master {master}: nobody answers there ({error.strerror or error})",
                "start a cluster, or use local[N] for N cores of this machine",
            ) from None
    return partial(_run, master)


def _run(master: str, log: Log, shape: Shape, folder: Path) -> str:
    """Count a log; see ``by_sql.Run``."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if any(reader.path.suffix == ".zst" for reader in log.readers):
        raise InputError(f"{log.source}: Spark does not unpack .zst", "use .gz, or Parquet")
    target = folder / "counted.jsonl"
    try:
        with session(master) as spark:
            _raw(spark, log, shape).createOrReplaceTempView("raw")
            for name, query in views(log.plan, shape, SparkWords()).items():
                spark.sql(query).createOrReplaceTempView(name)
            found = spark.sql(counts_text())
            _wait_for_workers(spark)
            rows = found.selectExpr("to_json(struct(*))").collect()
            kinds = dict(found.dtypes)
    except (PySparkException, Py4JError) as error:
        raise DataError(_said(error, log), ALL_DEFECTS) from None
    with open(target, "w", encoding="utf-8") as stream:
        stream.writelines(f"{row[0]}\n" for row in rows)
    columns = ", ".join(f"{name}: {sql_text(kind.upper())}" for name, kind in kinds.items())
    form = f"format = 'newline_delimited', columns = {{{columns}}}"
    return (
        "SELECT * REPLACE (url_decode(regexp_replace(defect, '^file:/+', '/')) AS defect) "
        f"FROM read_json({sql_text(str(target))}, {form})"
    )


def _raw(spark: Any, log: Log, shape: Shape) -> Any:
    paths = [_spark_path(reader.path) for reader in log.readers]
    if shape.columns is None:
        schema = ", ".join(f"{name} STRING" for name in LINE_FIELDS)
        raw = spark.read.schema(schema).option("mode", "FAILFAST").json(paths)
    else:
        raw = spark.read.parquet(*paths)
    return raw.selectExpr("*", "_metadata.file_path AS source")


def _spark_path(path: Path) -> str:
    if isinstance(path, Remote):
        return re.sub(r"^s3:", "s3a:", path.url)
    # To Spark every path is a glob.
    return "file://" + re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path.resolve()))


@contextmanager
def session(master: str) -> Iterator[Any]:
    """Yield a session of its own, in the context that this process has or makes for the while.

    Raises:
        InputError: Spark does not start, or runs with another master.
    """
    from pyspark.sql import SparkSession

    known = SparkSession.getActiveSession()
    if known is not None and known.sparkContext.master != master:
        raise InputError(
            f"--master {master}: this process runs Spark with {known.sparkContext.master}",
            "stop that session first",
        )
    made = known or _started(SparkSession.builder.master(master).appName("flopbench log reduce"))
    try:
        own = made.newSession()
        # A cast that fails is an error, and so is a file that cannot be read.
        own.conf.set("spark.sql.ansi.enabled", "true")
        own.conf.set("spark.sql.files.ignoreCorruptFiles", "false")
        own.conf.set("spark.sql.files.ignoreMissingFiles", "false")
        yield own
    finally:
        if known is None:
            made.stop()


def _started(builder: Any) -> Any:
    """Start Spark; what it writes to stderr is shown only if that fails."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile("w+b") as noise:
        os.dup2(noise.fileno(), 2)  # the Java process keeps it
        try:
            return builder.config("spark.ui.enabled", "false").getOrCreate()
        except (PySparkException, Py4JError) as error:
            noise.seek(0)
            lines = [str(error), *noise.read().decode("utf-8", "replace").splitlines()]
            reason = next((line for line in reversed(lines) if _REASON.search(line)), lines[0])
            raise InputError(
                f"Spark does not start: {reason.strip()}",
                "--master is spark://host:port or local[N]; Spark 4 needs Java 17 or newer",
            ) from None
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _wait_for_workers(spark: Any) -> None:
    """Wait until a worker of the cluster has started an executor.

    Raises:
        InputError: none has.
    """
    context = spark.sparkContext
    until = time.monotonic() + WORKERS_S
    while not context.master.startswith("local"):
        if context._jsc.sc().getExecutorMemoryStatus().size() > 1:  # the driver is one
            return
        if time.monotonic() > until:
            raise InputError(
                f"--master {context.master}: no worker took the work within {WORKERS_S:.0f} s",
                "are there workers, and are they free?",
            )
        time.sleep(0.1)


def _said(error: Exception, log: Log) -> str:
    """Return what Spark says in one line, with the file where it names one."""
    text = unquote(str(error))
    named = next(
        (str(o.path) for o in log.readers if str(o.path.resolve()) in text), str(log.source)
    )
    found = _CONDITION.findall(text)
    return f"{named}: Spark: {found[-1] if found else text.splitlines()[0]}"
