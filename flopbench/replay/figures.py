"""Figures of a replay from its times: the waterfall of each mode, latencies, videos per second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from flopbench.core.statistics import FEWEST_PROCESSES, PERCENTILE_SAMPLES, median, percentile
from flopbench.replay.records import ModeRun, Replay, Row
from flopbench.replay.waterfall import WIDE, Round, VideoWork, Waterfall, waterfall

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeFigures:
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
