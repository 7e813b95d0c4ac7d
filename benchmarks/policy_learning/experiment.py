"""The whole experiment: a search for learning rates, then every seed, each step resumable.

    WORK/train.npy                   the training videos, drawn once
    WORK/search/METHOD-RATE.pt       trials of the search
    WORK/seedN/{warm,alone,METHOD}.pt
    OUT/search.json, OUT/training.json, OUT/table.json, OUT/logs/NAME-sN.jsonl.gz

What exists is not made again. Both methods of a seed start from its ``warm.pt``: the same networks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.policy_learning.config import METHODS, Config, Method
from benchmarks.policy_learning.evaluating import (
    MODES,
    Result,
    looks,
    oracle,
    run_policy,
    together,
    uniform,
)
from benchmarks.policy_learning.learning import Training
from benchmarks.policy_learning.network import AdaptiveNet
from benchmarks.policy_learning.pricing import Prices, costs, header, prices_of, spans, write_log
from benchmarks.policy_learning.videos import (
    TEST_SEED,
    TRAIN_SEED,
    VAL_SEED,
    Videos,
    draw_videos,
)

TITLES: dict[Method, str] = {"gumbel": "Gumbel-Softmax", "reinforce": "REINFORCE"}
SEARCH_DRAWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Where one experiment keeps its files, and what it measures with."""

    config: Config
    prices: Prices
    out: Path
    work: Path
    device: str = "cpu"

    def net(self, seed: int) -> AdaptiveNet:
        """Return the network with its first weights."""
        torch.manual_seed(seed)
        net: AdaptiveNet = AdaptiveNet(self.config).to(self.device)
        return net

    def training(self, seed: int, method: Method | None, rate: float) -> Training:
        """Return the training of one network from its first weights."""
        stage = "warm" if method is None else "joint"
        return Training(
            net=self.net(seed),
            costs=torch.tensor(self.prices.shares, device=self.device),
            method=method,
            policy_rate=rate,
            videos=self.train_videos(),
            seed=seed,
            stage=stage,
        )

    def train_videos(self) -> Videos:
        """Return the training videos, drawn once and read from disk as they are needed."""
        frames, labels = self.work / "train.npy", self.work / "train-labels.npy"
        if not labels.exists():
            drawn = draw_videos("train", self.config.train, seed=TRAIN_SEED)
            self.work.mkdir(parents=True, exist_ok=True)
            np.save(frames, drawn.frames)
            np.save(labels, drawn.labels)
        found = np.load(frames, mmap_mode="r")
        return Videos(frames=found, labels=np.load(labels), ids=())

    def log(self, name: str, seed: int) -> Path:
        """Return the path of a log."""
        return self.out / "logs" / f"{name}-s{seed}.jsonl.gz"


def open_experiment(config: Config, out: Path, work: Path, device: str = "cpu") -> Experiment:
    """Count the components, and save their table."""
    torch.set_num_threads(1)  # another number would round otherwise
    out.mkdir(parents=True, exist_ok=True)
    prices = prices_of(config)
    prices.table.save(out / "table.json")
    return Experiment(config=config, prices=prices, out=out, work=work, device=device)


def say(what: str, begun: float) -> None:
    """Print a line of progress."""
    print(f"{time.monotonic() - begun:6.0f} s  {what}", file=sys.stderr, flush=True)


def _line(of: str, line: dict[str, Any]) -> str:
    shown = [f"{k} {v:.3f}" for k, v in line.items() if isinstance(v, float)]
    return f"{of}, {line['stage']} {line['epoch']}: {', '.join(shown)}"


