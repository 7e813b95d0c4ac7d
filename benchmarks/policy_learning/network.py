"""The adaptive network: a policy network with an LSTM, one network for each resolution, skips.

For each frame that is not skipped the policy network looks at it in the lowest resolution, the LSTM
remembers, and an action is taken: run one of the networks at its resolution, use the LSTM's own
prediction, or skip 1, 2 or 4 frames (AR-Net, ECCV 2020). A video's prediction is the mean over the
frames that were predicted on. The LSTM also sees how much of the video has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.policy_learning.config import SKIPS, Arm, Config

Choose = Callable[[Tensor], Tensor]
"""Takes (N, A) scores of the actions; returns (N, A) rows that are one-hot in their values."""
State = tuple[Tensor, Tensor]
"""Hidden and cell state of the LSTM, (N, hidden) each."""


def cnn(width: int = 16, outputs: int = 1) -> nn.Module:
    """Return a small image network: four 3 x 3 convolutions of stride 2, mean, linear head."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in range(4):
        layers += [nn.Conv2d(channels, width << stage, 3, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width << stage), nn.ReLU(inplace=True)]
        channels = width << stage
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs)
    )


def make(arm: Arm, outputs: int) -> nn.Module:
    """Build the network of an arm with a head of so many outputs.

    Raises:
        AttributeError: torchvision has no such model.
    """
    if arm.width is not None:
        return cnn(arm.width, outputs)
    from torchvision.models import get_model

    built: nn.Module = get_model(arm.network, weights=None, num_classes=outputs)
    return built


