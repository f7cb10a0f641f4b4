"""Outlined cells put together in one label image at the scale of the field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.segment.masks import fill_holes
from erythron.segment.nucleus_edge import follow_stain
from erythron.segment.outline import OutlinedCells
from erythron.segment.segmentation import Segmentation

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SMALLEST_LOBE = 0.05
"""Parts of a nucleus under this share of it are no lobes."""


class Canvas:
    """Label images that cells are put on; where two claim a pixel, the more probable has it.

    Args:
        light: (H, W, 3) uint8, the field's balanced light.
        mpp: microns per pixel.
    """

    def __init__(self, light: NDArray[np.uint8], mpp: float) -> None:
        self.light, self.mpp = light, mpp
        height, width = light.shape[:2]
        self.nucleus = np.zeros((height, width), np.int32)
        self.cell = np.zeros((height, width), np.int32)
        self.claim = np.zeros((height, width), np.float16)
        self.count = 0

    def add(self, found: OutlinedCells, scale: float, origin: tuple[int, int]) -> None:
        """Put cells on, their windows enlarged by ``scale`` and moved to ``origin``."""
        for corner, window in zip(found.corner, found.maps, strict=True):
            maps, (top, left) = _crop(window)
            place = ((corner[0] + top) * scale + origin[0], (corner[1] + left) * scale + origin[1])
            area = find_area(place, (maps.shape[1] * scale, maps.shape[2] * scale), self.cell.shape)
            if area is None:
                continue
            nucleus, cell = (enlarge(values, place, scale, area) for values in maps)
            inner, outer = tidy(nucleus > 0.5, cell > 0.5)
            if not inner.any():
                continue
            inner = follow_stain(inner, outer, self.light[area], self.mpp)
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


def _crop(maps: Floats) -> tuple[Floats, tuple[int, int]]:
    """Return the part of a window's maps that shows the cell, and its first row and column.

    Two pixels more on every side keep what interpolation makes of the border.
    """
    inside: Bools = np.max(maps, axis=0) > 0.5
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return maps, (0, 0)
    top, left = max(0, int(rows[0]) - 2), max(0, int(columns[0]) - 2)
    return maps[:, top : rows[-1] + 3, left : columns[-1] + 3], (top, left)


def find_area(
    place: tuple[float, float], size: tuple[float, float], shape: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Return the whole pixels of an image that an area of a height and width covers, None where none."""
    top, left = place
    rows = slice(max(0, int(np.ceil(top))), min(shape[0], int(np.floor(top + size[0]))))
    columns = slice(max(0, int(np.ceil(left))), min(shape[1], int(np.floor(left + size[1]))))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def enlarge(values: Floats, place: tuple[float, float], scale: float, area: tuple[slice, slice]) -> Floats:
    """Return a window's map, ``scale`` times as large and put at ``place``, on an area of the image."""
    (top, left), (rows, columns) = place, area
    picture = Image.fromarray(values)
    # Pillow refuses a box that leaves the picture by a rounding error.
    box = (
        max((columns.start - left) / scale, 0.0),
        max((rows.start - top) / scale, 0.0),
        min((columns.stop - left) / scale, picture.width),
        min((rows.stop - top) / scale, picture.height),
    )
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box), np.float32)


def tidy(nucleus: Bools, cell: Bools) -> tuple[Bools, Bools]:
    """Keep the part of the cell that holds most of the nucleus, without holes, and the nucleus within it."""
    parts, count = ndimage.label(cell | nucleus)
    if count > 1:
        held = np.bincount(parts[nucleus], minlength=count + 1)
        held[0] = 0
        cell = parts == held.argmax()
    else:
        cell = cell | nucleus
    cell = fill_holes(cell)
    nucleus = nucleus & cell
    pieces, count = ndimage.label(nucleus)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        nucleus = (sizes >= SMALLEST_LOBE * sizes.sum())[pieces]
    return nucleus, cell
