"""Reproduce the operation counts that torchvision publishes with its weights.

    python benchmarks/torchvision_ops.py [-o table.csv] [NAME ...]

Every weights entry that torchvision ships has ``meta["_ops"]``: multiply-accumulates / 1e9 of
convolutions, linear layers and matrix products, to three decimals. torchvision measured them by
running the trained model on random noise of 512 x 512 pixels (clips: 16 frames) put through the
transforms of the entry (``get_ops`` in its ``test/common_extended_utils.py``). This script
builds each model with random weights (nothing is downloaded), on the meta device where it can, and
compares the ``torch`` counter with the published figure.

The second stage of two-stage detectors runs on boxes that the first one proposes, and how many the
trained weights propose in noise cannot be known without them. ``BOXES`` holds, per entry, the
numbers that give the published figure; such a row says so.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision.models import get_model, get_model_weights, list_models

from flopbench.counting.measure.counters.base import Subject
from flopbench.counting.measure.counters.torch_counter import TorchCounter
from flopbench.models.build.builders import parameters_on_meta
from flopbench.models.build.environment import counting_state

NOISE = 512
"""Pixels a side of torchvision's random image, before the transforms of the entry."""

FRAMES = 16
"""Frames of torchvision's random clip."""

BOXES: dict[tuple[str, str], tuple[int, int]] = {
    ("fasterrcnn_mobilenet_v3_large_320_fpn", "COCO_V1"): (0, 0),
    ("fasterrcnn_mobilenet_v3_large_fpn", "COCO_V1"): (0, 0),
    ("fasterrcnn_resnet50_fpn", "COCO_V1"): (1000, 0),
    ("fasterrcnn_resnet50_fpn_v2", "COCO_V1"): (1000, 0),
    ("keypointrcnn_resnet50_fpn", "COCO_LEGACY"): (1000, 0),
    ("keypointrcnn_resnet50_fpn", "COCO_V1"): (1000, 1),
    ("maskrcnn_resnet50_fpn", "COCO_V1"): (1000, 0),
    ("maskrcnn_resnet50_fpn_v2", "COCO_V1"): (1000, 100),
}
"""Boxes proposed, and detections that reach the mask or keypoint head, on torchvision's noise.

Inferred from the published figures. Within the models' limits of 1000 proposals and 100 detections
each pair is the only one that gives its figure to three decimals (a proposal costs 14 to 129 M
MACs, a mask 532 M, a keypoint set 3,495 M), except the first Mask R-CNN's: there 963 with 1 and
296 with 19 would do too. The MobileNet detectors drop proposals of low score, so all of them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One weights entry of torchvision.

    Attributes:
        model: builder name (``resnet50``).
        weights: entry name (``IMAGENET1K_V2``).
        published: G MACs as published, three decimals.
        classes: width of the head, 0 where the entry names no classes.
        kind: class name of its transforms (``ImageClassification``).
        crop: height and width after the transforms, None where they keep the size.
    """

    model: str
    weights: str
    published: float
    classes: int
    kind: str
    crop: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The torch counter's result for an entry.

    Attributes:
        entry: the entry.
        macs: dense multiply-accumulates.
        size: the input, ``224x224`` or ``16x112x112``.
        gaps: operators without a price.
        note: what else the figure depends on.
    """

    entry: Entry
    macs: int
    size: str
    gaps: tuple[str, ...]
    note: str

    @property
    def matches(self) -> bool:
        """Return whether the published three decimals result and everything was priced."""
        return round(self.macs / 1e9, 3) == self.entry.published and not self.gaps


def entries() -> list[Entry]:
    """List every weights entry that the installed torchvision ships with ``_ops``."""
    return [
        _entry(name, weights)
        for name in list_models()
        for weights in get_model_weights(name)
        if "_ops" in weights.meta
    ]


def _entry(name: str, weights: Any) -> Entry:
    transforms = weights.transforms
    options = getattr(transforms, "keywords", {})
    crop = options.get("crop_size", options.get("resize_size"))  # segmentation only resizes
    return Entry(
        model=name,
        weights=weights.name,
        published=weights.meta["_ops"],
        classes=len(weights.meta.get("categories") or ()),
        kind=getattr(transforms, "func", transforms).__name__,
        crop=(crop, crop) if isinstance(crop, int) else crop,
    )


def measure(entry: Entry) -> Result:
    """Build the model of an entry with random weights and count it at the entry's input."""
    torch.manual_seed(0)
    note = ""
    height, width = entry.crop or (NOISE, NOISE)
    size = [FRAMES, height, width] if entry.kind == "VideoClassification" else [height, width]
    args: tuple[Any, ...]
    if entry.kind == "ObjectDetection":  # filters boxes by value, so it needs real numbers
        device, model = "cpu", build(entry)
        args = ([torch.rand(3, *size)],)
        if boxes := BOXES.get((entry.model, entry.weights)):
            fix_boxes(model, *boxes)
            note = f"at {boxes[0]} proposals and {boxes[1]} detections (see BOXES)"
    else:
        with parameters_on_meta():
            device, model = "meta", build(entry).to("meta")
        args = (torch.empty(1, 3, *size, device="meta"),)
        args *= 2 if entry.kind == "OpticalFlow" else 1
    with counting_state():
        counted = TorchCounter().count(Subject(module=model.eval(), args=args, device=device))
    return Result(
        entry=entry,
        macs=counted.total,
        size="x".join(map(str, size)),
        gaps=tuple(sorted({gap.name for gap in counted.not_counted})),
        note=note,
    )