def one_hot(ids: Tensor, like: Tensor) -> Tensor:
    """Return (N,) actions as (N, A) rows."""
    return F.one_hot(ids, like.shape[1]).to(like.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What came of running a policy over N videos of T frames.

    Attributes:
        ids: (N, T) the action on each frame; a skip is repeated on the frames that it covers.
        logits: (N, C) prediction of each video; zeros where no frame was predicted on.
        cost: (N,) share of what the most expensive arm costs on every frame.
        usage: (A,) chance of each action, the mean over all decisions.
        log_probability: (N,) of the actions taken.
        taken: how often each component ran because it was chosen: the arms, the LSTM's prediction,
            and, at every decision, the policy network with its LSTM.
        runs: how often it ran at all.
    """

    ids: Tensor
    logits: Tensor
    cost: Tensor
    usage: Tensor
    log_probability: Tensor
    taken: Tensor
    runs: Tensor


class AdaptiveNet(nn.Module):
    """The networks of a ``Config``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.arms = nn.ModuleList(make(arm, config.classes) for arm in config.arms)
        self.policy = make(config.policy, config.features)
        self.lstm = nn.LSTMCell(config.features + 1, config.hidden)
        self.decide = nn.Linear(config.hidden, len(config.actions))
        self.predict = nn.Linear(config.hidden, config.classes)
        spans = [1] * (len(config.arms) + 1) + list(SKIPS)
        self.register_buffer("spans", torch.tensor(spans), persistent=False)

    def deciding(self) -> list[nn.Module]:
        """Return what the decisions depend on: frozen in the last stage."""
        return [self.policy, self.lstm, self.decide]

    def shown(self, frames: Tensor, size_px: int) -> Tensor:
        """Return (B, 3, H, W) uint8 frames at a size, as (B, 3, size, size) floats around 0."""
        images = frames.float().div(127.5).sub(1)
        if images.shape[-1] == size_px:
            return images
        return F.interpolate(images, (size_px, size_px), mode="bilinear", antialias=True)

    def look(self, arm: int, frames: Tensor) -> Tensor:
        """Return an arm's (B, C) logits of (B, 3, H, W) frames."""
        out: Tensor = self.arms[arm](self.shown(frames, self.config.arms[arm].size_px))
        return out

    def glance(self, frames: Tensor) -> Tensor:
        """Return the policy network's (B, F) features of (B, 3, H, W) frames."""
        out: Tensor = self.policy(self.shown(frames, self.config.policy.size_px))
        return out

    def remember(self, features: Tensor, passed: Tensor, state: State) -> State:
        """Advance the LSTM by one frame, (N, F) features at (N,) shares of the video."""
        found: State = self.lstm(torch.cat([features, passed[:, None]], 1), state)
        return found

    def start(self, n: int) -> State:
        """Return the LSTM's first state."""
        weight = self.decide.weight
        return weight.new_zeros(n, self.config.hidden), weight.new_zeros(n, self.config.hidden)

    def walk(
        self,
        frames: Tensor,
        costs: Tensor,
        choose: Choose,
        *,
        everything: bool = False,
        given: Tensor | None = None,
    ) -> Walk:
        """Follow a policy over (N, T, 3, H, W) frames; each network runs where it is chosen.

        Args:
            costs: (A,) of one decision, as a share of the most expensive arm on every frame.
            choose: turns scores into actions.
            everything: run every network wherever a decision is made, so that a gradient reaches
                actions that were not taken.
            given: (N, T) actions to take, in place of the policy's.
        """
        n, steps = frames.shape[:2]
        kinds = len(self.arms) + 1
        state = self.start(n)
        total = self.decide.weight.new_zeros(n, self.config.classes)
        used, cost, log_probability = (total.new_zeros(n) for _ in range(3))
        usage = total.new_zeros(len(self.spans))
        ran = torch.zeros(kinds + 1, dtype=torch.long)
        ids = torch.zeros(n, steps, dtype=torch.long, device=frames.device)
        left = torch.zeros(n, dtype=torch.long, device=frames.device)
        for step in range(steps):
            rows = (left == 0).nonzero()[:, 0]
            if step:
                ids[:, step] = ids[:, step - 1]
            left = left - 1
            if not len(rows):
                continue
            own = frames[rows, step]
            passed = total.new_full((len(rows),), step / steps)
            fresh = self.remember(self.glance(own), passed, (state[0][rows], state[1][rows]))
            state = tuple(a.index_copy(0, rows, b) for a, b in zip(state, fresh, strict=True))
            scores = self.decide(fresh[0])
            taken = choose(scores) if given is None else one_hot(given[rows, step], scores)
            chosen = taken.argmax(1)
            look = self._looks(own, fresh[0], chosen, everything)
            total = total.index_add(0, rows, (taken[:, :kinds, None] * look).sum(1))
            used = used.index_add(0, rows, taken[:, :kinds].sum(1))
            cost = cost.index_add(0, rows, taken @ costs)
            chances = scores.log_softmax(1)
            usage = usage + chances.exp().sum(0)
            ran[:kinds] += torch.bincount(chosen, minlength=kinds)[:kinds].cpu()
            ran[kinds] += len(rows)
            log_probability = log_probability.index_add(
                0, rows, chances.gather(1, chosen[:, None])[:, 0]
            )
            ids[rows, step] = chosen
            left[rows] = self.spans[chosen] - 1
        return Walk(
            ids=ids,
            logits=total / used.clamp(min=1)[:, None],
            cost=cost,
            usage=usage / ran[kinds],
            log_probability=log_probability,
            taken=ran,
            runs=torch.full_like(ran, int(ran[kinds])) if everything else ran,
        )

    def _looks(self, frames: Tensor, hidden: Tensor, chosen: Tensor, everything: bool) -> Tensor:
        """Return (B, arms + 1, C) predictions on frames; zeros of networks that did not run.

        Those that were not chosen count for the gradient of the choice only: the gradient of their
        own weights would be zero.
        """
        kinds = len(self.arms) + 1
        found = hidden.new_zeros(len(frames), kinds, self.config.classes)
        for number in range(kinds):
            own = chosen == number
            found = self._put(found, number, own, frames, hidden)
            if everything:
                with torch.no_grad():
                    rest = self._put(torch.zeros_like(found), number, ~own, frames, hidden)
                found = found + rest
        return found

    def _put(
        self, found: Tensor, number: int, mask: Tensor, frames: Tensor, hidden: Tensor
    ) -> Tensor:
        """Return ``found`` with one network's predictions in the rows of a (B,) mask."""
        rows = mask.nonzero()[:, 0]
        if not len(rows):
            return found
        own = number == len(self.arms)
        look = self.predict(hidden[rows]) if own else self.look(number, frames[rows])
        return found.index_put((rows, torch.full_like(rows, number)), look)
