"""A standalone Spark cluster on the loopback, from pyspark's own launcher, for tests and times."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LEAST_WORK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java's options for programs that run for seconds."""
LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
SHORT = {
    "spark.driver.extraJavaOptions": LEAST_WORK,
    "spark.executor.extraJavaOptions": LEAST_WORK,
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.files.maxPartitionBytes": "64k",  # a task for each shard
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "1s",
}
"""Spark's settings for tests."""
STARTS_S = 120.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master's address, and the processes of its workers and of the master."""

    master: str
    workers: list[subprocess.Popen[bytes]]
    daemon: subprocess.Popen[bytes]

    def kill_one(self) -> None:
        """Kill a worker and its executors, which are of its process group, at once."""
        os.killpg(self.workers.pop().pid, signal.SIGKILL)


def why_not() -> str:
    """Return why there can be no cluster here; an empty text where there can."""
    try:
        import pyspark  # noqa: F401
    except ModuleNotFoundError:
        return "pyspark is not installed"
    return "" if shutil.which("java") else "there is no Java"


@contextmanager
def cluster(
    folder: Path, settings: Mapping[str, str] = SHORT, *, workers: int = 2, memory: str = "512m"
) -> Iterator[Cluster]:
    """Start a cluster and stop it; the environment of this process then leads drivers to it.

    Args:
        folder: for logs and scratch.
        settings: Spark's.
        workers: how many, with a core each.
        memory: of each worker.
    """
    lines = [f"{name} {value}" for name, value in {**LOOPBACK, **settings}.items()]
    (folder / "spark-defaults.conf").write_text("\n".join(lines), encoding="utf-8")
    own = {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    started: list[subprocess.Popen[bytes]] = []
    try:
        at = "--host 127.0.0.1 --webui-port 0"
        started.append(_start(folder, f"master.Master {at} --port 0"))
        master = _logged(folder / "0.log", r"Starting Spark master at (spark://\S+)")
        for number in range(1, workers + 1):
            work = f"--cores 1 --memory {memory} --work-dir {folder / 'work'}"
            started.append(_start(folder, f"worker.Worker {at} {work} {master}", number))
        for number in range(1, workers + 1):
            _logged(folder / f"{number}.log", r"(Successfully registered with master)")
        yield Cluster(master, started[1:], started[0])
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(folder: Path, words: str, number: int = 0) -> subprocess.Popen[bytes]:
    import pyspark

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    memory = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": LEAST_WORK}
    with open(folder / f"{number}.log", "wb") as log:
        return subprocess.Popen(
            [str(program), *f"org.apache.spark.deploy.{words}".split(" ")],
            env={**os.environ, **memory},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _logged(log: Path, pattern: str) -> str:
    """Wait until a line is in a log; return its group."""
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"no {pattern!r} in {log.read_text(encoding='utf-8')[-2000:]}")
