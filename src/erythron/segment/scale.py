"""Microns per pixel from the size of red cells, for images whose files do not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import bdtr

from erythron.segment.necks import solidity, split_at_necks
from erythron.segment.stain import MIN_CONTRAST, balance, estimate_background, nuclear_channel, otsu

RED_CELL_UM = 7.3
"""Diameter taken for a red cell on a dried smear."""

MIN_RED_CELLS = 5
MIN_SOLIDITY, MIN_AXIS_RATIO, MIN_CIRCLE_FILL = 0.93, 0.8, 0.85
MIN_AREA_PX = 80
NUCLEAR = 0.25
SIZE_BAND = (0.5, 1.8)
MAX_SIDE_PX = 2500


@dataclass(frozen=True)
class ScaleEstimate:
    """Microns per pixel, as red cells say.

    Attributes:
        mpp: 7.3 um over the median diameter of the red cells.
        mpp_low: lower end of the interval that the 95 % order-statistic interval of that median gives.
        mpp_high: upper end. The interval covers sampling only, not red cells that are not 7.3 um wide.
        red_cells: how many were measured.
    """

    mpp: float
    mpp_low: float
    mpp_high: float
    red_cells: int


def estimate_scale(rgb: NDArray[np.uint8]) -> ScaleEstimate | None:
    """Estimate the scale from well-separated round red cells.

    Args:
        rgb: (H, W, 3) uint8; of images with a side over 2500 px the middle is measured.

    Returns:
        None where fewer than five such cells are in view.
    """
    diameter = _red_cell_diameters(_middle(rgb))
    count = len(diameter)
    if count < MIN_RED_CELLS:
        return None
    rank = 0
    while rank + 1 < count / 2 and bdtr(rank, count, 0.5) <= 0.025:
        rank += 1
    low, high = diameter[max(0, rank - 1)], diameter[min(count - 1, count - rank)]
    return ScaleEstimate(
        RED_CELL_UM / float(np.median(diameter)), RED_CELL_UM / float(high), RED_CELL_UM / float(low), count
    )


def _middle(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (side - MAX_SIDE_PX) // 2) for side in rgb.shape[:2])
    return rgb[top : top + MAX_SIDE_PX, left : left + MAX_SIDE_PX]


def _red_cell_diameters(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sorted diameters in pixels."""
    light = balance(rgb, estimate_background(rgb), 1.0)
    brightness = light.mean(axis=2)
    nuclear = nuclear_channel(light) > NUCLEAR
    rest = brightness[~nuclear]
    if not len(rest) or float(np.ptp(rest)) < MIN_CONTRAST:
        return np.zeros(0)
    dark = brightness < otsu(rest)
    depth = ndimage.distance_transform_edt(dark)
    holes, _ = ndimage.label(~dark)
    pallor_px = np.pi * (2 * np.percentile(depth[dark], 95)) ** 2
    discs = dark | (np.bincount(holes.ravel()) < pallor_px)[holes]
    labels = split_at_necks(np.asarray(ndimage.binary_opening(discs, iterations=2)), 5)
    height, width = labels.shape
    areas = []
    for i, found in enumerate(ndimage.find_objects(labels), 1):
        if found is None:
            continue
        rows, columns = found
        if rows.start == 0 or columns.start == 0 or rows.stop == height or columns.stop == width:
            continue
        mask = labels[rows, columns] == i
        area = np.count_nonzero(mask)
        sides = sorted(mask.shape)
        if area < MIN_AREA_PX or sides[0] < MIN_AXIS_RATIO * sides[1]:
            continue
        if (
            nuclear[rows, columns][mask].mean() > 0.1
            or area < MIN_CIRCLE_FILL * np.pi / 4 * sides[0] * sides[1]
        ):
            continue
        if solidity(mask) >= MIN_SOLIDITY:
            areas.append(area)
    area_px = np.sort(np.array(areas, np.float64))
    if not len(area_px):
        return area_px
    heavy = area_px[np.searchsorted(np.cumsum(area_px), area_px.sum() / 2)]
    kept = area_px[(area_px > SIZE_BAND[0] * heavy) & (area_px < SIZE_BAND[1] * heavy)]
    return np.asarray(2 * np.sqrt(kept / np.pi))