def build(entry: Entry) -> nn.Module:
    """Build the model of the entry's weights, without them."""
    options: dict[str, Any] = {"weights": None}
    if entry.classes:
        options["num_classes"] = entry.classes
    if entry.kind in ("ObjectDetection", "SemanticSegmentation"):
        options["weights_backbone"] = None
    if entry.kind == "SemanticSegmentation" and "lraspp" not in entry.model:
        options["aux_loss"] = True  # the weights include the auxiliary head, which runs in eval
    if entry.model.startswith("vit_") and entry.crop:
        options["image_size"] = entry.crop[0]
    if entry.model.startswith("quantized_"):
        options["quantize"] = False
    if entry.model in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # takes a minute and changes no shape
    return get_model(entry.model, **options)


def fix_boxes(model: nn.Module, proposals: int, detections: int) -> None:
    """Let the first stage propose and the second detect a given number of boxes."""

    def propose(boxes: torch.Tensor, scores: torch.Tensor, *_: Any) -> Any:
        kept = boxes[0][:proposals]
        return [kept], [torch.ones(len(kept))]

    def detect(_logits: Any, _regression: Any, boxes: list[torch.Tensor], _shapes: Any) -> Any:
        kept = boxes[0][:detections]
        return [kept], [torch.ones(len(kept))], [torch.ones(len(kept), dtype=torch.long)]

    model.rpn.filter_proposals = propose
    model.roi_heads.postprocess_detections = detect


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; return 1 when an entry does not match."""
    parser = argparse.ArgumentParser(description="torchvision's published counts, reproduced")
    parser.add_argument("models", nargs="*", help="builder names; all where none is given")
    parser.add_argument("-o", "--output", help="write the rows to this CSV file too")
    options = parser.parse_args(argv)
    chosen = [e for e in entries() if not options.models or e.model in options.models]
    results = []
    print(f"{'model':42}{'weights':30}{'input':>13}{'published':>12}{'measured':>12}  match")
    for entry in chosen:
        result = measure(entry)
        results.append(result)
        verdict = "yes" if result.matches else "NO"
        remarks = [result.note, "unpriced: " + ", ".join(result.gaps) if result.gaps else ""]
        print(
            f"{entry.model:42}{entry.weights:30}{result.size:>13}{entry.published:12.3f}"
            f"{result.macs / 1e9:12.3f}  {' '.join([verdict, *filter(None, remarks)])}",
            flush=True,
        )
    matching = sum(result.matches for result in results)
    inferred = sum(bool(result.note) for result in results)
    print(f"{matching} of {len(results)} match, {inferred} of them at an inferred number of boxes")
    if options.output:
        write_csv(results, options.output)
    return 0 if matching == len(results) else 1


def write_csv(results: Sequence[Result], path: str) -> None:
    """Write one row an entry, with exact MACs."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "weights", "input", "published_gmacs", "macs", "match", "note"])
        for result in results:
            e = result.entry
            row = [e.model, e.weights, result.size, e.published, result.macs, result.matches]
            writer.writerow([*row, result.note])


if __name__ == "__main__":
    sys.exit(main())
