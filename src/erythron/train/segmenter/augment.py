"""Augmented samples of windows: turned, mirrored, rescaled, crowded by other cells and restained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from erythron.train.segmenter.windows import Windows

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """How far a batch is varied.

    Stain, colour, mix and tint are of the windows that are varied most: each window is by a share of that,
    from none to all, so that many stay near what they are and some go far from it.

    All values are by hand, with ``segmentation_WBC`` and the marrow field in view
    (``docs/results/segmentation.md``, what was tried). ``benchmarks/fold_dice.py --spread NAME=VALUE``
    measures others out of fold. One half, the chance of blur, is of the same kind.

    Attributes:
        log_scale: half the range of the logarithm of the size.
        shift: largest distance of the centre from the cell's, in radii of the cell.
        at_candidate: probability that the centre is one of the cell's candidate points, as in use; a
            segmented nucleus has one in each lobe.
        crowd: probability of a second cell against the first.
        gap: least and largest distance of the two cells' centres, of the sum of their radii.
        stain: standard deviation of the logarithm of the stain's strength.
        colour: the same for each channel alone.
        mix: standard deviation of the share of each channel's absorption that another channel gets.
        tint: standard deviation of the logarithm of each channel's light.
        noise: largest standard deviation of pixel noise, of 1.
        blur: largest standard deviation of the blur in pixels.
    """

    log_scale: float = 0.4
    shift: float = 0.3
    at_candidate: float = 0.5
    crowd: float = 0.55
    gap: tuple[float, float] = (0.7, 1.25)
    stain: float = 0.55
    colour: float = 0.35
    mix: float = 0.15
    tint: float = 0.18
    noise: float = 0.03
    blur: float = 1.0


@dataclass(frozen=True)
class Batch:
    """N augmented samples.

    Attributes:
        pixels: (N, 3, S, S) float32 light, 0..1.
        masks: (N, 2, S, S) float32, nucleus and cell.
        nucleus_known: (N,) bool.
    """

    pixels: Tensor
    masks: Tensor
    nucleus_known: Tensor


@dataclass(frozen=True)
class _Pose:
    """How N windows are enlarged, mirrored and turned.

    Attributes:
        scale: (N,) factor.
        angle: (N,) radians.
        mirror: (N,) 1 or -1.
    """

    scale: Floats
    angle: Floats
    mirror: Floats

    def back(self) -> Floats:
        """(N, 2, 2) that takes (x, y) in the new window to (x, y) in the stored one."""
        cos, sin = np.cos(self.angle) / self.scale, np.sin(self.angle) / self.scale
        return np.stack([np.stack([self.mirror * cos, -self.mirror * sin], 1), np.stack([sin, cos], 1)], 1)

    def place(self, points: Floats) -> Floats:
        """Return (N, 2), where (x, y) of the stored window come to lie in the new one."""
        return np.asarray(np.linalg.solve(self.back(), points[:, :, None])[:, :, 0])


def make_batch(windows: Windows, index: Index, size: int, rng: np.random.Generator, spread: Spread) -> Batch:
    """Return augmented samples of side ``size``.

    Args:
        windows: where to take them from.
        index: (N,) int64, which ones.
        size: side in pixels; the stored windows are larger.
        rng: source of chance.
        spread: how far to vary.
    """
    count = len(index)
    radius = _radius(windows, index)
    pose = _choose_pose(count, spread, rng)
    reach = rng.uniform(0, 1, count) ** 0.5 * spread.shift * radius * pose.scale
    shift = _turn(reach, rng.uniform(0, 2 * np.pi, count))
    points = _choose_points(windows, index, rng)
    moved = (rng.uniform(0, 1, count) < spread.at_candidate) & ~np.isnan(points[:, 0])
    shift[moved] = -pose.place(points)[moved]
    stack = _warp(windows.pixels[index], windows.masks[index], size, pose, shift)

    # A second cell against the first: its edge may touch or cover that of the first, never its middle.
    partner = rng.permutation(np.flatnonzero(windows.has_cell))[:count]
    partner = np.resize(partner, count)
    other = _choose_pose(count, spread, rng)
    both = radius * pose.scale + _radius(windows, partner) * other.scale
    away = _turn(both * rng.uniform(*spread.gap, count), rng.uniform(0, 2 * np.pi, count))
    crowd = _warp(windows.pixels[partner], windows.masks[partner], size, other, shift + away)
    middle = (crowd[:, 4, size // 2, size // 2] > 0).numpy()
    chosen = (rng.uniform(0, 1, count) < spread.crowd) & (radius > 0) & ~middle
    cover = functional.avg_pool2d(crowd[:, 4:5], 3, stride=1, padding=1) * torch.from_numpy(
        chosen.astype(np.float32)
    ).view(-1, 1, 1, 1)
    dark = torch.where(cover > 0, stack[:, :3] * (1 - cover) + crowd[:, :3] * cover, stack[:, :3])
    masks = stack[:, 3:] * (1 - cover.round())

    light = _restain(1 - dark, rng, spread)
    return Batch(light, masks, torch.from_numpy(windows.nucleus_known[index]))


def _radius(windows: Windows, index: Index) -> Floats:
    area = (windows.masks[index, :, :, 1] > 127).sum((1, 2))
    radius: Floats = np.sqrt(area / np.pi)
    return radius


def _turn(length: Floats, angle: Floats) -> Floats:
    return np.stack([length * np.cos(angle), length * np.sin(angle)], 1)


def _choose_pose(count: int, spread: Spread, rng: np.random.Generator) -> _Pose:
    return _Pose(
        np.exp(rng.uniform(-spread.log_scale, spread.log_scale, count)),
        rng.uniform(0, 2 * np.pi, count),
        rng.choice([-1.0, 1.0], count),
    )


def _choose_points(windows: Windows, index: Index, rng: np.random.Generator) -> Floats:
    """One candidate point of each cell, (N, 2), nan where there is none."""
    points = windows.points[index]
    count = np.maximum((~np.isnan(points[:, :, 0])).sum(1), 1)
    drawn: Floats = points[np.arange(len(index)), rng.integers(0, count)].astype(np.float64)
    return drawn


def _warp(pixels: Pixels, maps: Pixels, size: int, pose: _Pose, shift: Floats) -> Tensor:
    """Darkness and two maps in a pose and moved by ``shift`` pixels, (N, 5, size, size)."""
    count = len(pixels)
    stored = pixels.shape[1]
    back = pose.back()
    theta = np.concatenate([back * (size / stored), -2 * (back @ shift[:, :, None]) / stored], axis=2)
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
