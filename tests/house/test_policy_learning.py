"""``benchmarks/policy_learning``: what it logs is what ran; its gradients are what they claim."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
sys.path.append(str(ROOT))

import torch
import torch.nn.functional as F
from torch import nn

import flopbench
from benchmarks.policy_learning import experiment, mini_kinetics, results, writing
from benchmarks.policy_learning.__main__ import main
from benchmarks.policy_learning.config import SMOKE
from benchmarks.policy_learning.evaluating import MODES, oracle, run_policy
from benchmarks.policy_learning.experiment import Experiment, open_experiment, train
from benchmarks.policy_learning.learning import greedy, gumbel, policy_loss
from benchmarks.policy_learning.network import AdaptiveNet, Walk
from benchmarks.policy_learning.pricing import costs, header, write_log
from benchmarks.policy_learning.results import (
    Runs,
    front_chances,
    rank_correlation,
    ranks,
    training_macs,
)
from benchmarks.policy_learning.videos import KINDS, STEPS, Videos, _digits, draw_videos
from flopbench.cli import main as flopbench_main


def test_lists_of_mini_kinetics_are_classes_of_kinetics() -> None:
    """torchvision's 400 names are known by their hash, and hold both published lists."""
    video = pytest.importorskip("torchvision.models.video")
    names = video.R3D_18_Weights.KINETICS400_V1.meta["categories"]
    assert mini_kinetics.identify(names).endswith(": Kinetics-400")
    for path in mini_kinetics.KNOWN.parent.glob("mini_kinetics_200_*.txt"):
        assert len(set(mini_kinetics.read_classes(path)) & set(names)) == 200


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The smallest experiment, nothing trained."""
    folder = tmp_path_factory.mktemp("experiment")
    return open_experiment(SMOKE, folder / "out", folder / "work")


@pytest.fixture(scope="module")
def videos() -> Videos:
    """A few videos of each class."""
    return draw_videos("val", 56, seed=7)


def net_of(seed: int = 0) -> AdaptiveNet:
    """Return an untrained network, ready to be run."""
    torch.manual_seed(seed)
    return AdaptiveNet(SMOKE).eval()


def test_videos_follow_their_seed(videos: Videos) -> None:
    """The same seed gives the same pixels; splits share no digit; every class is there."""
    again, other = draw_videos("val", 56, seed=7), draw_videos("val", 56, seed=8)
    assert (again.frames == videos.frames).all()
    assert (again.labels == videos.labels).all()
    assert (other.frames != videos.frames).any()
    assert sorted(set(videos.labels.tolist())) == list(range(len(KINDS)))
    seen = [
        {image.tobytes() for own in _digits(split).values() for image in own}
        for split in ("train", "val", "test")
    ]
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]
    with pytest.raises(ValueError, match="no split"):
        draw_videos("dev", 3, seed=0)  # type: ignore[arg-type]


def counted_macs(net: AdaptiveNet) -> tuple[list[int], list[int]]:
    """Return lists that hooks fill: frames that each arm saw, MACs of every layer that ran."""
    frames = [0] * len(net.arms)
    macs: list[int] = []

    def of_layer(module: nn.Module, inputs: Any, out: Any) -> None:
        if isinstance(module, nn.Conv2d):
            macs.append(out.numel() * module.in_channels * module.kernel_size[0] ** 2)
        elif isinstance(module, nn.Linear):
            macs.append(out.numel() * module.in_features)
        elif isinstance(module, nn.LSTMCell):
            width = module.input_size + module.hidden_size
            macs.append(len(out[0]) * 4 * module.hidden_size * width)

    for number, arm in enumerate(net.arms):

        def of_arm(module: nn.Module, inputs: Any, out: Any, number: int = number) -> None:
            frames[number] += len(out)

        arm.register_forward_hook(of_arm)
    for module in net.modules():
        module.register_forward_hook(of_layer)
    return frames, macs


@pytest.mark.parametrize("mode", MODES)
def test_the_log_is_what_ran(own: Experiment, videos: Videos, tmp_path: Path, mode: str) -> None:
    """Each arm saw as many frames as the log says, and MACs by hooks are those of the estimate."""
    net = net_of(3)
    frames, macs = counted_macs(net)
    torch.manual_seed(1)
    result = run_policy(net, videos, MODES[mode])
    path = tmp_path / "run.jsonl.gz"
    columns = {"ids": videos.ids, "labels": videos.labels, **vars_of(result)}
    write_log(path, header(own.prices, mode, "policy"), 0, columns)
    run = flopbench.run_of_log([path])
    decided = run.counts.totals().decisions
    assert decided is not None
    assert list(decided[: len(frames)]) == frames
    assert float(run.primary.macs_per_video) * 56 == pytest.approx(sum(macs), rel=1e-9)
    own_costs = costs(result.actions, own.prices.actions, [1, 1, 1, 1, 1, 2, 4])
    assert own_costs.sum() == sum(macs)
    again = run_policy(net, videos, greedy, given=result.actions)
    assert (again.actions == result.actions).all()
    torch.testing.assert_close(again.logits, result.logits)


def vars_of(result: Any) -> dict[str, Any]:
    """Return the columns of a result."""
    return {"actions": result.actions, "logits": result.logits}


def test_gumbels_gradient_reaches_the_policy(own: Experiment, videos: Videos) -> None:
    """Through the actions taken, the cost too; networks not taken have no gradient of their own."""
    shares = torch.tensor(own.prices.shares)
    frames, labels = torch.from_numpy(videos.frames[:8]), torch.from_numpy(videos.labels[:8])

    def gradients(net: AdaptiveNet, weight: float) -> dict[str, Any]:
        torch.manual_seed(5)
        walk = net.walk(frames, shares, gumbel(1.0), everything=True)
        loss = policy_loss(walk, labels, "gumbel", cost_weight=weight, usage_weight=0.0)
        net.zero_grad()
        loss.backward()
        return {k: None if p.grad is None else p.grad.clone() for k, p in net.named_parameters()}

    net = net_of()
    found, dearer = gradients(net, 0.5), gradients(net, 5.0)
    for name in ("decide.weight", "lstm.weight_ih", "policy.0.weight"):
        assert found[name].abs().max() > 0
    assert not torch.equal(found["decide.weight"], dearer["decide.weight"])

    def with_every_graph(frames: Any, hidden: Any, chosen: Any, everything: bool) -> Any:
        looks = [net.look(arm, frames) for arm in range(len(net.arms))]
        return torch.stack([*looks, net.predict(hidden)], 1)

    net._looks = with_every_graph  # type: ignore[method-assign]
    for name, gradient in gradients(net, 0.5).items():
        other = found[name]
        other = torch.zeros_like(gradient) if other is None else other
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_reinforce_estimates_the_exact_gradient() -> None:
    """Two actions, one right: the mean over samples is d/dθ of Σ p(a) loss(a), within 4 errors."""
    theta = torch.tensor([0.3, -0.4], requires_grad=True)
    n, weight = 40_000, 0.7
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.2]])  # of a video under each action
    cost = torch.tensor([1.0, 0.2])
    labels = torch.zeros(2, dtype=torch.long)
    losses = F.cross_entropy(logits, labels, reduction="none") + weight * cost
    exact = torch.autograd.grad((theta.softmax(0) * losses).sum(), theta)[0]

    torch.manual_seed(0)
    drawn = torch.multinomial(theta.detach().softmax(0), n, replacement=True)
    empty = torch.zeros(1, dtype=torch.long)
    walk = Walk(
        ids=drawn[:, None],
        logits=logits[drawn],
        cost=cost[drawn],
        usage=torch.full((2,), 0.5),
        log_probability=theta.log_softmax(0)[drawn],
        taken=empty,
        runs=empty,
    )
    zeros = torch.zeros(n, dtype=torch.long)
    loss = policy_loss(walk, zeros, "reinforce", cost_weight=weight, usage_weight=0.0)
    estimate = torch.autograd.grad(loss, theta)[0]
    score = F.one_hot(drawn, 2) - theta.detach().softmax(0)
    terms = (losses[drawn] - losses[drawn].mean())[:, None] * score
    error = terms.std(0) / n**0.5
    assert exact.abs().min() > 20 * error.max()
    assert ((estimate - exact).abs() < 4 * error).all()


class Stopped(Exception):
    """Ends a training."""


@pytest.mark.parametrize("method", ["gumbel", "reinforce"])
def test_a_resumed_training_is_an_unbroken_one(own: Experiment, method: Any) -> None:
    """Stopped after each epoch and started again, the weights are the same to the bit."""
    longer = replace(own, config=replace(SMOKE, warm=2, joint=2))
    start = own.work / "seed5" / "warm.pt"
    train(longer, 5, None, "warm", 0.0, start)
    whole = train(longer, 5, method, "tune", 1e-2, own.work / f"whole-{method}.pt")
    path = own.work / f"broken-{method}.pt"

    def stop(line: Any) -> None:
        raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            longer.training(5, method, 1e-2).run("tune", say=stop, checkpoint=path, start=start)
    resumed = train(longer, 5, method, "tune", 1e-2, path)
    assert [line["stage"] for line in resumed.history] == ["warm", "warm", "joint", "joint", "tune"]
    assert resumed.history == whole.history
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, resumed.net.state_dict()[name]), name


def test_the_policy_is_frozen_in_the_end(own: Experiment) -> None:
    """Fine-tuning changes networks, not what decides."""
    training = own.training(0, "reinforce", 1e-2)
    before = {k: v.clone() for k, v in training.net.state_dict().items()}
    training.stage = "tune"
    with torch.no_grad():
        training.net.decide.bias[0] = 100.0  # the first network, always
    training._train_epoch(training._optimiser(), 1)
    changed = {k for k, v in training.net.state_dict().items() if not torch.equal(v, before[k])}
    assert {name.split(".")[0] for name in changed} == {"arms", "decide"}
    assert not {name for name in changed if name == "decide.weight"}


def test_the_oracle_takes_the_cheapest_right_look() -> None:
    """By hand: two networks and the LSTM alone, two frames, two classes."""
    no, yes = [0.0, 1.0], [1.0, 0.0]
    every = torch.tensor([[[yes, no, no], [yes, yes, no]], [[no, no, no], [no, no, no]]])
    single = torch.tensor([[no, no], [[0.0, 3.0], no]])
    result = oracle(every, single, torch.tensor([0, 0]))
    assert result.actions.tolist() == [[3, 1], [3, 2]]  # 3: not looked at
    assert result.logits.tolist() == [yes, no]


def test_numbers_of_the_results(own: Experiment) -> None:
    """Ranks with ties, mixtures of uniform networks, and the cost of training, by hand."""
    assert ranks([3, 1, 3, 2]).tolist() == [3.5, 1, 3.5, 2]
    assert rank_correlation([1, 2, 3], [10, 20, 15]) == pytest.approx(0.5)
    rows = np.zeros((1, 2, STEPS), int)

    def runs(right: list[int], macs: int) -> Runs:
        cost, labels = np.full((1, 2), macs), np.zeros(2, int)
        return Runs(method="", right=np.array([right]), macs=cost, labels=labels, rows=rows)

    uniforms = [runs([1, 1], 4_000_000), runs([0, 1], 2_000_000)]
    assert front_chances(runs([1, 0], 2_500_000), uniforms).tolist() == [[0.25, 1.0]]
    assert front_chances(runs([1, 0], 9_000_000), uniforms).tolist() == [[1.0, 1.0]]
    ran, taken = [10, 10, 10, 10, 10], [1, 2, 3, 4, 10]
    macs = [own.prices.macs[name] for name in ("cnn@48", "cnn@32", "cnn@24", "predict")]
    deciding = own.prices.decision
    lines = [{"stage": stage, "runs": ran, "trained": taken} for stage in ("joint", "tune")]
    forward = 10 * (sum(macs) + deciding)
    backward = 2 * sum(n * m for n, m in zip(taken[:4], macs, strict=True))
    assert training_macs(own.prices, lines) == {
        "joint": forward + backward + 20 * deciding,
        "tune": forward + backward,
    }


def in_this_process(command: list[str], **_: Any) -> None:
    """Do what ``python -m flopbench`` does, without the time that importing takes."""
    assert command[1:3] == ["-m", "flopbench"]
    assert flopbench_main(command[3:]) == 0


@pytest.mark.slow
def test_a_run_from_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search, training, logs and page of two seeds; a second run makes nothing again."""
    every = writing.commands
    monkeypatch.setattr(results, "RESAMPLES", 50)
    for module in (experiment, writing):
        monkeypatch.setattr(
            module, "subprocess", SimpleNamespace(run=in_this_process, DEVNULL=None)
        )
    monkeypatch.setattr(
        writing,
        "commands",
        lambda *args: [command for command in every(*args) if "--frames" in command][:1],
    )
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    (out / "replay.json").touch()  # measured before
    args = ["run", "--config", "smoke", "-o", str(out), "--work", str(work), "--seeds", "0", "1"]
    assert main(args) == 0
    logs = {path.name: path.read_bytes() for path in (out / "logs").iterdir()}
    assert len(logs) == 2 * 14
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "## The search for learning rates" in page
    assert f"policy_learning frames -o {tmp_path}/frames\n" in page
    assert (tmp_path / "frames" / "test-00000-s0.npy").exists()
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    same = found["approaches"]["gumbel-argmax"], found["approaches"]["random-gumbel-argmax"]
    assert same[0]["mmacs_seeds"] == same[1]["mmacs_seeds"]  # random at exactly that cost
    table = flopbench.CostTable.load(out / "table.json")
    run = flopbench.run_of_log([out / "logs" / "uniform-cnn-48-s0.jsonl.gz"])
    row = next(row for row in table.rows if ":cnn" in row.model and row.input == "48")
    assert run.primary.macs_per_video == STEPS * row.dense_macs
    assert main(args) == 0
    assert {path.name: path.read_bytes() for path in (out / "logs").iterdir()} == logs
    line = json.loads(gzip.decompress(logs["oracle-s1.jsonl.gz"]).splitlines()[1])
    assert line["id"] == "test-00000-s1"


def test_the_reports_have_these_commands() -> None:
    """Tables and figures under reports/ are made by the commands that a run uses."""
    from make_reports import COMMANDS, commands

    from benchmarks.policy_learning.config import TINY

    listed = commands(COMMANDS.read_text(encoding="utf-8"))
    for command in writing.commands(
        TINY, Path("reports/policy_learning"), Path("build/policy_learning/frames")
    ):
        assert command in listed
