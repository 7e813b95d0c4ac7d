"""What an experiment is made of: networks, data, schedule, and the weights of its losses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.policy_learning.videos import KINDS, STEPS

CNN = "benchmarks.policy_learning.network:cnn"
SKIPS = (1, 2, 4)
"""Steps that a skip covers, this one included (AR-Net, ECCV 2020)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One network at one input size.

    Attributes:
        network: a torchvision model, or what to call the small network of this experiment.
        size_px: height and width of its input.
        width: of the small network; None for torchvision's.
    """

    network: str
    size_px: int
    width: int | None = None

    @property
    def name(self) -> str:
        """What the action is called."""
        return f"{self.network}@{self.size_px}"

    def spec(self, outputs: int) -> str:
        """Return the specification for flopbench, with a head of so many outputs."""
        if self.width is None:
            return f"{self.network}@{self.size_px},classes={outputs}"
        return f"{CNN}@{self.size_px},width={self.width},outputs={outputs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One experiment.

    Attributes:
        arms: the networks to choose from, most expensive first.
        policy: the policy network, on the smallest input.
        features: outputs of the policy network, inputs of its LSTM.
        hidden: width of the LSTM.
        train, val, test: videos of these splits.
        batch, joint_batch: videos in a step of training, without and with a policy.
        warm, joint, tune: epochs of the three stages: networks alone, networks and policy
            together, networks alone with the policy frozen.
        rate: learning rate of the networks (Adam) in the first stage; a quarter of it later.
        policy_rates: learning rates of the layer that decides, tried for each method.
        search_joint: epochs of a trial.
        cost_weight: weight of the cost of a video, as a share of running the most expensive arm on
            every frame.
        usage_weight: weight of the spread of the actions (AR-Net's L_u).
        temperature: of Gumbel-Softmax, at the start and at the end of the joint stage.
    """

    name: str
    arms: tuple[Arm, ...]
    policy: Arm
    features: int = 64
    hidden: int = 64
    train: int = 4096
    val: int = 560
    test: int = 560
    batch: int = 32
    joint_batch: int = 64
    warm: int = 6
    joint: int = 3
    tune: int = 1
    rate: float = 4e-3
    policy_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    search_joint: int = 1
    cost_weight: float = 1.0
    usage_weight: float = 0.1
    temperature: tuple[float, float] = (5.0, 0.5)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(KINDS)

    @property
    def steps(self) -> int:
        """Frames of a video."""
        return STEPS

    def epochs(self, stage: str) -> int:
        """Return the epochs of a stage; ``alone`` goes on as long as the others with a policy."""
        return {
            "warm": self.warm,
            "joint": self.joint,
            "tune": self.tune,
            "alone": self.joint + self.tune,
        }[stage]

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions: networks, the policy's own prediction, skips."""
        arms = [arm.name for arm in self.arms]
        return (*arms, self.policy.name, *(f"skip {k}" for k in SKIPS))


TINY = Config(
    name="tiny",
    arms=(
        Arm(network="cnn", width=12, size_px=48),
        Arm(network="cnn", width=12, size_px=32),
        Arm(network="cnn", width=12, size_px=24),
    ),
    policy=Arm(network="cnn", width=12, size_px=12),
)
PAPER = Config(
    name="paper",
    arms=(
        Arm(network="resnet50", size_px=224),
        Arm(network="resnet34", size_px=168),
        Arm(network="resnet18", size_px=112),
    ),
    policy=Arm(network="mobilenet_v2", size_px=84),
    features=1280,
    hidden=512,
)
SMOKE = replace(
    TINY,
    name="smoke",
    arms=tuple(replace(arm, width=2) for arm in TINY.arms),
    policy=replace(TINY.policy, width=2),
    features=8,
    hidden=8,
    train=56,
    val=28,
    test=28,
    batch=28,
    joint_batch=28,
    warm=1,
    joint=1,
    policy_rates=(1e-2,),
)
"""Learns nothing, in seconds: for the tests."""
CONFIGS = {config.name: config for config in (TINY, PAPER, SMOKE)}
Method = Literal["gumbel", "reinforce"]
METHODS: tuple[Method, ...] = ("gumbel", "reinforce")
