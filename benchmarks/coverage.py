"""How often do 95 % intervals hold the truth? Seeded simulations, with the truth known.

    python benchmarks/coverage.py [--repetitions 2000] [--only mAP]

Four parts:

* ``cost``: GFLOPS a video over clusters of videos, clusters drawn and, for comparison, videos drawn
  as if they were independent. Costs of a cluster share a gamma effect of the variance of a single
  video; sizes are equal (8), moderately unequal (1 + Poisson(7)) or very unequal (log-normal).
* ``top-1``: the same for the share of correct videos, whose chance is beta-distributed over
  clusters.
* ``mAP``: of splits of 60 to 1,000 videos of 10 or 50 classes, scores of a classifier that is right
  on about half of them or a fifth; against the mean mAP of splits of that size, and against the mAP
  of all videos (a split of 400,000), which is lower.
* ``prediction``: of the ms a video of a learnt policy (``reports/policy_learning``), from timings
  and overheads of three processes each, against the median of three processes of a replay. Each
  process is slower or faster by a log-normal factor, each of its times by a further 1 %.

A line is one setting: with 2,000 repetitions its coverage is known to ± 1 point (95 %).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from flopbench.core.bootstrap import interval
from flopbench.estimate.accuracy import mean_average_precision, top1
from flopbench.replay.against import Prices, against, load_prices
from flopbench.replay.records import load_replay

CLUSTERS = (5, 10, 20, 50, 200)
SPLITS = (60, 200, 1000)
CLASSES = (10, 50)
STRENGTH = 1.5
"""What the true class adds to a score of standard deviation 1."""
ALL_VIDEOS = 400_000
SPREADS = (0.02, 0.05)
PREDICTION_SHARE = 20
"""A prediction takes longer still: one in twenty."""
MAP_SHARE = 4
"""An interval of mAP takes long: one repetition in four."""

SIZES: dict[str, Callable[[Any, int], Any]] = {
    "equal": lambda rng, n: np.full(n, 8),
    "unequal": lambda rng, n: 1 + rng.poisson(7, n),
    "very unequal": lambda rng, n: 1 + np.floor(rng.lognormal(1.5, 0.8, n)).astype(int),
}


def clusters_of(rng: Any, sizes: str, clusters: int) -> Any:
    """Return (videos,) the cluster of each video."""
    return np.repeat(np.arange(clusters), SIZES[sizes](rng, clusters))


def costs_of(rng: Any, codes: Any) -> Any:
    """Return (videos,) MACs; their mean is 10 GMACs."""
    effects = rng.gamma(2.0, 5e9, codes.max() + 1)
    return effects[codes] + rng.normal(0, 7e9, len(codes))


def correct_of(rng: Any, codes: Any) -> Any:
    """Return (videos,) whether each is right; on average, 70 % are."""
    return rng.random(len(codes)) < rng.beta(2.1, 0.9, codes.max() + 1)[codes]


def split_of(rng: Any, videos: int, classes: int) -> tuple[Any, Any, Any]:
    """Return scores, labels and offsets of a split."""
    labels = rng.integers(0, classes, videos)
    scores = rng.standard_normal((videos, classes))
    scores[np.arange(videos), labels] += STRENGTH
    return scores, labels, np.arange(videos + 1)


def holds(ends: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds a value."""
    return ends is not None and ends[0] <= truth <= ends[1]


def cost_lines(repetitions: int) -> Iterator[Sequence[object]]:
    """Yield coverage of the mean cost."""
    for sizes in SIZES:
        for clusters in CLUSTERS:
            rng = np.random.default_rng(clusters)
            hits = np.zeros(2)
            for n in range(repetitions):
                codes = clusters_of(rng, sizes, clusters)
                costs = costs_of(rng, codes)
                for at, own in enumerate((codes, None)):
                    found = interval(costs, clusters=own, seed=n)
                    hits[at] += found is not None and holds(found.ends, 10.0)
            yield "cost", f"{clusters} clusters, {sizes}", *(100 * hits / repetitions)


def top1_lines(repetitions: int) -> Iterator[Sequence[object]]:
    """Yield coverage of top-1."""
    for clusters in CLUSTERS[1:]:
        rng = np.random.default_rng(clusters)
        hits = np.zeros(2)
        for n in range(repetitions):
            codes = clusters_of(rng, "unequal", clusters)
            correct = correct_of(rng, codes).astype(int)
            for at, own in enumerate((codes, None)):
                found = top1(correct, np.ones_like(correct), clusters=own, seed=n)
                hits[at] += holds(found.ci95_percent, 70.0)
        yield "top-1", f"{clusters} clusters, unequal", *(100 * hits / repetitions)


