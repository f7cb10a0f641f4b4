"""Augmented batches of windows: turned, mirrored, rescaled, crowded by other cells and restained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from erythron.train.segmenter.samples import Windows

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """How far a batch is varied.

    Stain, colour, mix and tint are of the windows that are varied most: each window is by a share of that,
    from none to all, so that many stay near what they are and some go far from it.

    Attributes:
        log_scale: half the range of the logarithm of the size.
        shift: largest distance of the centre from the cell's, in radii of the cell.
        crowd: probability of a second cell against the first.
        stain: standard deviation of the logarithm of the stain's strength.
        colour: the same for each channel alone.
        mix: standard deviation of the share of each channel's absorption that another channel gets.
        tint: standard deviation of the logarithm of each channel's light.
        noise: largest standard deviation of pixel noise, of 1.
        blur: largest standard deviation of the blur in pixels.
    """

    log_scale: float = 0.4
    shift: float = 0.3
    crowd: float = 0.4
    stain: float = 0.55
    colour: float = 0.35
    mix: float = 0.15
    tint: float = 0.18
    noise: float = 0.03
    blur: float = 1.0


@dataclass(frozen=True)
class Batch:
    """N augmented windows.

    Attributes:
        pixels: (N, 3, S, S) float32 light, 0..1.
        masks: (N, 2, S, S) float32, nucleus and cell.
        nucleus_known: (N,) bool.
    """

    pixels: Tensor
    masks: Tensor
    nucleus_known: Tensor


def make_batch(windows: Windows, index: Index, size: int, rng: np.random.Generator, spread: Spread) -> Batch:
    """Return augmented windows of side ``size``.

    Args:
        windows: where to take them from.
        index: (N,) int64, which ones.
        size: side in pixels; the stored windows are larger.
        rng: source of chance.
        spread: how far to vary.
    """
    count = len(index)
    radius = _radius(windows, index)
    scale = np.exp(rng.uniform(-spread.log_scale, spread.log_scale, count))
    reach = rng.uniform(0, 1, count) ** 0.5 * spread.shift * radius * scale
    shift = _turn(reach, rng.uniform(0, 2 * np.pi, count))
    stack = _warp(windows.pixels[index], windows.masks[index], size, scale, shift, rng)

    # A second cell against the first: its edge may touch or cover that of the first, never its middle.
    partner = rng.permutation(np.flatnonzero(windows.has_cell))[:count]
    partner = np.resize(partner, count)
    other_scale = np.exp(rng.uniform(-spread.log_scale, spread.log_scale, count))
    both = radius * scale + _radius(windows, partner) * other_scale
    away = _turn(both * rng.uniform(0.8, 1.25, count), rng.uniform(0, 2 * np.pi, count))
    crowd = _warp(windows.pixels[partner], windows.masks[partner], size, other_scale, shift + away, rng)
    chosen = (rng.uniform(0, 1, count) < spread.crowd) & (radius > 0)
    cover = functional.avg_pool2d(crowd[:, 4:5], 3, stride=1, padding=1) * torch.from_numpy(
        chosen.astype(np.float32)
    ).view(-1, 1, 1, 1)
    dark = torch.where(cover > 0, stack[:, :3] * (1 - cover) + crowd[:, :3] * cover, stack[:, :3])
    masks = stack[:, 3:] * (1 - cover.round())

    light = _restain(1 - dark, rng, spread)
    return Batch(light, masks, torch.from_numpy(windows.nucleus_known[index]))


def plain_batch(windows: Windows, index: Index, size: int) -> Batch:
    """Return windows as they are in use, their middle of side ``size``."""
    start = (windows.pixels.shape[1] - size) // 2
    view = np.s_[:, start : start + size, start : start + size]
    return Batch(
        _to_tensor(windows.pixels[index][view]),
        _to_tensor(windows.masks[index][view]),
        torch.from_numpy(windows.nucleus_known[index]),
    )


def _radius(windows: Windows, index: Index) -> Floats:
    area = (windows.masks[index, :, :, 1] > 127).sum((1, 2))
    radius: Floats = np.sqrt(area / np.pi)
    return radius


def _turn(length: Floats, angle: Floats) -> Floats:
    return np.stack([length * np.cos(angle), length * np.sin(angle)], 1)


def _warp(
    pixels: Pixels, maps: Pixels, size: int, scale: Floats, shift: Floats, rng: np.random.Generator
) -> Tensor:
    """Darkness and two maps turned, mirrored, rescaled and moved by ``shift`` pixels, (N, 5, size, size)."""
    count = len(pixels)
    stored = pixels.shape[1]
    angle = rng.uniform(0, 2 * np.pi, count)
    mirror = rng.choice([-1.0, 1.0], count)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    share = size / stored
    theta = np.zeros((count, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = mirror * cos * share, -mirror * sin * share
    theta[:, 1, 0], theta[:, 1, 1] = sin * share, cos * share
    moved = -2 * shift / stored
    theta[:, 0, 2] = mirror * (cos * moved[:, 0] - sin * moved[:, 1])
    theta[:, 1, 2] = sin * moved[:, 0] + cos * moved[:, 1]
    # Darkness rather than light, so that what comes from beyond the window is empty smear.
    stack = torch.cat([1 - _to_tensor(pixels), _to_tensor(maps)], 1)
    grid = functional.affine_grid(
        torch.from_numpy(theta.astype(np.float32)), [count, 5, size, size], align_corners=False
    )
    return functional.grid_sample(stack, grid, align_corners=False)


def _restain(light: Tensor, rng: np.random.Generator, spread: Spread) -> Tensor:
    """Vary stain after Beer and Lambert, light, focus and noise."""
    count = len(light)
    share = rng.uniform(0, 1, (count, 1))
    power = np.exp(
        share * (rng.normal(0, spread.stain, (count, 1)) + rng.normal(0, spread.colour, (count, 3)))
    )
    tint = np.exp(share * rng.normal(0, spread.tint, (count, 3)))
    mixing = np.eye(3) + share[:, None] * rng.normal(0, spread.mix, (count, 3, 3))
    absorbed = -torch.log(light.clamp(1e-2, 1))
    absorbed = torch.einsum("nij,njhw->nihw", torch.from_numpy(mixing.astype(np.float32)), absorbed)
    light = torch.exp(-absorbed.clamp(min=0) * _column(power)) * _column(tint)
    sigma = rng.uniform(0, spread.blur, count) * (rng.uniform(0, 1, count) < 0.5)
    reach = np.arange(-3, 4)
    kernel = np.exp(-0.5 * (reach / np.maximum(sigma, 1e-2)[:, None]) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    weights = torch.from_numpy(kernel.astype(np.float32)).repeat_interleave(3, 0)
    flat = functional.pad(light.reshape(1, -1, *light.shape[2:]), (3, 3, 3, 3), mode="replicate")
    flat = functional.conv2d(flat, weights[:, None, :, None], groups=len(weights))
    flat = functional.conv2d(flat, weights[:, None, None, :], groups=len(weights))
    light = flat.reshape(light.shape)
    level = torch.from_numpy(rng.uniform(0, spread.noise, count).astype(np.float32)).view(-1, 1, 1, 1)
    noise = torch.from_numpy(rng.standard_normal(light.shape, dtype=np.float32))
    return (light + noise * level).clamp(0, 1)


def _column(values: Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[..., None, None]


def _to_tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(0, 3, 1, 2).float() / 255
