"""The estimator over seeded logs of 2,000 and 20,000 videos: reading, the sum, the interval.

Logs come from ``make_log.py``: 16 frames per video, without scores. Prices are measured once,
before anything is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import make_log
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flopbench.core.bootstrap import RESAMPLES, interval
from flopbench.estimate.estimator import estimate, video_costs
from flopbench.estimate.prices import PriceList, price_book
from flopbench.policy.counts import LogCounts
from flopbench.policy.header import Header
from flopbench.policy.log import count_log, open_log

SIZES = (2_000, 20_000)
"""Both within the limit of the bootstrap (``intervals.LARGEST_BOOTSTRAP``)."""
FORMS = ("jsonl", "parquet")
WARMUP_ROUNDS = 2
ROUNDS = 20
BOOTSTRAP_ROUNDS = 5

Logs = Callable[[int, str], Path]

pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.parametrize("videos", SIZES, ids=lambda videos: f"{videos} videos"),
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """Return a function (videos, form) -> the log, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("logs")

    def log(videos: int, form: str) -> Path:
        path = folder / f"{videos}.{form}"
        if not path.exists():
            make_log.main(["--videos", str(videos), "--no-scores", "-o", str(path)])
        return path

    return log


@pytest.fixture(scope="module")
def prices(logs: Logs) -> PriceList:
    """The price of each component of these logs under the primary counter."""
    book = price_book(header_of(logs(SIZES[0], "jsonl")))
    return book.lists[book.primary]


@pytest.fixture
def counts(logs: Logs, videos: int) -> LogCounts:
    """A log, counted."""
    return counted(logs(videos, "jsonl"))


def header_of(path: Path) -> Header:
    """Return the header of a log, with its preset filled in."""
    return open_log([path]).plan.header


def counted(path: Path) -> LogCounts:
    """Read a log and count its decisions."""
    return count_log(open_log([path]))


@pytest.mark.parametrize("form", FORMS)
def test_read_and_count(benchmark: BenchmarkFixture, logs: Logs, videos: int, form: str) -> None:
    """CPU time from a file to counts, all threads of the reader together."""
    if form == "parquet":
        pytest.importorskip("duckdb", reason="Parquet needs duckdb, of the extra 'logs'")
    path = logs(videos, form)
    benchmark.group = f"estimate, {videos:,} videos: reading and counting"
    benchmark.extra_info.update(videos=videos, size_bytes=path.stat().st_size)
    found = benchmark.pedantic(counted, (path,), warmup_rounds=WARMUP_ROUNDS, rounds=ROUNDS)
    assert found.videos == videos


def test_weighted_sum(
    benchmark: BenchmarkFixture, counts: LogCounts, prices: PriceList, videos: int
) -> None:
    """CPU time from counts to one exact estimate: totals × prices."""
    benchmark.group = f"estimate, {videos:,} videos: arithmetic"
    benchmark.extra_info.update(videos=videos, counter=prices.counter)
    found = benchmark.pedantic(
        lambda: estimate(counts.totals(), counts.plan, prices),
        warmup_rounds=WARMUP_ROUNDS,
        rounds=ROUNDS,
    )
    assert found.videos == videos


def test_cost_of_each_video(
    benchmark: BenchmarkFixture, counts: LogCounts, prices: PriceList, videos: int
) -> None:
    """CPU time from counts to the cost of every video, which the bootstrap draws from."""
    benchmark.group = f"estimate, {videos:,} videos: arithmetic"
    benchmark.extra_info.update(videos=videos, counter=prices.counter)
    found = benchmark.pedantic(
        video_costs, (counts, prices), warmup_rounds=WARMUP_ROUNDS, rounds=ROUNDS
    )
    assert len(found) == videos


def test_bootstrap(
    benchmark: BenchmarkFixture, counts: LogCounts, prices: PriceList, videos: int
) -> None:
    """CPU time from the costs of videos to their mean's interval."""
    benchmark.group = f"estimate, {videos:,} videos: arithmetic"
    benchmark.extra_info.update(videos=videos, resamples=RESAMPLES)
    costs = video_costs(counts, prices)
    found = benchmark.pedantic(
        interval, (costs,), warmup_rounds=WARMUP_ROUNDS, rounds=BOOTSTRAP_ROUNDS
    )
    assert found is not None
    assert found.method == "bootstrap"
