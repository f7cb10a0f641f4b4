"""The nucleus' outline put where the stain changes, close to where the network drew it.

The network works on a coarse grid and was taught by hands that differ by a pixel or two; the stain shows the
edge itself. Which nucleus, and what of it is nucleus, stays the network's word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.segment.stain import BACKGROUND_LEVEL, nuclear_channel

Bools = NDArray[np.bool_]

BAND_UM = 0.3
"""How far the outline may move to either side; at least one pixel."""

LEAST_AGREEMENT = 0.8
"""Dice of the network's nucleus with the stain's, under which the stain is not followed."""

FEWEST_PX = 20
"""Of nucleus and of cytoplasm away from the outline, to say how each is stained."""


def follow_stain(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], mpp: float) -> Bools:
    """Return the nucleus with its outline moved to where the stain is midway between nucleus and cytoplasm.

    Args:
        nucleus: (H, W) bool, of one cell.
        cell: (H, W) bool, that cell, nucleus included.
        light: (H, W, 3) uint8, balanced light.
        mpp: microns per pixel.

    Returns:
        (H, W) bool, within the cell; ``nucleus`` itself where cytoplasm is too narrow to compare with or the
        stain shows something else.
    """
    rows, columns = (np.flatnonzero(cell.any(axis)) for axis in (1, 0))
    if not rows.size:
        return nucleus
    box = np.s_[max(0, rows[0] - 1) : rows[-1] + 2, max(0, columns[0] - 1) : columns[-1] + 2]
    moved = nucleus.copy()
    moved[box] = _follow(nucleus[box], cell[box], light[box], max(BAND_UM / mpp, 1.0))
    return moved


def _follow(nucleus: Bools, cell: Bools, light: NDArray[np.uint8], band_px: float) -> Bools:
    inside = ndimage.distance_transform_edt(nucleus)
    outside = ndimage.distance_transform_edt(~nucleus)
    core, cytoplasm = inside > band_px, cell & (outside > band_px)
    if min(np.count_nonzero(core), np.count_nonzero(cytoplasm)) < FEWEST_PX:
        return nucleus
    stain = nuclear_channel((light / BACKGROUND_LEVEL).astype(np.float32))
    level = (stain[core].mean() + stain[cytoplasm].mean()) / 2
    stained = ndimage.binary_fill_holes(ndimage.binary_opening(cell & (stain > level)))
    common = np.count_nonzero(stained & nucleus)
    if 2 * common < LEAST_AGREEMENT * (np.count_nonzero(stained) + np.count_nonzero(nucleus)):
        return nucleus
    near = np.maximum(inside, outside) <= band_px
    return np.where(near, stained, nucleus)
