"""The segmentation network: an ImageNet-trained encoder and a light decoder that knows the middle."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = (0, 1, 2, 4)
"""Blocks of EfficientNet-Lite0 whose output the decoder takes: strides 2, 4, 8, 16."""

CHANNELS = (16, 24, 40, 112)
"""Channels of these blocks' outputs."""

WIDTHS = (24, 32, 48, 64)
"""Channels of the decoder at the same strides, by hand: as the encoder has, fewer where that is slow."""

OUTPUTS = 2
"""Nucleus and whole cell."""


class _Merge(nn.Module):
    """Upsample, join the encoder's map of that stride and the distance to the centre, convolve."""

    def __init__(self, deep: int, skip: int, out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(deep + skip, out, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.mix = nn.Sequential(
            nn.Conv2d(out, out, 3, padding=1, groups=out, bias=False),
            nn.Conv2d(out, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU6(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, groups=out, bias=False),
            nn.Conv2d(out, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU6(inplace=True),
        )

    def forward(self, deep: Tensor, *joined: Tensor) -> Tensor:
        up = functional.interpolate(deep, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = functional.relu6(self.norm(self.reduce(torch.cat([up, *joined], 1))))
        out: Tensor = x + self.mix(x)
        return out


class SegmentationNetwork(nn.Module):
    """U-shaped network (Ronneberger et al. 2015, arXiv 1505.04597) on EfficientNet-Lite0.

    The decoder sees how far each place is from the middle of the window, which makes the cell in the middle
    the one that is outlined.

    Args:
        backbone: timm's EfficientNet-Lite0; the blocks after stride 16 are dropped.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(backbone.get_submodule("conv_stem"), backbone.get_submodule("bn1"))
        self.blocks = nn.ModuleList(backbone.get_submodule(f"blocks.{i}") for i in range(STAGES[-1] + 1))
        self.merges = nn.ModuleList(
            _Merge(WIDTHS[i + 1], CHANNELS[i] + 1, WIDTHS[i]) for i in range(len(STAGES) - 1)
        )
        self.widen = nn.Conv2d(CHANNELS[-1] + 1, WIDTHS[-1], 1)
        self.head = nn.Conv2d(WIDTHS[0], OUTPUTS, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits at the size of the input, (N, 2, H, W): nucleus and cell.

        Args:
            pixels: (N, 3, H, W) normalised; H and W multiples of 16.
        """
        return self.decode(self.encode(pixels))

    def encode(self, pixels: Tensor) -> list[Tensor]:
        """Return the encoder's maps at strides 2, 4, 8 and 16, (N, ``CHANNELS[i]``, h, w) each.

        Args:
            pixels: as for :meth:`forward`.
        """
        x = self.stem(pixels)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in STAGES:
                maps.append(x)
        return maps

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits of what :meth:`encode` returned."""
        y = self.widen(_join(maps[-1]))
        for merge, skip in zip(reversed(self.merges), reversed(maps[:-1]), strict=True):
            y = merge(y, _join(skip))
        logits: Tensor = functional.interpolate(
            self.head(y), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return logits


def _join(features: Tensor) -> Tensor:
    """Append the distance to the middle, 1 at the middle of a side."""
    count, _, height, width = features.shape
    y = (torch.arange(height, dtype=features.dtype) + 0.5) / height - 0.5
    x = (torch.arange(width, dtype=features.dtype) + 0.5) / width - 0.5
    distance = torch.sqrt(y[:, None] ** 2 + x[None, :] ** 2 + 1e-6) * 2
    return torch.cat([features, distance.expand(count, 1, height, width)], 1)
