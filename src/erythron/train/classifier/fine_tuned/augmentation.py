"""Variation of whole batches, image and mask by one geometry, on the device that trains.

Every random choice comes from uniform numbers that the loader draws for each cell, so that a run depends
neither on the number of processes nor on where it was resumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from erythron.train.recipe import (
    AugmentationKind,
    AugmentationSettings,
    CropLaw,
    EvaluationCrop,
    Interpolation,
)

DRAWS = 12
"""Uniform numbers that one cell's augmentation takes."""

MARGIN = 1.25
"""Side of a stored crop over the input's, room for turning without a border."""

_LUMA = (0.299, 0.587, 0.114)

_WIDEST = math.log(4 / 3)
"""Logarithm of the largest aspect of a random crop (timm and torchvision)."""

_PUBLISHED_SHARE = 0.9
"""Share of a picture's side that timm evaluates Swin on (``crop_pct``)."""


@dataclass(frozen=True)
class Batch:
    """N cells.

    Attributes:
        pixels: (N, 3, P, P) uint8, or float in 0..1 once augmented.
        masks: (N, K, P, P) alike: those of nucleus, cell and hull that the network takes.
        labels: (N,) int64.
        draws: (N, DRAWS) float32 in 0..1.
        index: (N,) int64, row of each cell.
    """

    pixels: Tensor
    masks: Tensor
    labels: Tensor
    draws: Tensor
    index: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """Return the batch on a device."""
        moved = (t.to(device, non_blocking=non_blocking) for t in vars(self).values())
        return Batch(*moved)

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory."""
        return Batch(*(t.pin_memory() for t in vars(self).values()))


def augment(batch: Batch, settings: AugmentationSettings, size: int) -> tuple[Tensor, Tensor]:
    """Return varied pixels and masks at the input's size, (N, 3, S, S) and (N, K, S, S) float32 in 0..1.

    Args:
        batch: stored crops.
        settings: how to vary them.
        size: S.
    """
    if settings.kind is AugmentationKind.NONE:
        return cut_centre(batch, size, EvaluationCrop.WHOLE)
    if settings.kind is AugmentationKind.PUBLISHED:
        theta = _crop_at_random(batch, settings, size)
        pixels, masks = _sample(batch, theta, size)
        if settings.interpolation is Interpolation.PUBLISHED:
            is_cubic = (batch.draws[:, 9] < 0.5)[:, None, None, None]
            cubic = _sample(batch, theta, size, "bicubic")
            pixels, masks = (torch.where(is_cubic, c, p) for c, p in zip(cubic, (pixels, masks), strict=True))
        return _jitter_colour(pixels, batch.draws[:, 6:9], settings.jitter), masks
    pixels, masks = _sample(batch, _turn(batch, settings, size), size)
    return _restain(pixels, batch.draws[:, 5:12], settings), masks


def cut_centre(batch: Batch, size: int, crop: EvaluationCrop) -> tuple[Tensor, Tensor]:
    """Return the middle of the stored crops, (N, 3, S, S) and (N, K, S, S) float32 in 0..1."""
    if crop is EvaluationCrop.PUBLISHED:
        # timm enlarges to a whole number of pixels, then cuts.
        share = size / math.floor(size / _PUBLISHED_SHARE) * size / batch.pixels.shape[-1]
        theta = torch.tensor([[share, 0.0, 0.0], [0.0, share, 0.0]], device=batch.pixels.device)
        return _sample(batch, theta.expand(len(batch.labels), 2, 3), size, "bicubic")
    start = (batch.pixels.shape[-1] - size) // 2
    window = slice(start, start + size)
    pixels, masks = (t[..., window, window].float() / 255 for t in (batch.pixels, batch.masks))
    return pixels, masks


def _turn(batch: Batch, settings: AugmentationSettings, size: int) -> Tensor:
    """Rotation by any angle, mirroring, a small change of size and a small shift, (N, 2, 3)."""
    u = batch.draws
    angle = 2 * math.pi * u[:, 0]
    mirror = torch.where(u[:, 1] < 0.5, -1.0, 1.0)
    share = size / batch.pixels.shape[-1]
    zoom = share / (1 + settings.scale * (2 * u[:, 2] - 1))
    shift = settings.shift * share * 2 * (2 * u[:, 3:5] - 1)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [
        torch.stack([mirror * cos, -sin, shift[:, 0]], 1),
        torch.stack([mirror * sin, cos, shift[:, 1]], 1),
    ]
    return torch.stack(rows, 1)


def _crop_at_random(batch: Batch, settings: AugmentationSettings, size: int) -> Tensor:
    """A crop of a random share of the input's area and random aspect from 3/4 to 4/3, mirrored, (N, 2, 3)."""
    u = batch.draws
    area, aspect = draw_crops(u[:, 0], u[:, 1], settings)
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    mirror = torch.where(u[:, 2] < 0.5, -1.0, 1.0)
    share = size / batch.pixels.shape[-1]
    x, y = (1 - width) * (2 * u[:, 3] - 1), (1 - height) * (2 * u[:, 4] - 1)
    zero = torch.zeros_like(x)
    rows = [
        torch.stack([mirror * width, zero, x], 1),
        torch.stack([zero, height, y], 1),
    ]
    theta = torch.stack(rows, 1) * share
    if not settings.rotated:
        return theta
    angle = 2 * math.pi * u[:, 5]
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return turn @ theta


