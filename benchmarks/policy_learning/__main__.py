"""AR-Net's experiment in small: a policy learnt with Gumbel-Softmax and with REINFORCE.

python -m benchmarks.policy_learning run --config tiny -o reports/policy_learning
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.policy_learning.config import CONFIGS, Method

OUT = Path("reports/policy_learning")
WORK = Path("build/policy_learning")
SEEDS = (0, 1, 2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a part of the experiment, or all of it."""
    args = parser().parse_args(argv)
    args.work = args.work or WORK / args.config
    begun = time.monotonic()
    if args.part == "frames":
        draw_frames(args, args.output)
    elif args.part == "results":
        finish(args)
    elif args.part == "time":
        time_policies(args)
    else:
        learn(args)
    print(f"{args.part}: done in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.policy_learning", description=__doc__)
    parts = made.add_subparsers(dest="part", required=True)
    texts = {
        "run": "everything: search, train, log, compare, draw; what exists is not made again",
        "search": "try learning rates of the policy for both methods, on validation videos",
        "train": "train and log the given seeds only",
        "results": "tables, README and figures from the logs",
        "time": "time both policies of the first seed; then 'results' shows it",
        "frames": "write the frames of the test videos, for film strips",
    }
    for name, text in texts.items():
        part = parts.add_parser(name, help=text, description=text)
        part.add_argument("--config", choices=CONFIGS, default="tiny")
        part.add_argument("--work", type=Path, help=f"checkpoints (default: {WORK}/CONFIG)")
        part.add_argument("--device", default="cpu", help="where to train (default: cpu)")
        part.add_argument("-o", "--output", type=Path, default=OUT, help="results")
        part.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), metavar="N")
        part.add_argument("--jobs", type=int, default=1, help="seeds trained at once (default: 1)")
    return made


def learn(args: argparse.Namespace) -> None:
    """Search, then train every seed, here or in processes of their own; then finish."""
    from benchmarks.policy_learning.experiment import open_experiment, search, train_seed

    own = open_experiment(CONFIGS[args.config], args.output, args.work, args.device)
    rates: dict[Method, float] = search(own)["chosen"]
    if args.part == "search":
        return
    if args.jobs > 1:
        in_processes(args)
    for seed in args.seeds:
        train_seed(own, seed, rates)
    if args.part == "run":
        finish(args)


def in_processes(args: argparse.Namespace) -> None:
    """Train each seed in a process of its own, so many at once."""
    waiting = list(args.seeds)
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        while waiting and len(running) < args.jobs:
            same = ["--config", args.config, "--work", str(args.work), "--device", args.device]
            command = ["train", *same, "-o", str(args.output), "--seeds", str(waiting.pop(0))]
            running.append(
                subprocess.Popen([sys.executable, "-m", "benchmarks.policy_learning", *command])
            )
        if running.pop(0).wait():
            raise SystemExit("a seed failed: its message is above; run again to go on")


def draw_frames(args: argparse.Namespace, folder: Path) -> None:
    """Write ``ID.npy``, (T, H, W, 3) uint8, for each test video of the first seed's logs."""
    import numpy as np

    from benchmarks.policy_learning.videos import TEST_SEED, draw_videos

    folder.mkdir(parents=True, exist_ok=True)
    videos = draw_videos("test", CONFIGS[args.config].test, seed=TEST_SEED)
    for name, frames in zip(videos.ids, videos.frames, strict=True):
        np.save(folder / f"{name}-s{args.seeds[0]}.npy", frames.transpose(0, 2, 3, 1))


def time_policies(args: argparse.Namespace) -> None:
    """Time networks and overheads, and replay both policies; what is there is made again."""
    from benchmarks.policy_learning.writing import timing_commands

    for command in timing_commands(CONFIGS[args.config], args.output, args.device):
        print(shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def finish(args: argparse.Namespace) -> None:
    """Write tables, figures and README from the logs, and the frames that the film strips show."""
    from benchmarks.policy_learning.writing import write_results

    frames = args.work.parent / "frames"
    draw_frames(args, frames)
    write_results(CONFIGS[args.config], args.output, args.work, frames, args.seeds)


if __name__ == "__main__":
    sys.exit(main())
