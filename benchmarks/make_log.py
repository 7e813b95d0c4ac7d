"""A policy log of any size, from a seeded simulation of a policy that chooses resolutions.

    python benchmarks/make_log.py --videos 200 --method selective --seed 0 -o selective.jsonl

No network runs. Each video has a class, a difficulty, a length, and in its 16 frames a salience
that drifts. A policy like AR-Net's (ECCV 2020) sees a frame through noise and decides: one of four
resolutions, or to skip 1, 2 or 4 frames; nothing is decided within a skip, and the end of the video
cuts off the last one. Each processed frame adds evidence for the right class, from which scores are
computed. The same seed gives the same videos to every method: logs can be compared in pairs.

``tests/data/selective.jsonl`` and ``tests/data/steady.jsonl`` are two such logs of 200 videos:

    python benchmarks/make_log.py --method selective -o tests/data/selective.jsonl
    python benchmarks/make_log.py --method steady -o tests/data/steady.jsonl

The suffix gives the form, as in ``flopbench log convert``. Plain JSONL is written as it is made,
about ten thousand videos at a time; other forms are converted from it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from flopbench.policy.forms import form_to_write
from flopbench.policy.header import FORMAT, VERSION
from flopbench.policy.writers import convert_file

STEPS = 16
SPANS = np.array([1, 1, 1, 1, 1, 2, 4], np.int8)
"""Steps that a decision covers, in the order of the preset's actions: networks, then skips."""
EVIDENCE = np.array([1.0, 0.8, 0.55, 0.3, 0.0, 0.0, 0.0], np.float32)
"""What a fully salient frame adds, seen by each network; a skip adds nothing."""
SALIENCE_KEPT = 0.7
"""Correlation of the salience of neighbouring frames."""
CLASSES = (
    "archery",
    "bowling",
    "canoeing",
    "drumming",
    "fencing",
    "golf",
    "juggling",
    "knitting",
    "surfing",
    "tango",
)
VIDEOS_AT_ONCE = 1 << 15
SCORE_DIGITS = 3

