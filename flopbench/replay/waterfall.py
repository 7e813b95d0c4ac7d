"""From the theoretical speed-up of an adaptive policy to the measured one, step by step.

Times of a video, each a share of the uniform baseline's time in the same round. An arm is the
network of an action:

* ``theory``: the baseline's time × M / M_base, assuming the same time per MAC;
* ``arms``: the arms' part replaced by their calls × the time of one item in a full batch;
* ``fragmentation``: the arms' calls as they are made, in the batch sizes that decisions leave, one
  network after the other; policy and LSTM still by their MACs;
* ``policy``: everything measured except the host's waiting: policy, LSTM, decision, gathering;
* ``full``: everything.

The theoretical speed-up M_base / M times the four quotients of successive times is exactly the
measured speed-up. A quotient below 1 is the loss at that step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flopbench.core.bootstrap import expanded_bootstrap
from flopbench.core.statistics import FEWEST_PROCESSES, median, student_interval, wider

PARTS_MEANING = (
    "arms: small networks and inputs take a different time per MAC than the baseline, mostly more. "
    "fragmentation: small batches, and switching between networks. policy: policy, LSTM, decisions "
    "and gathering beyond their MACs. synchronisation: the host waits for decisions."
)
FACTORS = ("arms", "fragmentation", "policy", "synchronisation")
"""In the order of the chain; fields of ``Waterfall``."""

WIDE = 0.10
"""An interval that reaches further than this from the figure gets a warning: two replays on such a
machine may differ by more than most policies save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoWork:
    """Exact mean multiply-accumulates of a video, and component -> its runs as an arm."""

    baseline_macs: Fraction
    arms_macs: Fraction
    policy_macs: Fraction
    arm_runs: Mapping[str, Fraction]

    @property
    def adaptive_macs(self) -> Fraction:
        """Multiply-accumulates of the adaptive program."""
        return self.arms_macs + self.policy_macs


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of one process measured, seconds a video.

    Attributes:
        baseline_s: under the uniform baseline.
        arms_s: its arms' calls alone.
        nosync_s: everything except the host's waiting for decisions.
        full_s: everything.
        unit_s: component -> seconds of one item in a full batch.
    """

    baseline_s: float
    arms_s: float
    nosync_s: float
    full_s: float
    unit_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The chain; ``theory × arms × fragmentation × policy × synchronisation = measured``.

    Attributes:
        theory: M_base / M.
        measured: baseline time / adaptive time.
        interval: 95 % of ``measured``: the wider of a bootstrap over processes and rounds and of
            Student's t over processes; None for fewer than ``FEWEST_PROCESSES``.
        baseline_s: seconds per video; the median of the processes' medians.
        chain_s: name -> seconds per video, in the order of the module's docstring.
        unit_s: component -> seconds of one item in a full batch.
    """

    theory: float
    arms: float
    fragmentation: float
    policy: float
    synchronisation: float
    measured: float
    interval: tuple[float, float] | None
    baseline_s: float
    chain_s: Mapping[str, float]
    unit_s: Mapping[str, float]

    @property
    def realised(self) -> float:
        """Measured speed-up / theoretical speed-up."""
        return self.measured / self.theory

    @property
    def is_wide(self) -> bool:
        """Whether the interval reaches further than ``WIDE`` from the figure."""
        return any(abs(end / self.measured - 1) > WIDE for end in self.interval or ())


def waterfall(processes: Sequence[Sequence[Round]], work: VideoWork, *, seed: int = 0) -> Waterfall:
    """Return the chain of one mode, from the rounds of each process.

    Raises:
        ValueError: no rounds, or videos without work.
    """
    kept = [rounds for rounds in processes if rounds]
    if not kept or not work.adaptive_macs or not work.baseline_macs:
        raise ValueError("no rounds, or no work, to build a waterfall of")

    def ratio(time_s: Callable[[Round], float]) -> float:
        """Return a time / the baseline's of the same round: drift of the machine cancels."""
        return _centre([[time_s(one) / one.baseline_s for one in rounds] for rounds in kept])

    baseline_s = _centre([[one.baseline_s for one in rounds] for rounds in kept])
    policy = float(work.policy_macs / work.baseline_macs)
    unit = {name: ratio(lambda one, name=name: one.unit_s[name]) for name in work.arm_runs}  # type: ignore[misc]
    whole = ratio(lambda one: one.full_s)
    chain = {
        "theory": float(work.adaptive_macs / work.baseline_macs),
        "arms": policy + sum(float(n) * unit[name] for name, n in work.arm_runs.items()),
        "fragmentation": policy + ratio(lambda one: one.arms_s),
        "policy": ratio(lambda one: one.nosync_s),
        "full": whole,
    }
    return Waterfall(
        theory=float(work.baseline_macs / work.adaptive_macs),
        arms=chain["theory"] / chain["arms"],
        fragmentation=chain["arms"] / chain["fragmentation"],
        policy=chain["fragmentation"] / chain["policy"],
        synchronisation=chain["policy"] / whole,
        measured=1 / whole,
        interval=_interval(kept, seed),
        baseline_s=baseline_s,
        chain_s={name: baseline_s * share for name, share in chain.items()},
        unit_s={name: baseline_s * share for name, share in unit.items()},
    )


def _interval(processes: Sequence[Sequence[Round]], seed: int) -> tuple[float, float] | None:
    shares = [[one.full_s / one.baseline_s for one in rounds] for rounds in processes]
    if len(shares) < FEWEST_PROCESSES:
        return None
    ends = wider(
        expanded_bootstrap(shares, _centre, seed=seed),
        student_interval([median(values) for values in shares]),
    )
    return None if ends is None else (1 / ends[1], 1 / ends[0])


def _centre(groups: Sequence[Sequence[float]]) -> float:
    """Return the median of the processes' medians; for a few rounds numpy takes longer."""
    return median([median(values) for values in groups])
