"""The cascade on real frames: its networks cost what their shapes say, its logs add up."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import ROOT

import flopbench
from benchmarks.cascade.detect import Cascade
from benchmarks.cascade.networks import ONet, Pyramid, RNet

LOGS = ROOT / "reports" / "cascade"


def test_networks_by_hand() -> None:
    """Dense MACs of a crop: outputs × inputs of each layer."""
    rnet = 22**2 * 28 * 27 + 9**2 * 48 * 252 + 3**2 * 64 * 192 + 576 * 128 + 128 * 6
    onet = 46**2 * 32 * 27 + 21**2 * 64 * 288 + 8**2 * 64 * 576 + 3**2 * 128 * 256
    onet += 1152 * 256 + 256 * 16
    # One level: 24 pixels × 0.6, rounded, are 14; then 10 and 5 after the pooling.
    pyramid = 12**2 * 10 * 27 + 4**2 * 16 * 90 + 2**2 * 32 * 144 + 2**2 * 6 * 32
    for network, shape, macs in (
        (RNet(), (1, 3, 24, 24), rnet),
        (ONet(), (1, 3, 48, 48), onet),
        (Pyramid(), (1, 3, 24, 24), pyramid),
    ):
        assert flopbench.profile(network, shape).dense_macs == macs


def test_each_network_sees_what_the_one_before_let_through() -> None:
    """The counts are the crops that R-Net and O-Net were called with, counted by hooks."""
    torch.manual_seed(0)
    cascade = Cascade().eval()
    with torch.no_grad():
        for net in (cascade.pnet.net, cascade.rnet):
            score = net.conv4_1 if hasattr(net, "conv4_1") else net.dense5_1
            score.bias.copy_(torch.tensor([0.0, 1.0]))
    seen = {"rnet": 0, "onet": 0}

    def count(name: str) -> object:
        def hook(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[name] += len(inputs[0])

        return hook

    cascade.rnet.register_forward_pre_hook(count("rnet"))
    cascade.onet.register_forward_pre_hook(count("onet"))
    found = cascade(torch.randint(0, 256, (3, 72, 96)))
    assert (found.refined, found.decided) == (seen["rnet"], seen["onet"])
    assert found.refined >= found.decided > 0


def test_committed_logs_add_up() -> None:
    """Their mean is the sum of counts × hand-counted prices; both logs tell of the same run."""
    prices = {"rnet": 1530768, "onet": 12909952, "pnet on carphone": 25726410}
    prices |= {"pnet on bikes": 205978740, "pnet on bigbuckbunny": 278631300}
    frames = {}
    for name in ("frames", "clips"):
        lines = (LOGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[1:]
        samples = [json.loads(line) for line in lines]
        costs = [sum(prices[c] * n for c, n in one["counts"].items()) for one in samples]
        run = flopbench.run_of_log([LOGS / f"{name}.jsonl"])
        assert float(run.primary.macs_per_video) == pytest.approx(sum(costs) / len(costs))
        if name == "frames":
            frames = {one["id"]: cost for one, cost in zip(samples, costs, strict=True)}
            assert len(frames) == 502
            continue
        for one, cost in zip(samples, costs, strict=True):
            assert cost == sum(frames[f"{one['id']}/{number}"] for number in one["frames"])
