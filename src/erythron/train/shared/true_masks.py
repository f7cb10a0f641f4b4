"""Masks that a data set brings, read as the outline of its central cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.cells.outline import CellOutline, outline_cell
from erythron.classify.crops import cut_window
from erythron.datasets.masks import read_mask
from erythron.errors import DataError


def read_true_mask(row: Mapping[str, Any], rgb: NDArray[np.uint8]) -> CellOutline | None:
    """Return the one cell of a manifest's row, None where its mask is empty.

    Where a mask says nothing of the nucleus, the darker half of the cell stands for it. Of several cells the
    one nearest to the image's centre is kept.

    Args:
        row: of a manifest, with ``mask_path`` and ``mask_kind``.
        rgb: (H, W, 3) uint8, the image, or what was cut out of it by the row's box.

    Raises:
        DataError: the mask cannot be read, is of unknown kind or of another size than the image.
    """
    path = Path(row["mask_path"])
    mask = read_mask(path, row["mask_kind"])
    drawn, inner = mask.cell, mask.nucleus if mask.nucleus is not None else np.zeros_like(mask.cell)
    if row["x_px"] is not None:
        drawn, inner = (cut_window(part, box_window(row), 0) for part in (drawn, inner))
    if drawn.shape != rgb.shape[:2]:
        raise DataError(
            f"{path}: the mask is {drawn.shape[1]}x{drawn.shape[0]}, its image {rgb.shape[1]}x{rgb.shape[0]}"
        )
    cell = _keep_central(drawn)
    nucleus = cell & inner
    if cell.any() and not nucleus.any():
        light = rgb.mean(axis=2)
        nucleus = cell & (light <= np.median(light[cell]))
    return outline_cell(nucleus, cell)


def box_window(row: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a square of twice the size of a row's box, around its middle."""
    side = 2 * max(row["width_px"], row["height_px"])
    left = row["x_px"] + row["width_px"] // 2 - side // 2
    top = row["y_px"] + row["height_px"] // 2 - side // 2
    return left, top, left + side, top + side


def _keep_central(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count <= 1:
        return mask
    middle = np.array(mask.shape) / 2
    sizes = np.bincount(parts.ravel())[1:]
    large = np.flatnonzero(sizes >= sizes.max() / 4) + 1
    distances = [np.hypot(*(np.argwhere(parts == i) - middle).T).min() for i in large]
    kept: NDArray[np.bool_] = parts == large[int(np.argmin(distances))]
    return kept
