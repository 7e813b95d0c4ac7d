"""Training in three stages: the networks alone, networks and policy together, networks again.

Both methods share everything but how a gradient reaches the policy: straight-through
Gumbel-Softmax (Jang et al., ICLR 2017) sends it through the actions taken; REINFORCE (Williams,
1992) weights their log-probabilities by how much better than the rest of the batch a video did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.policy_learning.config import Method
from benchmarks.policy_learning.network import AdaptiveNet, Choose, Walk, one_hot
from benchmarks.policy_learning.videos import Videos

Say = Callable[[dict[str, Any]], None]
STAGES: Mapping[Method | None, tuple[str, ...]] = {
    None: ("warm", "alone"),
    "gumbel": ("warm", "joint", "tune"),
    "reinforce": ("warm", "joint", "tune"),
}
"""Method -> its stages; None is the networks without a policy, trained for as many epochs."""
WARM_FRAMES = (1, 4)
"""Fewest and most frames of a video that the networks see in the first stage, drawn for a batch."""
WARM_STEPS = (3, 8)
"""The same for the policy network and its LSTM."""
LATER = 0.25
"""Learning rate of the networks after the first stage, as a share of that in it."""
LONGEST_GRADIENT = 5.0


def gumbel(temperature: float) -> Choose:
    """Return the straight-through sampler: one-hot rows whose gradient is the softmax's."""
    return lambda scores: F.gumbel_softmax(scores, tau=temperature, hard=True)


def sample(scores: Tensor) -> Tensor:
    """Draw one-hot rows from the softmax of (N, A) scores; no gradient passes."""
    return one_hot(torch.multinomial(scores.detach().softmax(1), 1)[:, 0], scores)


def greedy(scores: Tensor) -> Tensor:
    """Return one-hot rows of the best action."""
    return one_hot(scores.argmax(1), scores)


def policy_loss(
    walk: Walk, labels: Tensor, method: Method, *, cost_weight: float, usage_weight: float
) -> Tensor:
    """Return the loss of the joint stage for a batch.

    Gumbel-Softmax: cross entropy + cost + usage. REINFORCE: the same cross entropy and usage, and
    for the policy minus the log-probability of its actions times the advantage: the reward is minus
    cross entropy and cost, and its baseline the mean of the batch's other videos.
    """
    wrong = F.cross_entropy(walk.logits, labels, reduction="none")
    spread = usage_weight * len(walk.usage) * (walk.usage - 1 / len(walk.usage)).square().sum()
    if method == "gumbel":
        return (wrong + cost_weight * walk.cost).mean() + spread
    advantage = reinforce_advantage(-(wrong + cost_weight * walk.cost).detach())
    return wrong.mean() - (advantage * walk.log_probability).mean() + spread


def reinforce_advantage(reward: Tensor) -> Tensor:
    """Return (N,) rewards less the mean of the others, which leaves the gradient unbiased."""
    n = len(reward)
    return (reward - reward.mean()) * (n / (n - 1)) if n > 1 else torch.zeros_like(reward)


