"""Masks to look at, to store and to feed to a network: a field's, one cell's, a convex hull."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from erythron.segment.segmentation import Segmentation

NUCLEUS_VALUE = 255
CYTOPLASM_VALUE = 128


def render_mask(segmentation: Segmentation) -> NDArray[np.uint8]:
    """Return all cells of an image as one grey mask.

    Returns:
        (H, W) uint8: 255 on nuclei, 128 on cytoplasm, 0 elsewhere.
    """
    mask = np.zeros(segmentation.cell.shape, np.uint8)
    mask[segmentation.cell > 0] = CYTOPLASM_VALUE
    mask[segmentation.nucleus > 0] = NUCLEUS_VALUE
    return mask


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in the convex hull of the mask's pixel centres.

    Args:
        mask: (H, W) bool, or any array whose non-zero pixels are meant.

    Returns:
        (H, W) bool; a superset of the mask, empty where the mask is empty.
    """
    hull: NDArray[np.bool_] = np.asarray(mask) != 0
    ys, xs = np.nonzero(hull)
    if ys.size == 0:
        return hull
    # Points on one line span no area, which skimage refuses; np.nonzero gives the line's ends first and last.
    dy, dx = int(ys[-1] - ys[0]), int(xs[-1] - xs[0])
    if np.all((ys - ys[0]) * dx == (xs - xs[0]) * dy):
        steps = max(math.gcd(dy, dx), 1)
        along = np.arange(steps + 1)
        hull[ys[0] + along * dy // steps, xs[0] + along * dx // steps] = True
        return hull
    from skimage.morphology import convex_hull_image  # takes long to import, and a count needs no hull

    window = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    filled = convex_hull_image(  # type: ignore[no-untyped-call]
        hull[window], offset_coordinates=False, include_borders=True
    )
    hull[window] |= filled
    return hull


def hull_plane(cell: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the convex hull of a mask plane with a graded border, (H, W) uint8, nowhere below the plane.

    Args:
        cell: (H, W) uint8, 255 inside, graded at the border; more than half counts as inside.
    """
    hull = convex_hull(cell > np.iinfo(np.uint8).max // 2).astype(np.uint8) * np.uint8(255)
    return np.asarray(np.maximum(hull, cell))


def shape_mask(
    segmentation: Segmentation, cell_id: int, window: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """Return the shape mask of one cell, its neighbours left out.

    The hull of the cell alone is the shape mask of Wang et al. (doi 10.1007/s10489-023-04465-z); it drops
    concavities and says nothing of the nucleus, so cell and nucleus stand beside it.

    Args:
        segmentation: the cells of the image.
        cell_id: which cell, from 1.
        window: rows and columns to return, both within the image; None for the whole image. What of the
            cell lies outside counts for nothing, the hull included.

    Returns:
        (h, w, 3) uint8, each 0 or 255: whole cell, nucleus, convex hull of the whole cell.
    """
    rows, columns = window or (slice(None), slice(None))
    cell = segmentation.cell[rows, columns] == cell_id
    nucleus = segmentation.nucleus[rows, columns] == cell_id
    return np.stack([cell, nucleus, convex_hull(cell)], axis=-1).astype(np.uint8) * np.uint8(255)
