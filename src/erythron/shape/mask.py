"""Masks to look at, to store and to feed to a network: those of a field, and the convex hull of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erythron.cells.outline import CellOutline, render_labels
from erythron.shape.mask_shape import MaskShape

NUCLEUS_VALUE = 255
CYTOPLASM_VALUE = 128


def render_shapes(
    outlines: Sequence[CellOutline], height: int, width: int, shape: MaskShape
) -> NDArray[np.uint8]:
    """Return cells of an image as one mask of a shape, as :func:`render_mask` does for nucleus and cell.

    Of whole cells and hulls every pixel is 255. Each cell has its own hull; one of touching cells would hold
    them both.

    Args:
        outlines: the cells.
        height: of the image.
        width: of the image.
        shape: what to show of them.

    Returns:
        (height, width) uint8.
    """
    mask = render_mask(outlines, height, width)
    if shape is MaskShape.NUCLEUS_CELL:
        return mask
    if shape is MaskShape.HULL:
        for outline in outlines:
            mask |= convex_hull(render_mask([outline], height, width) > 0).astype(np.uint8)
    return np.asarray((mask > 0) * np.uint8(255))


def render_mask(outlines: Sequence[CellOutline], height: int, width: int) -> NDArray[np.uint8]:
    """Return cells of an image as one grey mask.

    Args:
        outlines: the cells.
        height: of the image.
        width: of the image.

    Returns:
        (height, width) uint8: 255 on nuclei, 128 on cytoplasm, 0 elsewhere.
    """
    nucleus, cell = render_labels(outlines, height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[cell > 0] = CYTOPLASM_VALUE
    mask[nucleus > 0] = NUCLEUS_VALUE
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
