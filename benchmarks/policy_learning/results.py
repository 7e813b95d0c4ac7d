"""What came out: accuracies and costs over seeds, with intervals over seeds and videos.

Everything is read from the logs and from the histories of training; nothing is run again.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.policy_learning.config import Config
from benchmarks.policy_learning.pricing import DECIDING, Prices, costs

RESAMPLES = 2000
BACKWARD = 2
"""A backward pass has about twice the multiply-accumulates of the forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """One approach under S seeds, on the same N videos.

    Attributes:
        method: as the logs' headers name it.
        right: (S, N) whether the highest score is the label's.
        macs: (S, N) cost of each video.
        labels: (N,)
        rows: (S, N, T) action ids.
    """

    method: str
    right: Any
    macs: Any
    labels: Any
    rows: Any

    @property
    def percent(self) -> Any:
        """(S,) top-1 in percent."""
        return 100 * self.right.mean(1)

    @property
    def mmacs(self) -> Any:
        """(S,) 1e6 MACs of a video."""
        return self.macs.mean(1) / 1e6


def read_runs(prices: Prices, folder: Path, name: str) -> Runs:
    """Read the logs of one approach, one a seed.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(folder.glob(f"{name}-s*.jsonl.gz"), key=lambda p: int(_seed(p)))
    if not paths:
        raise FileNotFoundError(f"no logs {name}-s*.jsonl.gz in {folder}")
    right, macs, rows = [], [], []
    for path in paths:
        head, *lines = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        labels = np.array([line["labels"][0] for line in lines])
        right.append(np.array([np.argmax(line["scores"]) for line in lines]) == labels)
        rows.append(np.array([line["actions"] for line in lines]))
        macs.append(costs(rows[-1], *action_costs(prices, head)))
    return Runs(
        method=head["method"],
        right=np.array(right),
        macs=np.array(macs),
        labels=labels,
        rows=np.array(rows),
    )


def _seed(path: Path) -> str:
    found = re.search(r"-s(\d+)\.jsonl", path.name)
    return found[1] if found else "0"


def action_costs(prices: Prices, head: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return MACs of one decision for each action of a log, and the frames that it covers."""
    charged = head.get("charges", {}).get("per_decision", {})
    base = sum(prices.macs[name] for name in charged)
    macs = [
        base + sum(prices.macs[name] for name in action.get("costs", {}))
        for action in head["actions"]
    ]
    return macs, [action.get("span", 1) for action in head["actions"]]


def interval(values: Any, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of (S, N) values: seeds and videos are drawn."""
    rng = np.random.default_rng(seed)
    s, n = values.shape
    means = []
    for _ in range(RESAMPLES):
        drawn = values[rng.integers(s, size=s)][:, rng.integers(n, size=n)]
        means.append(drawn.mean())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def front_chances(runs: Runs, uniforms: Sequence[Runs]) -> Any:
    """Return (S, N) chances of being right of uniform networks at the cost of each seed of a run.

    A mixture of the two uniform networks on either side of that cost; a run cheaper or dearer than
    all of them is compared with the nearest.
    """
    order = sorted(uniforms, key=lambda one: one.mmacs.mean())
    prices = [one.mmacs.mean() for one in order]
    found = []
    for seed, cost in enumerate(runs.mmacs):
        at = float(np.clip(np.interp(cost, prices, range(len(prices))), 0, len(prices) - 1))
        low = min(int(at), len(order) - 2)
        share = at - low
        a, b = order[low].right[seed], order[low + 1].right[seed]
        found.append((1 - share) * a + share * b)
    return np.array(found)


def ranks(values: Any) -> Any:
    """Return (n,) ranks; equal values share the mean of theirs."""
    values = np.asarray(values, float)
    below = (values[:, None] > values).sum(1)
    same = (values[:, None] == values).sum(1)
    return below + (same + 1) / 2


def rank_correlation(a: Any, b: Any) -> float:
    """Return Spearman's correlation of (n,) values; nan where one is constant."""
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def chance_of_ranks(a: Any, b: Any, seed: int = 0) -> float:
    """Return how often values in random order correlate as much: p of both signs."""
    rng = np.random.default_rng(seed)
    own, values = abs(rank_correlation(a, b)), np.asarray(a)
    drawn = [abs(rank_correlation(rng.permutation(values), b)) for _ in range(RESAMPLES)]
    return float((1 + sum(one >= own - 1e-12 for one in drawn)) / (1 + RESAMPLES))


def class_costs(runs: Runs) -> Any:
    """Return (S, C) mean MACs of the videos of each class."""
    return np.array(
        [[row[runs.labels == c].mean() for c in range(runs.labels.max() + 1)] for row in runs.macs]
    )


def training_macs(prices: Prices, history: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return stage -> MACs of training, from what ran on how many frames.

    A forward pass of everything that ran, and ``BACKWARD`` of it for what was chosen and not
    frozen: the policy is frozen in ``tune``, and its last layer is not used before ``joint``.
    """
    arms = [prices.macs[arm.name] for arm in prices.config.arms]
    deciding = sum(prices.macs[name] for name in DECIDING)
    total: dict[str, int] = {}
    for line in history:
        stage = line["stage"]
        alone = stage in ("warm", "alone")
        once = deciding - (prices.macs["decide"] if alone else 0)
        macs = [*arms, prices.macs["predict"], once]
        spent = sum(n * m for n, m in zip(line["runs"], macs, strict=True))
        if stage == "tune":
            macs[-1] = 0
        spent += BACKWARD * sum(n * m for n, m in zip(line["trained"], macs, strict=True))
        total[stage] = total.get(stage, 0) + spent
    return total


def usage(runs: Runs, config: Config) -> dict[str, float]:
    """Return action -> share of all frames, over all seeds."""
    counts = np.bincount(runs.rows.ravel(), minlength=len(config.actions))
    return dict(zip(config.actions, (counts / counts.sum()).tolist(), strict=True))
