"""The loop of ``flopbench latency`` compared with other timers, in one process, taking turns.

On the CPU ``torch.utils.benchmark.Timer``, warmed up, with wall time and process CPU time; on CUDA
``triton.testing.do_bench``. Each round runs flopbench's loop (warm-up, samples until precise) and
then the other timer on the same call with the same threads; medians over rounds are compared.
Prints ratios; asserts nothing.

    python benchmarks/timer_agreement.py [MODEL] [--device cpu] [--threads 1] [--rounds 7]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.benchmark import Timer

from flopbench.core.statistics import median
from flopbench.timing.measure.clocks import clock_for
from flopbench.timing.measure.device import device_facts
from flopbench.timing.measure.jobs import guarded
from flopbench.timing.measure.precision import precision
from flopbench.timing.measure.prepared import prepare
from flopbench.timing.measure.sampling import first_call, sample
from flopbench.timing.records import TimingSpec

BUDGET_S = 2.0


def ours(device: str, threads: int, call: Callable[[], Any]) -> dict[str, float]:
    """Run flopbench's loop once; return the median of every column, seconds."""
    clock = clock_for(device, threads)
    (sampled,) = sample(clock, [call], budget_s=BUDGET_S)
    return {name: median(values) for name, values in sampled.columns.items()}


def torch_timer(call: Callable[[], Any], threads: int, clock: Callable[[], float]) -> float:
    """Return torch's median, seconds per call; ``call`` is already warm."""
    timer = Timer("call()", globals={"call": call}, num_threads=threads, timer=clock)
    return float(timer.blocked_autorange(min_run_time=BUDGET_S).median)


def main() -> None:
    """Take turns, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="resnet18@112")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    spec = TimingSpec(spec=args.model, device=args.device, threads=args.threads)
    others: dict[str, tuple[str, Callable[[], float]]] = {}
    with precision("fp32"), torch.inference_mode():
        call = guarded(spec, 0, prepare(spec))  # as the command times it
        first_call(clock_for(args.device, args.threads), call)
        if args.device == "cpu":
            others["torch Timer, wall"] = (
                "wall_s",
                lambda: torch_timer(call, args.threads, time.perf_counter),
            )
            others["torch Timer, process CPU time"] = (
                "cpu_s",
                lambda: torch_timer(call, args.threads, time.process_time),
            )
        else:
            from triton.testing import do_bench

            others["triton do_bench"] = (
                "gpu_s",
                lambda: do_bench(call, return_mode="median") / 1e3,
            )
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in others}
        for _ in range(args.rounds):
            for name, (column, timed) in others.items():
                found[name].append((ours(args.device, args.threads, call)[column], timed()))
    name = device_facts(args.device).name
    print(
        f"{name}: {spec}, {args.threads} threads, torch {torch.__version__}, {args.rounds} rounds"
    )
    for name, pairs in found.items():
        mine, theirs = (median([pair[side] for pair in pairs]) for side in (0, 1))
        rounds = [a / b for a, b in pairs]
        print(
            f"{name:32s} flopbench {mine * 1e3:8.4f} ms   other {theirs * 1e3:8.4f} ms   ratio of "
            f"medians {mine / theirs:.4f}   rounds {min(rounds):.3f} to {max(rounds):.3f}"
        )


if __name__ == "__main__":
    main()
