"""Figures of a replay from its times: the waterfall of each mode, latencies, videos per second.

The waterfall goes from the theoretical speed-up of a policy to the measured one, step by step.
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

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from flopbench.core.bootstrap import expanded_bootstrap
from flopbench.core.statistics import (
    FEWEST_PROCESSES,
    PERCENTILE_SAMPLES,
    median,
    percentile,
    student_interval,
    wider,
)
from flopbench.replay.records import ModeRun, Replay, Row

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


class VideoWork(Struct, frozen=True, kw_only=True):
    """Exact mean multiply-accumulates of a video, and component -> its runs as an arm."""

    baseline_macs: Fraction
    arms_macs: Fraction
    policy_macs: Fraction
    arm_runs: Mapping[str, Fraction]

    @property
    def adaptive_macs(self) -> Fraction:
        """Multiply-accumulates of the adaptive program."""
        return self.arms_macs + self.policy_macs


class Round(Struct, frozen=True, kw_only=True):
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


class Waterfall(Struct, frozen=True, kw_only=True):
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


PERCENTILES = (50, 90, 99)


class ModeFigures(Struct, frozen=True, kw_only=True):
    """Figures of one mode.

    Attributes:
        latency_s: percentile -> seconds until a video was done; None if there are too few.
        latency_samples: distinct latencies: batches if their videos end together, else videos.
        videos_per_s: on the primary clock.
        secondary_s: seconds per video on the secondary clock: of the baseline, and of everything.
        batch: component -> mean items per call of it as an arm (network of an action).
        calls: component -> calls of it as an arm, of all videos.
    """

    waterfall: Waterfall
    latency_s: Mapping[int, float | None]
    latency_samples: int
    videos_per_s: float
    secondary_s: tuple[float, float]
    batch: Mapping[str, float]
    calls: Mapping[str, int]


def work_of(replay: Replay) -> VideoWork:
    """Return the exact mean MACs and runs of a video."""
    videos = replay.videos
    base = sum(replay.parts[name].dense_macs * n for name, n in replay.baseline.runs.items())
    parts = replay.parts
    return VideoWork(
        baseline_macs=Fraction(base * replay.baseline.units, videos),
        arms_macs=Fraction(sum(p.dense_macs * p.arm_runs for p in parts.values()), videos),
        policy_macs=Fraction(sum(p.dense_macs * p.policy_runs for p in parts.values()), videos),
        arm_runs={n: Fraction(p.arm_runs, videos) for n, p in parts.items() if p.arm_runs},
    )


def figures_of(replay: Replay, mode: str) -> ModeFigures:
    """Return the figures of one mode."""
    runs = [run.modes[mode] for run in replay.runs]
    work = work_of(replay)
    chain = waterfall([rounds_of(run, replay) for run in runs], work, seed=replay.settings.seed)
    executed = runs[0].executed
    calls = {name: sum(sizes.values()) for name, sizes in executed.arms.items()}
    items = {n: sum(int(k) * v for k, v in s.items()) for n, s in executed.arms.items()}
    latencies = [seconds for run in runs for *_, seconds in run.latencies]
    shape = replay.modes[mode]
    samples = replay.videos
    if shape.bucket is None or replay.settings.device == "mps":  # MPS has no marks
        samples = -(-replay.videos // shape.group)
    return ModeFigures(
        waterfall=chain,
        latency_s={q: _percentile(latencies, q, samples) for q in PERCENTILES},
        latency_samples=samples,
        videos_per_s=1 / chain.chain_s["full"],
        secondary_s=(
            _secondary_s([run.baseline for run in runs]) * replay.baseline.units / replay.videos,
            _secondary_s([run.full for run in runs]),
        ),
        batch={name: items[name] / calls[name] for name in calls},
        calls=calls,
    )


def rounds_of(run: ModeRun, replay: Replay) -> list[Round]:
    """Sum the chunks of each round."""
    numbers = sorted({row[0] for row in run.full})
    units = replay.baseline.units / replay.videos
    times = {name: _per_item(getattr(run, name)) for name in ("full", "nosync", "arms", "baseline")}
    unit = {name: _per_item(rows) for name, rows in run.unit.items()}
    return [
        Round(
            baseline_s=times["baseline"][n] * units,
            arms_s=times["arms"][n],
            nosync_s=times["nosync"][n],
            full_s=times["full"][n],
            unit_s={name: times_s[n] for name, times_s in unit.items()},
        )
        for n in numbers
    ]


def warnings_of(replay: Replay, figures: Mapping[str, ModeFigures]) -> list[str]:
    """Return what makes the figures unreliable, and what to do about it."""
    texts = list(replay.warnings)
    done, wanted = len(replay.runs), replay.settings.processes
    if done < wanted:
        why = f"process {done + 1} failed" if replay.failure else "interrupted"
        texts.append(f"{why}: {done} of {wanted} processes finished")
    if done < FEWEST_PROCESSES:
        few = "a single process says nothing" if done == 1 else f"{done} processes say too little"
        texts.append(
            f"{few} about how far others differ (8 to 16 % on shared machines): no interval; "
            f"--processes {FEWEST_PROCESSES} gives one"
        )
    for mode, one in figures.items():
        chain = one.waterfall
        if chain.is_wide and chain.interval is not None:
            low, high = chain.interval
            texts.append(
                f"{mode}: the 95 % interval of the measured speed-up, {low:.2f} to {high:.2f}, is "
                f"wider than ±{WIDE:.0%}: a quieter machine or more --processes narrows it"
            )
    return texts


def summary_of(replay: Replay) -> dict[str, Any]:
    """Return the figures of every mode as plain JSON values."""
    summary = {}
    for mode in replay.modes:
        figures = figures_of(replay, mode)
        ends = figures.waterfall.interval
        summary[mode] = {
            **asdict(figures.waterfall),
            "interval": None if ends is None else list(ends),
            "realised": figures.waterfall.realised,
            "latency_s": {f"p{q}": value for q, value in figures.latency_s.items()},
            "latency_samples": figures.latency_samples,
            "videos_per_s": figures.videos_per_s,
            "mean_batch": dict(figures.batch),
            "calls": dict(figures.calls),
        }
    return summary


def _per_item(rows: Sequence[Row]) -> dict[int, float]:
    """Return round -> seconds per item, over all chunks."""
    seconds: dict[int, float] = defaultdict(float)
    items: dict[int, int] = defaultdict(int)
    for number, _, n, primary_s, _ in rows:
        seconds[number] += primary_s
        items[number] += n
    return {number: seconds[number] / items[number] for number in seconds}


def _secondary_s(passes: Sequence[Sequence[Row]]) -> float:
    """Return the median over processes of seconds per item on the secondary clock."""
    return median([sum(r[4] for r in rows) / sum(r[2] for r in rows) for rows in passes])


def _percentile(values: Sequence[float], q: int, samples: int) -> float | None:
    """Return a percentile; None if there are fewer distinct samples than it needs."""
    return None if samples < PERCENTILE_SAMPLES[q] else percentile(values, q)