def draw_crops(first: Tensor, second: Tensor, settings: AugmentationSettings) -> tuple[Tensor, Tensor]:
    """Return area, as a share of the frame, and aspect of random crops from two uniform numbers each, (N,).

    The published law draws area and logarithm of the aspect uniformly and takes only what the frame holds, so
    with ``v`` the size of that logarithm the area is at most ``exp(-v)``. The density of ``v`` is what is
    left of the range of areas then; its distribution is inverted by a table, and the area is uniform under
    its limit. A frame that is never hit in ten draws, for which torchvision has another rule, has a chance of
    4e-9.

    Args:
        first: (N,) in 0..1.
        second: (N,) in 0..1.
        settings: range of areas and law.
    """
    low, high = settings.area
    if settings.crop is CropLaw.CLAMPED:
        return low + (high - low) * first, torch.exp(_WIDEST * (2 * second - 1))
    v = torch.linspace(0, _WIDEST, 1025, device=first.device, dtype=torch.float64)
    room = (torch.exp(-v).clamp(max=high) - low).clamp(min=0)
    below = torch.cumulative_trapezoid(room, v)
    below = torch.cat([below.new_zeros(1), below]) / below[-1]
    folded = (2 * second - 1).abs().double().contiguous()
    place = torch.searchsorted(below, folded).clamp(1, len(v) - 1)
    part = (folded - below[place - 1]) / (below[place] - below[place - 1])
    size = v[place - 1] + part * (v[place] - v[place - 1])
    area = low + (torch.exp(-size).clamp(max=high) - low) * first.double()
    aspect = torch.exp(torch.where(second < 0.5, -size, size))
    return area.to(first.dtype), aspect.to(first.dtype)


def turn_planes(planes: Tensor, angle: float) -> Tensor:
    """Return (N, C, P, P) uint8 planes turned about their centre; what comes from beyond them is 0.

    Args:
        planes: (N, C, P, P) uint8.
        angle: in radians.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    theta = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]]).expand(len(planes), 2, 3)
    grid = functional.affine_grid(theta, list(planes.shape), align_corners=False)
    turned = functional.grid_sample(planes.float(), grid, align_corners=False)
    return turned.round().to(torch.uint8)


def _sample(batch: Batch, theta: Tensor, size: int, mode: str = "bilinear") -> tuple[Tensor, Tensor]:
    # Darkness rather than light, so that what comes from beyond the crop is empty smear.
    planes = torch.cat([255 - batch.pixels, batch.masks], 1).float()
    grid = functional.affine_grid(theta, [len(planes), planes.shape[1], size, size], align_corners=False)
    moved = functional.grid_sample(planes, grid, mode, align_corners=False).mul_(1 / 255)
    if mode == "bicubic":
        # It overshoots at edges.
        moved = moved.clamp(0, 1)
    return 1 - moved[:, :3], moved[:, 3:]


def _restain(pixels: Tensor, u: Tensor, settings: AugmentationSettings) -> Tensor:
    """Stain as in Beer and Lambert's law: light to a power, one for all channels and one for each."""
    centred = (2 * u - 1)[:, :, None, None]
    power = torch.exp(settings.stain * (centred[:, :1] + 0.5 * centred[:, 1:4]))
    tint = 1 + settings.tint * centred[:, 4:7]
    return (pixels.clamp(1e-3, 1) ** power * tint).clamp(0, 1)


def _jitter_colour(pixels: Tensor, u: Tensor, jitter: float) -> Tensor:
    """Brightness, contrast and saturation, each by a factor within ``1 ± jitter``."""
    factors = (1 + jitter * (2 * u - 1))[:, :, None, None]
    brightness, contrast, saturation = factors[:, 0:1], factors[:, 1:2], factors[:, 2:3]
    luma = torch.tensor(_LUMA, device=pixels.device).view(1, 3, 1, 1)
    x = (pixels * brightness).clamp(0, 1)
    mean = (x * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = (mean + (x - mean) * contrast).clamp(0, 1)
    grey = (x * luma).sum(1, keepdim=True)
    jittered: Tensor = (grey + (x - grey) * saturation).clamp(0, 1)
    return jittered
