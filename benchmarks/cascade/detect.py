"""Runs the cascade on one frame and says what it did."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, nms, roi_align

from benchmarks.cascade.networks import WINDOW_PX, ONet, PNet, Pyramid, RNet

THRESHOLDS = (0.6, 0.7, 0.7)
"""Probability that a region needs to go on from P-Net, R-Net, O-Net (the paper's usual values)."""
STRIDE_PX = 2
"""Of P-Net's outputs."""
CROPS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Found:
    """What one frame took.

    Attributes:
        refined: crops that R-Net saw.
        decided: crops that O-Net saw.
        faces: (n, 4) boxes that are left, in pixels: left, top, right, bottom.
    """

    refined: int
    decided: int
    faces: Tensor


class Cascade(nn.Module):
    """P-Net, R-Net and O-Net in a row, each on what the one before let through."""

    def __init__(self) -> None:
        super().__init__()
        self.pnet, self.rnet, self.onet = Pyramid(PNet()), RNet(), ONet()

    @torch.inference_mode()
    def forward(self, frame: Tensor) -> Found:
        """Look for faces in a (3, H, W) frame of values from 0 to 255."""
        image = (frame[None].float() - 127.5) / 128
        boxes = self._regions(image)
        refined = len(boxes)
        boxes = _kept(self.rnet, image, boxes, THRESHOLDS[1])
        decided = len(boxes)
        boxes = _kept(self.onet, image, boxes, THRESHOLDS[2], square=False)
        return Found(refined, decided, boxes)

    def _regions(self, image: Tensor) -> Tensor:
        boxes, scores, levels = [], [], []
        for number, (scale, probability, offsets) in enumerate(self.pnet(image)):
            row, column = (probability[0] > THRESHOLDS[0]).nonzero(as_tuple=True)
            corner = torch.stack([column, row], 1) * STRIDE_PX
            box = torch.cat([corner, corner + WINDOW_PX], 1) / scale
            boxes.append(_moved(box, offsets[0][:, row, column].T))
            scores.append(probability[0][row, column])
            levels.append(torch.full_like(row, number))
        box, score, level = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        kept = batched_nms(box, score, level, 0.5)
        kept = kept[nms(box[kept], score[kept], 0.7)]
        return _square(box[kept])


def load(wheel: Path) -> Cascade:
    """Return the cascade with the trained weights out of facenet-pytorch's wheel.

    Raises:
        FileNotFoundError: there is no such file.
        KeyError: it holds no such weights.
    """
    cascade = Cascade()
    with zipfile.ZipFile(wheel) as archive:
        for name, net in (("p", cascade.pnet.net), ("r", cascade.rnet), ("o", cascade.onet)):
            data = io.BytesIO(archive.read(f"facenet_pytorch/data/{name}net.pt"))
            net.load_state_dict(torch.load(data, weights_only=True))
    return cascade.eval()


def _kept(
    net: RNet | ONet, image: Tensor, boxes: Tensor, threshold: float, *, square: bool = True
) -> Tensor:
    """Return the boxes that a network is sure of, moved to where it says."""
    if not len(boxes):
        return boxes
    crops = roi_align(image, [boxes], net.size_px, sampling_ratio=2, aligned=True)
    outputs = [net(part)[:2] for part in crops.split(CROPS_AT_ONCE)]
    probability, offsets = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    sure = probability > threshold
    boxes, score = _moved(boxes[sure], offsets[sure]), probability[sure]
    boxes = boxes[nms(boxes, score, 0.7)]
    return _square(boxes) if square else boxes


def _moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Shift the edges of (n, 4) boxes by shares of their width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * sides.repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """Return squares around the same centres, as wide as each box's longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([centre - half, centre + half], 1)
