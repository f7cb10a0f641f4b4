"""Outlined cells put together in one label image at the scale of the field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.segment.outline import OutlinedCells
from erythron.segment.segmentation import Segmentation

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SMALLEST_LOBE = 0.05
"""Parts of a nucleus under this share of it are no lobes."""


class Canvas:
    """Label images that cells are put on; where two claim a pixel, the more probable has it."""

    def __init__(self, height: int, width: int) -> None:
        self.nucleus = np.zeros((height, width), np.int32)
        self.cell = np.zeros((height, width), np.int32)
        self.claim = np.zeros((height, width), np.float16)
        self.count = 0

    def add(self, found: OutlinedCells, scale: float, origin: tuple[int, int]) -> None:
        """Put cells on, their windows enlarged by ``scale`` and moved to ``origin``."""
        height, width = self.cell.shape
        size = found.maps.shape[-1]
        for corner, (nucleus_map, cell_map) in zip(found.corner, found.maps, strict=True):
            top, left = corner[0] * scale + origin[0], corner[1] * scale + origin[1]
            y0, x0 = max(0, int(np.floor(top))), max(0, int(np.floor(left)))
            y1, x1 = (
                min(height, int(np.ceil(top + size * scale))),
                min(width, int(np.ceil(left + size * scale))),
            )
            if y1 <= y0 or x1 <= x0:
                continue
            box = ((x0 - left) / scale, (y0 - top) / scale, (x1 - left) / scale, (y1 - top) / scale)
            nucleus, cell = (_enlarge(m, (x1 - x0, y1 - y0), box) for m in (nucleus_map, cell_map))
            inner, outer = _tidy(nucleus > 0.5, cell > 0.5)
            if not inner.any():
                continue
            area = np.s_[y0:y1, x0:x1]
            inner_claim = np.where(inner, 1 + nucleus, cell).astype(np.float16)
            won = outer & (inner_claim > self.claim[area])
            if not (won & inner).any():
                continue
            self.count += 1
            self.claim[area][won] = inner_claim[won]
            self.cell[area][won] = self.count
            self.nucleus[area][won] = np.where(inner[won], self.count, 0)

    def finish(self) -> Segmentation:
        """Number the cells without gaps; a cell that lost its whole nucleus is no cell."""
        present = np.bincount(self.nucleus.ravel(), minlength=self.count + 1) > 0
        present[0] = False
        table = np.where(present, np.cumsum(present), 0).astype(np.int32)
        return Segmentation(table[self.nucleus], table[self.cell])


def _tidy(nucleus: Bools, cell: Bools) -> tuple[Bools, Bools]:
    """Keep the part of the cell that holds most of the nucleus, without holes, and the nucleus within it."""
    parts, count = ndimage.label(cell | nucleus)
    if count > 1:
        held = np.bincount(parts[nucleus], minlength=count + 1)
        held[0] = 0
        cell = parts == held.argmax()
    else:
        cell = cell | nucleus
    cell = ndimage.binary_fill_holes(cell)
    nucleus = nucleus & cell
    pieces, count = ndimage.label(nucleus)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        nucleus = (sizes >= SMALLEST_LOBE * sizes.sum())[pieces]
    return nucleus, cell


def _enlarge(values: Floats, size: tuple[int, int], box: tuple[float, float, float, float]) -> Floats:
    picture = Image.fromarray(values)
    # Pillow refuses a box that leaves the picture by a rounding error.
    inside = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], picture.width), min(box[3], picture.height))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, inside), np.float32)
