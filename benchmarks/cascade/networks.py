"""The three networks of MTCNN (Zhang et al., IEEE Signal Processing Letters 2016).

P-Net looks at a pyramid of the whole frame, R-Net at a 24 x 24 crop of each region that P-Net
found, O-Net at a 48 x 48 crop of each region that R-Net kept. The names of the layers are those of
the trained weights in the package facenet-pytorch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_FACE_PX = 20
PYRAMID_FACTOR = 0.709
"""Each level of the pyramid has half as many pixels as the one before."""
WINDOW_PX = 12
"""What one output of P-Net sees."""


class PNet(nn.Module):
    """Finds regions: (N, 3, H, W) to probability of a face (N, h, w) and offsets (N, 4, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RNet(nn.Module):
    """Rejects: (N, 3, 24, 24) crops to probability (N,) and offsets (N, 4)."""

    size_px = 24

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu4(self.dense4(_flat(self.prelu3(self.conv3(x)))))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """Decides: (N, 3, 48, 48) crops to probability (N,), offsets (N, 4), five points (N, 10)."""

    size_px = 48

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu5(self.dense5(_flat(self.prelu4(self.conv4(x)))))
        return self.dense6_1(x).softmax(1)[:, 1], self.dense6_2(x), self.dense6_3(x)


class Pyramid(nn.Module):
    """P-Net on every level of the pyramid of (1, 3, H, W) frames, values around 0.

    Returns:
        For each level its scale and P-Net's two outputs.
    """

    def __init__(self, net: PNet | None = None) -> None:
        super().__init__()
        self.net = net or PNet()

    def forward(self, x: Tensor) -> list[tuple[float, Tensor, Tensor]]:
        height_px, width_px = map(int, x.shape[2:])
        scale, levels = WINDOW_PX / SMALLEST_FACE_PX, []
        while min(height_px, width_px) * scale >= WINDOW_PX:
            size = (round(height_px * scale), round(width_px * scale))
            level = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
            levels.append((scale, *self.net(level)))
            scale *= PYRAMID_FACTOR
        return levels


def _flat(x: Tensor) -> Tensor:
    """Flatten (N, C, H, W) as the trained weights expect: width first, channels last."""
    return torch.flatten(x.permute(0, 3, 2, 1), 1)