def map_lines(repetitions: int) -> Iterator[Sequence[object]]:
    """Yield coverage of mAP, of the mean of splits and of all videos."""
    for classes in CLASSES:
        everything = split_of(np.random.default_rng(0), ALL_VIDEOS, classes)
        of_all = mean_average_precision(*everything, resamples=0).percent
        for videos in SPLITS:
            rng = np.random.default_rng(videos)
            found = [
                mean_average_precision(*split_of(rng, videos, classes), seed=n)
                for n in range(repetitions // MAP_SHARE)
            ]
            of_splits = float(np.mean([one.percent for one in found]))
            hits = [
                100 * np.mean([holds(one.ci95_percent, truth) for one in found])
                for truth in (of_splits, of_all)
            ]
            above = f"{of_splits - of_all:+.2f} points"
            yield "mAP", f"{videos} videos, {classes} classes", *hits, above


def prediction_lines(repetitions: int) -> Iterator[Sequence[object]]:
    """Yield coverage of predicted times; one repetition in ``PREDICTION_SHARE``."""
    folder = Path(__file__).parent.parent / "reports" / "policy_learning"
    replay = load_replay(folder / "replay-gumbel.json")
    prices = load_prices([folder / "timings.json"], folder / "overheads.json")
    once = _with_processes(prices, lambda _: 1.0, lambda: 1.0)
    for spread in SPREADS:
        rng = np.random.default_rng(0)

        def factor(_: int, spread: float = spread, rng: Any = rng) -> float:
            return float(np.exp(rng.normal(0, spread)))

        def noise(rng: Any = rng) -> float:
            return float(np.exp(rng.normal(0, 0.01)))

        for mode in replay.modes:
            truth, hits = against(replay, mode, once).predicted_s, 0
            for _ in range(repetitions // PREDICTION_SHARE):
                found = against(replay, mode, _with_processes(prices, factor, noise))
                measured = truth * float(np.median([factor(n) * noise() for n in range(3)]))
                hits += holds(found.interval_s, measured)
            share = 100 * hits / (repetitions // PREDICTION_SHARE)
            yield "prediction", f"{mode}, processes ± {100 * spread:.0f} %", share


def _with_processes(
    prices: Prices, factor: Callable[[int], float], noise: Callable[[], float]
) -> Prices:
    """Return the prices of three other processes like the first, each slower by a factor."""
    assert prices.overheads is not None
    rows = []
    for row in prices.times.rows:
        runs = []
        for n in range(3):
            own, run = factor(n) * noise(), row.processes[0]
            columns = {name: tuple(v * own for v in of) for name, of in run.columns.items()}
            runs.append(replace(run, columns=columns))
        rows.append(replace(row, processes=tuple(runs)))
    first = prices.overheads.runs[0]
    calibrated = []
    for n in range(3):
        own = factor(n)
        hot = {
            name: {
                size: [(row[0], *(v * own * noise() for v in row[1:])) for row in of]
                for size, of in sizes.items()
            }
            for name, sizes in first.hot.items()
        }
        modes = {
            mode: replace(one, full=_slower(one.full, own * noise()), arms=_slower(one.arms, own))
            for mode, one in first.modes.items()
        }
        calibrated.append(replace(first, hot=hot, modes=modes))
    return replace(
        prices,
        times=replace(prices.times, rows=tuple(rows)),
        overheads=replace(prices.overheads, runs=calibrated),
    )


def _slower(rows: Sequence[Any], factor: float) -> list[Any]:
    return [(*row[:3], *(seconds * factor for seconds in row[3:])) for row in rows]


PARTS = {"cost": cost_lines, "top-1": top1_lines, "mAP": map_lines, "prediction": prediction_lines}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and print one line a setting."""
    parser = argparse.ArgumentParser(description="coverage of 95 % intervals, by simulation")
    parser.add_argument("--repetitions", type=int, default=2000, help="default: 2000")
    parser.add_argument("--only", choices=PARTS, help="one part")
    args = parser.parse_args(argv)
    print("columns: cost and top-1: clusters drawn, videos drawn (wrong); mAP: the mean of splits")
    print("of this size, all videos (not what it is about), how far the first is above the second;")
    print("prediction: repeats")
    for name, part in PARTS.items():
        for what, setting, *values in part(args.repetitions) if args.only in (None, name) else ():
            shown = "  ".join(f"{v:5.1f} %" if isinstance(v, float) else str(v) for v in values)
            print(f"{what:6} {setting:27} {shown}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