# For each action: its weight whatever is seen, and how that changes with the salience seen, with
# the difficulty, and with the evidence gathered so far. Arbitrary numbers: "selective" looks
# closely where something is to be seen, "steady" hardly depends on it, "random" not at all.
POLICIES = {
    "selective": (
        (0.5, 0.3, 0.0, -1.2, -0.6, -0.4, 0.0),
        (2.4, 1.6, 0.8, 0.0, -0.6, -1.2, -2.0),
        (0.8, 0.3, -0.2, -0.4, -0.1, -0.3, -0.5),
        (-0.05, -0.05, 0.0, 0.0, 0.0, 0.05, 0.1),
    ),
    "steady": (
        (0.8, 0.0, -0.6, -1.6, -0.4, -0.4, 0.0),
        (0.1, 0.1, 0.0, 0.0, 0.0, 0.0, -0.1),
        (0.2, 0.1, 0.0, -0.1, 0.0, -0.1, -0.2),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    "random": ((0.0,) * 7,) * 4,
}


def simulate(
    first: int, n: int, *, method: str, seed: int, classes: int
) -> tuple[Any, Any, Any, Any]:
    """Simulate n videos, number ``first`` and those after it.

    Returns:
        (n,) labels; (n, STEPS) ids of actions; (n, classes) scores; (n,) lengths in seconds.
    """
    videos = np.random.default_rng([seed, 0, first])
    choices = np.random.default_rng([seed, 1, sorted(POLICIES).index(method), first])
    labels = videos.integers(0, classes, n)
    class_difficulty = np.linspace(-0.8, 0.8, classes)
    difficulty = (class_difficulty[labels] + 0.6 * videos.standard_normal(n)).astype(np.float32)
    seconds = np.exp(3.5 + 0.4 * difficulty + 0.5 * videos.standard_normal(n))
    weights = np.array(POLICIES[method], np.float32)
    salience = videos.standard_normal(n, np.float32) - 0.5 * difficulty
    evidence: Any = np.zeros(n, np.float32)
    wait: Any = np.zeros(n, np.int8)  # frames that the last skip still covers
    actions: Any = np.empty((STEPS, n), np.int8)
    decided: Any = np.zeros(n, np.int8)
    for step in range(STEPS):
        if step:
            fresh = videos.standard_normal(n, np.float32)
            salience = SALIENCE_KEPT * salience + (1 - SALIENCE_KEPT**2) ** 0.5 * fresh
        seen = salience + 0.5 * choices.standard_normal(n, np.float32)
        pull = weights[0][:, None] + weights[1][:, None] * seen
        pull += weights[2][:, None] * difficulty + weights[3][:, None] * evidence
        chance = np.cumsum(np.exp(pull, out=pull), axis=0)
        drawn = choices.random(n, np.float32) * chance[-1]
        new = np.minimum((chance < drawn).sum(axis=0, dtype=np.int8), len(SPANS) - 1)
        free = wait == 0
        decided = np.where(free, new, decided).astype(np.int8)
        wait = np.where(free, SPANS[decided], wait) - 1
        actions[step] = decided
        evidence += EVIDENCE[decided] / (1 + np.exp(-3 * salience))
    scores = videos.standard_normal((n, classes), np.float32)
    scores[np.arange(n), labels] += 0.8 * evidence * np.exp(-0.5 * difficulty)
    return labels, actions.T, scores, seconds


def samples(args: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """Yield the samples of the log, a few thousand at a time."""
    width = len(str(args.videos - 1))
    for first in range(0, args.videos, VIDEOS_AT_ONCE):
        n = min(VIDEOS_AT_ONCE, args.videos - first)
        labels, actions, scores, seconds = simulate(
            first, n, method=args.method, seed=args.seed, classes=args.classes
        )
        rows = zip(range(first, first + n), labels.tolist(), actions.tolist(), strict=True)
        group: list[dict[str, Any]] = [
            {"id": f"v{number:0{width}}", "labels": [label], "actions": row}
            for number, label, row in rows
        ]
        if args.scores:
            shown = np.round(scores.astype(np.float64), SCORE_DIGITS).tolist()
            lengths = np.round(seconds, 1).tolist()
            for sample, row, length in zip(group, shown, lengths, strict=True):
                sample |= {"scores": row, "extra": {"duration_s": length}}
        yield group


def header(args: argparse.Namespace) -> dict[str, Any]:
    """Return the header of the log."""
    names = [CLASSES[i] if i < len(CLASSES) else f"class {i}" for i in range(args.classes)]
    return {
        "format": FORMAT,
        "version": VERSION,
        "method": args.method,
        "dataset": "simulated",
        "split": "validation",
        "seed": args.seed,
        "preset": "arnet-resnet",
        "class_names": names,
    }


def write_lines(args: argparse.Namespace, stream: IO[bytes]) -> None:
    """Write the log as JSONL."""
    encoder = msgspec.json.Encoder()
    stream.write(encoder.encode(header(args)) + b"\n")
    for group in samples(args):
        stream.write(encoder.encode_lines(group))


def main(argv: Sequence[str] | None = None) -> int:
    """Make a log."""
    parser = argparse.ArgumentParser(description="make a policy log by a seeded simulation")
    parser.add_argument("--videos", type=int, default=200, help="how many (default: 200)")
    parser.add_argument(
        "--method", choices=POLICIES, default="selective", help="default: selective"
    )
    parser.add_argument("--classes", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of videos and decisions (default: 0)")
    parser.add_argument(
        "--no-scores",
        dest="scores",
        action="store_false",
        help="ids, labels and actions alone, for large logs",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the log; suffix = form")
    args = parser.parse_args(argv)
    if args.videos < 1 or args.classes < 2 or args.seed < 0:
        parser.error("expected 1 video or more, 2 classes or more, a seed of 0 or more")
    if form_to_write(args.output).name == "jsonl" and args.output.suffix in {".jsonl", ".ndjson"}:
        with open(args.output, "wb") as stream:
            write_lines(args, stream)
    else:
        with tempfile.TemporaryDirectory(dir=args.output.resolve().parent) as folder:
            lines = Path(folder) / "log.jsonl"
            with open(lines, "wb") as stream:
                write_lines(args, stream)
            convert_file(lines, args.output)
    print(f"{args.output}: {args.videos:,} videos")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
