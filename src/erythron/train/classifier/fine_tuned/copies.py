"""Rotated copies of training cells, made before training as the published code has them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from erythron.train.classifier.fine_tuned.augmentation import turn_planes
from erythron.train.classifier.fine_tuned.cell_set import CellSet

_AT_ONCE = 256


def add_copies(cells: CellSet, copies: int) -> CellSet:
    """Return the cells, then copies of all of them turned by even parts of a whole turn, in memory.

    Copies are made of the training part alone and after it was split, so none can lie on another side. They
    keep the row, and with it the group, of their cell. What is turned in from beyond a stored crop is empty
    smear.

    Args:
        cells: of the training part.
        copies: of each cell; 0 returns the cells as they are.
    """
    if not copies:
        return cells
    pixels, masks = [np.asarray(cells.pixels)], [np.asarray(cells.masks)]
    for number in range(1, copies + 1):
        angle = 2 * math.pi * number / (copies + 1)
        # Darkness rather than light, so that 0 is empty smear.
        pixels.append(255 - _turn(255 - pixels[0], angle))
        masks.append(_turn(masks[0], angle))
    count = copies + 1
    return replace(
        cells,
        rows=pl.concat([cells.rows] * count),
        pixels=np.concatenate(pixels),
        masks=np.concatenate(masks),
        inputs=np.tile(cells.inputs, (count, 1)),
        has_cell=np.tile(cells.has_cell, count),
        labels=np.tile(cells.labels, count),
    )


def _turn(planes: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    if not planes.shape[-1]:
        return planes
    parts = [
        turn_planes(torch.from_numpy(planes[i : i + _AT_ONCE]).permute(0, 3, 1, 2), angle).permute(0, 2, 3, 1)
        for i in range(0, len(planes), _AT_ONCE)
    ]
    return np.asarray(torch.cat(parts).numpy())
