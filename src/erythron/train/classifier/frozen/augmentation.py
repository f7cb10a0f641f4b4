"""Augmented samples of cells and their pooled features: turned, mirrored, rescaled, restained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.recipe import SampleSettings
from erythron.train.shared.backbones import PixelScaling
from erythron.train.shared.framed_cells import FramedCells

BATCH = 64

MARGIN = 1.5
"""Side of a framed crop over the input's, room for turning and scaling without padding."""

_CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class Sample:
    """N cells as the network takes them, but for scaling.

    Attributes:
        pixels: (N, S, S, 3) uint8.
        masks: (N, S, S, 2) uint8, nucleus and cell.
        inputs: (N, K) float32, measurement inputs, not standardised.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    inputs: NDArray[np.float32]


def cut_plain(cells: FramedCells, size: int) -> Sample:
    """Return the cells as in use, the middle of their crops, at ``size`` px."""
    start = (cells.pixels.shape[1] - size) // 2
    window = np.s_[:, start : start + size, start : start + size]
    return Sample(cells.pixels[window], cells.masks[window][..., :2], cells.inputs)


def augment(cells: FramedCells, size: int, settings: SampleSettings, seed: int) -> Sample:
    """Return the cells at the network's input size, each varied once.

    The geometry acts on pixels and masks alike, stain on pixels alone, and both act on the measurements as
    a new measurement of the augmented image would show: sizes by the scale, mean light by the stain. Stain
    varies as in Beer and Lambert's law, light to the power of a factor for each channel, around one factor
    for all; each cell varies by its own share of the spreads, from none to all.

    Args:
        cells: crops larger than ``size``.
        size: side in pixels of the input.
        settings: spreads.
        seed: of every random number.
    """
    rng = np.random.default_rng(seed)
    count = len(cells.inputs)
    log_scale = rng.uniform(-settings.scale, settings.scale, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    mirror = rng.choice([-1.0, 1.0], count)
    share = rng.uniform(0, 1, (count, 1))
    power = np.exp(
        share
        * (
            rng.uniform(-settings.stain, settings.stain, (count, 1))
            + rng.normal(0, settings.colour, (count, 3))
        )
    )
    tint = np.exp(share * rng.normal(0, settings.tint, (count, 3)))
    share = size / cells.pixels.shape[1] / np.exp(log_scale)
    cos, sin, zero = np.cos(angle) * share, np.sin(angle) * share, np.zeros(count)
    theta = np.stack([np.stack([mirror * cos, -sin, zero], 1), np.stack([mirror * sin, cos, zero], 1)], 1)
    pixels, masks = np.empty((count, size, size, 3), np.uint8), np.empty((count, size, size, 2), np.uint8)
    for i in range(0, count, BATCH):
        part = slice(i, i + BATCH)
        # Darkness rather than light, so that what comes from beyond the crop is empty smear.
        stack = np.concatenate([255 - cells.pixels[part], cells.masks[part][..., :2]], 3)
        grid = functional.affine_grid(
            torch.from_numpy(theta[part].astype(np.float32)), [len(stack), 5, size, size], align_corners=False
        )
        moved = (
            functional.grid_sample(_to_tensor(stack), grid, align_corners=False).permute(0, 2, 3, 1).numpy()
        )
        light = (1 - moved[..., :3]).clip(0, 1) ** power[part, None, None]
        pixels[part] = (light * tint[part, None, None] * 255).clip(0, 255).round()
        masks[part] = (moved[..., 3:] * 255).round()
    inputs = cells.inputs.astype(np.float64)
    column = MEASUREMENT_INPUTS.index
    for name in ("log_cell_diameter_um", "log_nucleus_diameter_um"):
        inputs[:, column(name)] += log_scale
    for part_name in ("nucleus", "cytoplasm"):
        columns = [column(f"{part_name}_light_{c}") for c in _CHANNELS]
        inputs[:, columns] = (inputs[:, columns].clip(1e-3, 1) ** power * tint).clip(0, 1)
    return Sample(pixels, masks, inputs.astype(np.float32))


def pool_features(cells: Sample, encoder: ShapeFeatures, scaling: PixelScaling) -> NDArray[np.float32]:
    """Return the encoder's pooled features of cells at input size, (N, D) float32."""
    parts = []
    with torch.no_grad():
        for i in range(0, len(cells.inputs), BATCH):
            pixels = normalise(cells.pixels[i : i + BATCH], scaling)
            parts.append(encoder(pixels, _to_tensor(cells.masks[i : i + BATCH])).numpy())
    return np.concatenate(parts)


def normalise(pixels: NDArray[np.uint8], scaling: PixelScaling) -> Tensor:
    """Return (N, 3, S, S) float32 from (N, S, S, 3) uint8."""
    mean, sd = (torch.tensor(v).view(1, 3, 1, 1) for v in (scaling.mean, scaling.sd))
    scaled: Tensor = (_to_tensor(pixels) - mean) / sd
    return scaled


def _to_tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(0, 3, 1, 2).float() / 255
