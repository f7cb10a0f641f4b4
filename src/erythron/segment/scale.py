"""Microns per pixel from the size of red cells, for images whose files do not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import bdtr

from erythron.segment.red_cells import RedCells, find_red_cells

RED_CELL_UM = 7.3
"""Diameter of a red cell on a dried smear; taken, not measured.

The mean of healthy persons is 7.2 um (Price-Jones 1933, Red Blood Cell Diameters, Oxford University Press).
"""

RED_CELL_SPREAD = 0.06
"""Relative standard deviation of that diameter between smears; ``benchmarks/scale.py`` measures it."""

MIN_RED_CELLS = 5
"""Red cells under which there is no estimate: fewer may be chance circles.

``benchmarks/constants.py`` measures it.
"""

SIZE_BAND = 1.3
"""Factor from the usual diameter beyond which a circle is no red cell.

``benchmarks/constants.py`` measures it.
"""

WORKED_PX = 700_000
"""Pixels to which a larger image is reduced, for time: about 0.2 s a field.

``benchmarks/constants.py`` measures it.
"""


@dataclass(frozen=True)
class ScaleEstimate:
    """Microns per pixel, as red cells say.

    Attributes:
        mpp: 7.3 um over the median diameter of the red cells.
        mpp_low: lower end of a 95 % interval, from the order-statistic interval of that median and the
            spread of the true diameter between smears, 6 %. A smear with frank micro- or macrocytosis can
            lie outside it.
        mpp_high: upper end.
        red_cells: how many were measured.
    """

    mpp: float
    mpp_low: float
    mpp_high: float
    red_cells: int


def estimate_scale(rgb: NDArray[np.uint8]) -> ScaleEstimate | None:
    """Estimate the scale from the round red cells of an image, whether or not they overlap.

    Args:
        rgb: (H, W, 3) uint8. An image of more than 0.7 million pixels is measured reduced to that, and where
            its red cells are too small for that, in its middle.

    Returns:
        None where fewer than five round red cells are in view, or where they are under 16 pixels across.
    """
    shrink = float(np.sqrt(rgb.shape[0] * rgb.shape[1] / WORKED_PX))
    if shrink <= 1:
        return _estimate(find_red_cells(rgb), 1.0)
    height, width = rgb.shape[:2]
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    reduced = Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    estimate = _estimate(find_red_cells(np.asarray(reduced)), shrink)
    return estimate or _estimate(find_red_cells(_middle(rgb)), 1.0)


def _middle(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = int(np.sqrt(WORKED_PX))
    top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
    return rgb[top : top + side, left : left + side]


def _estimate(found: RedCells, pixels: float) -> ScaleEstimate | None:
    """Turn circles into a scale; ``pixels`` of the original image are one of theirs."""
    diameter = _keep_one_size(found)
    count = len(diameter)
    if count < MIN_RED_CELLS:
        return None
    rank = 0
    while rank + 1 < count / 2 and bdtr(rank, count, 0.5) <= 0.025:
        rank += 1
    middle = float(np.median(diameter))
    between = 1.96 * RED_CELL_SPREAD
    small = np.hypot(np.log(middle / diameter[max(0, rank - 1)]), between)
    large = np.hypot(np.log(diameter[min(count - 1, count - rank)] / middle), between)
    mpp = RED_CELL_UM / (middle * pixels)
    return ScaleEstimate(mpp, mpp * float(np.exp(-large)), mpp * float(np.exp(small)), count)


def _keep_one_size(found: RedCells) -> NDArray[np.float64]:
    """Return, sorted, the diameters near the one that halves the measured area, weighted by seen rim."""
    order = np.argsort(found.diameter_px)
    diameter = found.diameter_px[order]
    if not len(diameter):
        return diameter
    weight = np.cumsum(diameter**2 * found.rim[order])
    usual = diameter[np.searchsorted(weight, weight[-1] / 2)]
    return np.asarray(diameter[(diameter > usual / SIZE_BAND) & (diameter < usual * SIZE_BAND)])