def train(
    own: Experiment, seed: int, method: Method | None, until: str, rate: float, path: Path
) -> Training:
    """Train one network to the end of a stage, with a checkpoint after each epoch."""
    begun = time.monotonic()
    training = own.training(seed, method, rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"seed {seed} {method or 'networks'}"
    start = None if until == "warm" else own.work / f"seed{seed}" / "warm.pt"
    training.run(until, say=lambda x: say(_line(name, x), begun), checkpoint=path, start=start)
    return training


def warm(own: Experiment, seed: int) -> Training:
    """Return the networks of a seed after the first stage, which everything starts from."""
    return train(own, seed, None, "warm", 0.0, own.work / f"seed{seed}" / "warm.pt")


def search(own: Experiment, seed: int = 0) -> dict[str, Any]:
    """Try each learning rate of the policy with each method, on validation videos.

    The measure is what training minimises: cross entropy and cost of sampled decisions, after the
    joint stage (by argmax it jumps between neighbouring rates). The same rates, networks, videos
    and epochs for both methods.
    """
    path = own.out / "search.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    warm(own, seed)
    config = replace(own.config, joint=own.config.search_joint)
    trial = replace(own, config=config)
    videos = draw_videos("val", config.val, seed=VAL_SEED)
    rows = []
    for method in METHODS:
        for rate in config.policy_rates:
            file = own.work / "search" / f"{method}-{rate:g}.pt"
            training = train(trial, seed, method, "joint", rate, file)
            rows.append({"method": method, "rate": rate, **_sampled(own, training.net, videos)})
    chosen = {
        method: min((r for r in rows if r["method"] == method), key=lambda r: r["objective"])[
            "rate"
        ]
        for method in METHODS
    }
    found = {"seed": seed, "epochs": config.joint, "trials": rows, "chosen": chosen}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def _sampled(own: Experiment, net: AdaptiveNet, videos: Videos) -> dict[str, float]:
    """Return the means over ``SEARCH_DRAWS`` runs of the policy by sampling."""
    found = []
    for draw in range(SEARCH_DRAWS):
        torch.manual_seed(draw)
        found.append(_measures(own, run_policy(net, videos, MODES["sampling"]), videos))
    return {key: round(float(np.mean([one[key] for one in found])), 4) for key in found[0]}


def _measures(own: Experiment, result: Result, videos: Videos) -> dict[str, float]:
    labels = torch.from_numpy(videos.labels)
    macs = costs(result.actions, own.prices.actions, spans(own.config))
    share = float(macs.mean()) / (own.prices.actions[0] * own.config.steps)
    wrong = F.cross_entropy(result.logits, labels).item()
    return {
        "objective": wrong + own.config.cost_weight * share,
        "cross_entropy": wrong,
        "top1_percent": 100 * (result.logits.argmax(1) == labels).float().mean().item(),
        "mmacs_per_video": float(macs.mean()) / 1e6,
    }


def train_seed(own: Experiment, seed: int, rates: dict[Method, float]) -> None:
    """Train everything of one seed, and write its logs and its history."""
    folder = own.work / f"seed{seed}"
    history = own.work / f"seed{seed}" / "history.json"
    if history.exists():
        return
    warm(own, seed)
    videos = draw_videos("test", own.config.test, seed=TEST_SEED)
    alone = train(own, seed, None, "alone", 0.0, folder / "alone.pt")
    lines: dict[str, Any] = {"alone": alone.history}
    write_baselines(own, alone.net, videos, seed)
    for method in METHODS:
        training = train(own, seed, method, "tune", rates[method], folder / f"{method}.pt")
        write_policies(own, training.net, videos, seed, method)
        lines[method] = training.history
    history.write_text(json.dumps(lines), encoding="utf-8")


def write_baselines(own: Experiment, net: AdaptiveNet, videos: Videos, seed: int) -> None:
    """Log each network on every frame, all of them together, and the oracle."""
    labels = torch.from_numpy(videos.labels)
    every, single = looks(net, videos)
    names = [arm.name for arm in (*own.config.arms, own.config.policy)]
    for place, name in enumerate(names):
        head = header(own.prices, f"uniform {name}", "uniform")
        _write(own, f"uniform-{name.replace('@', '-')}", seed, head, videos, uniform(every, place))
    head = header(own.prices, "all networks", "all")
    _write(own, "all", seed, head, videos, together(every))
    head = header(own.prices, "oracle", "oracle")
    _write(own, "oracle", seed, head, videos, oracle(every, single, labels))


def write_policies(
    own: Experiment, net: AdaptiveNet, videos: Videos, seed: int, method: Method
) -> None:
    """Log a policy by argmax and by sampling, each with the random policy at its cost."""
    for mode, choose in MODES.items():
        torch.manual_seed(seed)
        name, title = f"{method}-{mode}", f"{TITLES[method]}, {mode}"
        head = header(own.prices, title, "policy")
        _write(own, name, seed, head, videos, run_policy(net, videos, choose))
        given = random_actions(own.log(name, seed), seed, own.work)
        head = header(own.prices, f"random at the cost of {title}", "policy")
        result = run_policy(net, videos, choose, given=given)
        _write(own, f"random-{name}", seed, head, videos, result)


def random_actions(log: Path, seed: int, work: Path) -> torch.Tensor:
    """Return (N, T) decisions of a log, dealt out again by flopbench."""
    target = work / f"random-{log.name.removesuffix('.gz')}"
    command = ["log", "convert", str(log), "--random", "--seed", str(seed), "-o", str(target)]
    subprocess.run(
        [sys.executable, "-m", "flopbench", *command], check=True, stdout=subprocess.DEVNULL
    )
    lines = target.read_text(encoding="utf-8").splitlines()[1:]
    return torch.tensor([json.loads(line)["actions"] for line in lines])


def _write(
    own: Experiment, name: str, seed: int, head: dict[str, Any], videos: Videos, result: Result
) -> None:
    columns = {
        "ids": videos.ids,
        "labels": videos.labels,
        "actions": result.actions,
        "logits": result.logits,
    }
    write_log(own.log(name, seed), head, seed, columns)