@dataclass(kw_only=True)
class Training:
    """One network on its way through the stages; ``state`` is what a checkpoint holds.

    Attributes:
        costs: (A,) of one decision, as a share of the most expensive arm on every frame.
        method: None without a policy; the first stage is the same for all.
        videos: to learn from.
        seed: of the order of the videos and of the actions drawn; the caller seeds the weights.
        stage: the one to run next, or being run.
        epoch: finished epochs of the stage.
        history: a line for each finished epoch.
    """

    net: AdaptiveNet
    costs: Tensor
    method: Method | None
    policy_rate: float
    videos: Videos
    seed: int
    stage: str = "warm"
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def run(self, until: str, *, say: Say, checkpoint: Path, start: Path | None = None) -> None:
        """Train to the end of a stage, from wherever the checkpoint stands.

        Args:
            until: the stage.
            say: called with the line of each finished epoch.
            checkpoint: written after each epoch.
            start: the checkpoint to start from where there is none yet, such as one that another
                method starts from too.
        """
        stages = STAGES[self.method]
        saved = checkpoint if start is None or checkpoint.exists() else start
        state = torch.load(saved, weights_only=True) if saved.exists() else None
        if state is not None:
            self.net.load_state_dict(state["net"])
            self.stage, self.epoch, self.history = state["stage"], state["epoch"], state["history"]
        for stage in stages[stages.index(self.stage) : stages.index(until) + 1]:
            if stage != self.stage:
                self.stage, self.epoch, state = stage, 0, None
            optimiser = self._optimiser()
            if state is not None:
                optimiser.load_state_dict(state["optimiser"])
            while self.epoch < self.net.config.epochs(stage):
                line = self._train_epoch(optimiser, self.net.config.epochs(stage))
                self.epoch += 1
                self.history.append(line)
                self._save(checkpoint, optimiser)
                say(line)

    def _optimiser(self) -> torch.optim.Optimizer:
        net, config = self.net, self.net.config
        frozen = net.deciding() if self.stage == "tune" else []
        if self.method is None:
            frozen = [net.decide]
        off = {id(p) for module in frozen for p in module.parameters()}
        for parameter in net.parameters():
            parameter.requires_grad_(id(parameter) not in off)
        own = {id(p) for p in net.decide.parameters()}
        rest = [p for p in net.parameters() if id(p) not in own]
        rate = config.rate * (1 if self.stage == "warm" else LATER)
        return torch.optim.Adam(
            [
                {"params": rest, "lr": rate, "first": rate},
                {
                    "params": list(net.decide.parameters()),
                    "lr": self.policy_rate,
                    "first": self.policy_rate,
                },
            ]
        )

    def _train_epoch(self, optimiser: Any, epochs: int) -> dict[str, Any]:
        net, config = self.net, self.net.config
        net.train(self.stage == "warm")
        totals: dict[str, float] = {}
        runs = torch.zeros(2, len(net.arms) + 2, dtype=torch.long)
        seed = 10_000 * self.seed + 1_000 * STAGES[self.method].index(self.stage) + self.epoch
        torch.manual_seed(seed)
        size = config.batch if self.method is None else config.joint_batch
        batches = len(self.videos.labels) // size
        for place, (frames, labels) in enumerate(_batches(self.videos, size)):
            progress = (self.epoch + place / batches) / epochs
            for group in optimiser.param_groups:
                group["lr"] = group["first"] * 0.5 * (1 + math.cos(math.pi * progress))
            frames, labels = frames.to(self.costs.device), labels.to(self.costs.device)
            loss, shown, ran = self._loss(frames, labels, progress)
            optimiser.zero_grad(set_to_none=True)
            if loss.requires_grad:  # not where a frozen policy skipped every frame
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), LONGEST_GRADIENT)
                optimiser.step()
            runs += ran
            for key, value in {"loss": loss, **shown}.items():
                totals[key] = totals.get(key, 0.0) + float(value.detach()) / batches
        taken, ran = runs.tolist()
        line = {"stage": self.stage, "epoch": self.epoch + 1, **totals}
        return {**line, "runs": ran, "trained": taken}

    def _loss(
        self, frames: Tensor, labels: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        net, config = self.net, self.net.config
        if self.method is None:
            return alone_loss(net, frames, labels)
        if self.stage == "tune":
            walk = net.walk(frames, self.costs, greedy)
            loss = F.cross_entropy(walk.logits, labels)
        else:
            everything = self.method == "gumbel"
            walk = net.walk(frames, self.costs, self._choose(progress), everything=everything)
            loss = policy_loss(
                walk,
                labels,
                self.method,
                cost_weight=config.cost_weight,
                usage_weight=config.usage_weight,
            )
        right = (walk.logits.argmax(1) == labels).float().mean()
        return (
            loss,
            {"right": right, "cost": walk.cost.mean()},
            torch.stack([walk.taken, walk.runs]),
        )

    def _choose(self, progress: float) -> Choose:
        if self.method == "reinforce":
            return sample
        first, last = self.net.config.temperature
        return gumbel(math.exp(math.log(first) * (1 - progress) + math.log(last) * progress))

    def _save(self, path: Path, optimiser: Any) -> None:
        state = {
            "net": self.net.state_dict(),
            "optimiser": optimiser.state_dict(),
            "stage": self.stage,
            "epoch": self.epoch,
            "history": self.history,
        }
        part = path.with_name(path.name + ".part")
        torch.save(state, part)
        part.replace(path)


def alone_loss(
    net: AdaptiveNet, frames: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Every network learns to classify by its mean over a few frames, the LSTM after each of some.

    The first frame and a few others, since that is what a policy will show them.
    """
    few, places = _some_frames(frames, WARM_FRAMES)
    n, k = places.shape
    looks = [net.look(arm, few).unflatten(0, (n, k)).mean(1) for arm in range(len(net.arms))]
    some, places = _some_frames(frames, WARM_STEPS)
    k = places.shape[1]
    features = net.glance(some).unflatten(0, (n, k))
    state, own = net.start(n), []
    for at in range(k):
        state = net.remember(features[:, at], places[:, at] / net.config.steps, state)
        own.append(net.predict(state[0]))
    losses = [F.cross_entropy(look, labels) for look in looks]
    losses.append(torch.stack([F.cross_entropy(look, labels) for look in own]).mean())
    looks.append(own[-1])
    names = [*(arm.name for arm in net.config.arms), net.config.policy.name]
    right = [(look.argmax(1) == labels).float().mean() for look in looks]
    runs = torch.tensor([len(few)] * len(net.arms) + [len(some)] * 2)
    return torch.stack(losses).mean(), dict(zip(names, right, strict=True)), runs.expand(2, -1)


def _some_frames(frames: Tensor, number: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw frames of (N, T, 3, H, W): (N k, 3, H, W), and their (N, k) places, in order."""
    n, steps = frames.shape[:2]
    k = min(int(torch.randint(number[0], number[1] + 1, ())), steps)
    order = torch.rand(n, steps, device=frames.device)
    order[:, 0] = -1 if k > 1 else 2
    places = order.argsort(1)[:, :k].sort(1)[0]
    rows = torch.arange(n, device=frames.device)[:, None]
    return frames[rows, places].flatten(0, 1), places


def _batches(videos: Videos, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(videos.labels))
    for first in range(0, len(order) - size + 1, size):
        rows = order[first : first + size].numpy()
        yield torch.from_numpy(videos.frames[rows]), torch.from_numpy(videos.labels[rows])
