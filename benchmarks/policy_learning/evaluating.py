"""Runs of a trained network over a split: its policy, and baselines on the same videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.policy_learning.learning import greedy, sample
from benchmarks.policy_learning.network import AdaptiveNet, Choose, Walk
from benchmarks.policy_learning.videos import Videos

MODES: dict[str, Choose] = {"argmax": greedy, "sampling": sample}
BATCH = 100


@dataclass(frozen=True, slots=True)
class Result:
    """(N, T) action ids, as a log has them, and (N, C) logits of N videos."""

    actions: Tensor
    logits: Tensor


@torch.no_grad()
def run_policy(
    net: AdaptiveNet, videos: Videos, choose: Choose, *, given: Tensor | None = None
) -> Result:
    """Run the policy, or the (N, T) actions that are given in its place."""
    net.eval()
    free = torch.zeros(len(net.spans), device=net.spans.device)
    walks: list[Walk] = []
    for rows, frames in _batches(net, videos):
        own = None if given is None else given[rows].to(frames.device)
        walks.append(net.walk(frames, free, choose, given=own))
    return Result(
        torch.cat([walk.ids for walk in walks]).cpu(),
        torch.cat([walk.logits for walk in walks]).cpu(),
    )


@torch.no_grad()
def looks(net: AdaptiveNet, videos: Videos) -> tuple[Tensor, Tensor]:
    """Run every network on every frame of N videos.

    Returns:
        (N, T, arms + 1, C) logits, the last those of the LSTM having seen all frames up to this
        one; and (N, T, C) of the LSTM having seen this frame alone.
    """
    net.eval()
    every, alone = [], []
    for _, frames in _batches(net, videos):
        n, steps = frames.shape[:2]
        flat = frames.flatten(0, 1)
        arms = [net.look(arm, flat).unflatten(0, (n, steps)) for arm in range(len(net.arms))]
        features = net.glance(flat).unflatten(0, (n, steps))
        state, own, single = net.start(n), [], []
        for step in range(steps):
            passed = features.new_full((n,), step / steps)
            state = net.remember(features[:, step], passed, state)
            own.append(net.predict(state[0]))
            once = net.remember(features[:, step], passed, net.start(n))
            single.append(net.predict(once[0]))
        every.append(torch.stack([*arms, torch.stack(own, 1)], 2))
        alone.append(torch.stack(single, 1))
    return torch.cat(every).cpu(), torch.cat(alone).cpu()


def uniform(every: Tensor, arm: int) -> Result:
    """Return one network on every frame, by its place among (N, T, arms + 1, C) logits."""
    n, steps = every.shape[:2]
    return Result(torch.full((n, steps), arm), every[:, :, arm].mean(1))


def together(every: Tensor) -> Result:
    """Return all networks on every frame, their logits averaged."""
    n, steps = every.shape[:2]
    return Result(torch.zeros(n, steps, dtype=torch.long), every.mean((1, 2)))


def oracle(every: Tensor, alone: Tensor, labels: Tensor) -> Result:
    """Return the cheapest look that is right, by a judge who knows the labels.

    A look is one network on one frame, cheapest network first and of its frames the one that is
    surest of the label; if none is right, the cheapest network on its surest frame.
    """
    single = torch.cat([every[:, :, :-1], alone[:, :, None]], 2)
    n, steps, kinds, _ = single.shape
    chance = single.softmax(3)[torch.arange(n), :, :, labels]
    right = single.argmax(3) == labels[:, None, None]
    actions = torch.full((n, steps), kinds)
    logits = single.new_zeros(n, single.shape[-1])
    for video in range(n):
        arm = next((k for k in reversed(range(kinds)) if right[video, :, k].any()), kinds - 1)
        sure = chance[video, :, arm] + right[video, :, arm]
        step = int(sure.argmax())
        actions[video, step] = arm
        logits[video] = single[video, step, arm]
    return Result(actions, logits)


def _batches(net: AdaptiveNet, videos: Videos) -> Iterator[tuple[slice, Tensor]]:
    for first in range(0, len(videos.labels), BATCH):
        rows = slice(first, first + BATCH)
        yield rows, torch.from_numpy(videos.frames[rows]).to(net.spans.device)
